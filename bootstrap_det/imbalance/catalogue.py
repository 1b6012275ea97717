"""What imbalanced-learn has, by name, with its parameters as text; imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, ClassVar

from numpy.typing import NDArray

from bootstrap_det.exceptions import ParameterError
from bootstrap_det.mining.strategy import Strategy

SAMPLERS = {
    "under-random": "RandomUnderSampler",
    "over-random": "RandomOverSampler",
    "smote": "SMOTE",
    "adasyn": "ADASYN",
    "nearmiss": "NearMiss",
    "tomek": "TomekLinks",
    "enn": "EditedNearestNeighbours",
    "smote-tomek": "SMOTETomek",
    "smote-enn": "SMOTEENN",
}
ENSEMBLES = {
    "balanced-bagging": "BalancedBaggingClassifier",
    "easy-ensemble": "EasyEnsembleClassifier",
    "rusboost": "RUSBoostClassifier",
    "balanced-forest": "BalancedRandomForestClassifier",
}
# Their features are categories; a window's are numbers.
_NOT_OF_NUMBERS = ("SMOTEN", "SMOTENC")
# What the round or the classifier gives, or no text can.
_NOT_OFFERED = {
    "algorithm", "bootstrap_features", "categorical_encoder", "edited_nearest_neighbours", "enn",
    "estimator", "monotonic_cst", "n_jobs", "oob_score", "random_state", "sampler", "smote",
    "svm_estimator", "tomek", "verbose", "warm_start",
}  # fmt: skip


def samplers() -> tuple[str, ...]:
    """Return the names of all samplers of imbalanced-learn that can resample windows."""
    modules = ("over_sampling", "under_sampling", "combine")
    names = {name for module in modules for name in import_module(f"imblearn.{module}").__all__}
    return tuple(sorted(names - set(_NOT_OF_NUMBERS)))


def balanced_ensembles() -> tuple[str, ...]:
    """Return the names of all ensembles of imbalanced-learn."""
    return tuple(sorted(import_module("imblearn.ensemble").__all__))


def class_called(name: str) -> Any:
    """Return a class of imbalanced-learn by its name."""
    for module in ("over_sampling", "under_sampling", "combine", "ensemble"):
        found = getattr(import_module(f"imblearn.{module}"), name, None)
        if found is not None:
            return found
    raise AssertionError(name)  # the callers know which there are


@dataclass(frozen=True)
class OfLibrary(Strategy):
    """A strategy that a class of imbalanced-learn does the work of.

    Parameters
    ----------
    name : str
        Of the strategy, or of the class.
    params : dict, default={}
        Numbers and texts; see :meth:`defaults` for which.

    Raises
    ------
    ParameterError
        When the class has no such parameter, or does not take the value.
    """

    name: str  # type: ignore[misc]  # one class, many strategies
    params: dict[str, Any] = field(default_factory=dict)

    named: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        known = self.defaults(self.name)
        for key, value in self.params.items():
            if key not in known:
                raise unknown_parameter(self.name, known, f"{key}={value}")
            if not isinstance(value, bool | int | float | str | None):
                raise ParameterError(
                    f"The {key!r} parameter of {self.name} must be a number, a text, a bool or "
                    f"None. Got {type(value).__name__} instead; pass its parameters one by one."
                )
        changed = {key: value for key, value in self.params.items() if value != known[key]}
        object.__setattr__(self, "params", changed)

    def _try_out(self, estimator: Any, features: NDArray[Any], labels: NDArray[Any]) -> None:
        """Fit a sampler or an ensemble once: most values are only checked then."""
        try:
            estimator.fit(features, labels)
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"The strategy {self.spec!r} cannot be used: {one_line(error)}"
            ) from error

    @classmethod
    def all_names(cls) -> tuple[str, ...]:
        """Return the classes of imbalanced-learn that such a strategy can be made of."""
        raise NotImplementedError

    @classmethod
    def knows(cls, name: str) -> bool:
        """Return whether there is such a strategy, by its name or that of the class."""
        return name in cls.named or (name[:1].isupper() and name in cls.all_names())

    @classmethod
    def defaults(cls, name: str) -> dict[str, Any]:
        """Return what parameters the strategy takes, and their defaults."""
        values: dict[str, Any] = class_called(cls.named.get(name, name))().get_params(deep=False)
        return {key: value for key, value in values.items() if key not in _NOT_OFFERED}

    @property
    def class_name(self) -> str:
        """The name of the class of imbalanced-learn."""
        return self.named.get(self.name, self.name)

    @property
    def spec(self) -> str:
        """The strategy as text, as the command line takes it."""
        given = ",".join(f"{key}={value}" for key, value in self.params.items())
        return f"{self.name}:{given}" if given else self.name


def unknown_parameter(name: str, known: Mapping[str, Any], got: str) -> ParameterError:
    """Return the error about a parameter that a strategy does not take."""
    choices = ", ".join(known) or "no parameters"
    return ParameterError(f"The strategy {name!r} takes {choices}. Got {got!r} instead.")


def number_or_text(text: str) -> Any:
    """Return what a text says, for parameters whose default does not tell their type."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"none": None, "true": True, "false": False}.get(text.lower(), text)


def one_line(error: BaseException | str) -> str:
    """Return a message of imbalanced-learn without its line breaks."""
    return " ".join(str(error).split())


def one_sentence(error: BaseException | str) -> str:
    """Return the first sentence of a message of imbalanced-learn, without its full stop."""
    return one_line(error).split(". ")[0].rstrip(".")
