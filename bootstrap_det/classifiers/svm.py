"""Fitting a linear support vector machine, with its C chosen by a small cross-validation."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from bootstrap_det._validation import check_float
from bootstrap_det.exceptions import DataError

C_GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
N_FOLDS = 3
MAX_CROSS_VALIDATION_SAMPLES = 4000
