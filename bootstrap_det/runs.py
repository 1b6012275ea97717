"""A training run: train, evaluate after each round, write what people look at and resume from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det import __version__
from bootstrap_det._files import write_bytes, write_json
from bootstrap_det.arrays import limited_memory
from bootstrap_det.boxes import SAME_BOX
from bootstrap_det.channels import Channels
from bootstrap_det.data import Dataset, Skipped, by_group
from bootstrap_det.detector import Detector
from bootstrap_det.evaluation import ScanEvaluation, evaluate_detector
from bootstrap_det.hard_negatives import write_hard_negatives
from bootstrap_det.imbalance.hard import Bootstrap
from bootstrap_det.mining import (
    BootstrapParams,
    Callback,
    Recipe,
    RoundRecord,
    Strategy,
    TrainingState,
)
from bootstrap_det.mining.checkpoint import (
    check_start,
    files_of,
    load_checkpoint,
    load_pass,
    save_checkpoint,
    save_pass,
    save_start,
)
from bootstrap_det.mining.pool import Begun
from bootstrap_det.mining.records import notify
from bootstrap_det.refinement.params import RefineParams
from bootstrap_det.round_detections import (
    FINAL,
    FOLDER,
    write_detections,
    write_test_set,
)
from bootstrap_det.run_folder import RunFolder
from bootstrap_det.samples import Jitter
from bootstrap_det.training import TrainingResult, train_recipes
from bootstrap_det.versions import package_versions, python_version

SUMMARY_FORMAT = 1
_FREE = (  # what may differ between start and resume: the model does not depend on it
    "n_rounds", "n_jobs", "skip_bad", "max_memory_bytes", "scratch", "checkpoint_every",
)  # fmt: skip
_LEARNERS = {"svm": "linear SVM", "boosted": "boosted trees"}


@dataclass(frozen=True)
class Job:
    """All that a training run needs, resolved and read."""

    name: str
    train: Dataset
    negatives: Dataset
    recipes: tuple[Recipe, ...]
    out: Path
    test: Dataset | None = None
    detection_map: tuple[float, ...] = SAME_BOX
    strategy: Strategy = field(default_factory=Bootstrap)
    jitter: Jitter = field(default_factory=Jitter)
    params: BootstrapParams = field(default_factory=BootstrapParams)
    n_views: int = 1
    mirror_pairs: bool = False
    refinement: RefineParams | None = None
    command: str = ""
    overwrite: bool = False
    resume: bool = False

    @property
    def recipe(self) -> Recipe:
        """The first label's; all have the same channels, pyramid and learner."""
        return self.recipes[0]

    @property
    def labels(self) -> tuple[str, ...]:
        """What is trained."""
        return tuple(recipe.label for recipe in self.recipes)

    @property
    def test_by_label(self) -> Dataset | None:
        """The test set with the labels that templates are trained for."""
        return by_group(self.test) if self.test and self.strategy.by_group else self.test

    def headline(self) -> str:
        """Return two lines on what is going to happen."""
        sizes = dict.fromkeys("{}x{}".format(*recipe.window.size) for recipe in self.recipes)
        test = f", tested on {len(self.test)} pictures" if self.test else ", no test set"
        labels = f" of {len(self.labels)} labels" if len(self.labels) > 1 else ""
        return (
            f"{self.name}: {self.train.n_objects:,} objects{labels}, {len(self.negatives):,} "
            f"pictures to mine{test}\n{', '.join(sizes)} window, "
            f"{type(self.recipe.channels).__name__} + {_LEARNERS[self.recipe.learner.name]}, "
            f"{self.strategy.spec}, seed {self.params.seed}"
        )

    def fingerprint(self) -> dict[str, Any]:
        """Return what the state of the run depends on, one entry a thing that may change."""
        params = asdict(self.params)
        for free in _FREE:
            if free != "n_rounds" or params["n_negatives_last_round"] is None:
                del params[free]
        return {
            "version of bootstrap_det": __version__,
            **{f"training data ({name})": data.digest() for name, data in self.data().items()},
            "window": self.windows(),
            "features": _named(self.recipe.channels),
            "pyramid": self.recipe.pyramid.get_params(),
            "classifier": {"name": self.recipe.learner.name, **self.recipe.learner.get_params()},
            "n_views": self.n_views,
            "mirror_pairs": self.mirror_pairs,
            "strategy": self.strategy.spec,
            "jitter": asdict(self.jitter),
            **params,
        }

    def digest(self) -> str:
        """Return a text that changes with whatever the final detector depends on."""
        parts = {**self.fingerprint(), "n_rounds": self.params.n_rounds}
        if self.refinement is not None:
            parts["refinement"] = asdict(self.refinement)
        if self.test is not None:
            parts["test data"] = self.test.digest()
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def windows(self) -> dict[str, Any]:
        """Return the window of each label, JSON-ready."""
        return {recipe.label: asdict(recipe.window) for recipe in self.recipes}

    def data(self) -> dict[str, Dataset]:
        """Return what is trained on, by what it is for."""
        return {"positives": self.train, "negatives": self.negatives}


