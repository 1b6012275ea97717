"""Pages of other verbs in the look of a run's: strategies side by side, a data set's imbalances."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from bootstrap_det._files import write_bytes
from bootstrap_det.inspection import Inspection, report_sections
from bootstrap_det.report.html import render
from bootstrap_det.report.numbers import Table

_FIGURES = {
    "classes": "Objects of each label.",
    "background": "Windows on background, on objects, and objects, on a logarithmic axis.",
    "sizes": "Width, height, root of area and aspect of the objects; orange: the smallest window.",
    "fit": "How well the best window fits each object, and how foreground windows fit theirs.",
    "places": "Where objects lie in their pictures, and how far from the border.",
    "outliers": "Boxes to look at, each with its kind and number; they may be right.",
}


def write_strategies_page(
    out: Path, table: Table, *, title: str, command: str, plot: bytes
) -> Path:
    """Write strategies side by side as a page; return where.

    Parameters
    ----------
    out : Path
        The page.
    table : Table
        A row a strategy.
    title, command : str
        What was compared, and by which command.
    plot : bytes
        The figure of it, a PNG.

    Raises
    ------
    DataError
        When the page cannot be written.
    """
    page = render("strategies.html", title=title, command=command, table=table, plot=_png_uri(plot))
    write_bytes(out, page.encode())
    return out


def write_inspection_page(
    out: Path,
    inspection: Inspection,
    figures: Sequence[Path],
    *,
    fill: Callable[[str], str] = lambda command: command,
) -> Path:
    """Write a data set's imbalances as a page; return where.

    Parameters
    ----------
    out : Path
        The page.
    inspection : Inspection
        What was measured.
    figures : sequence of Path
        What :func:`bootstrap_det.inspection.write_figures` wrote.
    fill : callable, default=identity
        Puts the data's own name into a command.

    Raises
    ------
    DataError
        When the page cannot be written.
    """
    drawn = {path.stem: _png_uri(path.read_bytes()) for path in figures}
    head, sections = report_sections(inspection)
    page = render(
        "inspection.html",
        title=f"{inspection.name}: imbalances",
        inspection=inspection,
        head=head,
        sections=[
            {
                "name": each.name,
                "title": each.title,
                "text": "\n".join(each.lines),
                "mends": [(mend.why, fill(mend.command)) for mend in each.advice],
                "figure": drawn.get(each.name),
                "caption": _FIGURES[each.name],
            }
            for each in sections
        ],
    )
    write_bytes(out, page.encode())
    return out


def _png_uri(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
