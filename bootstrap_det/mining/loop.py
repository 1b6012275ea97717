"""The bootstrapping loop of Sung & Poggio: train, scan, add the false positives, retrain.

References
----------
K.-K. Sung and T. Poggio, "Example-Based Learning for View-Based Human Face Detection",
A.I. Memo 1521, MIT, 1994; PAMI 1998. N. Dalal and B. Triggs, CVPR 2005. P. Felzenszwalb et al.,
PAMI 2010 (the cache). P. Dollar et al., PAMI 2014 (caps per picture, growing rounds).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_bool, check_float, check_int
from bootstrap_det.arrays import limited_memory
from bootstrap_det.channels import Channels
from bootstrap_det.classifiers.learners import Learner, LinearLearner, Model
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.classifiers.trees import TreeModel
from bootstrap_det.data import Dataset
from bootstrap_det.detector import Detector, Template
from bootstrap_det.mining.cache import Added, NegativeCache
from bootstrap_det.mining.pool import Begun, Pass, Pool
from bootstrap_det.mining.records import Callback, Clock, RoundRecord, notify
from bootstrap_det.mining.strategy import Round, Strategy
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.samples import COPY, ObjectRows
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
    n_images_per_round : int or None, default=None
        Most pictures mined in one round, drawn anew in each; by default all.
    n_negatives_per_image : int, default=100
        Most windows mined from one picture in one round.
    n_negatives_per_round : int, default=5000
        Most windows mined in one round; the hardest stay.
    n_negatives_last_round : int or None, default=None
        The same for the last round, whose detector is the one to keep: with more, it is fitted
        on a larger cache than those that only had to find the next negatives.
    mining_threshold : float or None, default=None
        Smallest score of a mined window; by default the learner's: -1, the margin, for a support
        vector machine, all that the cascade accepts for boosted trees. At 0, only false
        positives are mined.
    min_new_negatives : int, default=10
        The loop has converged when a complete pass (no cap reached) adds fewer windows.
    max_cache_bytes : int, default=2 GiB
        Limit on the feature vectors of all negatives held.
    max_memory_bytes : int or None, default=4 GiB
        What feature vectors and their copies for the fit may take of the memory together; what
        does not fit is mapped from files. The result is the same. It holds for boosted trees; the
        solvers of linear templates make copies of their own. None for no limit.
    scratch : path-like or None, default=None
        Folder of these files, by default the system's for temporary ones.
    checkpoint_every : int, default=500
        Pictures of a mining pass after which callbacks can keep what it has found so far.
    seed : int, default=0
        Of everything random.
    n_jobs : int, default=1
        Pictures worked on at a time, see :mod:`bootstrap_det.workers`. It does not change the
        result.
    skip_bad : bool, default=False
        Go on after a picture that cannot be read, and list it in the round's record.
    """

    n_rounds: int = 2
    n_random_negatives: int = 5000
    n_images_per_round: int | None = None
    n_negatives_per_image: int = 100
    n_negatives_per_round: int = 5000
    n_negatives_last_round: int | None = None
    mining_threshold: float | None = None
    min_new_negatives: int = 10
    max_cache_bytes: int = 2 << 30
    max_memory_bytes: int | None = 4 << 30
    scratch: str | os.PathLike[str] | None = None
    checkpoint_every: int = 500
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
        for name in ("n_images_per_round", "n_negatives_last_round"):
            if getattr(self, name) is not None:
                check_int(getattr(self, name), name, "bootstrap", low=1)
        check_int(self.checkpoint_every, "checkpoint_every", "bootstrap", low=1)
        if self.max_memory_bytes is not None:
            check_int(self.max_memory_bytes, "max_memory_bytes", "bootstrap", low=0)
        if self.mining_threshold is not None:
            check_float(self.mining_threshold, "mining_threshold", "bootstrap")
        check_bool(self.skip_bad, "skip_bad", "bootstrap")

    def most_negatives(self, round_index: int) -> int:
        """Return how many windows a round may add."""
        if round_index == 0:
            return self.n_random_negatives
        if round_index == self.n_rounds and self.n_negatives_last_round is not None:
            return self.n_negatives_last_round
        return self.n_negatives_per_round


