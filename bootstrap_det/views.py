"""Several templates for one label: objects that look different get a template each.

A rigid template has one shape and view. Frontal and turned faces, or cars from the side and from
behind, in one training blur each other; grouped by what they look like, each group is sharp.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from bootstrap_det._validation import check_int
from bootstrap_det.exceptions import DataError

N_ROUNDS = 20  # of turning objects until all face the same way
N_COMPONENTS = 24  # of the features' variation; the rest is detail of single objects
N_SEEN = 3000  # samples that the components and the centres are found on
MIN_SHARE = 0.02  # of all samples that a view must have


def split_views(features: NDArray[Any], n_views: int, *, seed: int = 0) -> NDArray[np.intp]:
    """Return which of ``n_views`` groups each positive belongs to, by likeness of the features.

    Mirror images and changed copies are samples like any other, so a set of objects that turn
    left and right falls into mirror-symmetric groups.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Positives.
    n_views : int
        Groups, 1 to 32.
    seed : int, default=0
        For the first centres.

    Returns
    -------
    ndarray of shape (n,), intp
        Group of each sample, the largest group first.

    Raises
    ------
    DataError
        When a group would have fewer than 2 % of the samples, or 20.
    """
    check_int(n_views, "n_views", "split_views", low=1, high=32)
    if n_views == 1:
        return np.zeros(len(features), dtype=np.intp)
    rng = np.random.default_rng(seed)
    seen = features[np.sort(rng.permutation(len(features))[:N_SEEN])].astype(np.float32)
    components = PCA(min(N_COMPONENTS, *seen.shape), random_state=seed).fit(seen)
    centres = KMeans(n_views, n_init=4, random_state=seed).fit(components.transform(seen))
    parts = np.array_split(features, max(len(features) // N_SEEN, 1))
    groups = np.concatenate(
        [centres.predict(components.transform(part.astype(np.float32))) for part in parts]
    )
    sizes = np.bincount(groups, minlength=n_views)
    if sizes.min() < max(MIN_SHARE * len(features), 20):
        raise DataError(
            f"Of {n_views} views the smallest has only {sizes.min()} of {len(features)} positives. "
            "Ask for fewer views, or give more objects."
        )
    rank = np.empty(n_views, dtype=np.intp)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(n_views)
    return np.asarray(rank[groups])


def facing(
    features: NDArray[Any], shape: tuple[int, int, int], mirror_order: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return how far each positive faces one way, negative for the other way.

    What an object and its mirror image differ in most, over all objects, tells left from right:
    the first principal component of the differences. From there, the mean difference of those
    that face one way is found again until nobody turns round.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Positives.
    shape : tuple of int
        Channels, rows and columns of the window.
    mirror_order : ndarray of shape (n_channels,), int
        See :attr:`Channels.mirror_order`.

    Returns
    -------
    ndarray of shape (n,), float64
        The opposite for a mirror image, up to what channels round; 0 for an object that is its
        own mirror image.
    """
    seen = np.linspace(0, len(features) - 1, min(len(features), N_SEEN)).astype(np.intp)
    differences = _mirror_differences(features[seen], shape, mirror_order)
    pca = PCA(1, random_state=0).fit(np.concatenate([differences, -differences]))
    direction = pca.components_[0]
    for _ in range(N_ROUNDS):
        signs = np.where(differences @ direction < 0, -1.0, 1.0)
        mean = signs @ differences / len(differences)
        if np.array_equal(signs, np.where(differences @ mean < 0, -1.0, 1.0)):
            break
        direction = mean
    parts = np.array_split(features, max(len(features) // N_SEEN, 1))
    sides = [_mirror_differences(part, shape, mirror_order) @ direction for part in parts]
    return np.asarray(np.concatenate(sides), np.float64)


def _mirror_differences(
    features: NDArray[Any], shape: tuple[int, int, int], mirror_order: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return each sample minus its mirror image, (n, n_features)."""
    windows = features.reshape(-1, *shape).astype(np.float32)
    return np.asarray((windows - windows[:, mirror_order, :, ::-1]).reshape(len(features), -1))
