"""Fitting a linear regressor of boxes with any of the losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from bootstrap_det.refinement.base import BoxLoss
from bootstrap_det.refinement.overlap_losses import IoU
from bootstrap_det.refinement.regressors import LinearRegressor
from bootstrap_det.refinement.samples import BoxSamples

Floats = NDArray[np.float64]

STRENGTHS = tuple(float(v) for v in np.geomspace(30.0, 0.03, 7))
DEFAULT_STRENGTH = STRENGTHS[2]  # where nothing can be held out
_STEPS_ON_PATH, _STEPS_AT_END = 50, 150
_WINDOWS_ON_PATH = 5000  # enough to choose a strength by
_PRECISION = 1e-7  # relative fall of the loss that ends a fit
_WORSE = 5e-4  # overlap that ends the search for a strength


@dataclass(frozen=True)
class BoxFit:
    """How a regressor was fitted.

    Attributes
    ----------
    n_windows, n_objects : int
        What it was fitted on.
    strength : float
        Of the regularisation, or the number of trees.
    iou_before, iou_after : float or None
        Mean intersection over union of held-out windows with their objects, of the boxes that
        came in and of those moved; None where nothing could be held out.
    """

    n_windows: int
    n_objects: int
    strength: float
    iou_before: float | None = None
    iou_after: float | None = None


def mean_iou(offsets: Floats, targets: Floats) -> float:
    """Return the mean intersection over union of boxes by their offsets from one window each."""
    return float(1.0 - IoU().evaluate(offsets, targets)[0].mean())


def fit_linear(
    samples: BoxSamples, loss: BoxLoss, weights: Floats, *, seed: int = 0
) -> tuple[LinearRegressor, BoxFit]:
    """Return the linear regressor of the least mean loss, and how it was fitted.

    L-BFGS, with half the square of the weights times a strength added. The strength falls from
    strong to weak, each fit beginning where the last one ended, as long as boxes of held-out
    pictures become better; then all windows are fitted.

    Parameters
    ----------
    samples : BoxSamples
        Windows with objects.
    loss : BoxLoss
        What is minimised.
    weights : ndarray of shape (n,), float64
        How much each window counts.
    seed : int, default=0
        Says which pictures are held out.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # sums of several threads would differ
        problem = _Linear.of(samples, loss, weights)
        out = samples.held_out(seed)
        if not out.any() or out.all():
            solution = problem.solve(problem.zero(), DEFAULT_STRENGTH, _STEPS_AT_END)
            return problem.regressor(solution), BoxFit(len(samples), samples.n_objects,
                                                       DEFAULT_STRENGTH)  # fmt: skip
        some = ~out & samples.some(_WINDOWS_ON_PATH, seed)
        strength, solution, after = _best_on_path(problem.rows(some), problem.rows(out))
        solution = problem.solve(solution, strength, _STEPS_AT_END)
    before = float(samples.ious[out].mean())
    fit = BoxFit(len(samples), samples.n_objects, strength, before, after)
    return problem.regressor(solution), fit


@dataclass(frozen=True)
class _Linear:
    """A linear regression: inputs of mean square about 1, targets, weights of sum 1.

    A solution is an array (n_outputs, n_inputs + 1) in units of ``units``: weights, then bias.
    """

    loss: BoxLoss
    inputs: NDArray[np.float32]
    targets: Floats
    weights: Floats
    mean: NDArray[np.float32]
    spread: float
    units: Floats

    @classmethod
    def of(cls, samples: BoxSamples, loss: BoxLoss, weights: Floats) -> _Linear:
        mean = samples.inputs.mean(axis=0, dtype=np.float64).astype(np.float32)
        inputs = samples.inputs - mean
        spread = float(np.sqrt(np.square(inputs, dtype=np.float32).mean(dtype=np.float64))) or 1.0
        inputs /= np.float32(spread)
        units = output_units(loss, samples.targets)
        return cls(loss, inputs, samples.targets, weights / weights.sum(), mean, spread, units)

    def rows(self, chosen: NDArray[np.bool_]) -> _Linear:
        weights = self.weights[chosen]
        return _Linear(
            self.loss, self.inputs[chosen], self.targets[chosen], weights / weights.sum(),
            self.mean, self.spread, self.units,
        )  # fmt: skip

    def zero(self) -> Floats:
        return np.zeros((self.loss.n_outputs, self.inputs.shape[1] + 1))

    def outputs(self, solution: Floats) -> Floats:
        products = self.inputs @ solution[:, :-1].T.astype(np.float32)
        return self.loss.start() + self.units * (products + solution[:, -1])

    def iou(self, solution: Floats) -> float:
        return mean_iou(self.loss.offsets(self.outputs(solution)), self.targets)

    def solve(self, start: Floats, strength: float, n_steps: int) -> Floats:
        """Return the solution that L-BFGS reaches from ``start``."""

        def objective(flat: Floats) -> tuple[float, Floats]:
            solution = flat.reshape(start.shape)
            values, slopes = self.loss.evaluate(self.outputs(solution), self.targets)
            slopes = slopes * self.units * self.weights[:, None]
            gradient = np.empty_like(solution)
            gradient[:, :-1] = slopes.T.astype(np.float32) @ self.inputs
            gradient[:, :-1] += strength * solution[:, :-1]
            gradient[:, -1] = slopes.sum(axis=0)
            penalty = strength / 2.0 * float(np.square(solution[:, :-1]).sum())
            return float(values @ self.weights) + penalty, gradient.ravel()

        found = minimize(
            objective, start.ravel(), jac=True, method="L-BFGS-B",
            options={"maxiter": n_steps, "ftol": _PRECISION},
        )  # fmt: skip
        return np.asarray(found.x).reshape(start.shape)

    def regressor(self, solution: Floats) -> LinearRegressor:
        """Return the regressor of inputs as they come."""
        weights = solution[:, :-1] * (self.units / self.spread)[:, None]
        bias = self.loss.start() + self.units * solution[:, -1]
        return LinearRegressor(weights.astype(np.float32), bias - weights @ self.mean)


def output_units(loss: BoxLoss, targets: Floats) -> Floats:
    """Return the size of each output, shape (n_outputs,): deviations for offsets, else 1."""
    units = np.ones(loss.n_outputs)
    if loss.n_outputs in (4, 8):  # offsets first, then perhaps logarithms of variances
        units[:4] = target_scales(targets)
    return units


def target_scales(targets: Floats) -> tuple[float, float, float, float]:
    """Return the deviations of a training set's offsets, at least 0.01."""
    dx, dy, dw, dh = np.maximum(targets.std(axis=0), 0.01).tolist()
    return dx, dy, dw, dh


def _best_on_path(fitted: _Linear, tested: _Linear) -> tuple[float, Floats, float]:
    """Return strength, solution and overlap of the best fit for the windows tested."""
    solution = fitted.zero()
    best = (STRENGTHS[0], solution, -np.inf)
    for strength in STRENGTHS:
        solution = fitted.solve(solution, strength, _STEPS_ON_PATH)
        overlap = tested.iou(solution)
        if overlap > best[2]:
            best = (strength, solution, overlap)
        elif overlap < best[2] - _WORSE:  # where little is learnt yet, it goes up and down
            break
    return best
