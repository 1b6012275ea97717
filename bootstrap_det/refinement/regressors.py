"""What predicts the offsets of a box from its window: linear functions and boosted trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._kernels import regression as _kernels
from bootstrap_det.exceptions import ParameterError

Floats = NDArray[np.float64]

MAX_NUMBER = 1e30
"""Largest weight, leaf or bias, so that sums of products with features are finite."""


@dataclass(frozen=True)
class LinearRegressor:
    """Outputs that are linear in the inputs.

    Attributes
    ----------
    weights : ndarray of shape (n_outputs, n_inputs), float32
        Read-only.
    bias : ndarray of shape (n_outputs,), float64
        Added to the products; read-only.

    Raises
    ------
    ParameterError
        When shapes do not match, or a number is not finite.
    """

    weights: NDArray[np.float32]
    bias: Floats

    def __post_init__(self) -> None:
        _freeze(self, weights=np.float32, bias=np.float64)
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[:1]:
            raise ParameterError(
                "LinearRegressor needs weights of shape (n_outputs, n_inputs) and a bias for each "
                f"output. Got shapes {self.weights.shape} and {self.bias.shape}."
            )

    @property
    def n_inputs(self) -> int:
        """Length of a row of inputs."""
        return int(self.weights.shape[1])

    @property
    def n_outputs(self) -> int:
        """Numbers predicted of a window."""
        return int(self.weights.shape[0])

    def outputs(self, inputs: NDArray[np.float32]) -> Floats:
        """Return the outputs of rows of inputs, shape (n, n_outputs)."""
        return np.asarray(inputs @ self.weights.T, dtype=np.float64) + self.bias


@dataclass(frozen=True)
class TreeRegressor:
    """Outputs that are sums of regression trees, all of one depth.

    Attributes
    ----------
    features : ndarray of shape (n_trees, 2**depth - 1), int32
        Which input each node asks for, level by level.
    thresholds : ndarray of shape (n_trees, 2**depth - 1), float32
        Inputs of at most these go left; infinity where a branch ends early.
    leaves : ndarray of shape (n_trees, 2**depth, n_outputs), float32
        What each leaf adds.
    bias : ndarray of shape (n_outputs,), float64
        What the sums begin from.
    n_inputs : int
        Length of a row of inputs.

    Raises
    ------
    ParameterError
        When shapes do not match, an input does not exist, or a leaf is not finite.
    """

    features: NDArray[np.int32]
    thresholds: NDArray[np.float32]
    leaves: NDArray[np.float32]
    bias: Floats
    n_inputs: int

    def __post_init__(self) -> None:
        _freeze(self, features=np.int32, leaves=np.float32, bias=np.float64)
        thresholds = np.array(self.thresholds, dtype=np.float32)  # may be infinite
        thresholds.flags.writeable = False
        object.__setattr__(self, "thresholds", thresholds)
        n_trees, n_nodes = self.features.shape if self.features.ndim == 2 else (-1, -1)
        wanted = (n_trees, n_nodes + 1, *self.bias.shape)
        complete = n_nodes & (n_nodes + 1) == 0
        if not complete or thresholds.shape != (n_trees, n_nodes) or self.leaves.shape != wanted:
            raise ParameterError(
                "TreeRegressor needs complete trees: features and thresholds of shape (n_trees, "
                "2**depth - 1), leaves of shape (n_trees, 2**depth, n_outputs). Got shapes "
                f"{self.features.shape}, {thresholds.shape} and {self.leaves.shape}."
            )
        if self.features.size and not 0 <= self.features.min() <= self.features.max() < (
            self.n_inputs
        ):
            raise ParameterError(
                f"The trees of TreeRegressor must ask for one of {self.n_inputs} inputs, from 0. "
                f"Got {self.features.min()} to {self.features.max()}."
            )

    @property
    def n_outputs(self) -> int:
        """Numbers predicted of a window."""
        return len(self.bias)

    def outputs(self, inputs: NDArray[np.float32]) -> Floats:
        """Return the outputs of rows of inputs, shape (n, n_outputs)."""
        rows = np.ascontiguousarray(inputs, dtype=np.float32)
        out = np.tile(self.bias, (len(rows), 1))
        _kernels.sum_of_trees(rows, self.features, self.thresholds, self.leaves, out)
        return out


Regressor = LinearRegressor | TreeRegressor


def _freeze(owner: Any, **dtypes: Any) -> None:
    """Replace arrays of a frozen dataclass by read-only copies of these dtypes, all finite."""
    for name, dtype in dtypes.items():
        array = np.array(getattr(owner, name), dtype=dtype, order="C")
        if not (np.abs(array) <= MAX_NUMBER).all():  # not a comparison that NaN would pass
            raise ParameterError(
                f"The {name!r} of {type(owner).__name__} must be finite, within +-{MAX_NUMBER:g}. "
                "Check the training features for NaN or infinite values."
            )
        array.flags.writeable = False
        object.__setattr__(owner, name, array)
