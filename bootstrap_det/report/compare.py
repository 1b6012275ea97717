"""Runs side by side on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bootstrap_det._files import write_bytes
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.report.figures import Plot, curve_plots, fall_plots
from bootstrap_det.report.folder import Run, read_run
from bootstrap_det.report.html import number, plain, render
from bootstrap_det.report.numbers import LEARNERS, Round, Table, by_label
from bootstrap_det.report.peers import curve_of
from bootstrap_det.round_detections import TestSet

_COMPARED = (
    "dataset", "seed", "strategy", "features", "classifier", "windows", "pyramid", "test",
    "version", "versions", "refinement",
)  # fmt: skip


def write_runs_page(folders: Sequence[Path], out: Path) -> Path:
    """Write a page that puts runs side by side; return where.

    Parameters
    ----------
    folders : sequence of Path
        At least two run folders.
    out : Path
        The page.

    Raises
    ------
    ParameterError
        When there are fewer than two.
    DataError
        When a folder is not that of a finished run, or the page cannot be written.
    """
    if len(folders) < 2:
        raise ParameterError(f"To compare, give at least two runs. Got {len(folders)}.")
    runs = [read_run(folder) for folder in folders]
    names = _names(runs)
    page = render(
        "runs.html",
        title=f"{len(runs)} runs side by side",
        names=names,
        headlines=_headlines(runs, names),
        notes=_notes(runs, names),
        fall=_fall(runs, names),
        curves=_curves(runs, names),
        differences=_differences(runs, names),
        commands=[(name, run.summary["command"]) for name, run in zip(names, runs, strict=True)],
    )
    write_bytes(out, page.encode())
    return out


def _names(runs: Sequence[Run]) -> list[str]:
    """Return the folders' names, or their paths where two have one name."""
    own = [run.name for run in runs]
    paths = [str(run.path) for run in runs]
    if len(set(own)) == len(own):
        return own
    if len(set(paths)) == len(paths):
        return paths
    return [f"{index}: {path}" for index, path in enumerate(paths, start=1)]


def _headlines(runs: Sequence[Run], names: Sequence[str]) -> Table:
    rows = []
    for name, run in zip(names, runs, strict=True):
        final, classifier = run.summary["final"], run.summary["classifier"]["name"]
        recalls = final.get("recall_at_fppi") or {}
        rows.append([
            name, f"{run.summary['features']['name']}, {LEARNERS.get(classifier, classifier)}",
            str(max(each["round"] for each in run.summary["rounds"])), number(final.get("ap50")),
            number(recalls.get("0.1")), number(recalls.get("1")),
            number(final.get("false_positives_per_image"), 2),
            number(final.get("ms_per_image"), 1), number(run.summary["seconds_total"], 0),
        ])  # fmt: skip
    head = ["run", "detector", "rounds", "AP", "recall at 0.1", "recall at 1",
            "false positives per picture", "ms per picture", "training, s"]  # fmt: skip
    caption = (
        "Final detectors: average precision at IoU 0.5, recalls at 0.1 and 1 false positives per "
        "picture, false positives at score 0."
    )
    return Table(caption, head, rows)


def _notes(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """Return what keeps the runs from being compared."""
    notes = [
        f"{name} keeps no detections, so it is in the table alone."
        for name, run in zip(names, runs, strict=True)
        if not run.stages
    ]
    tests = [(name, run.test) for name, run in zip(names, runs, strict=True) if run.test]
    notes += [
        f"{name} was measured on other pictures or annotations than {tests[0][0]}: their measures "
        "do not compare."
        for name, test in tests[1:]
        if not _same_test(tests[0][1], test)
    ]
    several = [n for n, run in zip(names, runs, strict=True) if len(by_label(run)) > 1]
    if several:
        notes.append(f"Of several templates, so without a line by round: {', '.join(several)}.")
    return notes


def _same_test(one: TestSet, other: TestSet) -> bool:
    if len(one.pictures) != len(other.pictures):
        return False
    return all(
        a.name == b.name
        and np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.labels, b.labels)
        and np.array_equal(a.targets, b.targets)
        for a, b in zip(one.pictures, other.pictures, strict=True)
    )


def _fall(runs: Sequence[Run], names: Sequence[str]) -> list[Plot]:
    series: list[tuple[str, Sequence[Round]]] = []
    for name, run in zip(names, runs, strict=True):
        own = by_label(run)
        if len(own) == 1 and own[0][1][-1].get("false_positives_per_image") is not None:
            series.append((name, own[0][1]))
    return fall_plots(series, measured=True, each="run") if series else []


def _curves(runs: Sequence[Run], names: Sequence[str]) -> dict[str, Plot]:
    last = [
        (name, run.stages[-1].matches) for name, run in zip(names, runs, strict=True) if run.stages
    ]
    if not last:
        return {}
    curves = [curve_of(name, matches) for name, matches in last]
    return curve_plots(curves, None, max(matches.n_images for _, matches in last))


def _differences(runs: Sequence[Run], names: Sequence[str]) -> Table:
    """Return the parameters that are not the same in all runs."""
    every = [_flat({key: run.summary.get(key) for key in _COMPARED}) for run in runs]
    keys = list(dict.fromkeys(key for flat in every for key in flat))
    rows = [
        [key, *(flat.get(key, "-") for flat in every)]
        for key in keys
        if len({flat.get(key, "-") for flat in every}) > 1
    ]
    caption = f"{len(rows)} of {len(keys)} parameters and versions differ."
    return Table(caption, ["parameter", *names], rows)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values by their path, as texts."""
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found.update(_flat(value, f"{name}: "))
        else:
            found[name] = plain(value)
    return found
