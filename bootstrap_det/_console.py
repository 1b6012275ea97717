"""What a run prints: a progress bar, a line a round, a table at the end. All of it on stderr."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bootstrap_det._terminal import make_console, printable
from bootstrap_det.mining import Callback, RoundRecord, TrainingState

MAX_MISTAKES = 8  # kinds of them to print of each group
MIN_POSITIVES_FOUND = 0.5  # below it, a detector is likely to find little

_PHASES = {
    "positives": "cutting positives",
    "mine": "scanning negatives",
    "features": "cutting negatives",
    "evaluate": "testing",
    "refine": "refining boxes",
    "calibrate": "calibrating the groups",
}
_OUTSIDE_ROUNDS = ("positives", "refine", "calibrate")


class RunDisplay(Callback):
    """A progress bar with the remaining time, and one line after each round."""

    def __init__(self, console: Console, n_templates: int = 1) -> None:
        self.console, self.n_templates = console, n_templates
        self.progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task = self.progress.add_task("starting", total=None)
        self._round = 0

    def on_resume(self, states: Sequence[TrainingState]) -> None:
        state = states[-1] if states else None
        if state is None or not (state.records or state.begun):
            where = "the beginning"
        elif state.begun is not None and state.begun.round == len(state.records):
            mined = f"{state.begun.n_done:,} pictures"
            where = f"round {state.begun.round}, {mined} of which were mined already"
        else:
            where = f"round {len(state.records)}"
        self.console.print(f"resumed: going on with {where}", highlight=False)

    def on_round_begin(self, round_index: int) -> None:
        self._round = round_index

    def on_progress(self, phase: str, n_done: int, n_total: int) -> None:
        name = _PHASES.get(phase, phase)
        if n_done == n_total and phase in ("mine", "features"):
            name = "fitting"  # what follows cannot be counted
        text = name if phase in _OUTSIDE_ROUNDS else f"round {self._round}: {name}"
        if n_done == 1:  # the remaining time is that of this phase
            self.progress.reset(self._task, total=n_total)
        self.progress.update(self._task, description=text, completed=n_done, total=n_total)

    def on_round_end(self, record: RoundRecord, state: TrainingState) -> None:
        if self.n_templates > 1 and not record.round:
            which = f"{record.label}, template {record.view + 1} of {self.n_templates}"
            self.console.print(which, highlight=False)
        self.console.print(round_line(record), highlight=False)
        if record.positives_found < MIN_POSITIVES_FOUND:
            self.console.print(
                f"  only {record.positives_found:.0%} of the training objects score at "
                "least 0: give more objects,\n  more rounds, or detect with a lower --threshold",
                style="yellow",
            )
        if record.converged:
            self.console.print("  converged: a complete pass found next to nothing new")


class DetectionDisplay:
    """A progress bar for pictures and frames; nothing where stderr is no terminal.

    Parameters
    ----------
    hidden : bool, default=False
        Show nothing anyway.
    """

    def __init__(self, *, hidden: bool = False) -> None:
        console = make_console()
        self.progress = Progress(
            TextColumn("{task.description:<20.20}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=hidden or not console.is_terminal,
            redirect_stdout=sys.stdout.isatty(),  # else results would go to stderr
        )
        self._task = self.progress.add_task("starting", total=None)
        self._name = ""

    def on_progress(self, name: str, n_done: int, n_total: int | None) -> None:
        """Show how many pictures or frames are done; the remaining time is that of one source."""
        if name != self._name:
            self.progress.reset(self._task, total=n_total, description=printable(name))
            self._name = name
        self.progress.update(self._task, completed=n_done)


def round_line(record: RoundRecord) -> str:
    """Return one line of at most 80 columns on a round."""
    measured = record.evaluation
    recall = (measured.get("recall_at_fppi") or {}).get("1")
    before = record.mined_false_positives_per_image
    rate = measured.get("false_positives_per_image", before)
    return (
        f"round {record.round}  neg {record.n_negatives:>6,}  mined {record.n_mined:>6,}  "
        f"fp/img {_number(rate, 2):>6}  recall {_number(recall, 3)}  "
        f"AP {_number(measured.get('ap'), 3)}  {sum(record.seconds.values()):4.0f} s"
    )


def summary_table(summary: dict[str, Any]) -> Table:
    """Return the rounds of a run as a table."""
    table = Table(title=None, box=None, header_style="bold", pad_edge=False)
    several = len({entry["label"] for entry in summary["rounds"]}) > 1
    if several:
        table.add_column("label")
    for heading in ("round", "negatives", "mined", "fp/image", "recall@1", "AP@0.5", "seconds"):
        table.add_column(heading, justify="right")
    for entry in summary["rounds"]:
        table.add_row(
            *([entry["label"]] if several else []),
            str(entry["round"]),
            f"{entry['n_negatives']:,}",
            f"{entry['n_mined']:,}",
            _number(entry["false_positives_per_image"], 2),
            _number((entry["recall_at_fppi"] or {}).get("1"), 3),
            _number(entry["ap50"], 3),
            f"{sum(entry['seconds'].values()):.1f}",
        )
    return table


def print_labels(measures: dict[str, Any], console: Console | None = None) -> None:
    """Print the measures of several labels, and which is taken for which."""
    console = console or make_console(stderr=False)
    for table in (labels_table(measures), confusion_table(measures["confusion"])):
        console.print()
        console.print(table)


def labels_table(measures: dict[str, Any]) -> Table:
    """Return the measures of several labels as a table, their means below."""
    table = Table(title=None, box=None, header_style="bold", pad_edge=False)
    table.add_column("label")
    for heading in ("objects", "fp/image", "recall@1", "AP@0.5"):
        table.add_column(heading, justify="right")
    for name, each in [*measures["labels"].items(), ("all: sums and means", measures)]:
        table.add_row(
            name,
            _number(each.get("n_objects"), 0),
            _number(each["false_positives_per_image"], 2),
            _number(each["recall_at_fppi"]["1"], 3),
            _number(each.get("ap", each.get("ap50")), 3),
        )
    return table


def confusion_table(confusion: dict[str, Any]) -> Table:
    """Return which label is taken for which as a table."""
    table = Table(title=None, box=None, header_style="bold", pad_edge=False)
    table.add_column("is \\ found as")
    for heading in [*confusion["labels"], "nothing"]:
        table.add_column(heading, justify="right")
    for name, row in zip([*confusion["labels"], "nothing"], confusion["counts"], strict=True):
        table.add_row(name, *map(str, row))
    return table


def print_classes(classes: dict[str, Any], console: Console | None = None) -> None:
    """Print how well classes are told apart inside groups, as lines and tables."""
    console = console or make_console(stderr=False)
    console.print()
    console.print(classes_table(classes))
    for group, entry in classes["groups"].items():
        lines = mistakes(entry["confusion"])
        if lines:
            console.print(f"\ntaken for another class of {group}:", highlight=False)
        for line in lines:
            console.print(f"  {line}", highlight=False)


def classes_table(classes: dict[str, Any]) -> Table:
    """Return the second level's measures by group as a table."""
    table = Table(title=None, box=None, header_style="bold", pad_edge=False)
    table.add_column("classes inside")
    for heading in ("found", "right class", "mean AP@0.5"):
        table.add_column(heading, justify="right")
    for group, entry in classes["groups"].items():
        own = [classes["ap"][name] for name in entry["confusion"]["labels"]]
        known = [ap for ap in own if ap is not None]
        mean = sum(known) / len(known) if known else None
        table.add_row(group, str(entry["n_found"]), _number(entry["accuracy"], 3), _number(mean, 3))
    table.add_row(
        "all", str(classes["n_found"]), _number(classes["accuracy"], 3),
        _number(classes["mean_ap"], 3),
    )  # fmt: skip
    return table


