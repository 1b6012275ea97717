"""What a round tells: its record, its events, its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from bootstrap_det.classifiers.training_samples import Samples
    from bootstrap_det.mining.cache import Added
    from bootstrap_det.mining.loop import BootstrapParams, Recipe, TrainingState
    from bootstrap_det.mining.pool import Begun, Pool


class Callback:
    """Hooks of the loop; override the ones that matter."""

    def on_resume(self, states: Sequence[TrainingState]) -> bool | None:
        """Training goes on where these templates were."""

    def on_round_begin(self, round_index: int) -> bool | None:
        """Round ``round_index`` begins."""

    def on_progress(self, phase: str, n_done: int, n_total: int) -> bool | None:
        """Of ``n_total`` pictures of a phase (``"mine"``, ``"evaluate"``), ``n_done`` are done."""

    def on_pictures_mined(self, recipe: Recipe, begun: Begun) -> bool | None:
        """Keep what ``begun`` says some pictures of a pass gave, to go on from there."""

    def on_round_end(self, record: RoundRecord, state: TrainingState) -> bool | None:
        """Return True to stop the loop after this round."""


def notify(callbacks: Sequence[Callback], event: str, *arguments: Any) -> bool:
    """Tell all callbacks of an event; return whether one of them answered True."""
    return any([getattr(callback, event)(*arguments) is True for callback in callbacks])


class Clock:
    """Seconds of each phase of a round."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time spent inside to ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 3)


@dataclass(frozen=True)
class RoundRecord:
    """All that happened in one round.

    Attributes
    ----------
    round : int
        0 is the round of random negatives.
    n_positives, n_negatives : int
        Samples that the model was fitted on, as the strategy chose or made them.
    positives_found : float
        Share of the training positives that score at least 0. When it is low, so is the recall
        at threshold 0.
    n_images_scanned, n_windows_scanned : int
        Work of the mining pass; of round 0, the windows drawn from.
    n_found : int
        Windows at or above the mining threshold, deduplicated and capped per picture.
    n_mined : int
        Windows added to the cache.
    n_images_capped : int
        Pictures that gave as many windows as ``n_negatives_per_image`` allows.
    n_over_limit : int
        Windows left out by ``n_negatives_per_round``.
    n_duplicates, n_evicted, n_refused : int
        Windows already held; easy ones that made room; newcomers that found none.
    limits : tuple of str
        Names of the limits that the round reached.
    complete : bool
        Whether every picture was scanned and no limit was reached.
    converged : bool
        Whether the pass was complete and added fewer than ``min_new_negatives`` windows, and
        later rounds would fit nothing larger.
    mined_false_positives_per_image : float or None
        Detections with a score of at least 0 per negative picture, by the detector that mined,
        that is of the round before. None in round 0.
    threshold : float
        Smallest score mined.
    classifier : dict
        What the learner says of its fit: C of a support vector machine, the number of trees.
    hinge_loss : float
        Mean squared hinge loss of the negatives held, after the fit.
    new_hinge_loss : float or None
        The same of the negatives mined in this round, before the fit. Far above ``hinge_loss``,
        the loop still learns. None in round 0.
    seed : int
        Of the run.
    seconds : dict
        By phase.
    evaluation : dict
        What the caller's evaluation returned.
    skipped : tuple of dict
        Pictures that could not be read, with the reason.
    view : int
        Which of several templates the round trained, 0 for the first.
    label : str
        The label that it stands for.
    n_held : int
        Negatives in the cache, of which the strategy may have chosen some.
    notes : dict
        What strategies did to the samples, by their text: how many are synthetic, or left out.
    """

    round: int
    n_positives: int
    positives_found: float
    n_negatives: int
    n_images_scanned: int
    n_windows_scanned: int
    n_found: int
    n_mined: int
    n_images_capped: int
    n_over_limit: int
    n_duplicates: int
    n_evicted: int
    n_refused: int
    limits: tuple[str, ...]
    complete: bool
    converged: bool
    mined_false_positives_per_image: float | None
    threshold: float
    classifier: dict[str, Any]
    hinge_loss: float
    new_hinge_loss: float | None
    seed: int
    seconds: dict[str, float]
    evaluation: dict[str, Any]
    skipped: tuple[dict[str, str], ...]
    view: int = 0
    label: str = "object"
    n_held: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        index: int,
        recipe: Recipe,
        pool: Pool,
        added: Added,
        state: TrainingState,
        samples: Samples,
        positive_scores: NDArray[np.float64],
        params: BootstrapParams,
        is_grown: bool,
        seconds: dict[str, float],
        evaluation: dict[str, Any],
    ) -> RoundRecord:
        """Return the record of a round from what each of its steps left behind."""
        limits = tuple(
            name
            for name, reached in (
                ("n_images_per_round", pool.n_images_left_out),
                ("n_negatives_per_image", pool.n_images_capped),
                ("n_negatives_per_round", pool.n_over_limit),
                ("max_cache_bytes", added.n_evicted + added.n_refused),
            )
            if reached
        )
        complete = not limits and not pool.skipped
        few = added.n_added < params.min_new_negatives
        new_loss = _squared_hinge(pool.scores) if index and len(pool) else None
        return cls(
            round=index,
            view=recipe.view,
            label=recipe.label,
            n_positives=len(samples.positives),
            positives_found=float(np.mean(positive_scores >= 0.0)),
            n_negatives=len(samples.negatives),
            n_held=len(state.cache),
            n_images_scanned=pool.n_images,
            n_windows_scanned=pool.n_windows,
            n_found=len(pool) + pool.n_over_limit,
            n_mined=added.n_added,
            n_images_capped=pool.n_images_capped,
            n_over_limit=pool.n_over_limit,
            n_duplicates=added.n_duplicates,
            n_evicted=added.n_evicted,
            n_refused=added.n_refused,
            limits=limits,
            complete=complete,
            converged=bool(index and is_grown and complete and few),
            mined_false_positives_per_image=pool.false_positives_per_image if index else None,
            threshold=pool.threshold,
            classifier=dict(state.memory),
            hinge_loss=_squared_hinge(state.cache.scores),
            new_hinge_loss=new_loss,
            seed=params.seed,
            seconds=seconds,
            evaluation=evaluation,
            skipped=tuple(skipped.to_dict() for skipped in pool.skipped),
            notes=dict(samples.notes),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the record, JSON-ready."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RoundRecord:
        """Return the record that :meth:`to_dict` wrote, from JSON."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        for name in ("limits", "skipped"):
            kept[name] = tuple(kept[name])
        return cls(**kept)


def _squared_hinge(scores: NDArray[np.float64]) -> float:
    """Return the mean squared hinge loss of negatives with these scores."""
    return float(np.mean(np.maximum(1.0 + scores, 0.0) ** 2)) if len(scores) else 0.0
