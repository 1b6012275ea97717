"""Refinements as JSON and plain arrays, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.refinement.losses import make_loss
from bootstrap_det.refinement.regressors import LinearRegressor, Regressor, TreeRegressor
from bootstrap_det.refinement.stages import QualityModel, Refinement, Stage

Arrays = dict[str, NDArray[Any]]

_LINEAR_ARRAYS = ("weights", "bias")
_TREE_ARRAYS = ("features", "thresholds", "leaves", "bias")


def pack_refinement(refinement: Refinement, index: int) -> tuple[list[dict[str, Any]], Arrays]:
    """Return an entry a stage for a JSON header, and the arrays, their names with ``index``."""
    entries: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for number, stage in enumerate(refinement.stages):
        linear = isinstance(stage.regressor, LinearRegressor)
        entry: dict[str, Any] = {
            "kind": "linear" if linear else "trees",
            "loss": {"name": stage.loss.name, **asdict(stage.loss)},  # type: ignore[call-overload]
            "n_inputs": stage.regressor.n_inputs,
            "classify_after": stage.classify_after,
        }
        end = f"{index}_{number}"
        for name in _LINEAR_ARRAYS if linear else _TREE_ARRAYS:
            arrays[f"box_{name}_{end}"] = getattr(stage.regressor, name)
        if stage.quality is not None:
            entry["quality_bias"] = stage.quality.bias
            arrays[f"quality_weights_{end}"] = stage.quality.weights
        entries.append(entry)
    return entries, arrays


def unpack_refinement(entries: list[dict[str, Any]], arrays: Arrays, index: int) -> Refinement:
    """Return what :func:`pack_refinement` took apart; raises KeyError for what is missing."""
    stages = []
    for number, entry in enumerate(entries):
        end, quality = f"{index}_{number}", None
        if "quality_bias" in entry:
            weights = arrays[f"quality_weights_{end}"]
            quality = QualityModel(weights, float(entry["quality_bias"]))
        stages.append(
            Stage(
                _regressor(entry, arrays, end),
                make_loss(**{key: _tuple(value) for key, value in entry["loss"].items()}),
                quality,
                bool(entry["classify_after"]),
            )
        )
    return Refinement(tuple(stages))


def _regressor(entry: dict[str, Any], arrays: Arrays, end: str) -> Regressor:
    if entry["kind"] == "linear":
        return LinearRegressor(*(arrays[f"box_{name}_{end}"] for name in _LINEAR_ARRAYS))
    if entry["kind"] != "trees":
        raise KeyError(f"unknown kind of regressor {entry['kind']!r}")
    features, thresholds, leaves, bias = (arrays[f"box_{name}_{end}"] for name in _TREE_ARRAYS)
    if not np.issubdtype(features.dtype, np.integer):
        raise ValueError(f"the features of trees are of dtype {features.dtype}, not whole numbers")
    return TreeRegressor(features, thresholds, leaves, bias, int(entry["n_inputs"]))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
