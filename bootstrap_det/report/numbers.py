"""The numbers of a run as headlines, sentences and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bootstrap_det.report.folder import Run
from bootstrap_det.report.html import number, plain

LEARNERS = {"svm": "linear SVM", "boosted": "boosted trees"}
MAX_ROWS = 60  # of a table

Round = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows."""

    caption: str
    head: list[str]
    rows: list[list[str]]


def by_label(run: Run) -> list[tuple[str, list[Round]]]:
    """Return each label's rounds; of several templates of a label, one after the other."""
    found: dict[str, list[Round]] = {}
    for entry in run.summary["rounds"]:
        name = str(entry["label"])
        key = f"{name}, template {entry['view'] + 1}" if _has_views(run, name) else name
        found.setdefault(key, []).append(entry)
    return list(found.items())


def headline(run: Run) -> list[tuple[str, str, str]]:
    """Return the figures at the top: value, what it is, and on what."""
    final, test = run.summary["final"], run.summary.get("test")
    if not test or final.get("ap50") is None:
        return [
            (f"{run.summary.get('n_objects', 0):,}", "objects trained on", "no test set measured"),
            (f"{_share_found(run):.0%}", "of them score at least 0", "after the last round"),
            (f"{run.summary['seconds_total']:.0f} s", "training in all", ""),
        ]
    recalls = final.get("recall_at_fppi") or {}
    mean = "mean of the labels" if final.get("labels") else "at IoU 0.5"
    if final.get("ap_50_95") is not None:
        mean += f"; {number(final['ap_50_95'])} over IoU 0.5 to 0.95"
    return [
        (number(final["ap50"]), "average precision", mean),
        (number(recalls.get("1")), "recall", "at 1 false positive per picture"),
        (number(final.get("false_positives_per_image"), 2), "false positives per picture",
         "at score 0"),
        (f"{number(final.get('ms_per_image'), 1)} ms", "per picture",
         "median, decoding not counted"),
    ]  # fmt: skip


def story(run: Run) -> str:
    """Return in a sentence what bootstrapping did."""
    for name, where in (
        ("false_positives_per_image", "per test picture"),
        ("mined_false_positives_per_image", "per mined picture"),
    ):
        series = [
            [each[name] for each in rounds if each.get(name) is not None]
            for _, rounds in _last_templates(run)
        ]
        if series and all(len(values) > 1 for values in series):
            first, last = (sum(values[at] for values in series) for at in (0, -1))
            n_rounds = max(each["round"] for each in run.summary["rounds"])
            verb = "fell" if last < first else "went"
            rounds = f"{n_rounds} round{'s' if n_rounds > 1 else ''}"
            return (
                f"False positives {where} {verb} from {_rate(first)} to {_rate(last)} in {rounds}."
            )
    return "There was one round: nothing was bootstrapped yet that could be compared."


def subtitle(run: Run) -> str:
    """Return features, classifier and data in a line."""
    summary = run.summary
    classifier = LEARNERS.get(summary["classifier"]["name"], str(summary["classifier"]["name"]))
    return f"{summary['features']['name']} and {classifier}, trained on {summary['dataset']}"


def facts(run: Run) -> list[tuple[str, str]]:
    """Return what was trained on what, a line each."""
    summary = run.summary
    last = [rounds[-1] for _, rounds in by_label(run)]
    windows = {f"{each['size'][0]} x {each['size'][1]} px" for each in summary["windows"].values()}
    test = summary.get("test")
    lines = [
        ("data set", str(summary["dataset"])),
        ("labels", plain(list(run.labels))),
        ("objects", plain(summary.get("n_objects"))),
        ("training windows", f"{sum(e['n_positives'] for e in last):,} of objects (with copies), "
                             f"{sum(e['n_negatives'] for e in last):,} of background"),
        ("window", f"{', '.join(sorted(windows))} (height x width)"),
        ("features", _settings(summary["features"])),
        ("classifier", _settings(summary["classifier"])),
        ("strategy", plain(summary.get("strategy"))),
        ("rounds", str(max(each["round"] for each in summary["rounds"]))),
        ("seed", str(summary["seed"])),
        ("test set", f"{test['name']}: {test['n_images']:,} pictures, {test['n_objects']:,} "
                     "objects" if test else "none"),
        ("converged", plain(summary.get("converged"))),
    ]  # fmt: skip
    versions = summary.get("versions") or {}
    shown = ", ".join(f"{name} {value}" for name, value in versions.items())
    own = f"bootstrap_det {summary['version']}"
    return [*lines, ("versions", f"{own}, {shown}" if shown else own)]


def rounds_table(run: Run) -> Table:
    """Return the rounds with their measures."""
    several = len(by_label(run)) > 1
    head = ["round", "negatives", "mined", "false positives per picture", "recall at 0.1",
            "recall at 1", "AP", "seconds"]  # fmt: skip
    rows = []
    for label, rounds in by_label(run):
        for each in rounds:
            recalls = each.get("recall_at_fppi") or {}
            rate = each.get("false_positives_per_image")
            rows.append([
                f"{label}: {each['round']}" if several else str(each["round"]),
                plain(each["n_negatives"]), plain(each["n_mined"]), number(rate, 2),
                number(recalls.get("0.1")), number(recalls.get("1")), number(each.get("ap50")),
                number(sum(each["seconds"].values()), 1),
            ])  # fmt: skip
    return _bounded(Table("Recalls are at 0.1 and 1 false positives per picture.", head, rows))


