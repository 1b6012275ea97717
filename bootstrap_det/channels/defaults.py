"""The features that detectors are trained with unless told otherwise."""

from __future__ import annotations

from bootstrap_det.channels.acf import ACF
from bootstrap_det.channels.hog import HOG


def default_channels(name: str = "acf", learner: str = "boosted") -> HOG | ACF:
    """Return the features that detectors are trained with unless told otherwise.

    For ``"hog"``: small cells, signed orientations, interpolation and a noise floor of two grey
    levels. For ``"acf"``: blocks of 2 pixels, normalised by the window, or locally for a linear
    classifier. What each brings is measured in ``docs/results.md``.
    """
    if name == "hog":
        return HOG(cell_size=4, n_orientations=12, signed=True, interpolate=True, epsilon=2.0)
    return ACF(normalise="window" if learner == "boosted" else "local")
