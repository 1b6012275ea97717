"""Trained models as JSON and plain arrays, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from bootstrap_det.channels import make_channels
from bootstrap_det.classifiers.class_model import ClassModel, ClassView
from bootstrap_det.classifiers.learners import Model
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.trees import TreeModel
from bootstrap_det.windows import Window

_TREE_ARRAYS = ("features", "thresholds", "leaves", "rejection")


def pack_model(model: Model, index: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a model's numbers for a JSON header, and its arrays, their names with ``index``."""
    if isinstance(model, LinearModel):
        return {"kind": "linear", "bias": model.bias}, {f"weights_{index}": model.weights}
    entry = {
        "kind": "trees",
        "unit": model.unit,
        "value_scale": model.value_scale,
        "window_shape": list(model.window_shape),
    }
    return entry, {f"{name}_{index}": getattr(model, name) for name in _TREE_ARRAYS}


def unpack_model(entry: dict[str, Any], arrays: dict[str, NDArray[Any]], index: int) -> Model:
    """Return the model that :func:`pack_model` took apart; raises KeyError for what is missing."""
    if entry.get("kind", "linear") == "linear":  # files of version 1 have no kind
        return LinearModel(arrays[f"weights_{index}"], float(entry["bias"]))
    if entry["kind"] != "trees":
        raise KeyError(f"unknown kind of model {entry['kind']!r}")
    parts = {name: arrays[f"{name}_{index}"] for name in _TREE_ARRAYS}
    return TreeModel(
        **parts,
        unit=float(entry["unit"]),
        window_shape=tuple(entry["window_shape"]),
        value_scale=float(entry["value_scale"]),
    )


def pack_classes(model: ClassModel, index: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a second level's numbers for a JSON header, and its arrays."""
    entry: dict[str, Any] = {
        "labels": list(model.labels), "factor": model.factor, "offset": model.offset
    }  # fmt: skip
    if model.view is not None:
        channels = model.view.channels
        entry["window"] = asdict(model.view.window)
        entry["channels"] = {"name": type(channels).__name__, **channels.get_params()}
    return entry, {f"class_weights_{index}": model.weights, f"class_bias_{index}": model.bias}


def unpack_classes(
    entry: dict[str, Any], arrays: dict[str, NDArray[Any]], index: int
) -> ClassModel:
    """Return what :func:`pack_classes` took apart; raises KeyError for what is missing."""
    return ClassModel(
        tuple(entry["labels"]),
        arrays[f"class_weights_{index}"],
        arrays[f"class_bias_{index}"],
        float(entry["factor"]),
        float(entry["offset"]),
        ClassView(unpack_window(entry["window"]), make_channels(**entry["channels"])),
    )


def unpack_window(entry: dict[str, Any]) -> Window:
    """Return the window of a JSON header."""
    return Window(tuple(entry["size"]), tuple(entry["object_box"]))
