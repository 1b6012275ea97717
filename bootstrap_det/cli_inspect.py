"""The verb ``inspect``: the imbalances of a data set, in numbers, figures and commands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det._cli_common import (
    DATA_ROOT,
    FORMAT,
    JSON,
    OBJECT_SIZES,
    PADDING,
    PATH,
    SKIP_BAD,
    WINDOW,
    echo_note,
    echo_notes,
    one_sentence,
    options,
)
from bootstrap_det._terminal import echo
from bootstrap_det.exceptions import DataError

if TYPE_CHECKING:
    from bootstrap_det.data import Dataset
    from bootstrap_det.inspection import Inspection

# Everything that imports numba is imported inside the command: --help answers at once.

_FILES = ("classes.png", "background.png", "sizes.png", "fit.png", "places.png", "outliers.png",
          "inspection.json", "inspection.html")  # fmt: skip
_DATA = options(
    click.argument("path", type=PATH, required=False, metavar="[DATA]"),
    click.option("--dataset", metavar="NAME", help="Named data set, instead of DATA."),
    DATA_ROOT,
    click.option("--from", "data_format", type=FORMAT, help="Format, where it cannot be told."),
    click.option("--images", type=PATH, help="Folder of the pictures."),
    click.option("--label", multiple=True,
                 help="Which labels the detector looks for, again for another; by default all."),
)  # fmt: skip
_SCAN = options(
    WINDOW,
    OBJECT_SIZES,
    PADDING,
    click.option(
        "--features",
        type=click.Choice(["acf", "hog"]),
        default="acf",
        show_default=True,
        help="Aggregated channels, or HOG.",
    ),
    click.option("--cell-size", type=int, help="Side of a cell in pixels: the windows' stride."),
)


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det inspect cars.json --out inspected\n"
    "bootstrap-det inspect --dataset signs --window 28x28 --json\n"
)
@_DATA
@_SCAN
@click.option("--max-pictures", type=click.IntRange(1), default=1000, show_default=True,
              help="Most pictures whose windows are counted.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of which these are.")  # fmt: skip
@click.option("--out", type=PATH, help="Folder for figures and a contact sheet of outliers.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier inspection in it.")
@SKIP_BAD
@JSON
def inspect(**given: Any) -> None:
    """Measure the imbalances of DATA: classes, background, sizes, fit, places, outliers."""
    from bootstrap_det.inspection import report_lines

    with one_sentence():
        _check_folder(given["out"], given["overwrite"])
        data, found = _inspected(given)
        written = _write(found, data, given)
    if given["as_json"]:
        echo(json.dumps(found.to_dict(), indent=2))
    else:
        for line in report_lines(found, fill=lambda command: _filled(command, given)):
            echo(line)
    echo_notes(data)
    for note in (*found.notes, written):
        echo_note(note)
    if given["dataset"] and any(" DATA" in _filled(a.command, given) for a in found.advice):
        echo_note("DATA stands for the annotations: a named set is mended as a file of its own.")


def _inspected(given: dict[str, Any]) -> tuple[Dataset, Inspection]:
    """Return the data set that the options name, and its inspection with the detector of train."""
    from bootstrap_det import jobs
    from bootstrap_det.inspection import inspect_dataset

    asked = {**given, "data": given["path"], "crops": None, "classifier": "boosted"}
    data, options = jobs.data_to_inspect(asked)
    channels, pyramid = jobs.scan_of(options)
    return data, inspect_dataset(
        data,
        labels=given["label"] or None,
        window=None if options["window"] is None else tuple(options["window"]),
        context=options["context"] or 0.0,
        channels=channels,
        pyramid=pyramid,
        max_pictures=given["max_pictures"],
        seed=given["seed"],
    )


def _check_folder(folder: Path | None, overwrite: bool) -> None:
    older = [] if folder is None else [n for n in _FILES if (folder / n).exists()]
    if older and not overwrite:
        raise DataError(
            f"{folder}: has {older[0]} of an earlier inspection. Give another folder, or "
            "--overwrite."
        )


def _write(found: Inspection, data: Dataset, given: dict[str, Any]) -> str:
    """Write figures, sheet, numbers and page; return what to say about them."""
    from bootstrap_det._files import write_json
    from bootstrap_det.data.formats.writing import make_folder
    from bootstrap_det.inspection import write_figures
    from bootstrap_det.report import write_inspection_page

    folder = given["out"]
    if folder is None:
        return "No figures were written; --out FOLDER writes one for each measure."
    make_folder(folder)
    for name in _FILES:  # an earlier sheet would stay where nothing is an outlier any more
        (folder / name).unlink(missing_ok=True)
    figures = write_figures(found, folder, dataset=data)
    write_json(folder / "inspection.json", found.to_dict())
    write_inspection_page(
        folder / "inspection.html", found, figures, fill=lambda command: _filled(command, given)
    )
    names = ", ".join(path.name for path in figures)
    return f"{folder} has {names}, inspection.json and inspection.html, a page of all of it."


def _filled(command: str, given: dict[str, Any]) -> str:
    """Return a command with the data that was given in the place of DATA."""
    if given["dataset"]:
        root = given["data_root"]
        where = ["--dataset", given["dataset"], *(["--data-root", str(root)] if root else [])]
        for named in ("--data DATA", "inspect DATA"):
            verb = named.removesuffix("--data DATA").removesuffix("DATA")
            command = command.replace(named, verb + shlex.join(where))
        return command
    images = ["--images", str(given["images"])] if given["images"] else []
    form = given["data_format"]
    path = str(given["path"])
    train = ["--data", path, *(["--data-format", form] if form else []), *images]
    own = [path, *(["--from", form] if form else []), *images]
    return command.replace("--data DATA", shlex.join(train)).replace("DATA", shlex.join(own))
