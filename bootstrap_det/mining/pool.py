"""One mining pass over all pictures: harvest each, keep the hardest, count everything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import DTypeLike, NDArray

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
    def false_positives_per_image(self) -> float:
        """Windows with a score of at least 0 per picture scanned."""
        return self.n_false_positives / max(self.n_images, 1)

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


def mine_pictures(
    detector: Detector | None,
    negatives: Dataset,
    recipe: Recipe,
    params: BootstrapParams,
    round_index: int,
    callbacks: Sequence[Callback] = (),
) -> Pool:
    """Return the negatives of one pass: random ones without a detector, else the hardest.

    Pictures run on ``params.n_jobs`` threads; results are taken in the order of the pictures.
    """
    threshold = _mining_threshold(detector, recipe, params)
    pool = Pool(recipe.n_features, params.most_negatives(round_index), recipe.channels.dtype)
    pool.threshold = threshold
    pictures = _drawn(negatives.pictures, params, round_index)
    pool.n_images_left_out = len(negatives.pictures) - len(pictures)
    quota, extra = divmod(params.n_random_negatives, len(pictures))

    def work(index: int, picture: Picture) -> Harvest | Skipped:
        try:
            if detector is None:
                rng = np.random.default_rng([params.seed, round_index, index])
                return _random(picture, recipe, quota + (index < extra), rng)
            return _false_positives(picture, detector, threshold, params)
        except DataError as error:
            if not params.skip_bad:
                raise
            return Skipped(picture.name, str(error))

    parallel = Parallel(n_jobs=params.n_jobs, backend="threading", return_as="generator")
    results = parallel(delayed(work)(index, picture) for index, picture in enumerate(pictures))
    for index, (picture, result) in enumerate(zip(pictures, results, strict=True)):
        if isinstance(result, Skipped):
            pool.skipped.append(result)
        else:
            pool.add(picture.image_id, result)
        notify(callbacks, "on_progress", "mine", index + 1, len(pictures))
    return pool


def _drawn(
    pictures: Sequence[Picture], params: BootstrapParams, round_index: int
) -> Sequence[Picture]:
    """Return the pictures of a round, in their order."""
    limit = params.n_images_per_round
    if limit is None or limit >= len(pictures):
        return pictures
    rng = np.random.default_rng([params.seed, round_index])
    chosen = rng.choice(len(pictures), limit, replace=False)
    return [pictures[index] for index in np.sort(chosen)]


def _random(picture: Picture, recipe: Recipe, limit: int, rng: np.random.Generator) -> Harvest:
    image = picture.load(recipe.channels.color)
    forbidden = forbidden_of(picture, recipe.label)
    return harvest_random(
        image, recipe.pyramid, recipe.window, recipe.channels, forbidden, limit=limit, rng=rng
    )


def _mining_threshold(detector: Detector | None, recipe: Recipe, params: BootstrapParams) -> float:
    """Return the least score to mine: the one given, or the classifier's own."""
    if params.mining_threshold is not None:
        return params.mining_threshold
    return recipe.learner.mining_threshold(detector.templates[0].model) if detector else 0.0


def _false_positives(
    picture: Picture, detector: Detector, threshold: float, params: BootstrapParams
) -> Harvest:
    return harvest_false_positives(
        detector,
        picture.load(detector.channels.color),
        forbidden_of(picture, detector.templates[0].label),
        threshold=threshold,
        limit=params.n_negatives_per_image,
    )


def forbidden_of(picture: Picture, label: str) -> Forbidden:
    """Return where a picture must not be mined: the label's objects, and what says nothing.

    Objects of other labels are negatives like any other.
    """
    targets = picture.targets
    return Forbidden(picture.boxes[targets & (picture.labels == label)], picture.boxes[~targets])
