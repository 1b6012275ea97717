"""Any sampler of imbalanced-learn, on the features of a round's windows."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import pairwise_distances_argmin

from bootstrap_det._validation import check_int
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.exceptions import DataError
from bootstrap_det.imbalance.catalogue import (
    SAMPLERS,
    OfLibrary,
    class_called,
    one_sentence,
    samplers,
)
from bootstrap_det.imbalance.rows import with_more_positives
from bootstrap_det.mining.strategy import Round
from bootstrap_det.samples import COPY, NEAR

MAX_NEGATIVES = 20_000  # the time of a search for neighbours grows with the square
_RANDOM = ("RandomOverSampler", "RandomUnderSampler")  # they search for none
# What ADASYN says where classes are nearly equal, or where no sample has a neighbour of the other
# class: by its formula, there is nothing to add then.
_NOTHING_TO_ADD = ("No samples will be generated", "Not any neigbours belong to the majority")
_ROWS = 1024  # written, compared or hashed at a time


@dataclass(frozen=True)
class _Drawn:
    """What a sampler returned: of each row, the features, the class and the sample it is of.

    ``is_new`` marks rows that are no sample; what they are ``of`` is the closest one.
    """

    features: NDArray[np.float32]
    is_positive: NDArray[np.bool_]
    of: NDArray[np.intp]
    is_new: NDArray[np.bool_]


@dataclass(frozen=True)
class Resample(OfLibrary):
    """Resample the windows of every round with a sampler of imbalanced-learn.

    Each class is resampled as the sampler's ``sampling_strategy`` says. By default, samplers that
    add do so to the smaller class and those that remove do so from the larger one, whichever that
    is: where other strategies leave fewer negatives than positives, negatives are added, or
    positives removed.

    Parameters
    ----------
    name : str
        ``under-random``, ``over-random``, ``smote``, ``adasyn``, ``nearmiss``, ``tomek``, ``enn``,
        ``smote-tomek``, ``smote-enn``, or the name of another sampler's class, such as
        ``BorderlineSMOTE``; see :func:`bootstrap_det.imbalance.samplers`.
    params : dict, default={}
        Of the sampler, but for its random state, which is the round's, and ``max_negatives``: with
        more negatives than that, only the hardest of them (in round 0, random ones) take part in
        the round, the others are left out. 20,000 by default; 0, the default of the random
        samplers, is no limit.

    Notes
    -----
    New positives are windows that agree fully with their object. Theirs is the object of the
    closest real positive, so that they are held out with it; one that lies between two objects has
    up to half of the other one in it. Features of bytes are rounded to bytes again. Windows beside
    an object that wait for another strategy (``iou-balanced``) do not take part.

    What was added, removed and left out, and what the sampler warned of, is in the round's notes.

    The features are written once to a file that is mapped into memory, as float32, from which
    neighbours are searched without another copy; ``smote`` and what builds on it hold one copy of
    all samples more, and scikit-learn turns blocks of them into float64 as it goes.

    References
    ----------
    G. Lemaitre, F. Nogueira and C. K. Aridas, "Imbalanced-learn: A Python Toolbox to Tackle the
    Curse of Imbalanced Datasets in Machine Learning", JMLR 2017. N. V. Chawla et al., "SMOTE:
    Synthetic Minority Over-sampling Technique", JAIR 2002. H. He et al., "ADASYN: Adaptive
    Synthetic Sampling Approach for Imbalanced Learning", IJCNN 2008. J. Zhang and I. Mani, "kNN
    Approach to Unbalanced Data Distributions", ICML workshop 2003 (NearMiss). I. Tomek, "Two
    Modifications of CNN", IEEE Trans. SMC 1976. D. L. Wilson, "Asymptotic Properties of Nearest
    Neighbor Rules Using Edited Data", IEEE Trans. SMC 1972 (ENN). G. Batista et al., "A Study of
    the Behavior of Several Methods for Balancing Machine Learning Training Data", SIGKDD
    Explorations 2004 (the combinations).
    """

    named: ClassVar[dict[str, str]] = SAMPLERS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_int(self._limit, "max_negatives", self.name, low=0)
        labels = np.arange(1001) == 0  # very unequal, or else it may have nothing to do
        self._try_out(self._sampler(0), np.zeros((len(labels), 1)), labels.astype(int))

    @classmethod
    def all_names(cls) -> tuple[str, ...]:
        """Return the names of the samplers of imbalanced-learn."""
        return samplers()

    @classmethod
    def defaults(cls, name: str) -> dict[str, Any]:
        """Return the parameters of the sampler and the limit on negatives, with their defaults."""
        limit = 0 if cls.named.get(name, name) in _RANDOM else MAX_NEGATIVES
        return {**super().defaults(name), "max_negatives": limit}

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples as the sampler leaves them.

        Raises
        ------
        DataError
            When the sampler cannot work on so few samples, or leaves none of a class.
        """
        positives = np.arange(len(samples.positives))
        is_near = np.zeros(len(positives), bool) if samples.kinds is None else samples.kinds == NEAR
        negatives = self._taking_part(samples, now)
        part = samples.chosen(~is_near, negatives)
        drawn, said = self._draw(part, now)
        made = _samples_of(drawn, part, now)
        if not len(made.positives) or not len(made.negatives):
            raise DataError(
                f"The strategy {self.spec!r} left {len(made.positives)} positives and "
                f"{len(made.negatives)} negatives of {len(part.positives)} and "
                f"{len(part.negatives)}; change its parameters or leave it out."
            )
        notes = {
            **_counts(drawn, len(part.positives), len(part.negatives)),
            "n_left_out": len(samples.negatives) - len(negatives),
            **({"said": said} if said else {}),
        }
        if is_near.any():
            made = with_more_positives(made, samples.chosen(is_near, negatives))
        return replace(made, notes={**samples.notes, self.spec: notes})

    @property
    def _limit(self) -> Any:
        return self.params.get("max_negatives", self.defaults(self.name)["max_negatives"])

    def _taking_part(self, samples: Samples, now: Round) -> NDArray[np.intp]:
        """Return the indices of the negatives within the limit, ascending."""
        n = len(samples.negatives)
        if not self._limit or n <= self._limit:
            return np.arange(n)
        scores = samples.negative_scores
        if scores is None:
            scores = now.rng().uniform(size=n)
        return np.sort(np.argsort(-scores, kind="stable")[: self._limit])

    def _sampler(self, seed: int) -> Any:
        """Return the sampler of imbalanced-learn."""
        given = {key: value for key, value in self.params.items() if key != "max_negatives"}
        sampler = class_called(self.class_name)(**given)
        fixed = {"random_state": seed, "n_jobs": 1}
        return sampler.set_params(
            **{key: value for key, value in fixed.items() if key in sampler.get_params()}
        )

    def _draw(self, part: Samples, now: Round) -> tuple[_Drawn, list[str]]:
        """Return what the sampler makes of the samples, and what it warned of."""
        labels = part.labels
        sampler = self._sampler(int(now.rng().integers(2**31)))
        if self._is_balanced(labels):
            return _unchanged(part), []
        with _mapped(part) as features, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                made, of_class = sampler.fit_resample(features, labels.astype(int))
            except (ValueError, RuntimeError) as error:
                if not any(reason in str(error) for reason in _NOTHING_TO_ADD):
                    raise self._explained(error, labels) from error
                return _unchanged(part), [one_sentence(error)]
            drawn = _traced(sampler, features, labels, made.astype(np.float32), of_class == 1)
        return drawn, sorted({one_sentence(str(warning.message)) for warning in caught})

    def _is_balanced(self, labels: NDArray[np.bool_]) -> bool:
        """Return whether the classes are as equal as a ``sampling_strategy`` that is a ratio."""
        wanted = self.params.get("sampling_strategy")
        smaller, larger = sorted((int(labels.sum()), int((~labels).sum())))
        return isinstance(wanted, int | float) and smaller >= wanted * larger

    def _explained(self, error: Exception, labels: NDArray[np.bool_]) -> DataError:
        known = self.defaults(self.name)
        neighbours = [key for key in known if "neighbors" in key]
        way = "change its parameters or take another strategy"
        if neighbours and "n_neighbors" in str(error):
            way = f"lower {' or '.join(neighbours)}, or give more objects"
        return DataError(
            f"The strategy {self.spec!r} cannot resample {labels.sum()} positives and "
            f"{(~labels).sum()} negatives ({one_sentence(error)}); {way}."
        )


