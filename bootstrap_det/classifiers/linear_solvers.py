"""Minimising a regularised loss of linear scores: L-BFGS, and averaged stochastic descent.

A vector here is the weights followed by the intercept, float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from bootstrap_det.classifiers.losses import GHM, Logistic, Loss

Floats = NDArray[np.float64]

BLOCK = 1 << 19  # values of the rows that are worked on at once; they stay in the cache
BATCH = 8  # samples of a step of the stochastic descent
MEMORY = 20  # steps that L-BFGS remembers
AVERAGING = 3.0  # Shamir & Zhang's eta: early steps fade from the average
MAX_HARMONISED = 30  # fits with weights from the gradients of the fit before
STABLE = 0.01  # change of those weights, relative to their mean, that ends them
ROUGH = 3e-3  # tolerance of the fits before the last one, whose weights are not final
POWER = 0.75  # how fast steps shrink, Xu's and Bottou's for averaged descent


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, which takes a while


def one_thread() -> AbstractContextManager[Any]:
    """Return a context in which products run on one thread.

    More would change the last bits of a sum with the machine. They bring nothing for blocks this
    small, either: on a busy machine, two that wait for each other are many times slower than one.
    """
    limit: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limit


def blocks(features: NDArray[Any]) -> Iterator[slice]:
    """Yield the rows of a block after the other."""
    n_rows = max(BLOCK // max(features.shape[1], 1), 1)
    for first in range(0, len(features), n_rows):
        yield slice(first, first + n_rows)


def linear_scores(features: NDArray[Any], vector: Floats) -> Floats:
    """Return the scores of float32 or float64 features, computed in that precision."""
    weights = vector[:-1].astype(features.dtype)
    return np.asarray((features @ weights).astype(np.float64) + vector[-1])


@dataclass(frozen=True)
class Problem:
    """What is minimised: ``decay / 2 * |w|^2`` plus the weighted sum of the losses.

    Attributes
    ----------
    features : ndarray of shape (n_samples, n_features), float32 or float64
        Never copied; products run in its own precision over blocks of rows, sums over blocks
        in float64.
    targets, weights : ndarray of shape (n_samples,), float64
        Of the samples; weights sum to 1, or to less where a loss gives some of them less.
    decay : float
        Strength of regularisation. The intercept is not regularised.
    """

    features: NDArray[Any]
    targets: Floats
    weights: Floats
    decay: float

    def objective(self, vector: Floats, loss: Loss) -> tuple[float, Floats]:
        """Return what is minimised, and its gradient, in one pass over the features."""
        total, gradient = 0.5 * self.decay * vector[:-1] @ vector[:-1], np.zeros(len(vector))
        gradient[:-1] = self.decay * vector[:-1]
        dtype = self.features.dtype
        for rows in blocks(self.features):
            block, targets, counts = self.features[rows], self.targets[rows], self.weights[rows]
            scores = linear_scores(block, vector)
            total += counts @ loss.value(scores, targets)
            slopes = counts * loss.gradient(scores, targets)
            gradient[:-1] += slopes.astype(dtype) @ block
            gradient[-1] += slopes.sum()
        return float(total), gradient


@dataclass(frozen=True)
class Solution:
    """Where a solver stopped: the vector, after how many iterations, and whether it had to."""

    vector: Floats
    n_iter: int
    converged: bool


def minimise(problem: Problem, loss: Loss, start: Floats, *, max_iter: int, tol: float) -> Solution:
    """Return the minimum by L-BFGS.

    It has converged when no entry of the gradient is larger than ``tol`` times the largest one at
    zero, or when rounding hides any further progress.
    """
    size = np.abs(problem.objective(np.zeros_like(start), loss)[1]).max()
    result = minimize(
        problem.objective,
        start,
        args=(loss,),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": max_iter,
            "maxfun": 20 * max_iter,
            "maxcor": MEMORY,
            "maxls": 50,
            "gtol": tol * size,
            "ftol": float(np.finfo(problem.features.dtype).eps) / 4.0,
        },
    )
    return Solution(result.x, max(int(result.nit), 1), bool(result.success))


@dataclass
class AveragedDescent:
    """Averaged stochastic gradient descent, a batch a step; changed in place.

    Attributes
    ----------
    vector, mean : ndarray of shape (n_features + 1,), float64
        Where the descent is, and the average of where it was: the solution.
    rate : float
        Size of the first step.
    n_steps : int, default=0
        Steps taken.

    References
    ----------
    L. Bottou, "Stochastic Gradient Descent Tricks", 2012. O. Shamir and T. Zhang, "Stochastic
    Gradient Descent for Non-smooth Optimization", ICML 2013 (the average).
    """

    vector: Floats
    mean: Floats
    rate: float
    n_steps: int = 0

    def step(self, features: NDArray[Any], slopes: Floats, decay: float) -> None:
        """Descend along the sum of ``slopes`` (n,) times ``features`` (n, n_features)."""
        rate = self.rate / (1.0 + decay * self.rate * self.n_steps) ** POWER
        self.vector[:-1] *= 1.0 - rate * decay
        self.vector[:-1] -= rate * (slopes.astype(features.dtype) @ features)
        self.vector[-1] -= rate * slopes.sum()
        self.n_steps += 1
        share = (AVERAGING + 1.0) / (AVERAGING + self.n_steps)
        self.mean += share * (self.vector - self.mean)


def first_rate(features: NDArray[Any], loss: Loss, decay: float) -> float:
    """Return a step size that is stable for features of this length and a loss this curved."""
    some = features[:: max(len(features) // 2000, 1)]
    length = float(np.einsum("ij,ij->", some, some, dtype=np.float64)) / len(some)
    grid = np.linspace(-10.0, 10.0, 201)
    rises = [np.diff(loss.gradient(grid, np.full(201, y))).max() / 0.1 for y in (0.0, 1.0)]
    return float(1.0 / (max(rises) * (length + 1.0) + decay))


def epoch(weights: Floats, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return as many samples as there are, in random order, each as often as its weight says.

    A heavy sample comes often instead of taking long steps, which would diverge; samples of equal
    weight come once each (systematic resampling).
    """
    chosen = np.flatnonzero(weights)
    up_to = np.cumsum(weights[chosen])
    places = (np.arange(len(chosen)) + rng.uniform()) / len(chosen)
    drawn = np.searchsorted(up_to, places * up_to[-1], side="right")
    return rng.permutation(chosen[np.minimum(drawn, len(chosen) - 1)])


