"""How the commands end when something is wrong: with one sentence and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from bootstrap_det.exceptions import BootstrapDetError, ParameterError


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn the package's errors into a sentence on stderr and an exit code: 2 for wrong usage."""
    try:
        yield
    except ParameterError as error:
        raise _Failure(str(error), 2) from None
    except BootstrapDetError as error:
        raise _Failure(str(error), 1) from None
    except KeyboardInterrupt:
        raise _Failure("Interrupted. What was finished is kept; --resume goes on.", 1) from None


class _Failure(click.ClickException):
    """A message with an exit code of its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way to set it
