"""The trained linear classifier: plain frozen arrays, for one window or for a whole level."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._kernels import linear as _kernels
from bootstrap_det._validation import check_int
from bootstrap_det.exceptions import ParameterError

MAX_TOTAL = 1e30
"""Most that the sizes of a model's weights and bias may sum to, so that scores are finite."""


@dataclass(frozen=True)
class LinearModel:
    """A linear template over a window of channels.

    Attributes
    ----------
    weights : ndarray of shape (n_channels, height, width), float32
        Template on the grid; read-only.
    bias : float
        Added to every score.
    """

    weights: NDArray[np.float32]
    bias: float

    def __post_init__(self) -> None:
        weights = np.array(self.weights, dtype=np.float32, order="C")
        if weights.ndim != 3 or 0 in weights.shape:
            raise ParameterError(
                "The 'weights' of LinearModel must have shape (n_channels, height, width) with no "
                f"side of 0. Got {weights.shape} instead."
            )
        total = np.abs(weights).sum(dtype=np.float64) + abs(self.bias)
        if not total <= MAX_TOTAL:  # not a comparison that NaN would pass
            raise ParameterError(
                f"The weights and the bias of LinearModel must be finite and sum to at most "
                f"{MAX_TOTAL:g}. Check the training features for NaN or infinite values."
            )
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", float(self.bias))

    @classmethod
    def from_estimator(cls, estimator: Any, shape: tuple[int, int, int]) -> LinearModel:
        """Return the model of any fitted binary estimator with ``coef_`` and ``intercept_``.

        Raises
        ------
        ParameterError
            When there is no ``coef_``, or it does not fill ``shape``.
        """
        coef = getattr(estimator, "coef_", None)
        if coef is None or np.size(coef) != np.prod(shape):
            got = "no coef_" if coef is None else f"a coef_ of shape {np.shape(coef)}"
            raise ParameterError(
                f"A linear model of shape {shape} needs a fitted binary estimator with "
                f"{np.prod(shape)} coefficients. Got {type(estimator).__name__} with {got}."
            )
        intercept = np.ravel(getattr(estimator, "intercept_", 0.0))
        return cls(np.reshape(coef, shape), float(intercept[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the template on the grid."""
        return self.weights.shape[1], self.weights.shape[2]

    def mirrored(self, mirror_order: NDArray[np.intp]) -> LinearModel:
        """Return the model of the mirror image; see :attr:`Channels.mirror_order`."""
        return LinearModel(self.weights[mirror_order, :, ::-1], self.bias)

    def decision_function(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return the score of feature vectors of shape (n, n_features), in float64."""
        array = np.atleast_2d(np.asarray(features))
        return np.asarray(array.astype(np.float64) @ self.weights.ravel() + self.bias)

    def score_level(
        self, channels: NDArray[np.float32], *, n_threads: int = 1
    ) -> NDArray[np.float32]:
        """Return the scores of all windows of a level, shape (rows, columns), float32.

        Equal to :meth:`decision_function` of each window to 1e-5, without ever gathering them;
        bands of rows run on ``n_threads`` threads and do not change the result.

        Raises
        ------
        ParameterError
            When the channels are not those of the template, or there is no thread.
        """
        n_threads = check_int(n_threads, "n_threads", "score_level", low=1, high=1024)
        if channels.ndim != 3 or len(channels) != len(self.weights):
            raise ParameterError(
                f"The channels must have shape ({len(self.weights)}, rows, columns), those of the "
                f"template. Got {channels.shape} instead."
            )
        rows = channels.shape[1] - self.shape[0] + 1
        columns = channels.shape[2] - self.shape[1] + 1
        if rows < 1 or columns < 1:
            return np.empty((0, 0), np.float32)
        out = np.empty((rows, columns), np.float32)
        edges = np.linspace(0, rows, min(n_threads, rows) + 1).astype(int)
        bands = list(pairwise(edges))
        if len(bands) == 1:
            _kernels.score_rows(channels, self.weights, self.bias, 0, rows, out)
            return out
        with ThreadPoolExecutor(len(bands)) as pool:
            jobs = [
                pool.submit(_kernels.score_rows, channels, self.weights, self.bias, a, b, out)
                for a, b in bands
            ]
            for job in jobs:
                job.result()
        return out
