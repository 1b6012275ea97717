"""Hard sampling: which negatives are trained on at all.

Each class is a strategy of the loop, and its ``choose`` works alone on plain arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.imbalance.rows import near_as_negatives
from bootstrap_det.mining.pool import Pass, Pool
from bootstrap_det.mining.strategy import Round, Strategy
from bootstrap_det.samples import MAX_NEAR_IOU, Jitter


@dataclass(frozen=True)
class Bootstrap(Strategy):
    """Train on random negatives, scan, add the false positives, retrain: the loop as it is.

    References
    ----------
    K.-K. Sung and T. Poggio, "Example-Based Learning for View-Based Human Face Detection",
    A.I. Memo 1521, MIT, 1994; PAMI 1998.
    """

    name: ClassVar[str] = "bootstrap"


@dataclass(frozen=True)
class Random(Strategy):
    """As many negatives as bootstrapping may add, drawn at random: the control.

    Parameters
    ----------
    ratio : float, default=0.0
        Negatives kept for each positive, at random; by default all.
    """

    ratio: float = 0.0
    name: ClassVar[str] = "random"

    def __post_init__(self) -> None:
        check_float(self.ratio, "ratio", self.name, low=0.0, high=1e6)

    def choose(
        self, n_negatives: int, n_positives: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return the indices of the negatives to keep, ascending."""
        n_wanted = round(self.ratio * n_positives) if self.ratio else n_negatives
        return np.sort(rng.permutation(n_negatives)[: max(n_wanted, 1)])

    def mine(self, scan: Pass) -> Pool:
        """Return windows drawn at random in every round."""
        return scan.random()

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples with the negatives that are kept."""
        kept = self.choose(len(samples.negatives), len(samples.positives), now.rng())
        return samples.chosen(np.arange(len(samples.positives)), kept)


@dataclass(frozen=True)
class HardNegative(Strategy):
    """The negatives of the highest scores, at most ``ratio`` for each positive.

    All that was mined takes part in the choice, every round anew; in round 0, which has no
    scores, random ones do.

    Parameters
    ----------
    ratio : float, default=3.0
        Most negatives for each positive.

    References
    ----------
    W. Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016.
    """

    ratio: float = 3.0
    name: ClassVar[str] = "hard-negative"

    def __post_init__(self) -> None:
        check_float(self.ratio, "ratio", self.name, low=1e-3, high=1e6)

    def choose(self, scores: NDArray[np.float64], n_positives: int) -> NDArray[np.intp]:
        """Return the indices of the hardest negatives, ascending."""
        n_wanted = max(round(self.ratio * n_positives), 1)
        return np.sort(np.argsort(-scores, kind="stable")[:n_wanted])

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples with the hardest negatives alone."""
        scores = samples.negative_scores
        if scores is None:
            scores = now.rng().uniform(size=len(samples.negatives))
        kept = self.choose(scores, len(samples.positives))
        return samples.chosen(np.arange(len(samples.positives)), kept)


@dataclass(frozen=True)
class IouBalanced(Strategy):
    """Negatives from equal bins of agreement with an object, in [0, 0.5), as many from each.

    The bin at 0 is filled with random windows of the pictures, the others with windows beside the
    objects. Nothing is mined by score.

    Parameters
    ----------
    n_bins : int, default=3
        Bins.
    n_near : int, default=12
        Windows beside every object to draw from.

    References
    ----------
    J. Pang et al., "Libra R-CNN: Towards Balanced Learning for Object Detection", CVPR 2019.
    """

    n_bins: int = 3
    n_near: int = 12
    name: ClassVar[str] = "iou-balanced"

    def __post_init__(self) -> None:
        check_int(self.n_bins, "n_bins", self.name, low=2, high=100)
        check_int(self.n_near, "n_near", self.name, low=2, high=1000)

    def choose(
        self, ious: NDArray[np.float64], n_wanted: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return indices of ``n_wanted`` of the windows, ascending, as many from each bin.

        What a bin lacks is drawn from all others together.
        """
        bins = np.minimum((ious / MAX_NEAR_IOU * self.n_bins).astype(int), self.n_bins - 1)
        return draw_evenly(bins, n_wanted, rng)

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return the jitter with windows beside the objects."""
        return replace(jitter, n_near=max(self.n_near, jitter.n_near))

    def mine(self, scan: Pass) -> Pool:
        """Return random windows in every round."""
        return scan.random()

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return as many negatives as there are random ones, drawn evenly from all bins."""
        n_wanted = len(samples.negatives)
        samples, ious = near_as_negatives(samples)
        kept = self.choose(ious, n_wanted, now.rng())
        return samples.chosen(np.arange(len(samples.positives)), kept)


@dataclass(frozen=True)
class IouLowerBound(Strategy):
    """Only negatives that agree with an object by ``lowest`` to 0.5: no background at all.

    Parameters
    ----------
    lowest : float, default=0.1
        Least intersection over union, below 0.5.
    n_near : int, default=12
        Windows beside every object.

    References
    ----------
    R. Girshick, "Fast R-CNN", ICCV 2015.
    """

    lowest: float = 0.1
    n_near: int = 12
    name: ClassVar[str] = "iou-lower-bound"

    def __post_init__(self) -> None:
        check_float(self.lowest, "lowest", self.name, low=0.0, high=MAX_NEAR_IOU - 0.01)
        check_int(self.n_near, "n_near", self.name, low=2, high=1000)

    def choose(self, ious: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the indices of the windows in range."""
        return np.flatnonzero((ious >= self.lowest) & (ious < MAX_NEAR_IOU))

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return the jitter with windows beside the objects."""
        return replace(jitter, n_near=max(self.n_near, jitter.n_near))

    def mine(self, scan: Pass) -> Pool:
        """Return random windows, none of which is used: nothing is mined by score."""
        return scan.random()

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples with the windows beside the objects as the only negatives."""
        samples, ious = near_as_negatives(samples)
        return samples.chosen(np.arange(len(samples.positives)), self.choose(ious))


def draw_evenly(
    groups: Sequence[int] | NDArray[np.int64], n_wanted: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return ascending indices of ``n_wanted`` members, as many from each group as there are.

    Of a group that has fewer than its share all are taken, and the others share the rest.
    """
    order = rng.permutation(len(groups))
    shuffled = np.asarray(groups)[order]
    # Number the members of each group, then take them rank by rank.
    by_group = np.argsort(shuffled, kind="stable")
    sizes = np.unique(shuffled, return_counts=True)[1]
    ranks = np.empty(len(order), np.intp)
    ranks[by_group] = np.concatenate([np.arange(size) for size in sizes]) if len(sizes) else 0
    return np.sort(order[np.argsort(ranks, kind="stable")[:n_wanted]])
