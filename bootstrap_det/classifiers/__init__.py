"""Fitting classifiers, and the trained artefacts as plain frozen arrays."""

from bootstrap_det.classifiers.boosting import BoostedTrees
from bootstrap_det.classifiers.cascade import calibrate_cascade
from bootstrap_det.classifiers.convert import trees_from_estimator
from bootstrap_det.classifiers.learners import BoostedLearner, Learner, LinearLearner, Model
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.svm import choose_c, fit_linear_svm
from bootstrap_det.classifiers.trees import TreeModel

__all__ = [
    "BoostedLearner",
    "BoostedTrees",
    "Learner",
    "LinearLearner",
    "LinearModel",
    "Model",
    "TreeModel",
    "calibrate_cascade",
    "choose_c",
    "fit_linear_svm",
    "trees_from_estimator",
]
