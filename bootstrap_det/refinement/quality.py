"""Fitting what of a window speaks for a well-placed box, on top of its score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from threadpoolctl import threadpool_limits

from bootstrap_det.classifiers.platt import calibrate
from bootstrap_det.refinement.samples import BoxSamples
from bootstrap_det.refinement.stages import QualityModel

Floats = NDArray[np.float64]

STRENGTHS = tuple(float(v) for v in np.geomspace(10.0, 1e-3, 7))
LEAST_SLOPE = 1e-3  # of the log odds over the score, in deviations of the score
_GUIDED_ROUNDS = 3
_STEPS = 60
_WINDOWS_ON_PATH = 5000  # enough to choose a strength by
_PRECISION = 1e-7  # relative fall of the loss that ends a fit


def fit_quality(
    samples: BoxSamples,
    good: NDArray[np.bool_],
    *,
    box_loss: float | None = None,
    seed: int = 0,
) -> QualityModel | None:
    """Return what of a window's inputs speaks for a well-placed box, or None without examples.

    The scores become log odds of ``good`` by Platt scaling. Logistic regression on the inputs is
    then fitted on top of these, which stay what they are, and divided by their slope, so that it
    is in units of the score. Its strength is that of the least loss on held-out pictures.

    Parameters
    ----------
    samples : BoxSamples
        Windows with objects and without.
    good : ndarray of shape (n,), bool
        Whether the window's box is placed well.
    box_loss : float or None, default=None
        The mean loss of the boxes: the classification's loss is then scaled to its size, as the
        guided loss does [1]_.
    seed : int, default=0
        Says which pictures are held out.

    References
    ----------
    .. [1] J. Chen et al., "Is Heuristic Sampling Necessary in Training Deep Object Detectors?",
       TIP 2021.
    """
    out = samples.held_out(seed)
    if not 0 < good[~out].sum() < (~out).sum():
        return None
    slope, offset = calibrate(samples.scores, good)
    slope = max(slope, LEAST_SLOPE / max(float(samples.scores.std()), 1e-9))
    some = samples.some(_WINDOWS_ON_PATH, seed)
    with threadpool_limits(limits=1, user_api="blas"):  # sums of several threads would differ
        problem = _Logistic(samples, slope * samples.scores + offset, good, some)
        strength = problem.best_strength(out)
        if box_loss is not None:
            strength = problem.guided(strength, box_loss)
        weights, bias = problem.solve(strength, np.ones(len(good), bool))
    weights = weights / problem.spread
    return QualityModel(
        (weights / slope).astype(np.float32), (bias - weights @ problem.mean) / slope
    )


class _Logistic:
    """Logistic regression of what is good, on inputs of mean square 1, beside fixed log odds."""

    def __init__(
        self,
        samples: BoxSamples,
        log_odds: Floats,
        good: NDArray[np.bool_],
        some: NDArray[np.bool_],
    ) -> None:
        self.mean = samples.inputs.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.inputs = samples.inputs - self.mean
        square = np.square(self.inputs, dtype=np.float32).mean(dtype=np.float64)
        self.spread = float(np.sqrt(square)) or 1.0
        self.inputs /= np.float32(self.spread)
        self.log_odds, self.good, self.some = log_odds, good, some

    def best_strength(self, out: NDArray[np.bool_]) -> float:
        """Return the strength of the least loss on held-out windows; the middle without any."""
        if not out.any():
            return STRENGTHS[len(STRENGTHS) // 2]
        solutions = [self.solve(strength, ~out & self.some) for strength in STRENGTHS]
        return STRENGTHS[int(np.argmin([self.loss(*each, out) for each in solutions]))]

    def guided(self, strength: float, box_loss: float) -> float:
        """Return the strength that amounts to a loss scaled to the size of the boxes' loss."""
        every, scaled = np.ones(len(self.good), bool), strength
        for _ in range(_GUIDED_ROUNDS):  # the scale depends on the solution
            own = self.loss(*self.solve(scaled, every), every)
            scaled = float(np.clip(strength * own / max(box_loss, 1e-9), 1e-5, 1e5))
        return scaled

    def loss(self, weights: Floats, bias: float, rows: NDArray[np.bool_]) -> float:
        """Return the mean log loss of some windows."""
        margins = np.where(self.good, 1.0, -1.0) * (
            self.log_odds + self.inputs @ weights.astype(np.float32) + bias
        )
        return float(np.logaddexp(0.0, -margins[rows]).mean())

    def solve(self, strength: float, rows: NDArray[np.bool_]) -> tuple[Floats, float]:
        """Return the weights and the bias of some windows, by L-BFGS."""
        inputs, log_odds, good = self.inputs[rows], self.log_odds[rows], self.good[rows]
        signs = np.where(good, 1.0, -1.0)

        def objective(flat: Floats) -> tuple[float, Floats]:
            weights = flat[:-1]
            margins = signs * (log_odds + inputs @ weights.astype(np.float32) + flat[-1])
            slopes = -signs * expit(-margins) / len(signs)
            gradient = np.empty_like(flat)
            gradient[:-1] = slopes.astype(np.float32) @ inputs + strength * weights
            gradient[-1] = slopes.sum()
            value = np.logaddexp(0.0, -margins).mean() + strength / 2.0 * weights @ weights
            return float(value), gradient

        start = np.zeros(inputs.shape[1] + 1)
        found = minimize(
            objective,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _STEPS, "ftol": _PRECISION},
        )
        return np.asarray(found.x[:-1]), float(found.x[-1])
