"""The cache of negatives: what has been mined and is trained on, within a byte limit.

::

    identities   picture  level  row  column  template     one row a window, no duplicates
    features     f f f f f f f f f f f f f f f f f f f     float32, the same row
    scores       s                                         by the latest model

Invariants:

1. A window is held once: its identity is (picture, level, row, column, template).
2. ``n_bytes`` never exceeds ``max_bytes``.
3. A margin violator, ``score >= margin``, is never evicted; positives are not in here at all.

When the cache is full, a newcomer takes the place of the easiest window; when there is none but
margin violators, the newcomer is refused and counted. This is the policy of Felzenszwalb et al.,
"Object Detection with Discriminatively Trained Part Based Models", PAMI 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from bootstrap_det._validation import check_int
from bootstrap_det.arrays import copy, copy_rows, empty
from bootstrap_det.exceptions import ParameterError

_Item = TypeVar("_Item", bound=np.generic)


@dataclass(frozen=True)
class Added:
    """What became of the windows offered to the cache."""

    n_added: int
    n_duplicates: int
    n_evicted: int
    n_refused: int


class NegativeCache:
    """Feature vectors of negatives, see the module's docstring for the policy.

    Parameters
    ----------
    n_features : int
        Length of a feature vector.
    max_bytes : int, default=1 GiB
        Limit on the bytes of the feature vectors.
    dtype : dtype, default=float32
        Of the feature vectors.
    margin : float, default=-1.0
        Negatives that score below have no loss and may be evicted. The default is the margin of
        a support vector machine; boosting has none, and infinity lets any window be evicted.
    """

    def __init__(
        self,
        n_features: int,
        *,
        max_bytes: int = 1 << 30,
        dtype: DTypeLike = np.float32,
        margin: float = -1.0,
    ) -> None:
        self.n_features = check_int(n_features, "n_features", "NegativeCache", low=1)
        self.max_bytes = check_int(max_bytes, "max_bytes", "NegativeCache", low=1)
        self.margin = float(margin)
        self._window_bytes = np.dtype(dtype).itemsize * self.n_features
        self.capacity = self.max_bytes // self._window_bytes
        if not self.capacity:
            raise ParameterError(
                f"The 'max_bytes' parameter of NegativeCache must hold at least one window of "
                f"{self._window_bytes} bytes. Got {max_bytes} instead."
            )
        self._size = 0
        self._features = np.empty((0, self.n_features), dtype)
        self._identities = np.empty((0, 5), np.int64)
        self._scores = np.empty(0)
        self._known: set[bytes] = set()

    def __len__(self) -> int:
        return self._size

    @property
    def features(self) -> NDArray[Any]:
        """Feature vectors, shape (n, n_features); a view."""
        return self._features[: self._size]

    @property
    def identities(self) -> NDArray[np.int64]:
        """Picture, level, row, column and template of each window, shape (n, 5); a view."""
        return self._identities[: self._size]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Scores by the latest model, shape (n,); a view. New windows hold their mined score."""
        return self._scores[: self._size]

    @property
    def n_bytes(self) -> int:
        """Bytes of the feature vectors held."""
        return self._size * self._window_bytes

    def rescore(self, scores: NDArray[np.float64]) -> None:
        """Take the scores of all windows by a new model."""
        self._scores[: self._size] = scores

    def contains(self, identities: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each identity, shape (n, 5), whether it is held."""
        rows = np.ascontiguousarray(identities, dtype=np.int64)
        return np.array([row.tobytes() in self._known for row in rows], dtype=bool)

    def add(
        self,
        features: NDArray[Any],
        identities: NDArray[np.int64],
        scores: NDArray[np.float64],
    ) -> Added:
        """Add windows in the order given, best first, and say what became of them."""
        identities = np.ascontiguousarray(identities, dtype=np.int64)
        fresh = self.fresh_rows(identities)
        free = self.capacity - self._size
        victims = self._evictable(len(fresh) - free)
        n_added = min(len(fresh), free + len(victims))
        chosen = fresh[:n_added]
        slots = np.concatenate([self._append_slots(n_added - len(victims)), victims])
        for slot in victims:
            self._known.discard(self._identities[slot].tobytes())
        copy_rows(features, chosen, self._features, slots)
        self._identities[slots] = identities[chosen]
        self._scores[slots] = scores[chosen]
        self._known.update(row.tobytes() for row in identities[chosen])
        return Added(n_added, len(identities) - len(fresh), len(victims), len(fresh) - n_added)

    def fresh_rows(self, identities: NDArray[np.int64]) -> NDArray[np.intp]:
        """Return the rows that are neither held nor a repetition of an earlier row."""
        seen: set[bytes] = set()
        fresh = []
        for index, row in enumerate(identities):
            key = row.tobytes()
            if key not in self._known and key not in seen:
                seen.add(key)
                fresh.append(index)
        return np.array(fresh, dtype=np.intp)

    def _evictable(self, n_wanted: int) -> NDArray[np.intp]:
        """Return up to ``n_wanted`` slots of the easiest windows, none of them in the margin."""
        if n_wanted <= 0:
            return np.empty(0, dtype=np.intp)
        easy = np.flatnonzero(self.scores < self.margin)
        return easy[np.argsort(self.scores[easy], kind="stable")][:n_wanted]

    def _append_slots(self, n_new: int) -> NDArray[np.intp]:
        """Grow by ``n_new`` rows and return their slots; storage grows by half, up to the limit."""
        needed = self._size + n_new
        if needed > len(self._features):
            room = min(max(needed, len(self._features) * 3 // 2), self.capacity)
            features = empty((room, self.n_features), self._features.dtype)
            copy(self.features, features[: self._size])
            self._features = features
            self._identities = _grown(self._identities, self._size, room)
            self._scores = _grown(self._scores, self._size, room)
        slots = np.arange(self._size, needed)
        self._size = needed
        return slots


def _grown(array: NDArray[_Item], size: int, room: int) -> NDArray[_Item]:
    out = np.empty((room, *array.shape[1:]), array.dtype)
    out[:size] = array[:size]
    return out