def mistakes(confusion: dict[str, Any], *, most: int = MAX_MISTAKES) -> list[str]:
    """Return which class was taken for which, the most frequent mistakes first."""
    names, counts = confusion["labels"], confusion["counts"]
    wrong = [
        (counts[row][column], names[row], names[column])
        for row in range(len(names))
        for column in range(len(names))
        if row != column and counts[row][column]
    ]
    wrong.sort(key=lambda each: (-each[0], *each[1:]))
    lines = [textwrap.shorten(f"{n} {was} as {found}", 76) for n, was, found in wrong[:most]]
    more = sum(n for n, _, _ in wrong[most:])
    return [*lines, *([f"{more} others, in the JSON"] if more else [])]


def print_summary(console: Console, summary: dict[str, Any], out: Path) -> None:
    """Print the table, what was left out, and where the files are."""
    console.print()
    console.print(summary_table(summary))
    test = summary["test"]
    if summary["final"].get("labels"):
        print_labels(summary["final"], console)
    if summary["final"].get("classes"):
        print_classes(summary["final"]["classes"], console)
    if test:
        console.print(
            f"\nmeasured on {test['name']}: {test['n_images']} pictures, {test['n_objects']} "
            "objects\nfp/image: detections of score 0 and more that hit nothing\n"
            "recall@1: objects found at 1 false positive per picture"
        )
    for group, fit in (summary["classes"] or {}).items():
        if fit["rare"]:
            few = ", ".join(f"{name} ({fit['n_objects'][name]})" for name in fit["rare"])
            console.print(
                f"{len(fit['rare'])} rare classes of {group}, objects to train on in "
                f"brackets: {few}", highlight=False, style="yellow",
            )  # fmt: skip
    for line in refinement_lines(summary.get("refinement") or {}):
        console.print(line, highlight=False)
    for note in summary["notes"]:
        console.print(f"note: {note}", style="dim")
    for what, entries in (
        ("skipped", summary["skipped"]),
        ("objects no window can reach", summary["unreachable_objects"]),
    ):
        if entries:
            first = entries[0]
            console.print(
                f"{len(entries)} {what}, the first: {first['file']}: {first['reason']} "
                "(all of them in summary.json)",
                style="yellow",
            )
    console.print(f"\n{summary['seconds_total']:.0f} s in all. The files are in {out}:")
    for name, what in (
        ("report.html", "all of it as one page: open it in a browser"),
        ("model.bdet", "the detector: bootstrap-det detect --model ..."),
        ("summary.json", "every number of this run"),
        ("hard_negatives/", "what each round mined, the hardest first"),
        ("detections.json", "COCO results on the test pictures"),
    ):
        if (out / name).exists():
            console.print(f"  {name:<16} {what}", highlight=False)


