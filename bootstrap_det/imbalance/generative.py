"""Generative strategies: positives that were not photographed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.classifiers.learners import Model
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.imbalance.rows import kinds_of
from bootstrap_det.mining.strategy import Round, Strategy
from bootstrap_det.samples import COPY, TURNED, Jitter

_CHUNK = 1024  # windows scored at a time: their blanked copies are a multiple of them


@dataclass(frozen=True)
class Augment(Strategy):
    """More changed copies of every positive: shifts, scales, rotations, light, blur and noise.

    Parameters
    ----------
    n_copies : int, default=4
        Copies, if more than there are.
    shift, scale, rotation, gain, light, blur, pixel_noise : float
        Least limits of the change, see :class:`Jitter`.
    """

    n_copies: int = 4
    shift: float = 0.03
    scale: float = 0.05
    rotation: float = 8.0
    gain: float = 0.3
    light: float = 0.3
    blur: float = 0.7
    pixel_noise: float = 4.0
    name: ClassVar[str] = "augment"

    def __post_init__(self) -> None:
        self.jitter(Jitter())  # checks the limits

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return the jitter with at least this much change."""
        names = [field.name for field in fields(self)]
        return replace(
            jitter, **{name: max(getattr(self, name), getattr(jitter, name)) for name in names}
        )


@dataclass(frozen=True)
class AdversarialOcclusion(Strategy):
    """For each positive, a copy without the part that the last model needs most.

    Of the ``n_parts`` by ``n_parts`` blocks of its cells, the one whose loss lowers the score most
    is blanked: it gets the mean of each channel over the window. From round 1 on.

    Parameters
    ----------
    n_parts : int, default=3
        Blocks along each side.
    share : float, default=1.0
        Share of the positives that get such a copy, drawn at random.

    References
    ----------
    X. Wang, A. Shrivastava and A. Gupta, "A-Fast-RCNN: Hard Positive Generation via Adversary for
    Object Detection", CVPR 2017 (ASDN).
    """

    n_parts: int = 3
    share: float = 1.0
    name: ClassVar[str] = "adversarial-occlusion"

    def __post_init__(self) -> None:
        check_int(self.n_parts, "n_parts", self.name, low=2, high=8)
        check_float(self.share, "share", self.name, low=0.01, high=1.0)

    def occluded(
        self, features: NDArray[Any], shape: tuple[int, int, int], model: Model
    ) -> NDArray[Any]:
        """Return each window without the block that ``model`` needs most, (n, n_features)."""
        parts = np.array_split(features, max(len(features) // _CHUNK, 1))
        return np.concatenate([self._worst(part, shape, model) for part in parts])

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples with the new positives behind the others."""
        if now.model is None:
            return samples
        copies = np.flatnonzero(kinds_of(samples) == COPY)
        n_wanted = max(round(self.share * len(copies)), 1)
        chosen = np.sort(now.rng().permutation(copies)[:n_wanted])
        return with_positives(
            samples, self.occluded(samples.positives[chosen], samples.shape, now.model), chosen
        )

    def _worst(
        self, features: NDArray[Any], shape: tuple[int, int, int], model: Model
    ) -> NDArray[Any]:
        windows = features.reshape(-1, *shape)
        means = windows.mean(axis=(2, 3), keepdims=True).astype(features.dtype)
        edges = [np.linspace(0, side, self.n_parts + 1).astype(int) for side in shape[1:]]
        lowest, out = np.full(len(features), np.inf), features.copy()
        for top, bottom in zip(edges[0][:-1], edges[0][1:], strict=True):
            for left, right in zip(edges[1][:-1], edges[1][1:], strict=True):
                blanked = windows.copy()
                blanked[:, :, top:bottom, left:right] = means
                flat = blanked.reshape(features.shape)
                scores = model.decision_function(flat)
                worse = scores < lowest
                lowest[worse], out[worse] = scores[worse], flat[worse]
        return out


@dataclass(frozen=True)
class AdversarialRotation(Strategy):
    """For each object, a copy turned by the angle that the last model likes least.

    Where there are mirror images, it is one of the object's or its mirror image's copies.
    The angles are spread evenly over -``largest`` to ``largest`` degrees, 0 left out. In round 0,
    which has no model, the angle is drawn at random.

    Parameters
    ----------
    largest : float, default=10.0
        Largest rotation in degrees.
    n_angles : int, default=4
        Angles to choose from.

    References
    ----------
    X. Wang, A. Shrivastava and A. Gupta, CVPR 2017 (ASTN), see :class:`AdversarialOcclusion`.
    """

    largest: float = 10.0
    n_angles: int = 4
    name: ClassVar[str] = "adversarial-rotation"

    def __post_init__(self) -> None:
        check_float(self.largest, "largest", self.name, low=0.1, high=90.0)
        check_int(self.n_angles, "n_angles", self.name, low=2, high=64)

    def angles(self) -> tuple[float, ...]:
        """Return the angles in degrees."""
        half = self.n_angles // 2
        negative = -self.largest * np.arange(half, 0, -1) / half
        positive = self.largest * np.arange(1, self.n_angles - half + 1) / (self.n_angles - half)
        return tuple(float(angle) for angle in (*negative, *positive))

    def choose(self, scores: NDArray[np.float64], objects: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the index of the lowest score of every object, ascending."""
        order = np.lexsort((scores, objects))
        _, first = np.unique(objects[order], return_index=True)
        return np.sort(order[first])

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return the jitter with copies at all angles."""
        return replace(jitter, turns=self.angles())

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return the samples with one turned copy of each object."""
        kinds = kinds_of(samples)
        turned = np.flatnonzero(kinds == TURNED)
        scores = now.rng().uniform(size=len(turned))
        if samples.positive_scores is not None:
            scores = samples.positive_scores[turned]
        worst = turned[self.choose(scores, samples.objects[turned])]
        kept = np.sort(np.concatenate([np.flatnonzero(kinds != TURNED), worst]))
        return samples.chosen(kept, np.arange(len(samples.negatives)))


def with_positives(samples: Samples, features: NDArray[Any], like: NDArray[np.intp]) -> Samples:
    """Return the samples with more positives behind the others.

    Each has the object, the agreement and the weight of the positive that it is ``like``.
    """
    rows = np.concatenate([np.arange(len(samples.positives)), like])
    grown = samples.chosen(rows, np.arange(len(samples.negatives)))
    return replace(grown, positives=np.concatenate([samples.positives, features]))
