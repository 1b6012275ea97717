"""What looks a little like a sign and is none: discs, triangles, blobs, boards and other signs.

Signs that belong to none of the three groups are among them, as they are in the benchmark: yield
(a triangle on its tip), stop, priority road, no entry, the end of all limits; and one-way and
no-stopping signs, which share their colours and shapes with the groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data.signs.classes import disc, triangle
from bootstrap_det.data.signs.glyphs import BLACK, RED, WHITE
from bootstrap_det.data.signs.pen import Color, Pen, Points, arc, fitted, regular, rounded

_BLUE, _YELLOW, _GREEN, _GREY = (20, 84, 162), (238, 188, 20), (34, 120, 62), (132, 134, 136)
_COLORS: tuple[Color, ...] = (RED, _BLUE, _YELLOW, WHITE, _GREEN, _GREY, BLACK)
_RIM = 0.06  # sign units
_UNIT = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])

Areas = list[tuple[Points, Color]]  # the whole first, then what lies on it


@dataclass(frozen=True)
class Distractor:
    """One thing that is not a sign of the three groups.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    seed : int
        Of its colours and proportions.
    """

    kind: str
    seed: int

    @property
    def outline(self) -> Points:
        """The edge of what is opaque, shape (n, 2), sign units."""
        return self._areas()[0][0]

    def sprite(self) -> NDArray[np.uint8]:
        """Return it drawn from the front, anew each time: no two are alike."""
        (outline, ground), *areas = self._areas()
        pen = Pen(ground)
        for points, color in areas:
            pen.fill(points, color)
        return pen.cut_out(outline)

    def _areas(self) -> Areas:
        return KINDS[self.kind](np.random.default_rng(self.seed))


def draw_distractor(rng: np.random.Generator) -> Distractor:
    """Return a random one."""
    names = tuple(KINDS)
    return Distractor(names[int(rng.integers(len(names)))], int(rng.integers(1 << 31)))


def _two_colors(rng: np.random.Generator) -> tuple[Color, Color]:
    first, second = rng.permutation(len(_COLORS))[:2]
    return _COLORS[first], _COLORS[second]


def _plain_disc(rng: np.random.Generator) -> Areas:
    """Return a disc with a thin rim of another colour: a lamp, a button, a wheel."""
    outer, inner = _two_colors(rng)
    if (outer, inner) == (RED, WHITE):  # that would be the sign for no vehicles
        inner = _YELLOW
    return [(disc(), outer), (disc(rng.uniform(0.02, 0.2)), inner)]


def _plain_triangle(rng: np.random.Generator) -> Areas:
    """Return a triangle of one colour, turned at will."""
    color = _COLORS[int(rng.integers(len(_COLORS)))]
    angle = rng.uniform(0.0, 2 * np.pi)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [(fitted(triangle() @ turn), color)]


def _yield_sign(rng: np.random.Generator) -> Areas:
    return [(-triangle(), WHITE), (-triangle(0.016), RED), (-triangle(0.12), WHITE)]


def _stop_sign(rng: np.random.Generator) -> Areas:
    octagon = fitted(regular(8, 0.5, start=-67.5))
    bar = np.array([(-0.32, -0.11), (0.32, -0.11), (0.32, 0.11), (-0.32, 0.11)])
    gaps = [(bar * (0.06, 1.0) + (x, 0.0), RED) for x in (-0.16, 0.0, 0.16)]
    return [(octagon, WHITE), (octagon * 0.96, RED), (bar, WHITE), *gaps]


def _priority_sign(rng: np.random.Generator) -> Areas:
    outer = fitted(rounded(regular(4, 0.5), 0.05))
    return [(outer, WHITE), (outer * 0.72, _YELLOW)]


def _no_entry_sign(rng: np.random.Generator) -> Areas:
    bar = np.array([(-0.36, -0.09), (0.36, -0.09), (0.36, 0.09), (-0.36, 0.09)])
    return [(disc(), WHITE), (disc(0.016), RED), (bar, WHITE)]


def _no_stopping_sign(rng: np.random.Generator) -> Areas:
    return [
        (disc(), RED),
        (disc(0.1), _BLUE),
        (_diagonal(0.12), RED),
        (_diagonal(0.12) * (-1, 1), RED),
    ]


def _end_of_limits_sign(rng: np.random.Generator) -> Areas:
    stripes = [(_diagonal(0.03) + np.array([x, x]), BLACK) for x in (-0.08, -0.03, 0.02, 0.07)]
    return [(disc(), BLACK), (disc(0.025), WHITE), *stripes]


def _one_way_sign(rng: np.random.Generator) -> Areas:
    """Return a blue square with a white arrow to either side."""
    square = rounded(_UNIT * 0.5, 0.05)
    shaft = np.array([(-0.36, -0.07), (0.1, -0.07), (0.1, 0.07), (-0.36, 0.07)])
    head = np.array([(0.08, -0.2), (0.38, 0.0), (0.08, 0.2)])
    side = (-1.0 if rng.random() < 0.5 else 1.0, 1.0)
    return [(square, WHITE), (square * 0.95, _BLUE), (shaft * side, WHITE), (head * side, WHITE)]


def _diagonal(width: float) -> Points:
    """Return a bar from the lower left to the upper right, inside the rim of a disc."""
    along, across = np.array([0.29, -0.29]), np.array([width, width]) / np.sqrt(8)
    return np.array([-along - across, along - across, along + across, -along + across])


def _board(rng: np.random.Generator) -> Areas:
    """Return a rectangle with bars: a direction board, an advertisement, a number plate."""
    fill, ink = _two_colors(rng)
    aspect = rng.uniform(0.4, 1.0)
    corner = np.array([0.5, 0.5 * aspect])
    if rng.random() < 0.5:
        corner = corner[::-1]
    outline = rounded(_UNIT * corner, 0.04)
    bars = []
    for y in np.linspace(-0.6, 0.6, int(rng.integers(1, 5))):
        extent = np.array([rng.uniform(0.3, 0.8), 0.1])
        bars.append(((_UNIT * extent + (0.0, y)) * corner, ink))
    inner = rounded(_UNIT * (corner - _RIM / 2), 0.03)
    return [(outline, ink), (inner, fill), *bars]


def _blob(rng: np.random.Generator) -> Areas:
    """Return a smooth random shape in two colours."""
    angles = np.linspace(0.0, 2 * np.pi, 181)[:-1]
    waves = np.arange(2, 6)
    heights, phases = rng.normal(0, 0.3, 4) / waves, rng.uniform(0, 2 * np.pi, 4)
    radius = np.exp((heights * np.cos(angles[:, None] * waves + phases)).sum(axis=1))
    points = radius[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    outer, inner = _two_colors(rng)
    outline = fitted(points * (1.0, rng.uniform(0.5, 1.0)))
    return [(outline, outer), (outline * rng.uniform(0.3, 0.8), inner)]


def _rings(rng: np.random.Generator) -> Areas:
    """Return rings about one middle: a wheel, a target, a traffic light."""
    outer, inner = _two_colors(rng)
    radii = (0.42, 0.3, 0.2, 0.1)
    areas = [(arc((0, 0), r), (inner, outer)[index % 2]) for index, r in enumerate(radii)]
    return [(disc(), outer), *areas]


KINDS: dict[str, Callable[[np.random.Generator], Areas]] = {
    "disc": _plain_disc,
    "triangle": _plain_triangle,
    "yield": _yield_sign,
    "stop": _stop_sign,
    "priority": _priority_sign,
    "no_entry": _no_entry_sign,
    "no_stopping": _no_stopping_sign,
    "end_of_limits": _end_of_limits_sign,
    "one_way": _one_way_sign,
    "board": _board,
    "blob": _blob,
    "rings": _rings,
}
