"""One mining pass over all pictures: harvest each, keep the hardest, count everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import DTypeLike, NDArray

from bootstrap_det.classifiers.learners import Model
from bootstrap_det.data import Dataset, Picture, Skipped
from bootstrap_det.detector import Detector
from bootstrap_det.exceptions import DataError
from bootstrap_det.mining.harvest import (
    Forbidden,
    Harvest,
    harvest_false_positives,
    harvest_random,
)
from bootstrap_det.mining.records import Callback, notify
from bootstrap_det.samples import ObjectRows

if TYPE_CHECKING:
    from bootstrap_det.mining.loop import BootstrapParams, Recipe


class Pool:
    """The hardest windows of a pass, ``limit`` of them at most, whatever the order of pictures.

    Windows beyond twice the limit are dropped on the way, so memory is bounded. Equal scores are
    ordered by identity.
    """

    def __init__(self, n_features: int, limit: int, dtype: DTypeLike = np.float32) -> None:
        self.limit = limit
        self.threshold = 0.0
        self.scanned = False  # by a detector
        self.learnt: Model | None = None  # by an online strategy, in this pass
        self.features = np.empty((0, n_features), dtype)
        self.identities = np.empty((0, 5), np.int64)
        self.scores = np.empty(0)
        self.n_images = 0
        self.n_windows = 0
        self.n_false_positives = 0
        self.n_images_capped = 0
        self.n_images_left_out = 0
        self.n_over_limit = 0
        self.skipped: list[Skipped] = []
        self._waiting: list[tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64]]] = []
        self._n_waiting = 0

    def __len__(self) -> int:
        return len(self.scores) + self._n_waiting

    @property
    def false_positives_per_image(self) -> float | None:
        """Detections with a score of at least 0 per picture; None where nothing was scanned."""
        return self.n_false_positives / max(self.n_images, 1) if self.scanned else None

    def add(self, picture_id: int, harvest: Harvest) -> None:
        """Take in what one picture gave."""
        windows = harvest.windows
        pictures = np.full((len(windows), 1), picture_id, np.int64)
        identities = np.concatenate([pictures, windows.identities], axis=1)
        self._waiting.append((windows.features, identities, windows.scores))
        self._n_waiting += len(windows)
        self.n_images += 1
        self.n_windows += harvest.n_windows
        self.n_false_positives += harvest.n_false_positives
        self.n_images_capped += harvest.capped
        if self._n_waiting > self.limit:
            self._prune()

    def hardest(self) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64]]:
        """Return features, identities and scores of the hardest windows, hardest first."""
        self._prune()
        return self.features, self.identities, self.scores

    def _prune(self) -> None:
        parts = [(self.features, self.identities, self.scores), *self._waiting]
        features, identities, scores = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        order = np.lexsort((*identities.T[::-1], -scores))[: self.limit]
        self.n_over_limit += len(scores) - len(order)
        self.features, self.identities, self.scores = (
            features[order],
            identities[order],
            scores[order],
        )
        self._waiting, self._n_waiting = [], 0


@dataclass(frozen=True)
class Pass:
    """One pass over the pictures: with which detector, of what, in which round.

    Attributes
    ----------
    detector : Detector or None
        Of the round before; None in round 0.
    negatives : Dataset
        Pictures to mine.
    recipe : Recipe
        Window, channels, pyramid and label of the detector.
    params : BootstrapParams
        Caps, limits, seed, threads.
    index : int
        The round.
    positives : ObjectRows
        What the round is fitted on beside the negatives.
    callbacks : sequence of Callback
        Told of the progress.
    """

    detector: Detector | None
    negatives: Dataset
    recipe: Recipe
    params: BootstrapParams
    index: int
    positives: ObjectRows
    callbacks: Sequence[Callback] = ()

    @property
    def limit(self) -> int:
        """Most windows that the round may add."""
        return self.params.most_negatives(self.index)

    @property
    def threshold(self) -> float:
        """The least score to mine: the one given, or the classifier's own."""
        if self.params.mining_threshold is not None:
            return self.params.mining_threshold
        if self.detector is None:
            return 0.0
        return self.recipe.learner.mining_threshold(self.detector.templates[0].model)

    def pictures(self) -> Sequence[Picture]:
        """Return the pictures of the round, in their order."""
        pictures, limit = self.negatives.pictures, self.params.n_images_per_round
        if limit is None or limit >= len(pictures):
            return pictures
        rng = np.random.default_rng([self.params.seed, self.index])
        chosen = rng.choice(len(pictures), limit, replace=False)
        return [pictures[index] for index in np.sort(chosen)]

    def pool(self) -> Pool:
        """Return an empty pool for the windows of the pass."""
        return Pool(self.recipe.n_features, self.limit, self.recipe.channels.dtype)

    def random(self) -> Pool:
        """Return windows drawn at random, as many from each picture, together the limit."""
        pictures = self.pictures()
        quota, extra = divmod(self.limit, len(pictures))

        def work(index: int, picture: Picture) -> Harvest:
            rng = np.random.default_rng([self.params.seed, self.index, index])
            return harvest_random(
                picture.load(self.recipe.channels.color), self.recipe.pyramid, self.recipe.window,
                self.recipe.channels, forbidden_of(picture, self.recipe.label),
                limit=quota + (index < extra), rng=rng,
            )  # fmt: skip

        return self.harvest(work, pictures)

    def false_positives(self) -> Pool:
        """Return what the detector takes for objects, the hardest first."""
        detector, threshold = self.detector, self.threshold
        assert detector is not None  # from round 1 on

        def work(index: int, picture: Picture) -> Harvest:
            return harvest_false_positives(
                detector, picture.load(detector.channels.color),
                forbidden_of(picture, self.recipe.label),
                threshold=threshold, limit=self.params.n_negatives_per_image,
            )  # fmt: skip

        pool = self.harvest(work, self.pictures())
        pool.threshold, pool.scanned = threshold, True
        return pool

    def harvest(self, work: Callable[[int, Picture], Harvest], pictures: Sequence[Picture]) -> Pool:
        """Return what ``work`` gathers of each picture; on threads, in the pictures' order.

        Raises
        ------
        DataError
            When a picture cannot be read and ``skip_bad`` is off.
        """

        def guarded(index: int, picture: Picture) -> Harvest | Skipped:
            try:
                return work(index, picture)
            except DataError as error:
                if not self.params.skip_bad:
                    raise
                return Skipped(picture.name, str(error))

        pool = self.pool()
        pool.n_images_left_out = len(self.negatives.pictures) - len(pictures)
        parallel = Parallel(n_jobs=self.params.n_jobs, backend="threading", return_as="generator")
        results = parallel(delayed(guarded)(i, picture) for i, picture in enumerate(pictures))
        for index, (picture, result) in enumerate(zip(pictures, results, strict=True)):
            if isinstance(result, Skipped):
                pool.skipped.append(result)
            else:
                pool.add(picture.image_id, result)
            notify(self.callbacks, "on_progress", "mine", index + 1, len(pictures))
        return pool


def forbidden_of(picture: Picture, label: str) -> Forbidden:
    """Return where a picture must not be mined: the label's objects, and what says nothing.

    Objects of other labels are negatives like any other.
    """
    targets = picture.targets
    return Forbidden(picture.boxes[targets & (picture.labels == label)], picture.boxes[~targets])
