"""What templates look for, as pictures: glyphs and maps of weights, and where trees look."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bootstrap_det.channels import Channels
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.trees import TreeModel
from bootstrap_det.detector import Detector
from bootstrap_det.report.pixels import png_uri
from bootstrap_det.templates import Template

MAX_TEMPLATES = 6
_CELL = 12  # pixels of a map's cell
_LEAST_LINE = 0.04  # of the strongest, below which a glyph's line is not drawn


@dataclass(frozen=True)
class Portrait:
    """Pictures of one template.

    Attributes
    ----------
    title : str
        Label and window.
    facts : list of str
        What there is to know of it.
    glyphs : list of (str, Markup)
        Caption and drawing.
    maps : list of (str, str)
        Caption and picture, as a data URI.
    caption : str
        What to look for.
    """

    title: str
    facts: list[str]
    glyphs: list[tuple[str, Markup]]
    maps: list[tuple[str, str]]
    caption: str


def portraits(detector: Detector) -> tuple[list[Portrait], int]:
    """Return the pictures of the first templates, and how many templates there are."""
    shown = [_portrait(each, detector.channels) for each in detector.templates[:MAX_TEMPLATES]]
    return shown, len(detector.templates)


def channel_kinds(channels: Channels) -> list[str]:
    """Return what each of a window's channels is of: a colour, a magnitude, an orientation."""
    params = channels.get_params()
    if "block_size" in params:  # histograms of oriented gradients
        return ["orientations"] * channels.n_window_channels
    n_colors = 1 if params.get("color", "grey") == "grey" else 3
    color = "grey value" if n_colors == 1 else "colours L, u, v"
    own = [color] * n_colors + ["gradient magnitude"] + ["orientations"] * params["n_orientations"]
    return own * (channels.n_window_channels // len(own))


def cell_orientations(weights: NDArray[np.float32], block: int, n_bins: int) -> NDArray[Any]:
    """Return weights of blocks as those of cells, shape (n_bins, rows + block - 1, ...).

    A cell is part of several blocks, by which it is normalised; their weights are added.
    """
    rows, columns = weights.shape[1:]
    blocks = weights.reshape(block, block, n_bins, rows, columns)
    cells = np.zeros((n_bins, rows + block - 1, columns + block - 1))
    for y in range(block):
        for x in range(block):
            cells[:, y : y + rows, x : x + columns] += blocks[y, x]
    return cells


def usage(model: TreeModel) -> NDArray[np.float64]:
    """Return how much each feature says, shape ``window_shape``, summing to 1.

    A tree's say is the deviation of its leaves, and a node's is that, halved at each step from
    the root: the share of windows that come there if both sides are taken alike.
    """
    n_nodes = model.features.shape[1]
    depth = np.floor(np.log2(np.arange(n_nodes) + 1))
    say = model.leaves.astype(np.float64).std(axis=1)[:, None] * 0.5 ** depth[None]
    say = say * (model.thresholds > 0)  # no value is below 0: such a node only fills a tree up
    total = np.zeros(int(np.prod(model.window_shape)))
    np.add.at(total, model.features.ravel(), say.ravel())
    return np.asarray((total / max(total.sum(), 1e-300)).reshape(model.window_shape))


def _portrait(template: Template, channels: Channels) -> Portrait:
    height, width = template.window.size
    title = f"{template.label}: window of {height} x {width} px (height x width)"
    if isinstance(template.model, LinearModel):
        return _linear_portrait(title, template.model, channels)
    return _tree_portrait(title, template.model, channels)


def _linear_portrait(title: str, model: LinearModel, channels: Channels) -> Portrait:
    params = channels.get_params()
    weights = model.weights.astype(np.float64)
    facts = [f"{weights.size:,} weights", f"bias {model.bias:.3f}"]
    glyphs = []
    if "block_size" in params:
        cells = cell_orientations(model.weights, params["block_size"], params["n_orientations"])
        if params["signed"]:
            half = params["n_orientations"] // 2
            cells = cells[:half] + cells[half:]
        glyphs = [
            ("what speaks for an object", glyph(np.maximum(cells, 0), "positive weights")),
            ("what speaks against one", glyph(np.maximum(-cells, 0), "negative weights")),
        ]
    maps = [
        (f"{kind}: red speaks for an object, blue against", _signed_map(weights[mask].sum(axis=0)))
        for kind, mask in _by_kind(channels)
    ]
    maps.append(("size of all weights: dark is little", _map(np.abs(weights).sum(axis=0))))
    caption = (
        "Each stroke is an edge of that direction in that cell, the stronger the weightier. The "
        "object's outline should be seen on the left; on the right, what it must not have."
        if glyphs
        else "Weights over the cells of the window, by kind of channel."
    )
    return Portrait(title, facts, glyphs, maps, caption)


def _tree_portrait(title: str, model: TreeModel, channels: Channels) -> Portrait:
    say = usage(model)
    maps = [
        (f"{kind}: {say[mask].sum():.0%} of the say", _map(say[mask].sum(axis=0)))
        for kind, mask in _by_kind(channels)
        if say[mask].sum() > 0
    ]
    maps.insert(0, ("all channels", _map(say.sum(axis=0))))
    facts = [f"{model.n_trees:,} trees of depth {model.depth}"]
    if channels.n_window_channels > channels.n_channels:
        plain = say[: channels.n_channels].sum()
        facts.append(f"{plain:.0%} of the say is of channels as they are, {1 - plain:.0%} of them "
                     "as normalised by the window")  # fmt: skip
    caption = (
        "Where the trees look, by cell of the window: bright cells decide most. A node counts by "
        "the deviation of its tree's leaves, halved at each step from the root. Bright borders "
        "would mean that the crops, not the objects, were learned."
    )
    return Portrait(title, facts, [], maps, caption)


def _by_kind(channels: Channels) -> Iterable[tuple[str, NDArray[np.bool_]]]:
    kinds = channel_kinds(channels)
    for kind in dict.fromkeys(kinds):
        yield kind, np.array([each == kind for each in kinds])


def glyph(cells: NDArray[Any], what: str) -> Markup:
    """Return weights of orientations, shape (n_bins, rows, columns), as strokes along the edges.

    Bin b holds gradients from b to b + 1 of ``n_bins`` parts of 180 degrees; the edge is at a
    right angle to them.
    """
    n_bins, rows, columns = cells.shape
    strongest = max(float(cells.max()), 1e-300)
    strokes = []
    for b, row, column in zip(*np.nonzero(cells > _LEAST_LINE * strongest), strict=True):
        angle = (b + 0.5) * math.pi / n_bins + math.pi / 2
        dx, dy = 4.4 * math.cos(angle), 4.4 * math.sin(angle)
        x, y = 10 * column + 5, 10 * row + 5
        share = float(cells[b, row, column]) / strongest
        strokes.append(
            f'<path d="M{x - dx:.1f} {y - dy:.1f}L{x + dx:.1f} {y + dy:.1f}" '
            f'stroke-opacity="{share:.2f}"/>'
        )
    return Markup(
        f'<svg class="glyph" role="img" viewBox="0 0 {10 * columns} {10 * rows}" '
        f'aria-label="Edges in {rows} x {columns} cells: {what}">{"".join(strokes)}</svg>'
    )


def _map(values: NDArray[Any]) -> str:
    """Return values from 0 on over cells as a picture, bright where they are large."""
    return _painted(values / max(float(values.max()), 1e-300), "magma")


def _signed_map(values: NDArray[Any]) -> str:
    """Return values over cells as a picture: red above 0, blue below."""
    return _painted(0.5 + values / max(2 * float(np.abs(values).max()), 1e-300), "RdBu_r")


def _painted(shares: NDArray[Any], palette: str) -> str:
    from matplotlib import colormaps  # slow to import

    pixels = np.rint(255 * colormaps[palette](shares)[..., :3]).astype(np.uint8)
    return png_uri(pixels.repeat(_CELL, axis=0).repeat(_CELL, axis=1))
