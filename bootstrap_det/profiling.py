"""Where the time of one picture goes."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers import LinearModel
from bootstrap_det.detector import Detector
from bootstrap_det.pyramid import make_level
from bootstrap_det.resample import Octaves


def profile(detector: Detector, image: NDArray[Any]) -> dict[str, Any]:
    """Scan one picture on one thread, exactly, and say where the time went.

    Parameters
    ----------
    detector : Detector
        Compiled already: scan a picture before.
    image : ndarray
        Grey, RGB or RGBA.

    Returns
    -------
    dict
        ``"windows"``, ``"trees_per_window"`` (0 for linear templates), and ``"seconds"`` of
        ``"resample"``, ``"channels"`` and ``"score"``.
    """
    pixels = detector.prepare(image)
    seconds = dict.fromkeys(("resample", "channels", "score"), 0.0)
    work, n_windows = np.zeros(2, np.int64), 0
    octaves = Octaves(pixels)
    clock = _Clock(seconds)
    for plan in detector.plan(pixels.shape[:2]):
        clock.start()
        level = make_level(octaves, plan)
        clock.stop("resample")
        values = detector.channels.compute(level)
        clock.stop("channels")
        for template in detector.templates:
            if isinstance(template.model, LinearModel):
                scores = template.model.score_level(np.asarray(values, np.float32))
            else:
                scores = template.model.score_level(
                    values, normalisation=detector.channels.normalisation, work=work
                )
            n_windows += scores.size
        clock.stop("score")
    return {
        "windows": n_windows,
        "trees_per_window": round(float(work.sum()) / max(n_windows, 1), 1),
        "seconds": seconds,
    }


class _Clock:
    """Adds the time since the last look to a name."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self.start()

    def start(self) -> None:
        self.last = time.perf_counter()

    def stop(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now
