"""A training state as a small file, and back.

Features are not stored: a window's identity says where to compute them again, bit for bit. A
checkpoint of 20,000 windows takes a megabyte instead of hundreds.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.files import pack_model, unpack_model
from bootstrap_det.data import Dataset
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import in_color
from bootstrap_det.mining.loop import Recipe, TrainingState
from bootstrap_det.mining.records import RoundRecord
from bootstrap_det.persistence import read_arrays, write_arrays
from bootstrap_det.windows import window_features

FORMAT = "bootstrap_det.checkpoint"
FORMAT_VERSION = 2


def save_checkpoint(
    path: str | os.PathLike[str], state: TrainingState, fingerprint: dict[str, Any]
) -> None:
    """Write a training state atomically, with what it depends on."""
    assert state.detector is not None  # written at the end of a round
    model, model_arrays = pack_model(state.detector.templates[0].model, 0)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "fingerprint": fingerprint,
        "records": [record.to_dict() for record in state.records],
        "memory": state.memory,
        "model": model,
    }
    arrays: dict[str, NDArray[Any]] = {
        "identities": state.cache.identities,
        "scores": state.cache.scores,
        **model_arrays,
    }
    write_arrays(path, header, arrays)


def load_checkpoint(
    path: str | os.PathLike[str],
    fingerprint: dict[str, Any],
    negatives: Dataset,
    recipe: Recipe,
    max_cache_bytes: int,
) -> TrainingState:
    """Return the training state of a checkpoint, its features computed again.

    Raises
    ------
    DataError
        When it was written with other data or parameters; the message names them.
    ModelFormatError
        When the file is missing or damaged.
    """
    header, arrays = read_arrays(path)
    if (header.get("format"), header.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise DataError(f"{path}: is not a checkpoint of this version. Train with --overwrite.")
    _check_fingerprint(path, header["fingerprint"], fingerprint)
    detector = recipe.detector([recipe.template(unpack_model(header["model"], arrays, 0))])
    features = _features(arrays["identities"], negatives, recipe)
    cache = recipe.cache(max_cache_bytes)
    cache.add(features, arrays["identities"], arrays["scores"])
    records = [RoundRecord.from_dict(values) for values in header["records"]]
    return TrainingState(cache, records, detector, header["memory"])


def _features(identities: NDArray[np.int64], negatives: Dataset, recipe: Recipe) -> NDArray[Any]:
    """Return the features of windows (picture, level, row, column, template), in their order."""
    out = np.empty((len(identities), recipe.n_features), recipe.channels.dtype)
    for picture in negatives.pictures:
        here = np.flatnonzero(identities[:, 0] == picture.image_id)
        if len(here):
            pixels = in_color(picture.load(recipe.channels.color), recipe.channels.color)
            parts = (recipe.pyramid, [recipe.window], recipe.channels)
            (out[here],) = window_features(pixels, *parts, identities[here, 1:])
    return out


def _check_fingerprint(
    path: str | os.PathLike[str], saved: dict[str, Any], current: dict[str, Any]
) -> None:
    current = json.loads(json.dumps(current))  # as it was saved: tuples became lists
    differing = sorted(name for name in {*saved, *current} if saved.get(name) != current.get(name))
    if differing:
        raise DataError(
            f"{path}: cannot be resumed, because {', '.join(differing)} changed since it was "
            "written. Give the same data and parameters, or train anew with --overwrite."
        )
