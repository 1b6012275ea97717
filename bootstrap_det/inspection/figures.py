"""The pictures of an inspection: one figure a measure, and the outliers as a contact sheet."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from bootstrap_det._files import write_bytes
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import write_image
from bootstrap_det.inspection.census import CAUSES, IOU_EDGES
from bootstrap_det.inspection.measure import Inspection
from bootstrap_det.inspection.outliers import KINDS, Outlier
from bootstrap_det.plots import RED, contact_sheet, cut_out, draw_box

# Figures are made as objects, never through pyplot, which keeps state and wants a display.

BLUE, ORANGE, GREY = "#2f6f9f", "#d9822b", "#8a8f98"
MAX_BARS = 30
MAX_SHOWN = 60  # outliers on the sheet
_DPI = 110
_TILE = 150  # pixels; of an outlier on the sheet
_DIGITS = ((1, 2, 5), (1, 1.5, 2, 3, 5, 7), (1, 1.1, 1.2, 1.4, 1.6, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
_NOTHING = 80  # grey level
_CAUSES = {
    "small": "below the smallest window",
    "large": "above the largest window",
    "aspect": "too narrow or too wide",
    "grid": "between windows",
}


def write_figures(
    inspection: Inspection, folder: str | os.PathLike[str], *, dataset: Dataset | None = None
) -> tuple[Path, ...]:
    """Write one PNG a measure into a folder, and the contact sheet of the outliers.

    Parameters
    ----------
    inspection : Inspection
        What was measured.
    folder : str or path-like
        Exists; files of the same names are replaced.
    dataset : Dataset or None, default=None
        Whose pictures are read for the sheet; without it there is none.

    Returns
    -------
    tuple of Path
        ``classes.png``, ``background.png``, ``sizes.png``, ``fit.png``, ``places.png`` and, where
        there are outliers, ``outliers.png``.

    Raises
    ------
    DataError
        When a file cannot be written.
    """
    paths = []
    for name, draw in _FIGURES.items():
        path = Path(folder) / f"{name}.png"
        write_bytes(path, _png(draw(inspection)))
        paths.append(path)
    if dataset is not None and inspection.outliers:
        path = Path(folder) / "outliers.png"
        write_image(path, outlier_sheet(inspection, dataset))
        paths.append(path)
    return tuple(paths)


def outlier_sheet(
    inspection: Inspection, dataset: Dataset, *, max_shown: int = MAX_SHOWN
) -> NDArray[np.uint8]:
    """Return the outliers with their surroundings, side by side, each with its kind and number.

    Kinds take turns until ``max_shown`` are there, so that one of many boxes does not hide the
    others. Pictures that cannot be read are left out.
    """
    crops, captions = [], []
    for each in _in_turn(inspection.outliers)[:max_shown]:
        try:
            crops.append(_crop(dataset.pictures[each.picture], each))
        except DataError:
            continue
        captions.append(f"{each.kind} {each.what}")
    return contact_sheet(crops, captions, n_columns=6, tile=_TILE)


def classes_figure(inspection: Inspection) -> Figure:
    """Return bars of the objects of each label."""
    counts = {k: v for k, v in inspection.classes.objects.items() if v}
    names, numbers = list(counts), list(counts.values())
    if len(names) > MAX_BARS:
        rest = numbers[MAX_BARS - 1 :]
        names = [*names[: MAX_BARS - 1], f"{len(rest)} more labels, together"]
        numbers = [*numbers[: MAX_BARS - 1], sum(rest)]
    figure, axes = _figure((7.2, 1.4 + 0.28 * len(names)))
    bars = axes.barh(range(len(names)), numbers, color=BLUE)
    axes.bar_label(bars, [f"{number:,}" for number in numbers], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), [_shortened(name) for name in names])
    for text in axes.get_yticklabels():
        text.set_parse_math(False)  # labels may hold dollar signs
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("objects")
    said = f"the largest has {inspection.classes.ratio:.3g} times those of the smallest"
    axes.set_title("Objects of each label" + (f": {said}" if len(names) > 1 else ""))
    return figure


def background_figure(inspection: Inspection) -> Figure:
    """Return windows on background and on objects, on a logarithmic scale."""
    census = inspection.census
    rows = {
        "background windows": census.n_background,
        "foreground windows": census.n_foreground,
        "objects": len(inspection.fit.overlap),
    }
    figure, axes = _figure((7.2, 2.4))
    bars = axes.barh(range(3), list(rows.values()), color=[GREY, ORANGE, BLUE])
    axes.bar_label(bars, [f"{number:,}" for number in rows.values()], padding=3, fontsize=9)
    axes.set_yticks(range(3), list(rows))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(1, max(census.n_background, 10) * 60)
    axes.set_xlabel(f"number in {census.n_pictures:,} pictures, logarithmic")
    ratio = "no foreground window" if census.ratio is None else f"{census.ratio:,.0f} to 1"
    axes.set_title(f"Background windows to foreground windows: {ratio}")
    return figure


def sizes_figure(inspection: Inspection) -> Figure:
    """Return distributions of width, height, root of area and aspect, on logarithmic axes."""
    sizes = inspection.sizes
    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    grid = figure.subplots(2, 2)
    panels = (
        ("width, px", sizes.width),
        ("height, px", sizes.height),
        ("root of area, px", np.sqrt(sizes.area)),
        ("width / height", sizes.aspect),
    )
    for index, (axes, (name, values)) in enumerate(zip(grid.ravel(), panels, strict=True)):
        _log_histogram(axes, values)
        axes.set_xlabel(name)
        if name == "height, px":
            smallest = inspection.scan.smallest
            axes.axvline(smallest, color=ORANGE)
            axes.set_xlabel(f"{name} (orange: windows from {smallest:.0f})")
        axes.set_ylabel("objects" if index % 2 == 0 else "")
    octaves = sizes.octaves
    figure.suptitle(
        f"Sizes of {len(sizes.width):,} objects: {octaves:.1f} octaves from the 5th to the 95th "
        "percentile",
        fontsize=10,
    )
    return figure


def fit_figure(inspection: Inspection) -> Figure:
    """Return how well the best window fits each object, and how foreground windows fit theirs."""
    fit, census = inspection.fit, inspection.census
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plain(left)
    _plain(right)
    left.hist(fit.overlap, np.linspace(0, 1, 41).tolist(), color=BLUE)
    left.axvspan(0, 0.5, color=ORANGE, alpha=0.12)
    left.set_xlim(0, 1)
    left.set_xlabel("IoU of an object with its best window")
    left.set_ylabel("objects")
    left.set_title(f"{fit.n_unreachable:,} of {len(fit.overlap):,} objects are out of reach")
    said = [
        f"{(fit.causes == cause).sum():,} {_CAUSES[cause]}"
        for cause in CAUSES
        if (fit.causes == cause).any()
    ]
    left.text(0.03, 0.96, "\n".join(said), transform=left.transAxes, va="top", fontsize=8)
    share = np.array(census.overlap_counts) / max(census.n_foreground, 1)
    centres = np.array(IOU_EDGES[:-1]) + 0.05
    bars = right.bar(centres, share, 0.09, color=BLUE)
    right.bar_label(bars, [f"{value:.0%}" for value in share], padding=2, fontsize=8)
    right.margins(y=0.12)
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    right.set_xlabel("IoU of a foreground window with its object")
    right.set_title(f"{census.n_foreground:,} foreground windows")
    return figure


def places_figure(inspection: Inspection) -> Figure:
    """Return a map of where objects lie, and their distance from the border."""
    places = inspection.places
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    share = places.coverage / max(places.coverage.max(), 1e-300)
    shape = places.aspect if 0.2 < places.aspect < 5 else 1.0
    shown = left.imshow(share, extent=(0, 100, 100, 0), vmin=0, vmax=1, aspect=1 / shape)
    figure.colorbar(shown, ax=left, shrink=0.8, label="covered, of the most", ticks=[0, 0.5, 1])
    left.set_xlabel("% of the width")
    left.set_ylabel("% of the height")
    left.set_title("Where objects lie")
    _plain(right)
    counts = np.histogram(places.border_distance, _DISTANCES)[0] / len(places.border_distance)
    bars = right.barh(range(len(counts)), counts, color=BLUE)
    right.bar_label(bars, [f"{value:.0%}" for value in counts], padding=3, fontsize=8)
    names = ["past it", *(f"{a:g} to {b:g}" for a, b in pairwise(_DISTANCES[1:-1])), "8 and more"]
    right.set_yticks(range(len(counts)), names)
    right.margins(x=0.15)
    right.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    right.set_title("Distance from the border,\nin the object's sides")
    return figure


_DISTANCES = (-np.inf, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, np.inf)

_FIGURES: dict[str, Callable[[Inspection], Figure]] = {
    "classes": classes_figure,
    "background": background_figure,
    "sizes": sizes_figure,
    "fit": fit_figure,
    "places": places_figure,
}


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    _plain(axes)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.title.set_fontsize(10)


def _log_histogram(axes: Axes, values: NDArray[np.float64]) -> None:
    """Draw a histogram on a logarithmic axis, its median marked, its ticks plain numbers."""
    _plain(axes)
    low, high = max(values.min(), 1e-3), values.max()
    low, high = (low, high) if high > 1.2 * low else (low / 1.5, high * 1.5)
    axes.hist(values, np.geomspace(low, high, 31).tolist(), color=BLUE)
    axes.set_xscale("log")
    ticks = _ticks(low, high)
    axes.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    median = float(np.median(values))
    axes.axvline(median, color=GREY, linestyle="--", linewidth=1)
    axes.set_title(f"median {median:.3g}, {values.min():.3g} to {values.max():.3g}")


def _ticks(low: float, high: float) -> list[float]:
    """Return at least three round numbers between two, or else these two."""
    for digits in _DIGITS:
        steps = [digit * 10.0**power for power in range(-3, 6) for digit in digits]
        found = [round(step, 6) for step in steps if low <= step <= high]
        if len(found) >= 3:
            return found
    return [low, high]


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the numbers are still right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()


def _shortened(name: str, length: int = 34) -> str:
    return name if len(name) <= length else name[: length - 3] + "..."


def _in_turn(outliers: tuple[Outlier, ...]) -> list[Outlier]:
    """Return the outliers kind after kind in turn: the first of each, then the second, ..."""
    rank: dict[str, int] = dict.fromkeys(KINDS, 0)
    ranked = []
    for each in outliers:
        ranked.append((rank[each.kind], KINDS.index(each.kind), each))
        rank[each.kind] += 1
    return [each for _, _, each in sorted(ranked, key=lambda entry: entry[:2])]


def _crop(picture: Picture, outlier: Outlier) -> NDArray[Any]:
    """Return a square about a box with as much again around it, the box drawn in."""
    image = picture.load("rgb")
    x1, y1, x2, y2 = outlier.xyxy
    half = max(x2 - x1, y2 - y1, 16.0)
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    part = np.concatenate([middle - half, middle + half])
    crop = np.ascontiguousarray(cut_out(image, part))
    factor = max(_TILE // crop.shape[0], 1)
    for axis, side in enumerate(image.shape[:2]):  # beyond the picture there is nothing to see
        at = round(part[1 - axis]) + np.arange(crop.shape[axis])
        np.moveaxis(crop, axis, 0)[(at < 0) | (at >= side)] = _NOTHING
    crop = np.repeat(np.repeat(crop, factor, axis=0), factor, axis=1)
    corner = np.tile(np.rint(part[:2]), 2)
    draw_box(crop, (np.array(outlier.xyxy) - corner) * factor, RED)
    return crop
