"""Fitting a linear regressor of boxes with any of the losses, and a model of their quality."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from bootstrap_det.refinement.base import BoxLoss
from bootstrap_det.refinement.overlap_losses import IoU
from bootstrap_det.refinement.regressors import LinearRegressor
from bootstrap_det.refinement.samples import BoxSamples
from bootstrap_det.refinement.stages import QualityModel

Floats = NDArray[np.float64]

STRENGTHS = tuple(float(v) for v in np.geomspace(300.0, 0.01, 10))
DEFAULT_STRENGTH = STRENGTHS[3]  # where nothing can be held out
QUALITY_C = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_STEPS_ON_PATH, _STEPS_AT_END = 60, 200
_GUIDED_ROUNDS = 3


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
        strength, solution, after = _best_on_path(problem.rows(~out), problem.rows(out))
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
            objective, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": n_steps}
        )
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
    n_worse = 0
    for strength in STRENGTHS:
        solution = fitted.solve(solution, strength, _STEPS_ON_PATH)
        overlap = tested.iou(solution)
        if overlap > best[2]:
            best, n_worse = (strength, solution, overlap), 0
        else:
            n_worse += 1
        if n_worse == 2:
            break
    return best


def fit_quality(
    samples: BoxSamples,
    good: NDArray[np.bool_],
    *,
    box_loss: float | None = None,
    seed: int = 0,
) -> QualityModel | None:
    """Return what of a window's inputs speaks for a well-placed box, or None without examples.

    Logistic regression of ``good`` on the inputs and the score. The part of the inputs is
    divided by the score's coefficient, so it is in units of the score.

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
    if not (0 < good[~out].sum() < (~out).sum()):
        return None
    unit = float(samples.scores.std()) or 1.0
    rows = np.column_stack([samples.inputs / np.float32(64.0), samples.scores / unit])
    with threadpool_limits(limits=1, user_api="blas"):
        c = _best_c(rows[~out], good[~out], rows[out], good[out])
        if box_loss is not None:
            c = _guided(rows, good, c, box_loss)
        model = _logistic(rows, good, c)
    (coefficients,) = model.coef_
    # A score that says next to nothing here must not be drowned.
    slope = max(float(coefficients[-1]), 0.1) / unit
    weights = coefficients[:-1] / np.float32(64.0) / slope
    return QualityModel(weights.astype(np.float32), float(model.intercept_[0]) / slope)


def _guided(rows: NDArray[Any], good: NDArray[np.bool_], c: float, box_loss: float) -> float:
    """Return a C that gives the classification the size of the regression's loss.

    The loss is scaled by the ratio of the two at the solution, which depends on the scale.
    """
    scaled = c
    for _ in range(_GUIDED_ROUNDS):
        own = log_loss(good, _logistic(rows, good, scaled).predict_proba(rows)[:, 1])
        scaled = float(np.clip(c * box_loss / own, QUALITY_C[0] / 100, QUALITY_C[-1] * 100))
    return scaled


def _best_c(
    fitted: NDArray[Any], good: NDArray[np.bool_], tested: NDArray[Any], truth: NDArray[np.bool_]
) -> float:
    """Return the C of the least loss on held-out windows; the middle one where there are none."""
    if not len(truth):
        return QUALITY_C[len(QUALITY_C) // 2]
    losses = [
        log_loss(
            truth, _logistic(fitted, good, c).predict_proba(tested)[:, 1], labels=[False, True]
        )
        for c in QUALITY_C
    ]
    return QUALITY_C[int(np.argmin(losses))]


def _logistic(rows: NDArray[Any], good: NDArray[np.bool_], c: float) -> LogisticRegression:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops with a usable model
        return LogisticRegression(C=c, max_iter=100, tol=1e-3).fit(rows, good)
