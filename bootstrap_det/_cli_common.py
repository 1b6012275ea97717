"""What the files of the command line share: errors in one sentence, and common options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from bootstrap_det.exceptions import BootstrapDetError, ParameterError

# Nothing here may import numba: --help answers at once.


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


class Failure(click.ClickException):
    """A message with an exit code of its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
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
FORMAT = click.Choice(["coco", "voc", "yolo", "csv", "imglab", "opencv"])
JOBS = click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Pictures at a time.",
    show_default="all cores",
)  # fmt: skip
JSON = click.option("--json", "as_json", is_flag=True, help="Put the result on stdout as JSON.")
