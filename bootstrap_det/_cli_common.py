"""What the files of the command line share: errors in one sentence, and common options."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det._terminal import echo, printable
from bootstrap_det.exceptions import BootstrapDetError, ParameterError

if TYPE_CHECKING:
    from bootstrap_det.data import Dataset

# Nothing here may import numba: --help answers at once.

WIDTH = 79


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn the package's errors into a sentence on stderr and an exit code."""
    try:
        yield
    except ParameterError as error:
        raise Failure(str(error), 2) from None
    except BootstrapDetError as error:
        raise Failure(str(error), 1) from None
    except KeyboardInterrupt:
        raise Failure("Interrupted. What was finished is kept; --resume goes on.", 1) from None


@contextmanager
def workers_of(options: dict[str, Any]) -> Iterator[None]:
    """Let the workers that the options name do the work inside the block."""
    from bootstrap_det.workers import on_workers

    with on_workers(options["backend"], scheduler=options["scheduler"], n_jobs=options["jobs"]):
        yield


class Failure(click.ClickException):
    """A message with an exit code of its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(printable(message))
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way to set it


def options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return one decorator of several options, in the order of the help text."""

    def apply(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


def parse_size(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Return ``HEIGHTxWIDTH`` as a pair of ints."""
    try:
        height, width = (int(side) for side in value.lower().split("x")) if value else (0, 0)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a size like 24x24, height first.") from None
    return (height, width) if value else None


PATH = click.Path(path_type=Path)
FORMAT = click.Choice(["coco", "voc", "yolo", "csv", "imglab", "opencv", "shards"])
JOBS = click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Pictures at a time.",
    show_default="all cores",
)  # fmt: skip


def workers_option(default: str) -> Callable[[Any], Any]:
    """Return the options that say who works."""
    return options(
        JOBS,
        click.option("--backend", type=click.Choice(["threads", "processes", "dask", "ray"]),
                     default=default, show_default=True,
                     help="Who works: threads or processes of this machine, or a cluster. The "
                     "result is the same."),
        click.option("--scheduler", metavar="ADDRESS",
                     help="Of the cluster, such as tcp://10.0.0.1:8786; by default as many "
                     "processes here as --jobs."),
    )  # fmt: skip


WORKERS = workers_option("threads")
JSON = click.option("--json", "as_json", is_flag=True, help="Put the result on stdout as JSON.")
SOURCE = options(
    click.option("--from", "form", type=FORMAT, help="Format, where it cannot be told."),
    click.option("--images", type=PATH, help="Folder of the pictures."),
    click.option("--label", help="Label of objects whose format names none, such as OpenCV's."),
)
SKIP_BAD = click.option("--skip-bad", is_flag=True, help="Leave out what cannot be used.")
DATA_ROOT = click.option(
    "--data-root",
    type=PATH,
    envvar="BOOTSTRAP_DET_DATA",
    help="Folder of the named data sets.",
)
WINDOW = options(
    click.option(
        "--window",
        metavar="HEIGHTxWIDTH",
        callback=parse_size,
        help="The template's size in pixels.",
    ),
    click.option("--context", type=float,
                 help="Surroundings in the window, on each side, in heights of the object."),
)  # fmt: skip
OBJECT_SIZES = options(
    click.option("--min-object-size", type=float, help="Height of the smallest object, pixels."),
    click.option("--max-object-size", type=float, help="Height of the largest object, pixels."),
    click.option("--scales-per-octave", type=int, help="Levels from one size to half of it."),
)
PADDING = click.option(
    "--padding",
    type=int,
    help="Border round each level, level pixels: room for objects cut by the edge.",
)


def read_source(path: Path, source: dict[str, Any], **more: Any) -> tuple[str, Dataset]:
    """Return the format of annotations, and what is in them, as the options of SOURCE say."""
    from bootstrap_det.data import read_annotations
    from bootstrap_det.data.formats import recognise

    form = source["form"] or recognise(path)
    skip_bad = more.get("skip_bad", source.get("skip_bad", False))
    data = read_annotations(
        path, source["images"], format=form, label=source["label"], skip_bad=skip_bad
    )
    return form, data


def echo_notes(data: Dataset) -> None:
    """Say what the reader saw, and what it left out."""
    for note in data.notes:
        echo_note(note)
    for each in data.skipped:
        echo_note(f"left out: {each.file}: {each.reason}")


def echo_note(note: str) -> None:
    """Say something on stderr, in lines of 79 columns."""
    echo(textwrap.fill(f"note: {note}", WIDTH, break_long_words=False), err=True)
