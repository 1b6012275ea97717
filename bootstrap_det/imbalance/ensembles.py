"""Ensembles of imbalanced-learn, whose members each draw equal classes, as one detector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeGuard

import numpy as np

from bootstrap_det._validation import check_int
from bootstrap_det.classifiers.ensembles import BAGGED, LEARNING_RATE, EnsembleLearner
from bootstrap_det.classifiers.learners import BoostedLearner, Learner, LinearLearner
from bootstrap_det.classifiers.trees import MAX_DEPTH
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.imbalance.catalogue import (
    ENSEMBLES,
    OfLibrary,
    balanced_ensembles,
    class_called,
)

# All members see all features: boosted trees choose among few of them anyway.
_NOT_OF_BAGGING = ("max_features",)


@dataclass(frozen=True)
class Ensemble(OfLibrary):
    """Fit an ensemble of imbalanced-learn in place of one classifier.

    Parameters
    ----------
    name : str
        ``balanced-bagging`` and ``easy-ensemble``, of linear models or boosted trees;
        ``rusboost`` and ``balanced-forest``, of trees; or the name of the ensemble's class.
    params : dict, default={}
        Of the ensemble, but for its random state, which is the round's. ``n_estimators`` of
        ``rusboost`` and ``balanced-forest`` is the number of trees of the last round, by default
        that of the classifier. The trees of a forest are by default as deep as can be scanned, 5,
        and the ``learning_rate`` of ``rusboost`` is 0.1.

    See Also
    --------
    bootstrap_det.classifiers.EnsembleLearner : what fits it, and what its scores are.

    References
    ----------
    X.-Y. Liu, J. Wu and Z.-H. Zhou, IEEE Trans. SMC B 2009 (EasyEnsemble). C. Seiffert et al.,
    IEEE Trans. SMC A 2010 (RUSBoost). C. Chen, A. Liaw and L. Breiman, 2004 (balanced forests).
    """

    named: ClassVar[dict[str, str]] = ENSEMBLES

    def __post_init__(self) -> None:
        super().__post_init__()
        if "n_estimators" in self.params:
            check_int(self.params["n_estimators"], "n_estimators", self.name, low=1, high=100_000)
        depth = self.params.get("max_depth", MAX_DEPTH)
        check_int(depth, "max_depth", self.name, low=1, high=MAX_DEPTH)
        features = np.arange(1000.0)[:, None]
        settings = {**self.params, "n_estimators": 1, "random_state": 0}
        self._try_out(class_called(self.class_name)(**settings), features, np.arange(1000) % 2)

    @classmethod
    def all_names(cls) -> tuple[str, ...]:
        """Return the names of the ensembles of imbalanced-learn."""
        return balanced_ensembles()

    @classmethod
    def defaults(cls, name: str) -> dict[str, Any]:
        """Return the parameters of the ensemble, with their defaults."""
        values = super().defaults(name)
        kind = cls.named.get(name, name)
        if kind in BAGGED:
            return {key: value for key, value in values.items() if key not in _NOT_OF_BAGGING}
        # No number of trees is the classifier's.
        changed = {"n_estimators": 0, "max_depth": MAX_DEPTH, "learning_rate": LEARNING_RATE}
        return {key: changed.get(key, value) for key, value in values.items()}

    def learner(self, learner: Learner) -> EnsembleLearner:
        """Return what fits the ensemble, of members that ``learner`` would fit.

        Raises
        ------
        ParameterError
            When the members cannot be of this kind.
        """
        if self.class_name in BAGGED:
            if isinstance(learner, BoostedLearner) or _is_plain(learner):
                return EnsembleLearner(learner, self.class_name, self.params)
            raise ParameterError(
                f"The members of {self.name!r} are linear support vector machines or boosted "
                f"trees. Got {learner.name!r} that another strategy has changed; leave one out."
            )
        if not isinstance(learner, BoostedLearner):
            raise ParameterError(
                f"The strategy {self.name!r} is made of trees, so it needs the classifier "
                f"'boosted'. Got {learner.name!r}; choose 'balanced-bagging' or 'easy-ensemble' "
                "for linear models."
            )
        given = {key: value for key, value in self.params.items() if key != "n_estimators"}
        base = replace(learner, n_trees=self.params.get("n_estimators", learner.n_trees))
        return EnsembleLearner(base, self.class_name, given)


def _is_plain(learner: Learner) -> TypeGuard[LinearLearner]:
    """Return whether this is a support vector machine, whatever its C."""
    return isinstance(learner, LinearLearner) and replace(learner, C=None) == LinearLearner()
