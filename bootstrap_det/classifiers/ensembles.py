"""Ensembles of imbalanced-learn as one detector: the mean of linear models, or one list of trees.

Each member is fitted on samples of equal classes that it draws for itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from bootstrap_det.classifiers.convert import trees_of_classifiers
from bootstrap_det.classifiers.learners import BoostedLearner, LinearLearner, Model
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.scaling import about_one, require_finite
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.classifiers.trees import FIRST_TREES, MAX_DEPTH, TreeModel
from bootstrap_det.exceptions import DataError

BAGGED = ("BalancedBaggingClassifier", "EasyEnsembleClassifier")
OF_TREES = ("RUSBoostClassifier", "BalancedRandomForestClassifier")
N_MEMBERS = 10
# A tree of RUSBoost sees equal classes drawn regardless of the samples' weights, and boosting ends
# when one errs on half of the weight. At a rate of 1, that is after about ten trees.
LEARNING_RATE = 0.1


@dataclass(frozen=True)
class EnsembleLearner:
    """An ensemble of what another learner fits, each member on samples of equal classes.

    Parameters
    ----------
    base : LinearLearner or BoostedLearner
        What the members are, and what holds out, calibrates and counts trees.
    kind : str
        The class of imbalanced-learn: ``BalancedBaggingClassifier`` or ``EasyEnsembleClassifier``;
        of trees also ``RUSBoostClassifier`` and ``BalancedRandomForestClassifier``.
    params : dict, default={}
        Of that class.

    Notes
    -----
    Linear members have the C that the base learner chooses by all samples; the model is the mean
    of their weights and biases, so its score is the mean of their scores.

    Bagged boosted trees share the trees of a round, so that the ensemble takes as long to scan as
    one model does. Their trees are ordered in turns, the first of all members in front, and their
    leaves are divided by the number of members: the score is the mean of the members' scores.

    RUSBoost and forests are of scikit-learn's trees on features as bytes, and only on those that
    a scan has at hand for all windows. A tree of RUSBoost votes with half of its weight, so that
    scores are half the log odds as of other boosted trees; it ends when a tree errs on half of
    the weight, often long before it has all its trees, and remembers how many it has. The score of
    a forest is the mean probability of an object less that of the rest.

    References
    ----------
    X.-Y. Liu, J. Wu and Z.-H. Zhou, "Exploratory Undersampling for Class-Imbalance Learning", IEEE
    Trans. SMC B 2009 (EasyEnsemble). C. Seiffert et al., "RUSBoost: A Hybrid Approach to
    Alleviating Class Imbalance", IEEE Trans. SMC A 2010. C. Chen, A. Liaw and L. Breiman, "Using
    Random Forest to Learn Imbalanced Data", University of California, Berkeley, 2004.
    """

    base: LinearLearner | BoostedLearner
    kind: str
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The base learner's."""
        return self.base.name

    @property
    def margin(self) -> float:
        """The base learner's."""
        return self.base.margin

    def get_params(self) -> dict[str, Any]:
        """Return the base learner's parameters and the ensemble's, JSON-ready."""
        return {**self.base.get_params(), "ensemble": self.kind, "ensemble_params": self.params}

    def mining_threshold(self, model: Any) -> float:
        """Return the least score that is worth mining."""
        return self.base.mining_threshold(model)

    def is_grown(self, round_index: int) -> bool:
        """Return whether later rounds fit nothing larger."""
        return self.base.is_grown(round_index)

    def fit(
        self,
        samples: Samples,
        round_index: int,
        memory: dict[str, Any],
        *,
        seed: int,
        n_threads: int,
    ) -> tuple[Model, dict[str, Any]]:
        """Return the round's model, and what to remember of the fit.

        Raises
        ------
        DataError
            When the samples are weighted and the members cannot be, a class is missing, too few
            objects are held out to calibrate a cascade by, or a feature is not finite.
        """
        if self.kind in BAGGED and samples.weights() is not None:
            raise DataError(
                f"The members of {self.kind} draw samples and cannot weigh them, but another "
                "strategy has weighted the samples; leave it out."
            )
        if isinstance(self.base, LinearLearner):
            return self._linear(self.base, samples, round_index, memory, seed)
        return self._trees(self.base, samples, round_index, seed, n_threads)

    def _linear(
        self,
        base: LinearLearner,
        samples: Samples,
        round_index: int,
        memory: dict[str, Any],
        seed: int,
    ) -> tuple[Model, dict[str, Any]]:
        features, labels = samples.stacked()
        require_finite(features)
        features, scale = about_one(features)
        C = base.choose_c(features, labels, round_index, memory, seed)  # noqa: N806
        svm = LinearSVC(C=C, dual=False, tol=1e-3)
        ensemble = self._fitted(features, labels, seed + round_index, estimator=svm)
        members = [pipeline[-1] for pipeline in ensemble.estimators_]
        return mean_of_linear(members, samples.shape, scale), {"C": C, "n_members": len(members)}

    def _trees(
        self, base: BoostedLearner, samples: Samples, round_index: int, seed: int, n_threads: int
    ) -> tuple[Model, dict[str, Any]]:
        held_out, features, labels, scale = base.split(samples, seed)
        n_trees, seed = base.n_trees_of(round_index), seed + round_index
        if self.kind in BAGGED:
            n_members = int(self.params.get("n_estimators", N_MEMBERS))
            member = base.estimator(samples.n_plain, max(n_trees // n_members, 1), n_threads, seed)
            member.set_params(n_first_trees=-(-base.first_trees // n_members))
            ensemble = self._fitted(features, labels, seed, estimator=member)
            models = [pipeline[-1].model_ for pipeline in ensemble.estimators_]
            model = mean_of_trees(models, samples.shape, value_scale=scale)
        else:
            settings: dict[str, Any] = {"max_depth": MAX_DEPTH, "n_jobs": n_threads}
            if self.kind == "RUSBoostClassifier":
                member = DecisionTreeClassifier(
                    max_depth=base.depth, max_features=base.feature_share
                )
                settings = {"estimator": member, "learning_rate": LEARNING_RATE}
            plain = features[:, : samples.n_plain].astype(np.float32)
            weights = samples.weights(~held_out)
            settings = {**settings, **self.params, "n_estimators": n_trees}
            ensemble = self._fitted(plain, labels, seed, weights, **settings)
            model = model_of_classifiers(ensemble, samples.shape, value_scale=scale)
        told = {"n_trees": model.n_trees, "n_trees_wanted": n_trees}
        return base.calibrated(model, samples, held_out, round_index), told

    def _fitted(
        self,
        features: NDArray[Any],
        labels: NDArray[np.bool_],
        seed: int,
        weights: NDArray[np.float64] | None = None,
        **settings: Any,
    ) -> Any:
        """Return the fitted ensemble of imbalanced-learn."""
        kind = getattr(import_module("imblearn.ensemble"), self.kind)
        ensemble = kind(**{**self.params, **settings}, random_state=seed)
        weighted = {} if weights is None else {"sample_weight": weights}
        with warnings.catch_warnings():
            # As in fit_linear_svm: a model that is not quite converged is usable.
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                return ensemble.fit(features, labels.astype(int), **weighted)
            except ValueError as error:
                raise DataError(
                    f"{self.kind} cannot be fitted on {labels.sum()} positives and "
                    f"{(~labels).sum()} negatives ({str(error).split('. ')[0]}); change its "
                    "parameters or give more samples."
                ) from error


def mean_of_linear(
    members: Sequence[LinearSVC], shape: tuple[int, int, int], scale: float = 1.0
) -> LinearModel:
    """Return the model whose score is the mean of the members' decision functions.

    Parameters
    ----------
    members : sequence of LinearSVC
        Fitted on features over ``scale``.
    shape : tuple of int
        Channels, rows and columns of the window.
    scale : float, default=1.0
        What features were divided by.
    """
    weights = np.mean([member.coef_[0] for member in members], axis=0) / scale
    bias = np.mean([member.intercept_[0] for member in members])
    return LinearModel(weights.reshape(shape), float(bias))


def mean_of_trees(
    members: Sequence[TreeModel], shape: tuple[int, int, int], *, value_scale: float = 1.0
) -> TreeModel:
    """Return the model whose score is the mean of the members', up to the rounding of leaves.

    Members have equally many trees of one depth, and take turns: so the running score is the mean
    of theirs, too, and the first trees of all are the first.
    """

    def in_turns(name: str) -> NDArray[Any]:
        stacked = np.stack([getattr(member, name) for member in members], axis=1)
        return np.asarray(stacked.reshape(-1, stacked.shape[-1]))

    units = np.tile([member.unit for member in members], members[0].n_trees)[:, None]
    return TreeModel.from_floats(
        in_turns("features"), in_turns("thresholds"), in_turns("leaves") * units / len(members),
        shape, value_scale=value_scale, n_coarse=FIRST_TREES,
    )  # fmt: skip


def model_of_classifiers(
    ensemble: Any, shape: tuple[int, int, int], *, value_scale: float = 1.0
) -> TreeModel:
    """Return the trees of a fitted RUSBoost or forest of imbalanced-learn.

    The score of RUSBoost is its ``decision_function`` times a quarter of the sum of its weights,
    that of a forest the difference of its two ``predict_proba``, up to the rounding of leaves.
    """
    trees = ensemble.estimators_

    def vote(index: int, shares: NDArray[np.float64]) -> float:
        weight = float(ensemble.estimator_weights_[index])
        return weight / 2.0 if shares[1] > shares[0] else -weight / 2.0

    def share(_: int, shares: NDArray[np.float64]) -> float:
        return float(shares[1] - shares[0]) / len(trees)

    leaf = vote if hasattr(ensemble, "estimator_weights_") else share
    return trees_of_classifiers(trees, leaf, shape, value_scale=value_scale)
