"""An inspection as lines for the terminal, at most 79 columns wide."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bootstrap_det.inspection.advice import Advice
from bootstrap_det.inspection.measure import Inspection
from bootstrap_det.inspection.objects import NEAR, quantiles_of
from bootstrap_det.inspection.outliers import KINDS

WIDTH = 79
MAX_LABELS = 12
_BAR = 28
_COMMAND = "     "  # in front of commands


def report_lines(
    inspection: Inspection, *, fill: Callable[[str], str] = lambda command: command
) -> list[str]:
    """Return an inspection as lines: each measure, its numbers, and what would mend it.

    Parameters
    ----------
    inspection : Inspection
        What was measured.
    fill : callable, default=identity
        Puts the data's own name into a command.
    """
    lines = _head(inspection)
    for section in report_sections(inspection)[1]:
        lines += ["", section.title.upper(), *section.lines, *_mends(section.advice, fill)]
    return lines


@dataclass(frozen=True)
class Section:
    """One measure of an inspection.

    Attributes
    ----------
    name, title : str
        What it is called in the numbers, and for people.
    lines : tuple of str
        What was measured, aligned.
    advice : tuple of Advice
        What would mend it.
    """

    name: str
    title: str
    lines: tuple[str, ...]
    advice: tuple[Advice, ...]


def report_sections(inspection: Inspection) -> tuple[str, list[Section]]:
    """Return what was inspected in a few sentences, and each measure."""
    sections = {
        "classes": ("Classes", _classes),
        "background": ("Background", _background),
        "sizes": ("Sizes", _sizes),
        "fit": ("Fit of windows to objects", _fit),
        "places": ("Places", _places),
        "outliers": ("Outliers", _outliers),
    }
    found = [
        Section(
            name,
            title,
            tuple(write(inspection)),
            tuple(each for each in inspection.advice if each.measure == name),
        )
        for name, (title, write) in sections.items()
    ]
    return " ".join(_head(inspection)), found


def _head(inspection: Inspection) -> list[str]:
    scan = inspection.scan
    windows = sorted({"x".join(map(str, window.size)) for window in scan.windows.values()})
    shown = ", ".join(windows[:4]) + (", ..." if len(windows) > 4 else "")
    several = "windows" if len(windows) > 1 else "window"
    said = (
        f"detector: {several} {shown} (height x width), cells of {scan.channels.cell_size} px, "
        f"{scan.pyramid.scales_per_octave} scales an octave, objects from {scan.smallest:g} px"
    )
    counts = (
        f"{inspection.name}: {inspection.n_pictures:,} pictures, {inspection.n_empty:,} of them "
        f"without boxes; {inspection.n_objects:,} objects"
    )
    return [*_wrapped(counts, ""), *_wrapped(said, "")]


def _classes(inspection: Inspection) -> list[str]:
    classes = inspection.classes
    shown = list(classes.objects.items())[:MAX_LABELS]
    width = min(max(len(label) for label, _ in shown), 26)
    most = max(number for _, number in shown)
    lines = []
    for label, number in shown:
        bar = "#" * round(_BAR * number / most)
        lines.append(f"  {_cut(label, width):<{width}} {number:>8,}  {bar}".rstrip())
    if len(classes.objects) > MAX_LABELS:
        lines.append(f"  and {len(classes.objects) - MAX_LABELS} more labels")
    lines.append(f"  largest over smallest {classes.ratio:.3g}; {classes.n_ignored:,} ignored")
    return lines


def _background(inspection: Inspection) -> list[str]:
    census = inspection.census
    ratio = "none in the foreground" if census.ratio is None else f"{census.ratio:,.0f} to 1"
    return [
        f"  background to foreground windows: {ratio}",
        f"  {census.n_background:,} to {census.n_foreground:,} in {census.n_pictures:,} pictures",
    ]


def _sizes(inspection: Inspection) -> list[str]:
    sizes = inspection.sizes
    rows = [("width, px", sizes.width), ("height, px", sizes.height),
            ("area, sq. px", sizes.area), ("width / height", sizes.aspect)]  # fmt: skip
    columns = ("min", "p5", "median", "p95", "max")
    lines = [f"  {'':<16}" + "".join(f"{name:>11}" for name in columns)]
    for name, values in rows:
        numbers = quantiles_of(values)
        lines.append(f"  {name:<16}" + "".join(f"{_short(numbers[key]):>11}" for key in columns))
    share = sizes.shares
    lines.append(
        f"  {sizes.octaves:.1f} octaves from p5 to p95; {share['small']:.0%} below 32x32 px, "
        f"{share['large']:.0%} from 96x96 px on"
    )
    return lines


def _fit(inspection: Inspection) -> list[str]:
    fit, census = inspection.fit, inspection.census
    if not len(fit.overlap):
        return ["  no object in the pictures that were looked at"]
    numbers = quantiles_of(fit.overlap)
    lines = [
        f"  best window's IoU: median {numbers['median']:.2f}, 5 % below {numbers['p5']:.2f}",
        f"  out of reach (below 0.5): {fit.n_unreachable:,} of {len(fit.overlap):,} objects",
    ]
    if census.n_foreground:
        bins = "  ".join(
            f"0.{5 + i}: {number / census.n_foreground:.0%}"
            for i, number in enumerate(census.overlap_counts)
        )
        lines.append(f"  foreground windows by IoU  {bins}")
    return lines


def _places(inspection: Inspection) -> list[str]:
    places = inspection.places
    across, down = (
        "  ".join(f"{share:.0%}" for share in thirds) for thirds in places.thirds.values()
    )
    return [
        f"  centres by thirds, left to right: {across}; top to bottom: {down}",
        f"  {places.shares['touch_border']:.1%} touch the border, "
        f"{places.shares['near_border']:.1%} are within {NEAR:g} of their side from it",
    ]


def _outliers(inspection: Inspection) -> list[str]:
    counts = {kind: sum(each.kind == kind for each in inspection.outliers) for kind in KINDS}
    lines = ["  " + ", ".join(f"{number} {kind}" for kind, number in counts.items())]
    firsts = {each.kind: each for each in reversed(inspection.outliers)}
    for kind in KINDS:
        if kind in firsts:
            each = firsts[kind]
            lines.append(f"  {kind:<10} {each.what:<10} box {each.box} of {each.file}"[:WIDTH])
    return lines


def _mends(mends: Sequence[Advice], fill: Callable[[str], str]) -> list[str]:
    if not mends:
        return ["  -> nothing to mend"]
    lines = []
    for each in mends:
        lines += _wrapped(f"-> {each.why}:", "  ")
        lines += _command_lines(fill(each.command))
    return lines


def _command_lines(command: str) -> list[str]:
    """Return a command on as many lines as it needs, to be copied as it is."""
    lines = [_COMMAND]
    for word in map(shlex.quote, shlex.split(command)):  # a quoted word is never broken
        if len(lines[-1]) + len(word) + 3 > WIDTH and lines[-1].strip():
            lines.append(_COMMAND + "  ")
        lines[-1] += (" " if lines[-1].strip() else "") + word
    return [line + " \\" for line in lines[:-1]] + lines[-1:]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
