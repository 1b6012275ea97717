"""A comparison as files: a table for people, two for programs, a picture, and a page."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bootstrap_det._files import write_bytes, write_json
from bootstrap_det.comparison import MEASURES, Outcome, Row, summarise
from bootstrap_det.report.numbers import Table
from bootstrap_det.report.pages import write_strategies_page

HEADINGS = (
    "strategy", "AP@0.5", "vs first", "recall@0.1", "recall@1", "missed@1e-4", "negatives",
    "windows", "seconds", "",
)  # fmt: skip
FILES = (
    "comparison.md", "comparison.csv", "comparison.json", "comparison.png", "comparison.html",
)  # fmt: skip


def write_comparison(outcomes: Sequence[Outcome], out: Path, *, title: str, command: str) -> None:
    """Write the table as Markdown, CSV and JSON, the plot, and a page of both, into a folder.

    Raises
    ------
    DataError
        When a file cannot be written.
    """
    rows = summarise(outcomes)
    n_seeds = len({outcome.seed for outcome in outcomes})
    write_bytes(out / FILES[0], as_markdown(rows, n_seeds, title, command).encode())
    write_bytes(out / FILES[1], _as_csv(rows).encode())
    content = {
        "title": title,
        "command": command,
        "strategies": [_jsonable(asdict(row)) for row in rows],
        "outcomes": [_jsonable(asdict(outcome)) for outcome in outcomes],
    }
    write_json(out / FILES[2], content)
    picture = io.BytesIO()
    plot(outcomes, title).savefig(picture, format="png", dpi=120)
    write_bytes(out / FILES[3], picture.getvalue())
    table = Table(_explained(n_seeds), list(HEADINGS), [cells(row) for row in rows])
    write_strategies_page(
        out / FILES[4], table, title=title, command=command, plot=picture.getvalue()
    )


def cells(row: Row) -> list[str]:
    """Return a row as the texts of a table."""
    mean, spread = row.mean, row.deviation
    return [
        row.strategy,
        _spread(mean["ap"], spread["ap"]),
        "" if row.verdict == "baseline" else f"{row.difference:+.3f}",
        _spread(mean["recall_at_01"], spread["recall_at_01"]),
        _spread(mean["recall_at_1"], spread["recall_at_1"]),
        _spread(mean["miss_rate"], spread["miss_rate"]),
        f"{mean['n_negatives']:,.0f}",
        f"{mean['n_windows'] / 1e6:.1f} M",
        f"{mean['seconds']:.0f}",
        row.verdict,
    ]


def as_markdown(rows: Sequence[Row], n_seeds: int, title: str, command: str) -> str:
    """Return the table as Markdown, and how to read it."""
    lines = [
        f"# {title}",
        "",
        f"    {command}",
        "",
        _line(HEADINGS),
        _line(["---"] * len(HEADINGS)),
    ]
    lines += [_line(cells(row)) for row in rows]
    return "\n".join([*lines, "", _explained(n_seeds), ""])


def plot(outcomes: Sequence[Outcome], title: str) -> Any:
    """Return a figure: the AP of each strategy, every seed a point, the best on top."""
    from matplotlib.figure import Figure  # slow to import

    rows = sorted(summarise(outcomes), key=lambda row: row.mean["ap"])
    figure = Figure(figsize=(8, 1.4 + 0.28 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colors = {"better": "#1b7f4d", "worse": "#b5382c", "baseline": "#2457a6"}
    base = next(row for row in rows if row.verdict == "baseline")
    axes.axvline(base.mean["ap"], color=colors["baseline"], linewidth=0.8)
    for height, row in enumerate(rows):
        color = colors.get(row.verdict, "#555555")
        aps = [outcome.ap for outcome in outcomes if outcome.strategy == row.strategy]
        axes.plot(aps, [height] * len(aps), "o", color=color, alpha=0.35, markersize=5)
        spread = 0.0 if math.isnan(row.deviation["ap"]) else row.deviation["ap"]
        axes.errorbar(row.mean["ap"], height, xerr=spread, fmt="|", color=color, capsize=3)
    axes.set_yticks(range(len(rows)), [row.strategy for row in rows])
    axes.set_xlabel("average precision at IoU 0.5: each seed, mean and deviation")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _explained(n_seeds: int) -> str:
    if n_seeds == 1:
        return (
            "One seed, so nothing can be said of noise. missed@1e-4: objects missed at 1e-4 false "
            "positives per window. windows: scanned for negatives, all rounds together."
        )
    return (
        f"Mean and deviation of {n_seeds} seeds. A difference counts when it exceeds two "
        "deviations of the difference of two single runs; all else is within noise. missed@1e-4: "
        "objects missed at 1e-4 false positives per window. windows: scanned for negatives, all "
        "rounds together. seconds: of training, one thread beside other trials."
    )


def _as_csv(rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    columns = [column for name in MEASURES for column in (name, f"{name}_deviation")]
    writer.writerow(["strategy", *columns, "difference", "verdict"])
    for row in rows:
        values = [value for name in MEASURES for value in (row.mean[name], row.deviation[name])]
        texts = ["" if math.isnan(value) else f"{value:.6g}" for value in values]
        writer.writerow([row.strategy, *texts, f"{row.difference:.6g}", row.verdict])
    return stream.getvalue()


def _spread(mean: float, deviation: float) -> str:
    return f"{mean:.3f}" if math.isnan(deviation) else f"{mean:.3f} ± {deviation:.3f}"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value
