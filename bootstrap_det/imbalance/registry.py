"""Strategies by name, as text: ``hard-negative:ratio=5+focal``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from bootstrap_det.exceptions import ParameterError
from bootstrap_det.imbalance import classes, generative, hard, online, soft
from bootstrap_det.imbalance.catalogue import OfLibrary, number_or_text, unknown_parameter
from bootstrap_det.imbalance.ensembles import Ensemble
from bootstrap_det.imbalance.resampling import Resample
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


# Of many names each: those of their ``named``, and classes of imbalanced-learn.
_OF_LIBRARY: tuple[type[OfLibrary], ...] = (Resample, Ensemble)


def available() -> tuple[str, ...]:
    """Return the names of all strategies.

    Classes of imbalanced-learn are strategies under their own names, too, see :func:`samplers` and
    :func:`balanced_ensembles`.
    """
    return (*_STRATEGIES, *(name for kind in _OF_LIBRARY for name in kind.named))


def strategy_class(name: str) -> type[Strategy]:
    """Return the class of a strategy.

    Raises
    ------
    ParameterError
        When there is none of this name.
    """
    kinds: list[type[Strategy]] = [kind for kind in _OF_LIBRARY if kind.knows(name)]
    kinds += [_STRATEGIES[name]] if name in _STRATEGIES else []
    if not kinds:
        raise _unknown(name)
    return kinds[0]


def _unknown(name: str) -> ParameterError:
    names = [*available()]
    if name[:1].isupper():
        names += [known for kind in _OF_LIBRARY for known in kind.all_names()]
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ParameterError(
        f"The strategy must be one of {', '.join(map(repr, names))}"
        f"{'' if name[:1].isupper() else ', or a sampler or ensemble of imbalanced-learn'}. "
        f"Got {name!r} instead.{hint}"
    )


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
    _check_parts(parts)
    return parts[0] if len(parts) == 1 else Combined(parts)


def _check_parts(parts: list[Strategy]) -> None:
    """Refuse strategies that cannot go together, or not in this order."""
    drawing = [part.name for part in parts if type(part).mine is not Strategy.mine]
    if len(drawing) > 1:
        raise ParameterError(
            f"Only one strategy can draw the negatives. Got {' and '.join(map(repr, drawing))}; "
            "leave one of them out."
        )
    fitting = [part for part in parts if type(part).learner is not Strategy.learner]
    for part in fitting[:-1]:
        if isinstance(part, Ensemble):
            raise ParameterError(
                f"The members of {part.name!r} are what the strategies before it made of the "
                f"classifier. Got {fitting[-1].name!r} behind it; swap them or leave one out."
            )


def _make(text: str) -> Strategy:
    name, _, given = text.strip().partition(":")
    kind = strategy_class(name)
    if issubclass(kind, OfLibrary):
        return kind(name, _values(name, given, kind.defaults(name), number_or_text))
    known = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**_values(name, given, known, str))


def _values(
    name: str, given: str, known: Mapping[str, Any], other: Callable[[str], Any]
) -> dict[str, Any]:
    """Return parameters by their text, of the type of their default or as ``other`` reads them."""
    values: dict[str, Any] = {}
    for pair in given.split(",") if given else ():
        key, equals, value = (piece.strip() for piece in pair.partition("="))
        if not equals or key not in known:
            raise unknown_parameter(name, known, pair)
        kind = type(known[key])
        read = kind if kind in (int, float) else _flag if kind is bool else other
        try:
            values[key] = read(value)
        except ValueError:
            wanted = {int: "an int", float: "a number", bool: "true or false"}[kind]
            raise ParameterError(
                f"The {key!r} parameter of {name} must be {wanted}. Got {value!r} instead."
            ) from None
    return values


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"
