"""Strategies by name, as text: ``hard-negative:ratio=5+focal``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any

from bootstrap_det.exceptions import ParameterError
from bootstrap_det.imbalance import classes, generative, hard, online, soft
from bootstrap_det.mining.strategy import Combined, Strategy

_STRATEGIES: Mapping[str, type[Strategy]] = {
    kind.name: kind
    for kind in (
        hard.Bootstrap,
        hard.Random,
        hard.HardNegative,
        online.Ohem,
        hard.IouBalanced,
        hard.IouLowerBound,
        soft.ClassWeight,
        soft.Focal,
        soft.Ghm,
        soft.Pisa,
        soft.Qfl,
        generative.Augment,
        generative.AdversarialOcclusion,
        generative.AdversarialRotation,
        classes.ForegroundBalanced,
        classes.Hierarchical,
    )
}


def available() -> tuple[str, ...]:
    """Return the names of all strategies."""
    return tuple(_STRATEGIES)


def strategy_class(name: str) -> type[Strategy]:
    """Return the class of a strategy.

    Raises
    ------
    ParameterError
        When there is none of this name.
    """
    if name not in _STRATEGIES:
        close = difflib.get_close_matches(name, _STRATEGIES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ParameterError(
            f"The strategy must be one of {', '.join(map(repr, _STRATEGIES))}. Got {name!r} "
            f"instead.{hint}"
        )
    return _STRATEGIES[name]


def make_strategy(spec: str | Strategy | None) -> Strategy:
    """Return a strategy by its text.

    Parameters
    ----------
    spec : str, Strategy or None
        ``NAME[:param=value,...]``, several joined by ``+``, applied in this order; None for
        bootstrapping alone.

    Raises
    ------
    ParameterError
        When a name or a parameter is unknown, a value is out of range, or the text is no such
        list.
    """
    if isinstance(spec, Strategy):
        return spec
    parts = [_make(part) for part in (spec or hard.Bootstrap.name).split("+")]
    drawing = [part.name for part in parts if type(part).mine is not Strategy.mine]
    if len(drawing) > 1:
        raise ParameterError(
            f"Only one strategy can draw the negatives. Got {' and '.join(map(repr, drawing))}; "
            "leave one of them out."
        )
    return parts[0] if len(parts) == 1 else Combined(parts)


def _make(text: str) -> Strategy:
    name, _, given = text.strip().partition(":")
    kind = strategy_class(name)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # dataclasses
    values: dict[str, Any] = {}
    for pair in given.split(",") if given else ():
        key, equals, value = (piece.strip() for piece in pair.partition("="))
        if not equals or key not in known:
            choices = ", ".join(known) or "no parameters"
            raise ParameterError(f"The strategy {name!r} takes {choices}. Got {pair!r} instead.")
        values[key] = _parsed(value, known[key], name)
    return kind(**values)


def _parsed(text: str, field: Field[Any], name: str) -> Any:
    """Return the value of a parameter as the type of its default."""
    default = field.default if field.default is not MISSING else ""
    kind = type(default)
    try:
        return kind(text) if kind is not bool else {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        wanted = {int: "an int", float: "a number", bool: "true or false"}.get(kind, "a text")
        raise ParameterError(
            f"The {field.name!r} parameter of {name} must be {wanted}. Got {text!r} instead."
        ) from None
