"""One mining pass over all pictures: harvest each, keep the hardest, count everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.learners import Model
from bootstrap_det.data import Dataset, Picture, Skipped
from bootstrap_det.data.each import each_picture, guarded
from bootstrap_det.detector import Detector
from bootstrap_det.mining.features import Cut, cut_windows
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

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.threshold = 0.0
        self.scanned = False  # by a detector
        self.learnt: Model | None = None  # by an online strategy, in this pass
        self.identities = np.empty((0, 5), np.int64)
        self.scores = np.empty(0)
        self.n_images = 0
        self.n_windows = 0
        self.n_false_positives = 0
        self.n_images_capped = 0
        self.n_images_left_out = 0
        self.n_over_limit = 0
        self.skipped: list[Skipped] = []
        self._waiting: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self._n_waiting = 0

    def __len__(self) -> int:
        return len(self.scores) + self._n_waiting

    @property
    def false_positives_per_image(self) -> float | None:
        """Detections with a score of at least 0 per picture; None where nothing was scanned."""
        return self.n_false_positives / max(self.n_images, 1) if self.scanned else None

    def add(self, image_id: int, harvest: Harvest | Skipped) -> None:
        """Take in what one picture gave."""
        if isinstance(harvest, Skipped):
            self.skipped.append(harvest)
            return
        windows = harvest.windows
        pictures = np.full((len(windows), 1), image_id, np.int64)
        identities = np.concatenate([pictures, windows.identities], axis=1)
        self._waiting.append((identities, windows.scores))
        self._n_waiting += len(windows)
        self.n_images += 1
        self.n_windows += harvest.n_windows
        self.n_false_positives += harvest.n_false_positives
        self.n_images_capped += harvest.capped
        if self._n_waiting > self.limit:
            self._prune()

    def hardest(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return identities and scores of the hardest windows, hardest first."""
        self._prune()
        return self.identities, self.scores

    def counts(self) -> dict[str, int]:
        """Return what was counted so far, by name."""
        return {name: getattr(self, name) for name in _COUNTS}

    @classmethod
    def restored(
        cls,
        limit: int,
        identities: NDArray[np.int64],
        scores: NDArray[np.float64],
        counts: dict[str, int],
        skipped: Sequence[Skipped],
    ) -> Pool:
        """Return a pool as it was when these were taken from it."""
        pool = cls(limit)
        pool.identities, pool.scores, pool.skipped = identities, scores, list(skipped)
        for name in _COUNTS:
            setattr(pool, name, int(counts[name]))
        return pool

    def _prune(self) -> None:
        parts = [(self.identities, self.scores), *self._waiting]
        identities, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((*identities.T[::-1], -scores))[: self.limit]
        self.n_over_limit += len(scores) - len(order)
        self.identities, self.scores = identities[order], scores[order]
        self._waiting, self._n_waiting = [], 0


_COUNTS = (
    "n_images", "n_windows", "n_false_positives", "n_images_capped", "n_images_left_out",
    "n_over_limit",
)  # fmt: skip


@dataclass(frozen=True)
class Begun:
    """A pass that was interrupted: what its first pictures gave.

    Attributes
    ----------
    round : int
        Which round it is of.
    n_done : int
        How many of the pass's pictures.
    pool : Pool
        What they gave.
    """

    round: int
    n_done: int
    pool: Pool


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
    begun : Begun or None
        What an interrupted run had done of it.
    """

    detector: Detector | None
    negatives: Dataset
    recipe: Recipe
    params: BootstrapParams
    index: int
    positives: ObjectRows
    callbacks: Sequence[Callback] = ()
    begun: Begun | None = None

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
        return Pool(self.limit)

    def random(self) -> Pool:
        """Return windows drawn at random, as many from each picture, together the limit."""
        pictures = self.pictures()
        quota, extra = divmod(self.limit, len(pictures))
        limits = (quota + (index < extra) for index in range(len(pictures)))
        work = partial(_random_windows, self.recipe, (self.params.seed, self.index))
        return self.harvest(work, pictures, range(len(pictures)), limits)

    def false_positives(self) -> Pool:
        """Return what the detector takes for objects, the hardest first."""
        assert self.detector is not None  # from round 1 on
        limit = self.params.n_negatives_per_image
        work = partial(_false_positives, self.detector, self.recipe.label, self.threshold, limit)
        pool = self.harvest(work, self.pictures())
        pool.threshold, pool.scanned = self.threshold, True
        return pool

    def harvest(
        self, work: Callable[..., Harvest], pictures: Sequence[Picture], *more: Iterable[Any]
    ) -> Pool:
        """Return what ``work`` gathers of each picture, whichever workers do it.

        It is called with a picture and its value of each of ``more``. A pass that was begun before
        goes on where it was interrupted.

        Raises
        ------
        DataError
            When a picture cannot be read and ``skip_bad`` is off.
        """
        n_done, pool = self._begun()
        rest = (islice(values, n_done, None) for values in more)
        results = each_picture(
            work, pictures[n_done:], *rest, n_jobs=self.params.n_jobs,
            skip_bad=self.params.skip_bad,
        )  # fmt: skip
        for index, result in enumerate(results, start=n_done):
            pool.add(pictures[index].image_id, result)
            self._tell(pool, index + 1, len(pictures))
        pool.n_images_left_out = len(self.negatives.pictures) - len(pictures)
        return pool

    def harvest_in_turn(
        self, work: Callable[[Picture], Harvest], pictures: Sequence[Picture]
    ) -> Pool:
        """Return what ``work`` gathers of each picture where it learns from one for the next."""
        pool = self.pool()
        for index, picture in enumerate(pictures):
            pool.add(picture.image_id, guarded(work, self.params.skip_bad, picture))
            notify(self.callbacks, "on_progress", "mine", index + 1, len(pictures))
        return pool

    def cut(self, identities: NDArray[np.int64]) -> Cut:
        """Return the feature vectors of windows of the pass."""
        return cut_windows(identities, self.negatives, self.recipe, self.params, self.callbacks)

    def _begun(self) -> tuple[int, Pool]:
        if self.begun is None or self.begun.round != self.index:
            return 0, self.pool()
        return self.begun.n_done, self.begun.pool

    def _tell(self, pool: Pool, n_done: int, n_total: int) -> None:
        notify(self.callbacks, "on_progress", "mine", n_done, n_total)
        every = self.params.checkpoint_every
        if n_done % every == 0 or (n_done == n_total and n_total > every):
            notify(
                self.callbacks, "on_pictures_mined", self.recipe, Begun(self.index, n_done, pool)
            )


def _random_windows(
    recipe: Recipe, seed: tuple[int, int], picture: Picture, number: int, limit: int
) -> Harvest:
    size = picture.size or picture.load(recipe.channels.color).shape[:2]
    return harvest_random(
        (size[0], size[1]), recipe.pyramid, recipe.window, recipe.channels,
        forbidden_of(picture, recipe.label), limit=limit,
        rng=np.random.default_rng([*seed, number]),
    )  # fmt: skip


def _false_positives(
    detector: Detector, label: str, threshold: float, limit: int, picture: Picture
) -> Harvest:
    image = picture.load(detector.channels.color)
    return harvest_false_positives(
        detector, image, forbidden_of(picture, label), threshold=threshold, limit=limit
    )


def forbidden_of(picture: Picture, label: str) -> Forbidden:
    """Return where a picture must not be mined: the label's objects, and what says nothing.

    Objects of other labels are negatives like any other.
    """
    targets = picture.targets
    return Forbidden(picture.boxes[targets & (picture.labels == label)], picture.boxes[~targets])
