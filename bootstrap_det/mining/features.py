"""Feature vectors of windows that are known by where they are, computed when they are needed.

A mining pass keeps identities and scores alone: 48 bytes a window, whatever the template's size.
Only what the pass has left at its end is cut out, from pictures that are read once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.arrays import empty
from bootstrap_det.data import Dataset, Picture, Skipped
from bootstrap_det.data.each import each_picture
from bootstrap_det.images import in_color
from bootstrap_det.mining.records import Callback, notify
from bootstrap_det.windows import window_features

if TYPE_CHECKING:
    from bootstrap_det.mining.loop import BootstrapParams, Recipe


@dataclass(frozen=True)
class Cut:
    """Feature vectors of some windows.

    Attributes
    ----------
    features : ndarray of shape (n, n_features), of the channels' dtype
        A row for each window, in the order asked for.
    there : ndarray of shape (n,), bool
        False where the picture could not be read; such a row holds nothing.
    skipped : tuple of Skipped
        Those pictures.
    """

    features: NDArray[Any]
    there: NDArray[np.bool_]
    skipped: tuple[Skipped, ...]


def cut_windows(
    identities: NDArray[np.int64],
    negatives: Dataset,
    recipe: Recipe,
    params: BootstrapParams,
    callbacks: Sequence[Callback] = (),
) -> Cut:
    """Return the feature vectors of windows, the same bits whenever they are computed.

    Parameters
    ----------
    identities : ndarray of shape (n, 5), int64
        Picture, level, row, column and template of each.
    negatives : Dataset
        The pictures.
    recipe : Recipe
        Window, channels and pyramid.
    params : BootstrapParams
        Jobs, and whether to go on after a picture that cannot be read.
    callbacks : sequence of Callback, default=()
        Told of the progress.

    Raises
    ------
    DataError
        When a picture cannot be read and ``skip_bad`` is off.
    """
    features = empty((len(identities), recipe.n_features), recipe.channels.dtype)
    there = np.ones(len(identities), np.bool_)
    skipped: list[Skipped] = []
    rows_of = _by_picture(identities[:, 0])
    pictures = [picture for picture in negatives.pictures if picture.image_id in rows_of]
    rows = [rows_of[picture.image_id] for picture in pictures]
    wanted = (identities[each, 1:] for each in rows)
    results = each_picture(
        partial(_of_picture, recipe), pictures, wanted, n_jobs=params.n_jobs,
        skip_bad=params.skip_bad,
    )  # fmt: skip
    for n_done, (own, found) in enumerate(zip(rows, results, strict=True), start=1):
        if isinstance(found, Skipped):
            skipped.append(found)
            there[own] = False
        else:
            features[own] = found
        notify(callbacks, "on_progress", "features", n_done, len(pictures))
    return Cut(features, there, tuple(skipped))


def _of_picture(recipe: Recipe, picture: Picture, identities: NDArray[np.int64]) -> NDArray[Any]:
    color = recipe.channels.color
    pixels = in_color(picture.load(color), color)
    (features,) = window_features(
        pixels, recipe.pyramid, [recipe.window], recipe.channels, identities
    )
    return features


def _by_picture(image_ids: NDArray[np.int64]) -> dict[int, NDArray[np.intp]]:
    """Return the rows of each picture, in their order."""
    order = np.argsort(image_ids, kind="stable")
    ids, starts = np.unique(image_ids[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(order, starts[1:]), strict=True)) if len(ids) else {}
