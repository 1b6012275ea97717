"""What stands inside a sign: digits, arrows and pictograms, of strokes and polygons.

A glyph is a function that draws itself with a pen, in one colour or two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from bootstrap_det.data.signs.pen import Color, Pen, Points, arc

BLACK, WHITE, RED = (28, 28, 30), (238, 238, 234), (190, 22, 34)

Glyph = Callable[[Pen], None]

# Strokes of a digit of height 1 about (0, 0): the points, and whether they close.
_DIGITS: dict[str, list[tuple[Points, bool]]] = {
    "0": [(arc((0, 0), (0.22, 0.42)), True)],
    "3": [
        (np.concatenate([
            arc((0, -0.215), (0.215, 0.205), -160, 90),
            arc((0, 0.2), (0.24, 0.22), -90, 160),
        ]), False),
    ],
    "5": [
        (np.concatenate([
            [(0.21, -0.42), (-0.17, -0.42), (-0.2, -0.02)],
            arc((0, 0.15), (0.24, 0.27), -140, 150),
        ]), False),
    ],
    "8": [(arc((0, -0.22), (0.195, 0.2)), True), (arc((0, 0.2), (0.235, 0.22)), True)],
}  # fmt: skip
_DIGIT_STROKE = 0.165  # of a digit's height
_DIGIT_PITCH = 0.68


def number(text: str, height: float = 0.43) -> Glyph:
    """Return a glyph of digits side by side, of a height in sign units."""
    return partial(_draw_number, text, height)


def _draw_number(text: str, height: float, pen: Pen) -> None:
    first = -(len(text) - 1) / 2
    for index, digit in enumerate(text):
        offset = np.array([(first + index) * _DIGIT_PITCH, 0.0])
        for points, closed in _DIGITS[digit]:
            pen.stroke((points + offset) * height, _DIGIT_STROKE * height, BLACK, closed=closed)


def nothing(pen: Pen) -> None:
    """Draw nothing: an empty sign."""


def two_cars(pen: Pen) -> None:
    """Draw a red car on the left and a black one on the right, seen from behind."""
    _car(pen, (-0.165, 0.02), RED)
    _car(pen, (0.165, 0.02), BLACK)


def _car(pen: Pen, at: tuple[float, float], color: Color, width: float = 0.29) -> None:
    def placed(points: ArrayLike) -> Points:
        return np.asarray(points, np.float64) * width + at

    pen.fill(placed([(-0.5, -0.02), (0.5, -0.02), (0.5, 0.3), (-0.5, 0.3)]), color)
    pen.fill(placed([(-0.42, 0), (-0.27, -0.4), (0.27, -0.4), (0.42, 0)]), color)
    pen.fill(placed([(-0.29, -0.05), (-0.19, -0.3), (0.19, -0.3), (0.29, -0.05)]), WHITE)
    for side in (-1, 1):
        wheel = [(side * 0.5, 0.25), (side * 0.5, 0.5), (side * 0.26, 0.5), (side * 0.26, 0.25)]
        pen.fill(placed(wheel), color)
        pen.fill(placed(arc((side * 0.34, 0.13), 0.075)), WHITE)


def exclamation(pen: Pen) -> None:
    """Draw an exclamation mark."""
    top, bottom = arc((0, -0.16), 0.052, 180, 360), arc((0, 0.09), 0.03, 0, 180)
    pen.fill(np.concatenate([top, bottom]), BLACK)
    pen.fill(arc((0, 0.205), 0.05), BLACK)


def bend(pen: Pen) -> None:
    """Draw an arrow that goes up and bends to the left."""
    path = np.concatenate([[(0.09, 0.25), (0.09, 0.14)], arc((-0.03, 0.14), 0.12, 0, -55)])
    _arrow(pen, path, 0.075, BLACK)


def crossing(pen: Pen) -> None:
    """Draw two thick lines that cross."""
    for side in (-1, 1):
        pen.stroke([(-side * 0.13, -0.06), (side * 0.13, 0.2)], 0.085, BLACK)


def bumps(pen: Pen) -> None:
    """Draw an uneven road: two humps on a line."""
    xs = np.linspace(-0.27, 0.27, 61)
    humps = 0.2 - 0.19 * np.sin(2 * np.pi * (xs + 0.27) / 0.54) ** 2
    outline = np.stack([xs, humps], axis=1)
    pen.fill(np.concatenate([outline, [(0.27, 0.25), (-0.27, 0.25)]]), BLACK)


def arrow_ahead(pen: Pen) -> None:
    """Draw an arrow that points up."""
    _arrow(pen, [(0, 0.33), (0, -0.1)], 0.13, WHITE)


def arrow_turn(side: int) -> Glyph:
    """Return a glyph of an arrow that comes from below and turns: -1 to the left, 1 right."""
    return partial(_draw_turn, side)


def _draw_turn(side: int, pen: Pen) -> None:
    path = np.concatenate(
        [[(-0.17, 0.31), (-0.17, 0.1)], arc((-0.03, 0.1), 0.14, 180, 270), [(0.1, -0.04)]]
    )
    _arrow(pen, path * (side, 1), 0.13, WHITE)


def arrow_keep_right(pen: Pen) -> None:
    """Draw an arrow that points to the lower right."""
    _arrow(pen, [(-0.23, -0.23), (0.07, 0.07)], 0.14, WHITE)


def arrows_round(pen: Pen) -> None:
    """Draw three arrows that chase each other in a circle."""
    for start in (-60, 60, 180):
        path = arc((0, 0), 0.25, start, start - 62)
        _arrow(pen, path, 0.095, WHITE, head=1.9)


def _arrow(pen: Pen, path: ArrayLike, width: float, color: Color, *, head: float = 2.0) -> None:
    """Draw a line whose head begins at its end; ``head`` is half of its base, in line widths."""
    points = np.asarray(path, np.float64)
    along = points[-1] - points[-2]
    along = along / np.hypot(*along)
    across = np.array([-along[1], along[0]])
    pen.stroke(points, width, color)
    half = head * width * 0.8
    tip = points[-1] + along * half * 1.3
    pen.fill([points[-1] + across * half, tip, points[-1] - across * half], color)
