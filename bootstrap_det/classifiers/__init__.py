"""Fitting classifiers, and the trained artefacts as plain frozen arrays."""

from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.classifiers.svm import choose_c, fit_linear_svm

__all__ = ["LinearModel", "choose_c", "fit_linear_svm"]