@contextmanager
def _mapped(part: Samples) -> Iterator[NDArray[np.float32]]:
    """Give all features as float32, the positives in front, in a file that is mapped into memory.

    The file is removed at the end, whatever happens.
    """
    shape = (len(part.positives) + len(part.negatives), part.positives.shape[1])
    # Where a system cannot remove what is mapped, it is left to its cleaning of temporary files.
    with tempfile.TemporaryDirectory(prefix="resample-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "features"
        try:
            _write(path, part)
        except OSError as error:
            raise DataError(
                f"The features of {shape[0]:,} windows cannot be written to {folder} ({error}); "
                f"free {4e-6 * shape[0] * shape[1]:,.0f} MB there, or set TMPDIR to another folder."
            ) from error
        yield np.asarray(np.memmap(path, np.float32, "c", shape=shape))


def _write(path: Path, part: Samples) -> None:
    """Write all features as float32, some at a time.

    Written to instead, a mapped file would end the process where the disk is full.
    """
    with path.open("wb") as file:
        for block in (part.positives, part.negatives):
            for row in range(0, len(block), _ROWS):
                file.write(np.ascontiguousarray(block[row : row + _ROWS], np.float32).data)


def _unchanged(part: Samples) -> _Drawn:
    n = len(part.labels)
    nothing = np.empty((n, 0), np.float32)  # no row is new, so none is looked at
    return _Drawn(nothing, part.labels, np.arange(n), np.zeros(n, bool))


def _traced(
    sampler: Any,
    features: NDArray[np.float32],
    labels: NDArray[np.bool_],
    made: NDArray[np.float32],
    is_positive: NDArray[np.bool_],
) -> _Drawn:
    """Return the rows that a sampler made, with the samples that they are of."""
    of = getattr(sampler, "sample_indices_", None)
    if of is not None and len(of) == len(made):
        of = np.asarray(of, np.intp)
        is_new = np.concatenate(  # random over-sampling may add noise
            [
                (made[row : row + _ROWS] != features[of[row : row + _ROWS]]).any(axis=1)
                for row in range(0, len(made), _ROWS)
            ]
        )
        return _Drawn(made, is_positive, of, is_new)
    of = _found(features, labels, made, is_positive)
    is_new = of < 0
    for side in (True, False):
        new = np.flatnonzero(is_new & (is_positive == side))
        if len(new):
            samples = np.flatnonzero(labels == side)
            of[new] = samples[pairwise_distances_argmin(made[new], features[samples])]
    return _Drawn(made, is_positive, of, is_new)


def _found(
    features: NDArray[np.float32],
    labels: NDArray[np.bool_],
    made: NDArray[np.float32],
    is_positive: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """Return which sample of its class each row is, -1 for none; equal samples each once."""
    places: dict[tuple[bytes, bool], list[int]] = {}
    for index in range(len(features) - 1, -1, -1):
        places.setdefault((_digest(features[index]), bool(labels[index])), []).append(index)
    of = np.full(len(made), -1, np.intp)
    for row, vector in enumerate(made):
        known = places.get((_digest(vector), bool(is_positive[row])))
        if known:
            of[row] = known.pop() if len(known) > 1 else known[0]
    return of


def _digest(vector: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(vector).data, digest_size=16).digest()


def _samples_of(drawn: _Drawn, part: Samples, now: Round) -> Samples:
    """Return the samples that were drawn, new ones behind the others of their class."""
    n_positives = len(part.positives)
    rows, new = [], []
    for side, first in ((True, 0), (False, n_positives)):
        of_class = drawn.is_positive == side
        known = np.sort(drawn.of[of_class & ~drawn.is_new])
        added = np.flatnonzero(of_class & drawn.is_new)
        rows.append((known - first, drawn.of[added] - first))
        new.append(_as_dtype(drawn.features[added], part.positives.dtype))
    (positives, like_positives), (negatives, like_negatives) = rows
    grown = part.chosen(
        np.concatenate([positives, like_positives]), np.concatenate([negatives, like_negatives])
    )
    # Of what it is like, a new row keeps the object and the weight.
    return replace(
        grown,
        positives=_with_tail(grown.positives, new[0]),
        negatives=_with_tail(grown.negatives, new[1]),
        positive_scores=_with_tail(grown.positive_scores, _scores(new[0], now)),
        negative_scores=_with_tail(grown.negative_scores, _scores(new[1], now)),
        ious=_with_tail(grown.ious, np.ones(len(new[0]))),
        kinds=_with_tail(grown.kinds, np.full(len(new[0]), COPY)),
        n_random=min(grown.n_random, len(negatives)),
    )


def _with_tail(values: Any, tail: NDArray[Any]) -> Any:
    """Return values with other last ones; None stays None."""
    if values is not None and len(tail):
        values[len(values) - len(tail) :] = tail
    return values


def _scores(features: NDArray[Any], now: Round) -> NDArray[np.float64]:
    if now.model is None or not len(features):
        return np.zeros(len(features))
    parts = np.array_split(features, max(len(features) // _ROWS, 1))
    return np.concatenate([now.model.decision_function(part) for part in parts])


def _as_dtype(features: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return features of the windows' type: bytes are rounded and clipped."""
    if dtype == np.uint8:
        return np.clip(np.rint(features), 0, 255).astype(np.uint8)
    return features.astype(dtype)


def _counts(drawn: _Drawn, n_positives: int, n_negatives: int) -> dict[str, int]:
    """Return how many of each class are new, repeated and removed."""
    counts = {}
    for name, side, n in (("positives", True, n_positives), ("negatives", False, n_negatives)):
        of_class = drawn.is_positive == side
        n_known = int((of_class & ~drawn.is_new).sum())
        n_kept = len(np.unique(drawn.of[of_class & ~drawn.is_new]))
        counts[f"n_new_{name}"] = int((of_class & drawn.is_new).sum())
        counts[f"n_repeated_{name}"] = n_known - n_kept
        counts[f"n_removed_{name}"] = n - n_kept
    return counts
