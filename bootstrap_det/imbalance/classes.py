"""Imbalance among several classes of objects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_int
from bootstrap_det.mining.strategy import Strategy
from bootstrap_det.samples import ObjectRows


@dataclass(frozen=True)
class ForegroundBalanced(Strategy):
    """Every class the same chance of being drawn as a positive.

    Each class is trained on the same number of its windows: of frequent ones fewer, drawn at
    random, of rare ones some more than once.

    Parameters
    ----------
    n_positives : int, default=0
        Windows of each class; by default the mean over the classes.

    References
    ----------
    K. Oksuz, B. C. Cam, S. Kalkan and E. Akbas, "Imbalance Problems in Object Detection: A
    Review", PAMI 2020 (online foreground balanced sampling).
    """

    n_positives: int = 0
    name: ClassVar[str] = "foreground-balanced"

    def __post_init__(self) -> None:
        check_int(self.n_positives, "n_positives", self.name, low=0, high=10_000_000)

    def choose(self, n_windows: int, n_wanted: int, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return ``n_wanted`` indices of a class' windows, ascending, each as often as any other.

        How often two of them are drawn differs by one at most.
        """
        rounds = [rng.permutation(n_windows) for _ in range(-(-n_wanted // n_windows))]
        return np.sort(np.concatenate(rounds)[:n_wanted])

    def balanced(self, positives: dict[str, ObjectRows], seed: int) -> dict[str, ObjectRows]:
        """Return as many windows of each label."""
        mean = round(np.mean([len(rows) for rows in positives.values()]))
        n_wanted = self.n_positives or mean
        rng = np.random.default_rng([seed, 13])
        return {
            label: rows.rows(self.choose(len(rows), n_wanted, rng))
            for label, rows in positives.items()
        }