@dataclass(frozen=True)
class Recipe:
    """What every round's detector is made of, and how its template is fitted."""

    window: Window
    channels: Channels
    pyramid: Pyramid
    label: str = "object"
    learner: Learner = field(default_factory=LinearLearner)
    view: int = 0

    @property
    def template_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the template."""
        return (self.channels.n_window_channels, *self.channels.grid_shape(self.window.size))

    @property
    def n_features(self) -> int:
        """Length of a feature vector."""
        return int(np.prod(self.template_shape))

    def template(self, model: Model) -> Template:
        """Return the template with this model."""
        return Template(self.window, model, self.label)

    def detector(self, templates: Sequence[Template]) -> Detector:
        """Return the detector of these templates; windows of boosted trees vote."""
        voting = any(isinstance(template.model, TreeModel) for template in templates)
        return Detector(
            templates, self.channels, pyramid=self.pyramid, suppression="vote" if voting else "nms"
        )

    def samples(
        self,
        positives: ObjectRows,
        cache: NegativeCache,
        positive_scores: NDArray[np.float64] | None = None,
        n_random: int = 0,
        learnt: Model | None = None,
    ) -> Samples:
        """Return all that is there to fit a round on; scores are those of the round before."""
        n_plain = self.n_features // self.channels.n_window_channels * self.channels.n_channels
        return Samples(
            positives.features,
            positives.objects,
            cache.features,
            self.template_shape,
            n_plain,
            positive_scores=positive_scores,
            negative_scores=None if positive_scores is None else cache.scores,
            ious=positives.ious,
            kinds=positives.kinds,
            n_random=n_random,
            learnt=learnt,
        )

    def cache(self, max_bytes: int) -> NegativeCache:
        """Return an empty cache for the features of its windows."""
        return NegativeCache(
            self.n_features,
            max_bytes=max_bytes,
            dtype=self.channels.dtype,
            margin=self.learner.margin,
        )


@dataclass
class TrainingState:
    """All that the next round needs, and what the last one mined, hardest first.

    ``detector`` has the template that is trained; ``whole`` is the detector to use, with templates
    that were trained before and mirror images; ``begun`` is a pass of the next round that was
    interrupted.
    """

    cache: NegativeCache
    records: list[RoundRecord]
    detector: Detector | None = None
    memory: dict[str, Any] = field(default_factory=dict)
    mined_identities: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 5), np.int64))
    mined_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    whole: Detector | None = None
    begun: Begun | None = None

    @property
    def templates(self) -> tuple[Template, ...]:
        """What was trained so far."""
        return () if self.detector is None else self.detector.templates

    @property
    def model(self) -> Model | None:
        """What the last round fitted; None before round 0."""
        return self.templates[0].model if self.templates else None

    @property
    def converged(self) -> bool:
        """Whether the last round found the loop to have converged."""
        return bool(self.records) and self.records[-1].converged


def bootstrap(
    positives: NDArray[Any] | ObjectRows,
    negatives: Dataset,
    recipe: Recipe,
    *,
    strategy: Strategy | None = None,
    params: BootstrapParams | None = None,
    whole: Callable[[Sequence[Template]], Detector] | None = None,
    evaluate: Evaluate | None = None,
    callbacks: Sequence[Callback] = (),
    state: TrainingState | None = None,
) -> TrainingState:
    """Train a detector by bootstrapping its negatives.

    Parameters
    ----------
    positives : ObjectRows, or ndarray of shape (n, n_features)
        Feature vectors of objects; they take part in every round. Copies of one object are held
        out together; of an array, each row shows an object of its own.
    negatives : Dataset
        Pictures to mine. Where they are annotated, windows away from every object and outside
        every ignored region are mined.
    recipe : Recipe
        Window, channels, pyramid and label of the detector.
    strategy : Strategy or None, default=None
        A remedy for imbalance, see :mod:`bootstrap_det.imbalance`; by default none but
        bootstrapping itself. Its ``learner`` is asked for by whoever makes the recipe.
    params : BootstrapParams or None, default=None
        Rounds, caps, limits and the seed.
    whole : callable or None, default=None
        Returns the detector to use of a round's templates; by default the recipe's.
    evaluate : callable or None, default=None
        Called with each round's whole detector; what it returns goes into the round's record.
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
    strategy = strategy or Strategy()
    if not isinstance(positives, ObjectRows):
        positives = ObjectRows.plain(positives)
    state = state or TrainingState(recipe.cache(params.max_cache_bytes), [])
    with limited_memory(params.max_memory_bytes, params.scratch):
        scores = _scores(state.model, positives.features) if state.model else None
        for index in range(len(state.records), params.n_rounds + 1):
            if state.converged:
                break
            notify(callbacks, "on_round_begin", index)
            clock = Clock()
            with clock.phase("mine"):  # Sung & Poggio: scan; Dalal & Triggs: all false positives
                scan = Pass(
                    state.detector, negatives, recipe, params, index, positives, callbacks,
                    state.begun,
                )  # fmt: skip
                pool = _mined(strategy, scan)
                state.mined_identities, state.mined_scores = pool.hardest()
                # Felzenszwalb et al.: a bounded cache without duplicates
                added = _taken(state, scan, pool)
                state.begun = None
            with clock.phase("fit"):  # retrain from scratch on everything held
                n_random = state.records[0].n_mined if state.records else len(state.cache)
                samples = strategy.samples(
                    recipe.samples(positives, state.cache, scores, n_random, pool.learnt),
                    Round(index, params.seed, state.model),
                )
                model, state.memory = recipe.learner.fit(
                    samples, index, state.memory, seed=params.seed, n_threads=params.n_jobs
                )
                state.cache.rescore(_scores(model, state.cache.features))
                state.detector = recipe.detector([recipe.template(model)])
                state.whole = (whole or recipe.detector)(state.templates)
                scores = _scores(model, positives.features)
            with clock.phase("evaluate"):
                evaluation = evaluate(state.whole) if evaluate else {}
            record = RoundRecord.of(
                index, recipe, pool, added, state, samples, scores[positives.kinds == COPY], params,
                recipe.learner.is_grown(index), clock.seconds, evaluation,
            )  # fmt: skip
            state.records.append(record)
            if notify(callbacks, "on_round_end", record, state):
                break
    return state


def _mined(strategy: Strategy, scan: Pass) -> Pool:
    """Return the strategy's negatives, be there none, or else the usual ones."""
    pool = strategy.mine(scan)
    if pool is not None:
        return pool
    return scan.false_positives() if scan.index else scan.random()


def _taken(state: TrainingState, scan: Pass, pool: Pool) -> Added:
    """Add what was mined and is not held to the cache, and say what became of it."""
    fresh = state.cache.fresh_rows(state.mined_identities)
    cut = scan.cut(state.mined_identities[fresh])
    pool.skipped += cut.skipped
    features, rows = cut.features, fresh
    if cut.skipped:  # their windows are lost
        features, rows = features[cut.there], fresh[cut.there]
    added = state.cache.add(features, state.mined_identities[rows], state.mined_scores[rows])
    return replace(added, n_duplicates=len(state.mined_identities) - len(fresh))


def _scores(model: Model, features: NDArray[Any]) -> NDArray[np.float64]:
    """Return the scores of many windows, some at a time: partial results are larger than them."""
    parts = [model.decision_function(part) for part in np.array_split(features, _n_parts(features))]
    return np.concatenate(parts)


def _n_parts(features: NDArray[Any]) -> int:
    return max(len(features) // 4096, 1)