def refinement_lines(told: dict[str, Any]) -> list[str]:
    """Return what was learnt of boxes and places, a line of at most 80 columns each."""
    lines = []
    for entry in told.get("boxes", ()):
        name = f"{entry['label']}, template {entry['template']}, stage {entry['stage'] + 1}"
        if "skipped" in entry:
            lines += textwrap.wrap(f"boxes of {name}: left alone, {entry['skipped']}", 80)
            continue
        before, after = (_number(entry[key], 3) for key in ("iou_before", "iou_after"))
        lines += textwrap.wrap(
            f"boxes of {name}: held-out overlap {before} -> {after}, from {entry['n_windows']:,} "
            f"windows of {entry['n_objects']:,} objects", 80, subsequent_indent="  ",
        )  # fmt: skip
    if "location" in told:
        place = told["location"]
        lines += textwrap.wrap(
            f"location: {place['share_lost']:.2%} of the objects lie outside the likely "
            f"{place['share_windows']:.0%} of the windows ({place['use']})", 80,
        )  # fmt: skip
    return lines


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _overlap_rows(measures: dict[str, Any]) -> list[tuple[str, str]]:
    """Return rows on how well boxes lie, where that was measured."""
    if "ap_by_iou" not in measures:
        return []
    return [
        ("AP at IoU 0.75", _number(measures["ap_by_iou"]["0.75"], 3)),
        ("mean AP at IoU 0.5 to 0.95", _number(measures["ap_50_95"], 3)),
    ]


def measures_text(measures: dict[str, Any]) -> str:
    """Return the measures of an evaluation as lines."""
    windows = measures.get("miss_rate_at_1e-4_fppw")
    rates = measures["recall_at_fppi"]
    rule = {"iou": "IoU"}.get(measures["agreement"], measures["agreement"])
    rows = [
        (f"AP at {rule} {measures['iou_threshold']:g}", _number(measures["ap"], 3)),
        *_overlap_rows(measures),
        ("area under the curve", _number(measures["area_under_curve"], 3)),
        ("recall at equal error", _number(measures["recall_at_equal_error"], 3)),
        *((f"recall at {rate} fp/image", _number(value, 3)) for rate, value in rates.items()),
        *(
            (f"recall at {count} fp", _number(value, 3))
            for count, value in measures["recall_at_false_positives"].items()
        ),
        ("log-average miss rate", _number(measures["log_average_miss_rate"], 3)),
        ("fp/image at score 0", _number(measures["false_positives_per_image"], 2)),
    ]
    if windows:
        bound = "at most " if windows["is_upper_bound"] else ""
        rows.append(("missed at 1e-4 fp/window", bound + _number(windows["rate"], 3)))
    if "ms_per_image" in measures:
        rows.append(("ms per picture (median)", _number(measures["ms_per_image"], 1)))
    rows.append(("pictures, objects", f"{measures['n_images']}, {measures['n_objects']}"))
    rows += [
        ("skipped", f"{each['file']}: {each['reason']}") for each in measures.get("skipped", [])
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
