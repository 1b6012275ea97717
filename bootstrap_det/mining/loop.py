"""The bootstrapping loop of Sung & Poggio: train, scan, add the false positives, retrain.

References
----------
K.-K. Sung and T. Poggio, "Example-Based Learning for View-Based Human Face Detection",
A.I. Memo 1521, MIT, 1994; PAMI 1998. N. Dalal and B. Triggs, CVPR 2005. P. Felzenszwalb et al.,
PAMI 2010 (the cache). P. Dollar et al., PAMI 2014 (caps per picture, growing rounds).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_bool, check_float, check_int
from bootstrap_det.channels import Channels
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.svm import choose_c, fit_linear_svm
from bootstrap_det.data import Dataset
from bootstrap_det.detector import Detector, Template
from bootstrap_det.mining.cache import MARGIN, NegativeCache
from bootstrap_det.mining.pool import mine_pictures
from bootstrap_det.mining.records import Callback, Clock, RoundRecord, notify
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.windows import Window

Evaluate = Callable[[Detector], dict[str, Any]]


@dataclass(frozen=True)
class BootstrapParams:
    """Parameters of the loop.

    Parameters
    ----------
    n_rounds : int, default=2
        Rounds of mining after round 0, which trains on random negatives.
    n_random_negatives : int, default=5000
        Random windows of round 0, drawn evenly from all pictures.
    n_negatives_per_image : int, default=100
        Most windows mined from one picture in one round.
    n_negatives_per_round : int, default=5000
        Most windows mined in one round; the hardest stay.
    mining_threshold : float, default=-1.0
        Smallest score of a mined window. At -1 a window violates the margin of a support vector
        machine; at 0 it is a false positive.
    min_new_negatives : int, default=10
        The loop has converged when a complete pass (no cap reached) adds fewer windows.
    max_cache_bytes : int, default=2 GiB
        Limit on the feature vectors of all negatives held.
    C : float or None, default=None
        Of the support vector machine; by default chosen by cross-validation in round 0, and once
        more in round 1, when there are hard negatives to choose by.
    seed : int, default=0
        Of everything random.
    n_jobs : int, default=1
        Pictures scanned at a time, on threads. It does not change the result.
    skip_bad : bool, default=False
        Go on after a picture that cannot be read, and list it in the round's record.
    """

    n_rounds: int = 2
    n_random_negatives: int = 5000
    n_negatives_per_image: int = 100
    n_negatives_per_round: int = 5000
    mining_threshold: float = MARGIN
    min_new_negatives: int = 10
    max_cache_bytes: int = 2 << 30
    C: float | None = None
    seed: int = 0
    n_jobs: int = 1
    skip_bad: bool = False

    def __post_init__(self) -> None:
        check_int(self.n_rounds, "n_rounds", "bootstrap", low=0, high=1000)
        check_int(self.seed, "seed", "bootstrap", low=0)
        check_int(self.n_jobs, "n_jobs", "bootstrap", low=1, high=1024)
        check_int(self.min_new_negatives, "min_new_negatives", "bootstrap", low=0)
        check_int(self.max_cache_bytes, "max_cache_bytes", "bootstrap", low=1)
        for name in ("n_random_negatives", "n_negatives_per_image", "n_negatives_per_round"):
            check_int(getattr(self, name), name, "bootstrap", low=1)
        check_float(self.mining_threshold, "mining_threshold", "bootstrap")
        check_bool(self.skip_bad, "skip_bad", "bootstrap")
        if self.C is not None:
            check_float(self.C, "C", "bootstrap", low=1e-8, high=1e8)


@dataclass(frozen=True)
class Recipe:
    """What every round's detector is made of, whatever its weights."""

    window: Window
    channels: Channels
    pyramid: Pyramid
    label: str = "object"

    @property
    def template_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the template."""
        return (self.channels.n_channels, *self.channels.grid_shape(self.window.size))

    @property
    def n_features(self) -> int:
        """Length of a feature vector."""
        return int(np.prod(self.template_shape))

    def detector(self, model: LinearModel) -> Detector:
        """Return the detector with this model as its template."""
        template = Template(self.window, model, self.label)
        return Detector([template], self.channels, pyramid=self.pyramid)


@dataclass
class TrainingState:
    """All that the next round needs, and what the last one mined, hardest first."""

    cache: NegativeCache
    records: list[RoundRecord]
    detector: Detector | None = None
    C: float | None = None
    mined_identities: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 5), np.int64))
    mined_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def converged(self) -> bool:
        """Whether the last round found the loop to have converged."""
        return bool(self.records) and self.records[-1].converged


def bootstrap(
    positives: NDArray[np.float32],
    negatives: Dataset,
    recipe: Recipe,
    *,
    params: BootstrapParams | None = None,
    evaluate: Evaluate | None = None,
    callbacks: Sequence[Callback] = (),
    state: TrainingState | None = None,
) -> TrainingState:
    """Train a detector by bootstrapping its negatives.

    Parameters
    ----------
    positives : ndarray of shape (n, n_features), float32
        Feature vectors of objects; they take part in every round.
    negatives : Dataset
        Pictures to mine. Where they are annotated, windows away from every object and outside
        every ignored region are mined.
    recipe : Recipe
        Window, channels, pyramid and label of the detector.
    params : BootstrapParams or None, default=None
        Rounds, caps, limits and the seed.
    evaluate : callable or None, default=None
        Called with each round's detector; what it returns goes into the round's record.
    callbacks : sequence of Callback, default=()
        Told of the beginning, the progress and the end of each round; may stop the loop.
    state : TrainingState or None, default=None
        Go on from here instead of from round 0.

    Returns
    -------
    TrainingState
        The last detector, the record of every round, and the negatives.

    Raises
    ------
    DataError
        When there are no negatives, or a picture cannot be read and ``skip_bad`` is off.
    """
    params = params or BootstrapParams()
    negatives.require_negatives()
    if state is None:
        cache = NegativeCache(recipe.n_features, max_bytes=params.max_cache_bytes)
        state = TrainingState(cache, [], None, params.C)
    for index in range(len(state.records), params.n_rounds + 1):
        if state.converged:
            break
        notify(callbacks, "on_round_begin", index)
        clock = Clock()
        with clock.phase("mine"):  # Sung & Poggio: scan; Dalal & Triggs: all false positives
            pool = mine_pictures(state.detector, negatives, recipe, params, index, callbacks)
            features, state.mined_identities, state.mined_scores = pool.hardest()
            # Felzenszwalb et al.: a bounded cache without duplicates
            added = state.cache.add(features, state.mined_identities, state.mined_scores)
        with clock.phase("fit"):  # retrain from scratch on everything held
            model = _refit(state, positives, recipe, params, index)
            state.detector = recipe.detector(model)
            found = float(np.mean(model.decision_function(positives) >= 0.0))
        with clock.phase("evaluate"):
            evaluation = evaluate(state.detector) if evaluate else {}
        record = RoundRecord.of(
            index, pool, added, state, (len(positives), found), params, clock.seconds, evaluation
        )
        state.records.append(record)
        if notify(callbacks, "on_round_end", record, state):
            break
    return state


def _refit(
    state: TrainingState,
    positives: NDArray[np.float32],
    recipe: Recipe,
    params: BootstrapParams,
    index: int,
) -> LinearModel:
    """Return the model of all positives and all negatives held, and rescore the cache by it."""
    features = np.concatenate([positives, state.cache.features])
    labels = np.arange(len(features)) < len(positives)
    if params.C is None and index <= 1:
        state.C = choose_c(features, labels, seed=params.seed)
    svm = fit_linear_svm(features, labels, C=state.C)
    model = LinearModel.from_estimator(svm, recipe.template_shape)
    state.cache.rescore(model.decision_function(state.cache.features))
    return model
