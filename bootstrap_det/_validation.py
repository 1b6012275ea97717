"""Parameter and array checks, with one wording for all of them.

Every check returns the value in its canonical Python or numpy type, so callers write
``cell_size = check_int(...)`` and never see a ``numpy.int64`` or a ``bool`` again.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.exceptions import ParameterError

MAX_LABEL_LENGTH = 128
"""Most characters of a label."""


def check_int(
    value: Any, name: str, owner: str, *, low: int | None = None, high: int | None = None
) -> int:
    """Return ``value`` as an int in [low, high], or raise ParameterError."""
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not is_int or _outside(value, low, high):
        raise _wrong(name, owner, f"an int in {_interval(low, high)}", value)
    return int(value)


def check_float(
    value: Any, name: str, owner: str, *, low: float | None = None, high: float | None = None
) -> float:
    """Return ``value`` as a finite float in [low, high], or raise ParameterError."""
    is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_real or not math.isfinite(value) or _outside(value, low, high):
        raise _wrong(name, owner, f"a finite number in {_interval(low, high)}", value)
    return float(value)


def check_bool(value: Any, name: str, owner: str) -> bool:
    """Return ``value`` as a bool, or raise ParameterError."""
    if not isinstance(value, bool | np.bool_):
        raise _wrong(name, owner, "True or False", value)
    return bool(value)


def check_choice(value: Any, name: str, owner: str, choices: Iterable[str]) -> str:
    """Return ``value`` when it is one of ``choices``, or raise ParameterError naming them."""
    allowed = list(choices)
    if value not in allowed:
        raise _wrong(name, owner, "one of " + ", ".join(map(repr, allowed)), value)
    return str(value)


def check_label(value: Any, name: str, owner: str) -> str:
    """Return a label, a str that is neither empty nor long, or raise ParameterError.

    An array of labels takes the room of the longest for each of them.
    """
    if not is_label(value):
        raise _wrong(name, owner, f"a str of 1 to {MAX_LABEL_LENGTH} characters, no null", value)
    return str(value)


def is_label(value: Any) -> bool:
    """Return whether a value can be the label of an object."""
    # numpy would cut null characters off the end.
    return isinstance(value, str) and 0 < len(value) <= MAX_LABEL_LENGTH and "\0" not in value


def check_size(
    value: Any, name: str, owner: str, *, low: int = 1, high: int = 1 << 16
) -> tuple[int, int]:
    """Return a ``(height, width)`` pair of ints in [low, high], or raise ParameterError."""
    try:
        height, width = value
        return (
            check_int(height, name, owner, low=low, high=high),
            check_int(width, name, owner, low=low, high=high),
        )
    except (TypeError, ValueError):
        wanted = f"a (height, width) pair of ints in {_interval(low, high)}"
        raise _wrong(name, owner, wanted, value) from None


def check_boxes(boxes: Any, name: str = "boxes") -> NDArray[np.float64]:
    """Return boxes as a float64 array of shape (n, 4), xyxy, or raise ParameterError."""
    try:
        array = np.asarray(boxes, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(f"{name} must be numbers. Got {boxes!r:.80} instead.") from None
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ParameterError(
            f"{name} must be an array of shape (n, 4) in xyxy order. "
            f"Got shape {array.shape} instead."
        )
    return array


def make_named(choices: Mapping[str, type[Any]], kind: str, name: str, params: Any) -> Any:
    """Return the dataclass of ``choices`` that is called ``name``, with its parameters.

    Raises ParameterError when there is no such choice, or it has no such parameter; ``kind`` says
    in the message what is chosen.
    """
    if not isinstance(name, str) or name not in choices:
        allowed = ", ".join(map(repr, choices))
        raise ParameterError(
            f"The {kind} must be one of {allowed}. Got {name!r} instead.{_hint(name, choices)}"
        )
    known = [field.name for field in dataclasses.fields(choices[name])]
    for key in params:
        if key not in known:
            has = f"has {' and '.join(map(repr, known))}" if known else "has none"
            raise ParameterError(
                f"There is no parameter {key!r} of the {kind} {name!r}, which {has}."
                f"{_hint(key, known)}"
            )
    return choices[name](**params)


def _hint(word: Any, choices: Iterable[str]) -> str:
    close = difflib.get_close_matches(str(word)[:80], list(choices), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _outside(value: float, low: float | None, high: float | None) -> bool:
    return (low is not None and value < low) or (high is not None and value > high)


def _interval(low: float | None, high: float | None) -> str:
    left = "(-inf" if low is None else f"[{low:g}"
    right = "inf)" if high is None else f"{high:g}]"
    return f"{left}, {right}"


def _wrong(name: str, owner: str, wanted: str, value: Any) -> ParameterError:
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return ParameterError(
        f"The {name!r} parameter of {owner} must be {wanted}. Got {shown} instead."
    )
