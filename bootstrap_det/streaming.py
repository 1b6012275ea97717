"""Detection on what comes one after another: frames of a video, pictures of a list, in order.

The next frames are decoded while others are being looked at; neither order nor result depends on
the number of threads, and memory holds a few frames, whatever the length.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_int
from bootstrap_det.detections import Detections
from bootstrap_det.detector import Detector
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.smoothing import Smoother
from bootstrap_det.tiling import default_overlap, detect_tiled
from bootstrap_det.video import Frame, Span, Video
from bootstrap_det.workers import in_order

_SIDES = ("x", "y", "width", "height")


@dataclass(frozen=True)
class FrameDetections:
    """Detections of one frame, or of one picture.

    Attributes
    ----------
    source : str
        The file or camera.
    frame : int or None
        The frame's number in it, from 0; None for a picture.
    time_s : float or None
        Seconds after the first frame; None for a picture.
    detections : Detections
        What was found.
    seconds : float
        Spent on finding it, by the clock.
    pixels : ndarray of shape (height, width, 3), uint8, or None
        The frame, RGB; None for a picture.
    """

    source: str
    frame: int | None
    time_s: float | None
    detections: Detections
    seconds: float
    pixels: NDArray[np.uint8] | None = None

    @property
    def name(self) -> str:
        """The file's name; of a frame, with its number: ``clip.mp4#12``."""
        return self.source if self.frame is None else f"{self.source}#{self.frame}"

    def to_dict(self) -> dict[str, Any]:
        """Return what was found, JSON-ready: boxes as x, y, width and height in pixels."""
        return {
            "source": self.source,
            "frame": self.frame,
            "time_s": None if self.time_s is None else round(self.time_s, 3),
            "detections": [_entry(self.detections, i) for i in range(len(self.detections))],
        }


def detect_video(
    detector: Detector,
    source: str | os.PathLike[str] | int | Video,
    *,
    every: int = 1,
    start: float = 0.0,
    seconds: float | None = None,
    max_frames: int | None = None,
    smooth: int = 1,
    n_jobs: int = 1,
    tile: tuple[int, int] | None = None,
    tile_overlap: int | None = None,
) -> Generator[FrameDetections, None, None]:
    """Yield the detections of the frames of a video or a camera, in their order.

    Parameters
    ----------
    detector : Detector
        What to look for.
    source : path, int or Video
        A video file, the number of a camera, from 0, or either as it was opened; that is closed by
        who opened it.
    every, start, seconds, max_frames
        Which frames, see :class:`bootstrap_det.video.Span`.
    smooth : int, default=1
        How many frames have a say in the detections of the last of them, see
        :func:`bootstrap_det.smoothing.smooth`; 1 leaves them as they are.
    n_jobs : int, default=1
        Frames looked at at a time, on threads; the next ones are decoded meanwhile.
    tile, tile_overlap
        Scan large frames in tiles, see :func:`bootstrap_det.tiling.detect_tiled`.

    Yields
    ------
    FrameDetections
        With the frame's pixels; ``image_id`` is the frame's number.

    Raises
    ------
    DataError
        When the source cannot be read.
    ParameterError
        When a parameter is out of range, or tiles do not fit the detector.

    Warns
    -----
    UserWarning
        When a file that was given by its path breaks off before the frame count it states; of an
        opened one, that is its ``note``.
    """
    span = Span(every, start, seconds, max_frames)
    smoother = Smoother(smooth, detector.threshold)
    detect = picture_detector(_listing_weak(detector, smooth), tile, tile_overlap)
    n_jobs = check_int(n_jobs, "n_jobs", "detect_video", low=1, high=1024)
    video = source if isinstance(source, Video) else Video(source)
    found = _over_frames(detect, video, span, n_jobs)
    if smooth > 1:
        found = (replace(each, detections=smoother.smooth(each.detections)) for each in found)
    return found if isinstance(source, Video) else _closing(video, found)


def picture_detector(
    detector: Detector, tile: tuple[int, int] | None, overlap: int | None
) -> Callable[..., Detections]:
    """Return what detects in a picture: the detector as a whole, or in tiles.

    Raises
    ------
    ParameterError
        When tiles and their overlap do not fit the detector.
    """
    if tile is None:
        if overlap is not None:
            raise ParameterError(
                f"A tile overlap of {overlap} px has no effect without tiles. Give their size with "
                "--tile, or leave --tile-overlap out."
            )
        return detector.detect
    shared = default_overlap(detector, tile) if overlap is None else overlap
    return partial(detect_tiled, detector, tile=tile, overlap=shared)


def _listing_weak(detector: Detector, smooth: int) -> Detector:
    """Return the detector with detections below its threshold, where smoothing may keep them."""
    lowest = detector.lowest_score
    if smooth == 1 or lowest == -np.inf:
        return detector
    return detector.replace(threshold=min(detector.threshold, lowest))


def _over_frames(
    detect: Callable[..., Detections], video: Video, span: Span, n_jobs: int
) -> Generator[FrameDetections, None, None]:
    def work(frame: Frame) -> FrameDetections:
        start = time.perf_counter()
        found = detect(frame.pixels, image_id=frame.number)
        spent = time.perf_counter() - start
        return FrameDetections(video.name, frame.number, frame.time_s, found, spent, frame.pixels)

    return in_order(work, video.frames(span), n_jobs)


def _closing(
    video: Video, found: Generator[FrameDetections, None, None]
) -> Generator[FrameDetections, None, None]:
    with video:
        yield from found
    if video.note:
        warnings.warn(video.note, UserWarning, stacklevel=2)


def _entry(found: Detections, index: int) -> dict[str, Any]:
    """Return one detection, JSON-ready."""
    sides = box_ops.xyxy_to_xywh(found.boxes[[index]])[0]
    entry: dict[str, Any] = {
        "label": str(found.labels[index]),
        "score": round(float(found.scores[index]), 6),
        **{name: round(float(side), 2) for name, side in zip(_SIDES, sides, strict=True)},
    }
    if found.class_probabilities is not None and found.probabilities is not None:
        entry["class"] = str(found.names[index])
        entry["class_probability"] = round(float(found.class_probabilities[index]), 4)
        entry["probability"] = round(float(found.probabilities[index]), 4)
    if found.deviations is not None and np.isfinite(found.deviations[index]).all():
        entry["deviations"] = [round(float(value), 2) for value in found.deviations[index]]
    return entry
