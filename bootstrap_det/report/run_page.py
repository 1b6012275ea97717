"""The page of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bootstrap_det._files import write_bytes
from bootstrap_det.exceptions import DataError
from bootstrap_det.report import numbers
from bootstrap_det.report.anatomy import MAX_TEMPLATES, portraits
from bootstrap_det.report.figures import Plot, curve_plots, fall_plots
from bootstrap_det.report.folder import Run, read_run
from bootstrap_det.report.html import render
from bootstrap_det.report.mistakes import (
    MAX_SHEETS,
    false_crops,
    hard_negative_sheets,
    missed_crops,
)
from bootstrap_det.report.peers import Curve, Peer, curve_of, read_peer
from bootstrap_det.report.pixels import Album
from bootstrap_det.report.viewer import Viewer, make_viewer

NAME = "report.html"
MAX_BYTES = 8_000_000
_MAX_SKIPPED = 40  # entries listed; all are counted


@dataclass(frozen=True)
class Size:
    """How many pictures a page holds, and how large they are.

    Attributes
    ----------
    side : int
        Longer side of a thumbnail, pixels.
    n_shown : int
        Pictures with a slider.
    n_crops : int
        Crops of each kind of mistake.
    quality : int
        Of the JPEGs of contact sheets.
    """

    side: int
    n_shown: int
    n_crops: int
    quality: int


# The first that fits into the limit is taken.
SIZES = (
    Size(480, 24, 24, 82), Size(400, 16, 24, 70), Size(320, 12, 16, 60), Size(240, 12, 12, 50),
    Size(160, 8, 8, 40), Size(120, 4, 4, 25),
)  # fmt: skip


def write_report(
    folder: Path,
    *,
    out: Path | None = None,
    peers: Mapping[str, Path] | None = None,
    images: Path | None = None,
) -> Path:
    """Write a run's page, from its folder and the test pictures alone; return where.

    Parameters
    ----------
    folder : Path
        As ``train`` writes it.
    out : Path or None, default=None
        The page; by default ``report.html`` in the folder.
    peers : mapping of str to Path or None, default=None
        Other detectors by name: COCO results on the same pictures, or published points, see
        :mod:`bootstrap_det.report.peers`.
    images : Path or None, default=None
        Where the test pictures are now; by default where they were.

    Raises
    ------
    DataError, ModelFormatError
        When the folder is not that of a finished run, a file or the model is damaged, or the page
        cannot be written.
    """
    run = read_run(folder, images)
    others = [read_peer(name, path, run) for name, path in (peers or {}).items()]
    target = out or folder / NAME
    write_bytes(target, make_page(run, others).encode())
    return target


def make_page(run: Run, peers: list[Peer] | None = None, *, max_bytes: int = MAX_BYTES) -> str:
    """Return a run's page of less than ``max_bytes`` bytes.

    Where it would be larger, thumbnails get smaller and fewer, and the page says so.

    Raises
    ------
    DataError
        When even a page of the smallest pictures is too large.
    """
    for size in SIZES:
        page = _page(run, peers or [], size)
        n_bytes = len(page.encode())
        if n_bytes < max_bytes:
            return page
    raise DataError(
        f"{run.path}: its page has {n_bytes / 1e6:.1f} MB with the smallest pictures, more than "
        f"{max_bytes / 1e6:.1f} MB. Remove sheets from hard_negatives, or files from "
        "rounds_detections."
    )


def _page(run: Run, peers: list[Peer], size: Size) -> str:
    summary, final = run.summary, run.summary["final"]
    viewer, pictures = _pictures(run, size)
    shown, n_templates = portraits(run.detector)
    return render(
        "run.html",
        script="viewer.js" if viewer else None,
        data=viewer.data if viewer else None,
        title=f"{run.name}: {numbers.subtitle(run)}",
        subtitle=numbers.subtitle(run),
        run=run,
        summary=summary,
        headline=numbers.headline(run),
        story=numbers.story(run),
        facts=numbers.facts(run),
        rounds=numbers.rounds_table(run),
        fall=fall_plots(numbers.by_label(run), measured=_is_measured(run)),
        curves=_curves(run, peers),
        peers=peers,
        viewer=viewer,
        **pictures,
        sheets=hard_negative_sheets(run, size.quality),
        max_sheets=MAX_SHEETS,
        portraits=shown,
        n_templates=n_templates,
        max_templates=MAX_TEMPLATES,
        label_tables=_label_tables(final),
        times=numbers.times_table(run),
        left_out=numbers.left_out(run),
        n_detections_left_out=sum(stage.found.n_left_out for stage in run.stages),
        max_skipped=_MAX_SKIPPED,
        reduced=size if size != SIZES[0] else None,
        refinement=summary.get("refinement"),
        settings={name: summary[name] for name in ("features", "classifier", "windows", "pyramid")},
    )


def _pictures(run: Run, size: Size) -> tuple[Viewer | None, dict[str, Any]]:
    """Return the viewer, and the crops of mistakes; nothing of a run without a test set."""
    nothing: dict[str, Any] = {"missed": None, "alarms": None, "n_gone": 0, "first_gone": ""}
    if run.test is None or not run.stages:
        return None, nothing
    album = Album(run.test.pictures)
    viewer = make_viewer(run, run.test, album, side=size.side, n_shown=size.n_shown)
    last = run.stages[-1]
    missed = missed_crops(last, run.test, album, size.n_crops)
    alarms = false_crops(last, run.test, album, size.n_crops)
    gone = [album.gone[index] for index in sorted(album.gone)]
    first = gone[0] if gone else ""
    return viewer, {
        "missed": missed, "alarms": alarms, "n_gone": len(gone), "first_gone": first,
    }  # fmt: skip


def _curves(run: Run, peers: list[Peer]) -> dict[str, Plot]:
    """Return the curves of each round; of several labels, the final detector's by label."""
    if not run.stages:
        return {}
    last = run.stages[-1]
    if len(run.labels) > 1:
        own = [curve_of("all labels", last.matches)]
        own += [curve_of(name, each.matches) for name, each in last.evaluations.by_label.items()]
        strong = 0
    else:
        own = [curve_of(stage.name, stage.matches) for stage in run.stages]
        strong = len(own) - 1
    lines: list[Curve] = [*own, *(replace(peer.curve) for peer in peers)]
    return curve_plots(lines, strong, last.matches.n_images)


def _is_measured(run: Run) -> bool:
    return any(each.get("false_positives_per_image") is not None for each in run.summary["rounds"])


def _label_tables(final: dict[str, Any]) -> list[numbers.Table]:
    tables = []
    if final.get("labels"):
        tables.append(numbers.labels_table(final))
    if final.get("confusion"):
        tables.append(numbers.confusion_table(final["confusion"]))
    if final.get("classes"):
        tables += numbers.classes_tables(final["classes"])
    return tables