def times_table(run: Run) -> Table:
    """Return the seconds of each phase of each round."""
    series = by_label(run)
    phases = list(dict.fromkeys(
        phase for _, rounds in series for each in rounds for phase in each["seconds"]
    ))  # fmt: skip
    rows = [
        [f"{label}: {each['round']}" if len(series) > 1 else str(each["round"]),
         *(number(each["seconds"].get(phase), 2) for phase in phases),
         number(sum(each["seconds"].values()), 2)]
        for label, rounds in series
        for each in rounds
    ]  # fmt: skip
    caption = f"Seconds of each phase; {number(run.summary['seconds_total'], 1)} in all."
    return _bounded(Table(caption, ["round", *phases, "sum"], rows))


def left_out(run: Run) -> Table:
    """Return what rounds did not take, and why."""
    kinds = (
        ("n_images_capped", "pictures that gave as many windows as allowed"),
        ("n_over_limit", "windows beyond the limit of a round"),
        ("n_evicted", "easy negatives that made room in the cache"),
        ("n_refused", "new negatives that found no room"),
    )
    series = by_label(run)
    rows = [
        [f"{label}: {each['round']}" if len(series) > 1 else str(each["round"]),
         *(plain(each.get(name, 0)) for name, _ in kinds),
         plain(bool(each.get("complete")))]
        for label, rounds in series
        for each in rounds
    ]  # fmt: skip
    head = ["round", *(what for _, what in kinds), "complete pass"]
    return _bounded(Table("What each round left out.", head, rows))


def labels_table(measures: dict[str, Any]) -> Table:
    """Return the measures of each label, and all of them."""
    rows = []
    for name, each in [*measures["labels"].items(), ("all: sums and means", measures)]:
        recalls = each.get("recall_at_fppi") or {}
        rows.append([
            name, plain(each.get("n_objects")), number(each["false_positives_per_image"], 2),
            number(recalls.get("1")), number(each.get("ap", each.get("ap50"))),
        ])  # fmt: skip
    head = ["label", "objects", "false positives per picture", "recall at 1", "AP"]
    return _bounded(Table("Each label alone; the last row has sums and means.", head, rows))


def confusion_table(confusion: dict[str, Any], what: str = "") -> Table:
    """Return what was taken for what; the last row and column are of nothing."""
    names, counts = confusion["labels"], confusion["counts"]
    rest = ["nothing"] * (len(counts) - len(names))
    rows = [[name, *map(plain, row)] for name, row in zip([*names, *rest], counts, strict=True)]
    caption = f"Rows: what an object {what}is. Columns: what it was found as, at score 0 and more."
    return _bounded(Table(caption, ["is \\ found as", *names, *rest], rows))


def classes_tables(classes: dict[str, Any]) -> list[Table]:
    """Return how well classes are told apart inside groups: an overview, and a table a group."""
    rows = [
        [group, plain(entry["n_found"]), number(entry["accuracy"])]
        for group, entry in classes["groups"].items()
    ]
    rows.append(["all", plain(classes["n_found"]), number(classes["accuracy"])])
    caption = f"Of objects found, the share of the right class. Mean AP of the classes: " \
              f"{number(classes['mean_ap'])}."  # fmt: skip
    overview = Table(caption, ["group", "found", "right class"], rows)
    own = [
        confusion_table(entry["confusion"], f"of {group} ")
        for group, entry in classes["groups"].items()
    ]
    return [overview, *own]


def _rate(value: float) -> str:
    """Return a rate of false positives with as many digits as matter."""
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _settings(values: dict[str, Any]) -> str:
    """Return a name and its parameters."""
    more = ", ".join(f"{k} {plain(v)}" for k, v in values.items() if k != "name" and v is not None)
    name = LEARNERS.get(str(values["name"]), str(values["name"]))
    return f"{name} ({more})" if more else name


def _last_templates(run: Run) -> list[tuple[str, list[Round]]]:
    """Return the rounds that each label ends with, all its templates taken as one series."""
    found: dict[str, list[Round]] = {}
    for entry in run.summary["rounds"]:
        found.setdefault(str(entry["label"]), []).append(entry)
    return list(found.items())


def _has_views(run: Run, label: str) -> bool:
    own = {each.get("view", 0) for each in run.summary["rounds"] if each["label"] == label}
    return len(own) > 1


def _share_found(run: Run) -> float:
    last: Sequence[Round] = [rounds[-1] for _, rounds in by_label(run)]
    total = sum(each["n_positives"] for each in last)
    found = sum(each["n_positives"] * each.get("positives_found", 0.0) for each in last)
    return float(found / max(total, 1))


def _bounded(table: Table) -> Table:
    """Return a table of at most 60 rows, the rest counted in its caption."""
    n_more = len(table.rows) - MAX_ROWS
    if n_more <= 0:
        return table
    said = f"{table.caption} {n_more} more rows are in summary.json."
    return Table(said, table.head, table.rows[:MAX_ROWS])