class _Writer(Callback):
    """Writes each round's files as the round ends."""

    def __init__(self, folder: RunFolder, job: Job) -> None:
        self.folder, self.job = folder, job
        self.fingerprint = job.fingerprint()
        self._files: dict[str, Any] | None = files_of(job.data())  # until they are kept
        self.records: list[RoundRecord] = []
        self.scans: list[ScanEvaluation] = []
        self._knows_test_set = False

    @property
    def several(self) -> bool:
        """Whether rounds are those of one of several templates."""
        return len(self.job.recipes) * self.job.n_views > 1

    def _keep_start(self) -> None:
        """Write what was started before anything else, for a resume to be compared with."""
        if self._files is not None:
            save_start(self.folder.writable(self.folder.start), self.fingerprint, self._files)
            self._files = None

    def earlier_states(self, callbacks: Sequence[Callback]) -> list[TrainingState]:
        """Return the state of each view that was begun.

        Raises
        ------
        DataError
            When data or parameters are others than those of the start.
        """
        check_start(self.folder.start, self.fingerprint, self.job.data())
        self._files = None
        states: list[TrainingState] = []
        for view in range(len(self.job.recipes) * self.job.n_views):
            state = self._earlier_state(view, callbacks)
            if state is None:
                break
            states.append(state)
            self.records += state.records
        return states

    def _earlier_state(self, view: int, callbacks: Sequence[Callback]) -> TrainingState | None:
        """Return where a view's training was, None where it had not begun."""
        recipe, params = self.job.recipes[view // self.job.n_views], self.job.params
        ended, begun = self.folder.checkpoint(view), self.folder.checkpoint_of_pass(view)
        if not (ended.is_file() or begun.is_file()):
            return None
        state = TrainingState(recipe.cache(params.max_cache_bytes), [])
        if ended.is_file():
            state = load_checkpoint(
                ended, self.fingerprint, self.job.negatives, recipe, params, callbacks
            )
        if begun.is_file():
            state.begun = load_pass(begun, self.fingerprint, params)
        return state

    def on_pictures_mined(self, recipe: Recipe, begun: Begun) -> None:
        self._keep_start()
        path = self.folder.checkpoint_of_pass(recipe.view)
        save_pass(self.folder.writable(path), begun, self.fingerprint)

    def on_round_end(self, record: RoundRecord, state: TrainingState) -> None:
        self._keep_start()
        earlier = [each for each in self.records if each.view < record.view]
        self.records = [*earlier, *state.records]
        lines = [json.dumps(each.to_dict(), allow_nan=False) for each in self.records]
        write_bytes(self.folder.file("rounds.jsonl"), ("\n".join(lines) + "\n").encode())
        name = f"{f'template_{record.view}_' if self.several else ''}round_{record.round}"
        if record.round and len(state.mined_scores):
            sheet = self.folder.file("hard_negatives", f"{name}.png")
            write_hard_negatives(state, self.job.negatives, sheet)
        if self.scans:
            self.keep_detections(f"{name}.json", record.round, record.view)
        assert state.whole is not None  # a round has ended
        state.whole.save(self.folder.file("model.bdet"))
        # Last, so that whatever a resume finds was finished.
        checkpoint = self.folder.writable(self.folder.checkpoint(record.view))
        save_checkpoint(checkpoint, state, self.fingerprint)

    def keep_detections(self, name: str, round_index: int | None, view: int = 0) -> None:
        """Write what the detector measured last found, and what it was measured against."""
        assert self.job.test is not None  # there are measures
        if not self._knows_test_set:
            write_test_set(self.scans[-1], self.job.test, self.folder.file)
            self._knows_test_set = True
        path = self.folder.file(FOLDER, name)
        write_detections(path, self.scans[-1], round_index=round_index, view=view)


def run_training(job: Job, *, callbacks: Sequence[Callback] = ()) -> dict[str, Any]:
    """Train, evaluate after every round, write the run folder; return the summary.

    Raises
    ------
    DataError
        When the folder cannot be used, data are missing or unreadable, or a resumed run differs.
    ParameterError
        When parameters do not fit each other or the data.
    """
    start = time.perf_counter()
    folder = RunFolder(job.out, overwrite=job.overwrite, resume=job.resume)
    with limited_memory(job.params.max_memory_bytes, job.params.scratch):
        return _run(job, folder, callbacks, start)


def _run(
    job: Job, folder: RunFolder, callbacks: Sequence[Callback], start: float
) -> dict[str, Any]:
    """Train in a folder, from its beginning or from where an earlier run was."""
    writer = _Writer(folder, job)
    states: list[TrainingState] = []
    folder.remove_leftovers()
    if job.resume and folder.begun:
        states = writer.earlier_states(callbacks)
        notify(callbacks, "on_resume", states)
    scans = writer.scans

    def evaluate(detector: Detector) -> dict[str, Any]:
        scans.append(_evaluate(job, detector, callbacks))
        return scans[-1].to_dict()

    result = train_recipes(
        job.train,
        job.negatives,
        job.recipes,
        jitter=job.jitter,
        n_views=job.n_views,
        mirror_pairs=job.mirror_pairs,
        strategy=job.strategy,
        refinement=job.refinement,
        params=job.params,
        evaluate=evaluate if job.test else None,
        callbacks=[writer, *callbacks],
        states=states,
    )
    changed = bool(result.detector.classes or result.refinement)
    measured_all = bool(scans) and len(job.recipes) == 1 and not changed
    # Else each label was measured alone, or before its last step, or a finished run is resumed.
    if job.test and not measured_all:
        evaluate(result.detector)
        writer.keep_detections(FINAL, None)
    else:  # of the run that this one goes on from
        (folder.path / FOLDER / FINAL).unlink(missing_ok=True)
    return _finish(job, folder, result, scans, time.perf_counter() - start)


def _evaluate(job: Job, detector: Detector, callbacks: Sequence[Callback]) -> ScanEvaluation:
    test = job.test if detector.classes else job.test_by_label
    assert test is not None  # the caller checks
    return evaluate_detector(
        detector,
        test,
        detection_map=job.detection_map,
        n_jobs=job.params.n_jobs,
        skip_bad=job.params.skip_bad,
        on_progress=lambda done, total: notify(callbacks, "on_progress", "evaluate", done, total),
    )


def _finish(
    job: Job,
    folder: RunFolder,
    result: TrainingResult,
    scans: list[ScanEvaluation],
    seconds: float,
) -> dict[str, Any]:
    """Write the final model with its provenance, the detections and the summary."""
    provenance = {
        "dataset": job.name,
        "data": {name: data.digest() for name, data in job.data().items()},
        "n_rounds": result.records[-1].round,
        "seed": job.params.seed,
        "n_positives": sum(len(each.rows) for each in result.positives.values()),
        "n_negatives": sum(len(state.cache) for state in result.states),
    }
    result.detector.replace(provenance=provenance).save(folder.file("model.bdet"))
    final = scans[-1] if scans else None
    if final is not None:
        category_ids = {label: i + 1 for i, label in enumerate(job.test.categories)}  # type: ignore[union-attr]
        for label in result.detector.names:
            category_ids.setdefault(label, len(category_ids) + 1)
        found = [entry for each in final.detections for entry in each.to_coco(category_ids)]
        write_bytes(folder.file("detections.json"), json.dumps(found).encode() + b"\n")
    summary = _summary(job, result, final, seconds)
    write_json(folder.file("summary.json"), summary)
    return summary


def _summary(
    job: Job, result: TrainingResult, final: ScanEvaluation | None, seconds: float
) -> dict[str, Any]:
    measured = final.to_dict() if final else {}
    names = ("recall_at_fppi", "recall_at_false_positives", "log_average_miss_rate")
    per_window = "miss_rate_at_1e-4_fppw"
    return {
        "format": SUMMARY_FORMAT,
        "version": __version__,
        "versions": {"python": python_version(), **package_versions()},
        "command": job.command,
        "dataset": job.name,
        "seed": job.params.seed,
        "strategy": job.strategy.spec,
        "features": _named(job.recipe.channels),
        "classifier": {
            "name": job.recipe.learner.name,
            **job.recipe.learner.get_params(),
            **result.records[-1].classifier,
        },
        "windows": job.windows(),
        "pyramid": job.recipe.pyramid.get_params(),
        "test": None if job.test_by_label is None else _description(job.test_by_label, job.labels),
        "rounds": [_round_summary(record) for record in result.records],
        "final": {
            "ap50": measured.get("ap"),
            "ap_by_iou": measured.get("ap_by_iou"),
            "ap_50_95": measured.get("ap_50_95"),
            **{name: measured.get(name) for name in (*names, per_window)},
            "false_positives_per_image": measured.get("false_positives_per_image"),
            "ms_per_image": measured.get("ms_per_image"),
            "n_objects": measured.get("n_objects"),
            "labels": measured.get("labels"),
            "confusion": measured.get("confusion"),
            "classes": measured.get("classes"),
        },
        "classes": result.classes or None,
        "refinement": result.refinement or None,
        "converged": all(state.converged for state in result.states),
        "n_objects": sum(each.n_objects for each in result.positives.values()),
        "unreachable_objects": [
            skipped.to_dict() for each in result.positives.values() for skipped in each.unreachable
        ],
        "notes": _notes(job),
        "skipped": _all_skipped(job, result, final),
        "seconds_total": round(seconds, 3),
    }


def _notes(job: Job) -> list[str]:
    """Return what there is to know of the data, each once."""
    parts = [*job.data().values(), *([job.test] if job.test else [])]
    return list(dict.fromkeys(note for part in parts for note in part.notes))


def _round_summary(record: RoundRecord) -> dict[str, Any]:
    measured = record.evaluation
    same = (
        "round", "view", "label", "n_positives", "positives_found", "n_negatives", "n_mined",
        "n_images_scanned", "n_windows_scanned",
        "n_images_capped", "n_over_limit", "n_evicted", "n_refused", "complete", "converged",
        "mined_false_positives_per_image", "notes",
    )  # fmt: skip
    return {
        **{name: getattr(record, name) for name in same},
        "false_positives_per_image": measured.get("false_positives_per_image"),
        "ap50": measured.get("ap"),
        "recall_at_fppi": measured.get("recall_at_fppi"),
        "miss_rate_at_1e-4_fppw": measured.get("miss_rate_at_1e-4_fppw"),
        "seconds": record.seconds,
    }


def _all_skipped(
    job: Job, result: TrainingResult, final: ScanEvaluation | None
) -> list[dict[str, str]]:
    """Return everything that was left out anywhere, each once."""
    read = [*job.train.skipped, *job.negatives.skipped, *(job.test.skipped if job.test else ())]
    scanned: list[Skipped] = [
        *(skipped for each in result.positives.values() for skipped in each.skipped),
        *(final.skipped if final else ()),
    ]
    mined = [entry for record in result.records for entry in record.skipped]
    entries = [*(skipped.to_dict() for skipped in (*read, *scanned)), *mined]
    return list({(entry["file"], entry["reason"]): entry for entry in entries}.values())


def _description(test: Dataset, labels: tuple[str, ...]) -> dict[str, Any]:
    counted = sum(int((p.targets & np.isin(p.labels, labels)).sum()) for p in test.pictures)
    return {"name": test.name, "n_images": len(test), "n_objects": counted, "labels": list(labels)}


def _named(channels: Channels) -> dict[str, Any]:
    return {"name": type(channels).__name__, **channels.get_params()}
