"""Model files given on the command line as ``NAME=FILE``, and what they find in pictures."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
from rivals import Run

from bootstrap_det import Dataset, Detections, Detector


def named_value(text: str) -> tuple[str, str]:
    """Return ``NAME=VALUE`` as a pair; a value alone is its own name."""
    name, equals, value = text.partition("=")
    return (name, value) if equals else (Path(text).stem, text)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--model``."""
    parser.add_argument(
        "--model",
        type=named_value,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="A model of ours; may be given several times.",
    )


def run(detector: Detector, dataset: Dataset) -> Run:
    """Return what a detector finds in pictures, on one thread, in its own box convention."""
    cv2.setNumThreads(1)
    found: dict[int, Detections] = {}
    milliseconds: dict[int, float] = {}
    for picture in dataset.pictures:
        image = picture.load(detector.channels.color)
        start = time.perf_counter()
        found[picture.image_id] = detector.detect(
            image, threshold=detector.lowest_score, image_id=picture.image_id
        )
        milliseconds[picture.image_id] = (time.perf_counter() - start) * 1e3
    return Run(found, milliseconds)
