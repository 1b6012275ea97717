"""How dense samples lie along the norm of their gradient, and the weights that even it out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.exceptions import DataError, ParameterError

Floats = NDArray[np.float64]

N_BINS = 30  # of the gradient's norm, as in the paper's experiments
MOMENTUM = 0.75  # of their counts, as in its authors' code


def ghm_weights(
    gradient_norms: ArrayLike,
    *,
    n_bins: int = N_BINS,
    momentum: float = 0.0,
    state: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Return N / GD(g) for each gradient norm g = abs(p - y), and the state for the next step.

    [0, 1] is cut into bins of width 1 / ``n_bins``; the gradient density GD(g) is the number of
    samples in the bin of g divided by its width, and N the number of all samples.

    Parameters
    ----------
    gradient_norms : array-like of shape (n_samples,)
        In [0, 1]; 1 belongs to the last bin.
    n_bins : int, default=30
        Bins, 1 to 10000.
    momentum : float, default=0.0
        Counts are this share of the state's and the rest of this step's, 0 to 0.999.
    state : array-like of shape (n_bins,) or None, default=None
        What the step before returned. The first step's counts are taken as they are, where the
        paper is silent and a start from zero would double or quadruple the weights.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        What each sample counts for, by default 1; a weight of 2 counts as the sample twice.

    Returns
    -------
    weights : ndarray of shape (n_samples,), float64
        Without momentum every bin that is not empty has the same weight in all, N / ``n_bins``.
    state : ndarray of shape (n_bins,), float64
        The counts.

    Notes
    -----
    As in the paper, weights do not sum to N but to N times the share of bins that are not empty;
    its authors' code divides by that share.

    Raises
    ------
    ParameterError
        When a parameter is out of its range, or the state has other bins.
    DataError
        When a norm is not in [0, 1], or there is not one weight a sample.

    References
    ----------
    B. Li, Y. Liu and X. Wang, "Gradient Harmonized Single-stage Detector", AAAI 2019.
    """
    check_bins(n_bins, momentum, "ghm_weights")
    norms = np.asarray(gradient_norms, np.float64)
    if norms.ndim != 1 or not ((norms >= 0.0) & (norms <= 1.0)).all():
        raise DataError(
            "The gradient norms of ghm_weights must be numbers in [0, 1], one a sample, such as "
            f"the distance of probability and target. Got {norms!r:.60} instead."
        )
    counted = np.ones_like(norms) if sample_weight is None else np.asarray(sample_weight, float)
    if counted.shape != norms.shape:
        raise DataError(
            "The sample weights of ghm_weights must be one a sample. "
            f"Got shape {counted.shape} for {len(norms)} samples."
        )
    bin_of = np.minimum((norms * n_bins).astype(np.intp), n_bins - 1)
    counts = np.bincount(bin_of, counted, minlength=n_bins).astype(np.float64)
    if state is not None:
        before = np.asarray(state, np.float64)
        if before.shape != counts.shape:
            raise ParameterError(
                f"The 'state' parameter of ghm_weights must have one count for each of {n_bins} "
                f"bins, as the step before returned it. Got shape {before.shape} instead."
            )
        counts = momentum * before + (1.0 - momentum) * counts
    density = counts[bin_of] * n_bins
    weights = np.zeros_like(norms)
    # A sample of no weight may be alone in its bin.
    np.divide(counted.sum(), density, out=weights, where=density > 0.0)
    return weights, counts


def check_bins(n_bins: int, momentum: float, owner: str) -> None:
    """Refuse what are no bins or no momentum, in the name of ``owner``."""
    check_int(n_bins, "n_bins", owner, low=1, high=10_000)
    check_float(momentum, "momentum", owner, low=0.0, high=0.999)
