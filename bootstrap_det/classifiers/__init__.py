"""Fitting classifiers, and the trained artefacts as plain frozen arrays."""

from bootstrap_det.classifiers.boosting import BoostedTrees
from bootstrap_det.classifiers.cascade import calibrate_cascade
from bootstrap_det.classifiers.convert import trees_from_estimator
from bootstrap_det.classifiers.ensembles import EnsembleLearner
from bootstrap_det.classifiers.gradient_density import ghm_weights
from bootstrap_det.classifiers.learners import BoostedLearner, Learner, LinearLearner, Model
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.linear_classifier import LinearClassifier
from bootstrap_det.classifiers.losses import LOSSES, make_loss
from bootstrap_det.classifiers.svm import choose_c, fit_linear_svm
from bootstrap_det.classifiers.trees import TreeModel

__all__ = [
    "LOSSES",
    "BoostedLearner",
    "BoostedTrees",
    "EnsembleLearner",
    "Learner",
    "LinearClassifier",
    "LinearLearner",
    "LinearModel",
    "Model",
    "TreeModel",
    "calibrate_cascade",
    "choose_c",
    "fit_linear_svm",
    "ghm_weights",
    "make_loss",
    "trees_from_estimator",
]