def descend(
    problem: Problem,
    loss: Loss,
    descent: AveragedDescent,
    *,
    max_iter: int,
    tol: float,
    rng: np.random.Generator,
) -> Solution:
    """Return the average of a stochastic descent over at most ``max_iter`` epochs.

    It has converged when two epochs in a row change the objective by less than ``tol`` times what
    it is at zero.
    """
    size = problem.objective(np.zeros_like(descent.mean), loss)[0]
    total = problem.weights.sum()
    before, n_quiet, n_epochs = np.inf, 0, 0
    while n_epochs < max_iter and n_quiet < 2:
        order = epoch(problem.weights, rng)
        for first in range(0, len(order), BATCH):
            chosen = order[first : first + BATCH]
            features = problem.features[chosen]
            scores = linear_scores(features, descent.vector)
            slopes = loss.gradient(scores, problem.targets[chosen])
            descent.step(features, slopes * (total / len(chosen)), problem.decay)
        n_epochs += 1
        now = problem.objective(descent.mean, loss)[0]
        n_quiet = n_quiet + 1 if abs(before - now) <= tol * size else 0
        before = now
    return Solution(descent.mean.copy(), n_epochs, n_quiet == 2)


def harmonise(
    problem: Problem,
    loss: GHM,
    start: Floats,
    solve: Callable[[Problem, Loss, Floats, float], Solution],
    tol: float,
) -> Solution:
    """Return the fit whose gradients are harmonised by weights that it gives rise to itself.

    From the plain logistic fit on, weights are computed from a fit's scores and held fixed in the
    next. Taken as they are, they swing: the bins that one fit empties weigh most in the next, with
    or without momentum of the counts. So each fit has the mean of all weights up to it (the method
    of successive averages), until one more changes the mean by little. Weights jump where a sample
    moves into another bin, so a fit whose own weights are exactly these need not exist. ``tol`` is
    reached by the last one only; iterations are summed up.
    """
    rough = max(tol, ROUGH)
    solution = solve(problem, Logistic(), start, rough)
    n_iter, mean = solution.n_iter, np.ones_like(problem.weights)
    for n_fits in range(1, MAX_HARMONISED + 1):
        scores = linear_scores(problem.features, solution.vector)
        factors, _ = loss.weights(scores, problem.targets, sample_weight=problem.weights)
        change = (factors - mean) / (n_fits + 1)
        mean = mean + change
        harmonised = replace(problem, weights=problem.weights * mean)
        stable = problem.weights @ np.abs(change) <= STABLE * harmonised.weights.sum()
        last = stable or n_fits == MAX_HARMONISED
        solution = solve(harmonised, Logistic(), solution.vector, tol if last else rough)
        n_iter += solution.n_iter
        if last:
            break
    return Solution(solution.vector, n_iter, bool(stable and solution.converged))
