"""Steadier detections of a video: the last frames have a say in the present one.

No object is followed. A detection's partner in another frame is the one of the same label that
overlaps it most, where that is enough; so a rule needs the last frames only, and never a future
one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bootstrap_det import boxes as box_ops
from bootstrap_det._validation import check_float, check_int
from bootstrap_det.detections import Detections

MIN_OVERLAP = 0.3
"""Least intersection over union of a detection and its partner in another frame.

As much as two detections of one frame may overlap by default. A square object that moves by more
than half its side from frame to frame has no partner.
"""


class Smoother:
    """The last frames of one video, and what they make of the present one.

    Parameters
    ----------
    n_frames : int
        How many frames have a say, the present one among them; 1 changes nothing but that
        detections below the threshold are left out.
    threshold : float
        Smallest score of a detection.
    min_overlap : float, default=0.3
        Least intersection over union of a detection and its partner.

    Raises
    ------
    ParameterError
        When one of them is out of range.
    """

    def __init__(
        self, n_frames: int, threshold: float, *, min_overlap: float = MIN_OVERLAP
    ) -> None:
        self.n_frames = check_int(n_frames, "n_frames", "Smoother", low=1, high=1000)
        self.threshold = check_float(threshold, "threshold", "Smoother")
        self.min_overlap = check_float(min_overlap, "min_overlap", "Smoother", low=0.0, high=1.0)
        self._last: deque[Detections] = deque(maxlen=self.n_frames)

    def smooth(self, found: Detections) -> Detections:
        """Return the detections of the next frame, steadied by those before; see :func:`smooth`.

        ``found`` should be listed to below the threshold, or nothing can be kept.
        """
        self._last.append(found)
        return smooth(self._last, self.n_frames, self.threshold, min_overlap=self.min_overlap)


def smooth(
    frames: Sequence[Detections],
    n_frames: int,
    threshold: float,
    *,
    min_overlap: float = MIN_OVERLAP,
) -> Detections:
    """Return the detections of the last of some frames, steadied by the others.

    Parameters
    ----------
    frames : sequence of Detections
        At most ``n_frames``, as they were found, the present one last; never empty.
    n_frames : int
        How many frames have a say; there are fewer of them at the beginning of a video.
    threshold : float
        Smallest score of a detection.
    min_overlap : float, default=0.3
        Least intersection over union of a detection and its partner.

    Returns
    -------
    Detections
        By falling score. A detection of at least the threshold is kept, unless it has a partner
        in none of the earlier frames, and there are any. One below it is kept when its
        partners were above it in more than half of ``n_frames`` frames. The box of what is kept
        is the mean of its own and its partners', each frame weighing half as much as the one after
        it: the box of a moving object lags behind by less than a frame. Scores stay those of the
        present frame.
    """
    present, earlier = frames[-1], list(frames)[-2::-1]  # the latest first
    partners = [_partners(present, other, min_overlap) for other in earlier]
    kept = _kept(present, earlier, partners, n_frames, threshold)
    boxes = _mean_boxes(present, earlier, partners)[kept]
    steady = replace(present[kept], boxes=boxes)
    return steady[box_ops.score_order(steady.boxes, steady.scores)]


def _partners(present: Detections, other: Detections, min_overlap: float) -> NDArray[np.intp]:
    """Return for each present detection the index of its partner in another frame, or -1."""
    if not len(present) or not len(other):
        return np.full(len(present), -1, np.intp)
    shared = box_ops.overlap(present.boxes, other.boxes)
    shared[present.labels[:, None] != other.labels[None, :]] = -1.0
    best = shared.argmax(axis=1)
    return np.where(shared.max(axis=1) >= min_overlap, best, -1)


def _kept(
    present: Detections,
    earlier: Sequence[Detections],
    partners: Sequence[NDArray[np.intp]],
    n_frames: int,
    threshold: float,
) -> NDArray[np.bool_]:
    """Return which of the present detections are reported."""
    n_seen, n_above = (np.zeros(len(present), int) for _ in range(2))
    for other, partner in zip(earlier, partners, strict=True):
        there = partner >= 0
        n_seen += there
        n_above[there] += other.scores[partner[there]] >= threshold
    alone = (n_seen == 0) & bool(earlier)
    above = present.scores >= threshold
    return np.asarray(np.where(above, ~alone, 2 * n_above > n_frames))


def _mean_boxes(
    present: Detections,
    earlier: Sequence[Detections],
    partners: Sequence[NDArray[np.intp]],
) -> NDArray[np.float64]:
    """Return the present boxes averaged with those of their partners."""
    total, weights = present.boxes.copy(), np.ones((len(present), 1))
    for age, (other, partner) in enumerate(zip(earlier, partners, strict=True), start=1):
        there = partner >= 0
        total[there] += 0.5**age * other.boxes[partner[there]]
        weights[there] += 0.5**age
    return np.asarray(total / weights)
