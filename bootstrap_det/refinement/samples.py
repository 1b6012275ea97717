"""Windows that boxes are learnt from, and how much each of them counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from bootstrap_det._validation import check_float

Floats = NDArray[np.float64]

N_FOLDS = 4  # one of which is held out


@dataclass(frozen=True)
class BoxSamples:
    """Windows of one template, a row each in all arrays.

    Attributes
    ----------
    inputs : ndarray of shape (n, n_inputs), float32
        What a stage sees, see :meth:`bootstrap_det.refinement.stages.Level.inputs`.
    targets : ndarray of shape (n, 4), float64
        Offsets of the true box from the window's own.
    ious : ndarray of shape (n,), float64
        Intersection over union of the box so far with the true one; 0 on nothing.
    scores : ndarray of shape (n,), float64
        Decision values so far.
    pictures : ndarray of shape (n,), int
        Which picture each is of.
    objects : ndarray of shape (n,), int
        Which object of all each shows; -1 on nothing.
    """

    inputs: NDArray[np.float32]
    targets: Floats
    ious: Floats
    scores: Floats
    pictures: NDArray[np.intp]
    objects: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def n_objects(self) -> int:
        """Different objects."""
        return len(set(self.objects[self.objects >= 0].tolist()))

    def rows(self, chosen: NDArray[np.intp] | NDArray[np.bool_]) -> BoxSamples:
        """Return some of the rows, by index or mask."""
        return BoxSamples(*(each[chosen] for each in vars(self).values()))

    @classmethod
    def concatenate(cls, parts: Sequence[BoxSamples]) -> BoxSamples:
        """Return the windows of all parts, in their order; at least one part."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*(np.concatenate(each) for each in columns))

    @classmethod
    def empty(cls, n_inputs: int) -> BoxSamples:
        """Return no windows, of the right shapes."""
        none, numbers = np.zeros(0, np.intp), np.zeros(0)
        return cls(
            np.zeros((0, n_inputs), np.float32), np.zeros((0, 4)), numbers, numbers, none, none
        )

    def held_out(self, seed: int) -> NDArray[np.bool_]:
        """Return a mask of the windows of every fourth picture, drawn at random.

        With a single picture nothing is held out.
        """
        names = np.random.default_rng([seed, 19]).permutation(np.unique(self.pictures))
        return np.isin(self.pictures, names[: len(names) // N_FOLDS])

    def some(self, most: int, seed: int) -> NDArray[np.bool_]:
        """Return a mask of at most so many windows, drawn at random; all where there are fewer."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[np.random.default_rng([seed, 37]).permutation(len(self))[:most]] = True
        return chosen


def carl_weights(scores: Floats, *, scale: float, power: float = 1.0, bias: float = 0.2) -> Floats:
    """Return the weight of each window in a regression, shape (n,), of mean 1 [1]_.

    Windows of a high score decide what is detected where, so that their boxes count more:
    ``((1 - bias) p + bias) ** power``, p being the probability of the score, divided by the mean.
    In the paper the gradient goes on into the classifier; here its scores are what they are.

    Parameters
    ----------
    scores : ndarray of shape (n,), float64
        Decision values.
    scale : float
        What a factor e in the odds adds to a score.
    power, bias : float, default=1.0 and 0.2
        The paper's k and b.

    References
    ----------
    .. [1] Y. Cao, K. Chen, C. C. Loy and D. Lin, "Prime Sample Attention in Object Detection",
       CVPR 2020.
    """
    check_float(scale, "scale", "carl_weights", low=1e-9)
    check_float(power, "power", "carl_weights", low=0.0, high=10.0)
    check_float(bias, "bias", "carl_weights", low=0.0, high=1.0)
    weights = ((1.0 - bias) * expit(scores / scale) + bias) ** power
    return np.asarray(weights / weights.mean()) if len(weights) else weights


def uniform_over_iou(
    ious: Floats, objects: NDArray[np.intp], n_wanted: int, low: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return which windows to take so that their overlaps are spread evenly, ascending [1]_.

    Of each object ``n_wanted`` windows, the same number from each of ten equal steps of the
    overlap from ``low`` to 1, as far as there are any.

    Parameters
    ----------
    ious : ndarray of shape (n,), float64
        Intersection over union of each window with its object.
    objects : ndarray of shape (n,), int
        Which object that is.
    n_wanted : int
        Windows of an object.
    low : float
        Least overlap.
    rng : numpy.random.Generator
        Draws.

    References
    ----------
    .. [1] L. Zhu, Z. Xie, L. Liu, B. Tao and W. Tao, "IoU-uniform R-CNN: Breaking Through the
       Limitations of RPN", Pattern Recognition 2021.
    """
    steps = np.minimum(((ious - low) / (1.0 - low) * 10).astype(int), 9)
    chosen = [np.zeros(0, np.intp)]
    for name in np.unique(objects):
        for step in range(10):
            there = np.flatnonzero((objects == name) & (steps == step) & (ious >= low))
            chosen.append(rng.permutation(there)[: max(n_wanted // 10, 1)])
    return np.sort(np.concatenate(chosen))
