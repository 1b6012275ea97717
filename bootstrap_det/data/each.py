"""The same work on each picture of a data set, and what to do with those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from bootstrap_det.data.picture import Picture, Skipped
from bootstrap_det.exceptions import DataError
from bootstrap_det.workers import in_parallel

_Result = TypeVar("_Result")


def each_picture(
    work: Callable[..., _Result],
    pictures: Sequence[Picture],
    *more: Iterable[Any],
    n_jobs: int = 1,
    skip_bad: bool = False,
) -> Generator[_Result | Skipped, None, None]:
    """Yield what ``work`` makes of each picture, in their order, see :func:`in_parallel`.

    Parameters
    ----------
    work : callable
        Called with a picture, which it loads, and its value of each of ``more``.
    pictures : sequence of Picture
        What to work on.
    *more : iterable
        Of one value a picture each.
    n_jobs : int, default=1
        Pictures at a time.
    skip_bad : bool, default=False
        Yield a picture that cannot be read as Skipped, with the reason.

    Raises
    ------
    DataError
        When a picture cannot be read and ``skip_bad`` is off.
    """
    items = zip(pictures, *more, strict=True)
    return in_parallel(partial(guarded, work, skip_bad), items, n_jobs=n_jobs)


def guarded(
    work: Callable[..., _Result], skip_bad: bool, picture: Picture, *more: Any
) -> _Result | Skipped:
    """Return what ``work`` makes of a picture; Skipped where it cannot be read and may be so."""
    try:
        return work(picture, *more)
    except DataError as error:
        if not skip_bad:
            raise
        return Skipped(picture.name, str(error))
