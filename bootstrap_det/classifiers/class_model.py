"""Which class of its group an object is: multinomial logistic regression as plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, softmax

from bootstrap_det._validation import check_label, check_size
from bootstrap_det.channels import Channels
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.windows import Window

MAX_VIEW_SIDE = 512
"""Most pixels of a side of the window that classes look at; each detection is brought to it."""


@dataclass(frozen=True)
class ClassView:
    """How the classes of a group look at an object: its box, cut from the picture anew.

    Attributes
    ----------
    window : Window
        What the box is brought to; larger than a template's, for the details that tell classes
        apart.
    channels : Channels
        The features of it.
    """

    window: Window
    channels: Channels

    def __post_init__(self) -> None:
        check_size(self.window.size, "window", "ClassView", high=MAX_VIEW_SIDE)

    @property
    def n_features(self) -> int:
        """Length of a feature vector."""
        rows, columns = self.channels.grid_shape(self.window.size)
        return self.channels.n_window_channels * rows * columns


@dataclass(frozen=True)
class ClassModel:
    """The second level of a detector: the classes of one group, told by a window's features.

    Attributes
    ----------
    labels : tuple of str
        The classes, sorted, each once.
    weights : ndarray of shape (n_classes, n_features), float32
        Of the features as the channels give them; read-only. Scale and temperature are in them.
    bias : ndarray of shape (n_classes,), float64
        Added to each class' product.
    factor, offset : float, default=1.0 and 0.0
        A detection of score s is an object of the group with the log odds ``factor * s + offset``.
    view : ClassView or None, default=None
        What the features are of; a detector needs it.

    Raises
    ------
    ParameterError
        When shapes do not match, labels are not sorted, or a number is not finite.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float64]
    factor: float = 1.0
    offset: float = 0.0
    view: ClassView | None = None

    def __post_init__(self) -> None:
        labels = tuple(check_label(label, "labels", "ClassModel") for label in self.labels)
        weights = np.array(self.weights, dtype=np.float32, order="C")
        bias = np.array(self.bias, dtype=np.float64)
        if not labels or labels != tuple(sorted(set(labels))):
            raise ParameterError(
                "The 'labels' of ClassModel must be one or more, sorted, each once. Got "
                f"{labels!r} instead."
            )
        if weights.ndim != 2 or len(weights) != len(labels) or bias.shape != (len(labels),):
            raise ParameterError(
                f"ClassModel of {len(labels)} classes needs a row of weights and a bias for each. "
                f"Got weights of shape {weights.shape} and a bias of shape {bias.shape}."
            )
        numbers = (weights, bias, self.factor, self.offset)
        if not all(np.isfinite(each).all() for each in numbers):
            raise ParameterError(
                "The numbers of ClassModel must be finite. Check the training features for NaN "
                "or infinite values."
            )
        if self.view is not None and self.view.n_features != weights.shape[1]:
            raise ParameterError(
                f"ClassModel has weights of {weights.shape[1]} features, but its view of "
                f"{self.view.window.size} px gives {self.view.n_features}. Take the view that it "
                "was trained with."
            )
        weights.flags.writeable = bias.flags.writeable = False
        for name, value in (("labels", labels), ("weights", weights), ("bias", bias)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "factor", float(self.factor))
        object.__setattr__(self, "offset", float(self.offset))

    @property
    def n_features(self) -> int:
        """Length of a feature vector."""
        return int(self.weights.shape[1])

    def probabilities(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return the probability of each class, given that the windows show objects of the group.

        Parameters
        ----------
        features : array-like of shape (n, n_features)
            Of windows, as the channels give them.

        Returns
        -------
        ndarray of shape (n, n_classes)
            Rows that sum to 1, in the order of ``labels``.

        Raises
        ------
        ParameterError
            When the features are not as many as the weights.
        """
        array = np.atleast_2d(np.asarray(features))
        if array.shape[1] != self.n_features:
            raise ParameterError(
                f"ClassModel needs {self.n_features} features a window. Got {array.shape[1]}; take "
                "the channels and the window that it was trained with."
            )
        logits = array.astype(np.float64) @ self.weights.T.astype(np.float64) + self.bias
        return np.asarray(softmax(logits, axis=1))

    def group_probabilities(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Return the probability that detections of these scores are objects of the group."""
        log_odds = self.factor * np.asarray(scores, dtype=np.float64) + self.offset
        return np.asarray(expit(log_odds))
