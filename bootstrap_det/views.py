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
