"""The verb ``dataset download``: the licence first, then the files."""

from __future__ import annotations

import json
import shlex
import textwrap
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bootstrap_det._cli_common import JSON, PATH, Failure, one_sentence
from bootstrap_det._terminal import echo, make_console

if TYPE_CHECKING:
    from bootstrap_det.data.download import Downloaded
    from bootstrap_det.data.named import Card


@click.command(epilog="Example:\n\n\b\nbootstrap-det dataset download gtsrb --data-root DATA\n")
@click.argument("name")
@click.option("--data-root", type=PATH, required=True, help="Folder of all data sets' files.")
@JSON
def download(name: str, data_root: Path, as_json: bool) -> None:
    """Fetch a named data set from its makers, check it and unpack it.

    What is there is not fetched again, and a download that was stopped goes on where it was.
    """
    from bootstrap_det.data import named

    with one_sentence():
        run(named.card(name), data_root, as_json)


def run(about: Card, data_root: Path, as_json: bool = False) -> None:
    """Print a card's licence, fetch what it lists, and print what was done."""
    for key, text in (("licence", about.licence), ("cite", about.citation)):
        line = textwrap.fill(f"{key}: {text}", 79, subsequent_indent="    ")
        echo(line, err=True)
    result = _download(about, data_root)
    report = {
        "name": result.name,
        "data_root": str(result.data_root),
        "fetched": result.fetched,
        "present": result.present,
        "licence": about.licence,
        "citation": about.citation,
        "next": next_command(about, data_root),
    }
    echo(json.dumps(report, indent=2) if as_json else _text(about, result))


def next_command(about: Card, data_root: Path) -> str:
    """Return the command that uses a data set."""
    root = f" --data-root {shlex.quote(str(data_root))}" if about.needs_data_root else ""
    if "train" in about.use:
        return f"bootstrap-det train --dataset {about.name}{root}"
    return f"bootstrap-det evaluate --model MODEL --test-dataset {about.name}{root}"


def _download(about: Card, data_root: Path) -> Downloaded:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from bootstrap_det.data.download import download

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(bar_width=16), DownloadColumn(),
        TransferSpeedColumn(), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    console = make_console()
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    # Older versions of rich would end a bar that is not shown with an empty line.
    with nullcontext() if bar.disable else bar:

        def show(what: str, n_done: int, n_total: int) -> None:
            if not bar.tasks or bar.tasks[0].description != what:
                for task in bar.task_ids:  # speed and time are those of one file
                    bar.remove_task(task)
                bar.add_task(what, total=n_total or None)
            bar.update(bar.task_ids[0], completed=n_done)

        try:
            return download(about, data_root, progress=show)
        except KeyboardInterrupt:
            raise Failure(
                "Interrupted. What came is kept; run the same command again to go on.", 1
            ) from None


def _text(about: Card, result: Downloaded) -> str:
    if not about.needs_data_root:
        said = "comes with the packages, nothing is to be fetched"
    elif result.fetched:
        there = f"; there already: {', '.join(result.present)}" if result.present else ""
        said = f"fetched {', '.join(result.fetched)}{there}"
    else:
        said = f"is there, below {result.data_root}"
    command = next_command(about, result.data_root)
    return f"{about.name}: {said}\nnext: {command}"
