"""The signs: their shapes, what stands in them, how often they occur.

The three groups are those of the German Traffic Sign Detection Benchmark (Houben et al. 2013):
*prohibitory* (round, a red ring on white), *danger* (a triangle with a red border) and
*mandatory* (round, blue, with white arrows).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data.signs import glyphs
from bootstrap_det.data.signs.pen import Color, Pen, Points, arc, regular, rounded

GROUPS = ("prohibitory", "danger", "mandatory")
ZIPF_EXPONENT = 1.0

_BLUE: Color = (12, 82, 160)
_RIM = 0.016  # width of the white edge, sign units
_RED_RING = 0.105
_RED_BORDER = 0.085
_TRIANGLE_ROUNDING = 0.055


@dataclass(frozen=True)
class SignClass:
    """A kind of sign.

    Attributes
    ----------
    name, group : str
        The group is one of ``GROUPS``.
    glyph : callable
        Draws what stands in it.
    """

    name: str
    group: str
    glyph: glyphs.Glyph

    @property
    def outline(self) -> Points:
        """The edge of what is opaque, shape (n, 2), sign units."""
        shape, _ = _FACES[self.group]
        return shape(0.0)

    def sprite(self) -> NDArray[np.uint8]:
        """Return it drawn from the front, see :meth:`Pen.cut_out`; the same array every time."""
        return _sprite(self)


# From the most frequent to the rarest.
CLASSES = (
    SignClass("speed_50", "prohibitory", glyphs.number("50")),
    SignClass("keep_right", "mandatory", glyphs.arrow_keep_right),
    SignClass("speed_30", "prohibitory", glyphs.number("30")),
    SignClass("general_danger", "danger", glyphs.exclamation),
    SignClass("no_overtaking", "prohibitory", glyphs.two_cars),
    SignClass("bend_left", "danger", glyphs.bend),
    SignClass("ahead_only", "mandatory", glyphs.arrow_ahead),
    SignClass("speed_80", "prohibitory", glyphs.number("80")),
    SignClass("crossroads", "danger", glyphs.crossing),
    SignClass("turn_right", "mandatory", glyphs.arrow_turn(1)),
    SignClass("uneven_road", "danger", glyphs.bumps),
    SignClass("roundabout", "mandatory", glyphs.arrows_round),
    SignClass("no_vehicles", "prohibitory", glyphs.nothing),
    SignClass("turn_left", "mandatory", glyphs.arrow_turn(-1)),
)


def frequencies() -> NDArray[np.float64]:
    """Return the share of each class, shape (n_classes,): Zipf's law, one over the rank."""
    weights = np.arange(1, len(CLASSES) + 1) ** -ZIPF_EXPONENT
    return np.asarray(weights / weights.sum())


def disc(inset: float = 0.0) -> Points:
    """Return the outline of a round sign, shape (n, 2), moved inwards by ``inset``."""
    return arc((0.0, 0.0), 0.5 - inset, n_points=361)[:-1]


def triangle(inset: float = 0.0) -> Points:
    """Return the outline of a triangular sign, shape (n, 2), moved inwards by ``inset``."""
    outer = rounded(regular(3, 0.6), _TRIANGLE_ROUNDING)
    low, high = outer.min(axis=0), outer.max(axis=0)
    scale = 1.0 / (high - low).max()
    # Moving the edges of an equilateral triangle by d takes 2 d from its circumradius.
    inner = rounded(
        regular(3, 0.6 - 2.0 * inset / scale), max(_TRIANGLE_ROUNDING - inset / scale, 0.015)
    )
    return np.asarray((inner - (low + high) / 2) * scale)


@cache
def _sprite(kind: SignClass) -> NDArray[np.uint8]:
    shape, layers = _FACES[kind.group]
    pen = Pen(glyphs.WHITE)
    for inset, color in layers:
        pen.fill(shape(inset), color)
    kind.glyph(pen)
    return pen.cut_out(kind.outline)


# The shape of a group, and its areas from the outside to the inside: how far in, which colour.
_FACES: dict[str, tuple[Callable[[float], Points], tuple[tuple[float, Color], ...]]] = {
    "prohibitory": (disc, ((_RIM, glyphs.RED), (_RIM + _RED_RING, glyphs.WHITE))),
    "danger": (triangle, ((_RIM, glyphs.RED), (_RIM + _RED_BORDER, glyphs.WHITE))),
    "mandatory": (disc, ((_RIM, _BLUE),)),
}
