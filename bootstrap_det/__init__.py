"""Train and run fast rigid-object detectors on a CPU, with bootstrapped negatives.

The names below are the public ones; they are imported when first used, so that
``import bootstrap_det`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bootstrap_det.channels import ACF, HOG
    from bootstrap_det.classifiers import BoostedLearner, BoostedTrees, LinearLearner
    from bootstrap_det.data import (
        Dataset,
        read_annotations,
        read_coco,
        read_crops,
        read_negatives,
        synth_signs,
        write_annotations,
    )
    from bootstrap_det.data.download import download_dataset
    from bootstrap_det.data.named import load as load_dataset
    from bootstrap_det.detections import Detections
    from bootstrap_det.detector import Detector
    from bootstrap_det.evaluation import evaluate_detector
    from bootstrap_det.images import read_image, write_image
    from bootstrap_det.inspection import inspect_dataset
    from bootstrap_det.mining import BootstrapParams, Callback
    from bootstrap_det.plots import draw_detections
    from bootstrap_det.pyramid import Pyramid, estimate_exponents
    from bootstrap_det.refinement.params import RefineParams
    from bootstrap_det.refining import refine
    from bootstrap_det.samples import Jitter
    from bootstrap_det.streaming import detect_video
    from bootstrap_det.tiling import detect_tiled
    from bootstrap_det.training import train
    from bootstrap_det.windows import Window

_HOMES = {
    "HOG": "channels",
    "estimate_exponents": "pyramid",
    "BoostedTrees": "classifiers",
    "LinearLearner": "classifiers",
    "BoostedLearner": "classifiers",
    "ACF": "channels",
    "Dataset": "data",
    "read_annotations": "data",
    "read_coco": "data",
    "read_crops": "data",
    "read_negatives": "data",
    "write_annotations": "data",
    "download_dataset": "data.download",
    "load_dataset": "data.named:load",
    "Detections": "detections",
    "Detector": "detector",
    "evaluate_detector": "evaluation",
    "inspect_dataset": "inspection",
    "detect_tiled": "tiling",
    "detect_video": "streaming",
    "read_image": "images",
    "write_image": "images",
    "BootstrapParams": "mining",
    "Callback": "mining",
    "draw_detections": "plots",
    "Pyramid": "pyramid",
    "RefineParams": "refinement.params",
    "refine": "refining",
    "Jitter": "samples",
    "synth_signs": "data",
    "train": "training",
    "Window": "windows",
}

__all__ = [
    "ACF",
    "HOG",
    "BoostedLearner",
    "BoostedTrees",
    "BootstrapParams",
    "Callback",
    "Dataset",
    "Detections",
    "Detector",
    "Jitter",
    "LinearLearner",
    "Pyramid",
    "RefineParams",
    "Window",
    "detect_tiled",
    "detect_video",
    "download_dataset",
    "draw_detections",
    "estimate_exponents",
    "evaluate_detector",
    "inspect_dataset",
    "load_dataset",
    "read_annotations",
    "read_coco",
    "read_crops",
    "read_image",
    "read_negatives",
    "refine",
    "synth_signs",
    "train",
    "write_annotations",
    "write_image",
]


def __getattr__(name: str) -> Any:
    """Return a public name from the module that it lives in."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, inner = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), inner or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
