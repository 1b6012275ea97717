"""Strategies side by side: the same objects, budget and test pictures, several seeds.

A trial trains one detector with one strategy and one seed, and measures it. Trials run in
processes, each writes its outcome when it ends, and a comparison that was cut off goes on with
those that are missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bootstrap_det._files import write_json
from bootstrap_det._validation import check_int
from bootstrap_det.evaluation import evaluate_detector
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.imbalance import make_strategy
from bootstrap_det.runs import Job
from bootstrap_det.training import train_recipes
from bootstrap_det.workers import in_parallel

N_DEVIATIONS = 2.0  # a smaller difference is within noise


@dataclass(frozen=True)
class Outcome:
    """What one trial came to.

    Attributes
    ----------
    strategy : str
        Its text, as :func:`bootstrap_det.imbalance.make_strategy` takes it.
    seed : int
        Of everything random.
    ap : float
        Average precision at IoU 0.5 on the test pictures; of several labels their mean.
    recall_at_01, recall_at_1 : float
        Recall at 0.1 and at 1 false positive per picture.
    miss_rate : float
        Objects missed at 1e-4 false positives per window, before suppression.
    n_positives, n_negatives : int
        Samples that the last round was fitted on.
    n_windows : int
        Windows scanned for negatives in all rounds.
    seconds : float
        Of the training, on one thread beside other trials.
    fingerprint : str
        Of data and parameters.
    """

    strategy: str
    seed: int
    ap: float
    recall_at_01: float
    recall_at_1: float
    miss_rate: float
    n_positives: int
    n_negatives: int
    n_windows: int
    seconds: float
    fingerprint: str = ""


class Trial(Protocol):
    """What trains with a strategy and a seed; it must be picklable for several processes."""

    def job(self, strategy: str, seed: int) -> Job:
        """Return the run, its data read."""


@dataclass(frozen=True)
class JobTrial:
    """Trials of one run with other strategies and seeds."""

    base: Job

    def job(self, strategy: str, seed: int) -> Job:
        """Return the run with this strategy and seed."""
        remedy = make_strategy(strategy)
        if remedy.by_group:
            raise ParameterError(
                f"The strategy {strategy!r} trains other labels than the others, so that their "
                "measures cannot be compared. Leave it out; `train --strategy` measures it alone."
            )
        recipes = tuple(
            replace(recipe, learner=remedy.learner(recipe.learner)) for recipe in self.base.recipes
        )
        params = replace(self.base.params, seed=seed, n_jobs=1, scratch=None)
        return replace(self.base, strategy=remedy, recipes=recipes, params=params)


def run_trial(trial: Trial, strategy: str, seed: int) -> Outcome:
    """Train and measure one detector.

    Raises
    ------
    ParameterError
        When there are no test pictures.
    """
    job = trial.job(strategy, seed)
    if job.test is None:
        raise ParameterError(
            "A comparison needs test pictures. Give --test-dataset or --test-data."
        )
    start = time.perf_counter()
    result = train_recipes(
        job.train, job.negatives, job.recipes, jitter=job.jitter, n_views=job.n_views,
        mirror_pairs=job.mirror_pairs, strategy=job.strategy, params=job.params,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    measured = evaluate_detector(
        result.detector, job.test, detection_map=job.detection_map, skip_bad=job.params.skip_bad
    ).to_dict()
    last = [state.records[-1] for state in result.states]
    return Outcome(
        strategy=strategy,
        seed=seed,
        ap=measured["ap"],
        recall_at_01=measured["recall_at_fppi"]["0.1"],
        recall_at_1=measured["recall_at_fppi"]["1"],
        miss_rate=measured["miss_rate_at_1e-4_fppw"]["rate"],
        n_positives=sum(record.n_positives for record in last),
        n_negatives=sum(record.n_negatives for record in last),
        n_windows=sum(
            record.n_windows_scanned
            for record in result.records
            if record.mined_false_positives_per_image is not None
        ),
        seconds=round(seconds, 2),
        fingerprint=job.digest(),
    )


def compare_strategies(
    trial: Trial,
    strategies: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    n_jobs: int = 1,
    on_outcome: Callable[[Outcome, bool], Any] | None = None,
) -> list[Outcome]:
    """Run every strategy with every seed, but for those whose outcome is there.

    Parameters
    ----------
    trial : Trial
        What is trained.
    strategies : sequence of str
        Their texts, each once.
    seeds : sequence of int
        The same for every strategy.
    out : Path
        Folder of the outcomes, one JSON a trial.
    n_jobs : int, default=1
        Trials at a time, in processes of one thread.
    on_outcome : callable or None, default=None
        Called with each outcome, and whether it was there before.

    Returns
    -------
    list of Outcome
        By strategy, then by seed.

    Raises
    ------
    ParameterError
        When a strategy does not exist or does not fit, or is given twice.
    DataError
        When an outcome that is there was measured with other data or parameters.
    """
    check_int(n_jobs, "n_jobs", "compare_strategies", low=1, high=1024)
    _check_strategies(trial, strategies, seeds)
    wanted = [(strategy, seed) for strategy in strategies for seed in seeds]
    found: dict[tuple[str, int], Outcome] = {}
    for key in wanted:
        if (path := outcome_path(out, *key)).is_file():
            found[key] = _read(path, trial.job(*key).digest())
            if on_outcome:
                on_outcome(found[key], True)
    missing = [key for key in wanted if key not in found]
    work = partial(run_trial, trial)
    for outcome in in_parallel(work, missing, n_jobs=n_jobs, prefer="processes", as_ready=True):
        out.mkdir(parents=True, exist_ok=True)
        write_json(outcome_path(out, outcome.strategy, outcome.seed), asdict(outcome))
        found[outcome.strategy, outcome.seed] = outcome
        if on_outcome:
            on_outcome(outcome, False)
    return [found[key] for key in wanted]


def outcome_path(out: Path, strategy: str, seed: int) -> Path:
    """Return where the outcome of a trial is written."""
    safe = strategy.replace(":", "_").replace("/", "-")
    return out / f"{safe}_seed{seed}.json"


def _check_strategies(trial: Trial, strategies: Sequence[str], seeds: Sequence[int]) -> None:
    """Refuse what would fail in the middle, before anything is trained."""
    for what, values in (("strategies", strategies), ("seeds", seeds)):
        twice = sorted({str(value) for value in values if list(values).count(value) > 1})
        if twice or not values:
            raise ParameterError(
                f"The {what} of a comparison must be there, each once. Got "
                f"{', '.join(twice) + ' twice' if twice else 'none'}."
            )
    for strategy in strategies:
        trial.job(strategy, seeds[0])


def _read(path: Path, fingerprint: str) -> Outcome:
    """Return an outcome that was written before."""
    names = {field.name for field in fields(Outcome)}
    try:
        values = json.loads(path.read_bytes())
        outcome = Outcome(**{name: values[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is no outcome of a trial ({error}). Remove it.") from None
    if outcome.fingerprint != fingerprint:
        raise DataError(
            f"{path}: was measured with other data or parameters. Give --overwrite to measure "
            "anew, or another --out."
        )
    return outcome


@dataclass(frozen=True)
class Row:
    """One strategy of a comparison: means, deviations, and what they say.

    Attributes
    ----------
    strategy : str
        Its text.
    mean, deviation : dict of str to float
        Of each measure over the seeds; the deviation is that of a sample, NaN for one seed.
    difference : float
        Of the mean AP from that of the first strategy.
    verdict : {"baseline", "better", "worse", "within noise", "one seed"}
        Whether the difference is more than two deviations of the difference of two runs.
    """

    strategy: str
    mean: dict[str, float]
    deviation: dict[str, float]
    difference: float
    verdict: str


MEASURES = tuple(
    field.name for field in fields(Outcome) if field.name not in ("strategy", "seed", "fingerprint")
)


def summarise(outcomes: Sequence[Outcome]) -> list[Row]:
    """Return a row for each strategy; the first one is what the others are compared with.

    A difference in AP counts when it exceeds twice ``sqrt(s1 * s1 + s2 * s2)``, in which s1 and s2
    are the deviations of single runs over the seeds. That asks more than the mean of the seeds
    would, and says nothing of other objects and pictures.
    """
    names = list(dict.fromkeys(outcome.strategy for outcome in outcomes))
    table = {
        name: np.array(
            [[getattr(o, measure) for measure in MEASURES] for o in outcomes if o.strategy == name],
            dtype=np.float64,
        )
        for name in names
    }
    base = table[names[0]]
    return [_row(name, values, base, name == names[0]) for name, values in table.items()]


def _row(name: str, values: Any, base: Any, is_base: bool) -> Row:
    mean, deviation = values.mean(axis=0), _deviation(values)
    ap = MEASURES.index("ap")
    difference = float(mean[ap] - base[:, ap].mean())
    noise = N_DEVIATIONS * float(np.hypot(deviation[ap], _deviation(base)[ap]))
    if is_base:
        verdict = "baseline"
    elif np.isnan(noise):
        verdict = "one seed"
    elif abs(difference) <= noise:
        verdict = "within noise"
    else:
        verdict = "better" if difference > 0 else "worse"
    return Row(
        name,
        dict(zip(MEASURES, mean.tolist(), strict=True)),
        dict(zip(MEASURES, deviation.tolist(), strict=True)),
        difference,
        verdict,
    )


def _deviation(values: Any) -> Any:
    return values.std(axis=0, ddof=1) if len(values) > 1 else np.full(values.shape[1], np.nan)
