"""Refining windows after a scan: boxes from the channels that the level has already.

A stage looks at the features of each window, moves its box, and may change its score. The next
stage looks at the window of the same level that lies nearest to the moved box. So a cascade of
stages computes no channel anew.

References
----------
P. Felzenszwalb et al., PAMI 2010, and R. Girshick et al., CVPR 2014 (bounding box regression by
linear functions). Z. Cai and N. Vasconcelos, "Cascade R-CNN: Delving into High Quality Object
Detection", CVPR 2018. J. Cao et al., "Hierarchical Shot Detector", ICCV 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.channels import Channels
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.pyramid import LevelPlan
from bootstrap_det.refinement.base import BoxLoss
from bootstrap_det.refinement.offsets import decode, encode
from bootstrap_det.refinement.regressors import Regressor
from bootstrap_det.windows import Window, boxes_to_windows, window_positions, windows_to_boxes

Floats = NDArray[np.float64]

N_PLACE = 4  # inputs beside the features: where the box lies relative to its window
PLACE_SCALE = 256.0  # that brings these offsets to the range of bytes


@dataclass(frozen=True)
class QualityModel:
    """How far a window's features speak for a well-placed box, in units of the score.

    Attributes
    ----------
    weights : ndarray of shape (n_inputs,), float32
        Of the stage's inputs; read-only.
    bias : float
        Added to the product.
    """

    weights: NDArray[np.float32]
    bias: float

    def __post_init__(self) -> None:
        weights = np.array(self.weights, dtype=np.float32)
        if weights.ndim != 1 or not (np.isfinite(weights).all() and np.isfinite(self.bias)):
            raise ParameterError(
                "QualityModel needs finite weights of shape (n_inputs,) and a finite bias. Got "
                f"shape {weights.shape} and a bias of {self.bias!r}."
            )
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "bias", float(self.bias))

    def gains(self, inputs: NDArray[np.float32]) -> Floats:
        """Return what to add to the score of each row, shape (n,)."""
        return np.asarray(inputs @ self.weights, dtype=np.float64) + self.bias


@dataclass(frozen=True)
class Stage:
    """One step of a refinement: move the box, and perhaps judge it.

    Attributes
    ----------
    regressor : LinearRegressor or TreeRegressor
        Predicts the loss' outputs from a window's features and the place of its box.
    loss : BoxLoss
        What it was fitted by; it says which offsets the outputs stand for.
    quality : QualityModel or None, default=None
        Changes the score.
    classify_after : bool, default=False
        The quality is judged at the window nearest to the box after it was moved, instead of at
        the one that it was moved from.
    """

    regressor: Regressor
    loss: BoxLoss
    quality: QualityModel | None = None
    classify_after: bool = False

    def __post_init__(self) -> None:
        if self.regressor.n_outputs != self.loss.n_outputs:
            raise ParameterError(
                f"A Stage of the loss {self.loss.name!r} needs a regressor of "
                f"{self.loss.n_outputs} outputs. Got {self.regressor.n_outputs}."
            )
        if self.quality is not None and len(self.quality.weights) != self.regressor.n_inputs:
            raise ParameterError(
                "The regressor and the quality of a Stage need the same inputs. Got "
                f"{self.regressor.n_inputs} and {len(self.quality.weights)}."
            )


@dataclass(frozen=True)
class Found:
    """Windows of one level and template, and their boxes so far.

    Attributes
    ----------
    rows, columns : ndarray of shape (n,), int
        Grid positions of the windows that the boxes are told from.
    boxes : ndarray of shape (n, 4), float64
        Xyxy, picture pixels.
    scores : ndarray of shape (n,), float64
        Decision values.
    deviations : ndarray of shape (n, 4), float64, or None
        Standard deviation of each box's centre (x, y), width and height, picture pixels, where
        the last stage's loss gives one.
    moved : bool, default=False
        Whether the boxes are other than those that the windows themselves stand for.
    """

    rows: NDArray[Any]
    columns: NDArray[Any]
    boxes: Floats
    scores: Floats
    deviations: Floats | None = None
    moved: bool = False

    @staticmethod
    def concatenate(parts: Sequence[Found]) -> Found:
        """Return the windows of all parts, in their order; each is as far as the others."""
        columns = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("rows", "columns", "boxes", "scores", "deviations")
            if getattr(parts[0], name) is not None
        }
        return Found(**columns, moved=parts[0].moved)


@dataclass(frozen=True)
class Level:
    """A level's channels, and the window whose positions in it are refined.

    Attributes
    ----------
    plan : LevelPlan
        Where the level lies.
    window : Window
        The template's extent.
    channels : Channels
        The features.
    values : ndarray of shape (n_channels, n_rows, n_columns)
        As the channels give them.
    rows : tuple of int
        First row of windows whose channels are there, and the row after the last.
    """

    plan: LevelPlan
    window: Window
    channels: Channels
    values: NDArray[Any]
    rows: tuple[int, int]

    def found(self, rows: NDArray[Any], columns: NDArray[Any], scores: Floats) -> Found:
        """Return windows as a scan finds them."""
        boxes = windows_to_boxes(self.plan, self.window, rows, columns)
        return Found(rows, columns, boxes, scores)

    def nearest(self, found: Found) -> Found:
        """Return the windows nearest to the boxes, which stay."""
        n_columns = window_positions(self.plan, self.window, self.channels)[1]
        rows, columns = boxes_to_windows(self.plan, self.window, found.boxes)
        rows = np.clip(np.rint(rows), self.rows[0], self.rows[1] - 1)
        columns = np.clip(np.rint(columns), 0, n_columns - 1)
        return replace(found, rows=rows.astype(np.intp), columns=columns.astype(np.intp))

    def inputs(self, found: Found) -> NDArray[np.float32]:
        """Return features and the place of each box, shape (n, n_features + 4)."""
        shape = self.channels.grid_shape(self.window.size)
        features = self.channels.window_features(self.values, shape, found.rows, found.columns)
        inputs = np.zeros((len(features), features.shape[1] + N_PLACE), np.float32)
        inputs[:, :-N_PLACE] = features
        if found.moved:
            place = encode(found.boxes, self.window_boxes(found))
            inputs[:, -N_PLACE:] = place * PLACE_SCALE
        return inputs

    def window_boxes(self, found: Found) -> Floats:
        """Return the boxes that the windows themselves stand for, shape (n, 4)."""
        if not found.moved:
            return found.boxes
        return windows_to_boxes(self.plan, self.window, found.rows, found.columns)


@dataclass(frozen=True)
class Refinement:
    """The stages that follow the scan of one template.

    Attributes
    ----------
    stages : tuple of Stage
        In the order that they are applied in; at least one.
    """

    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise ParameterError("A Refinement needs at least one stage. Got none.")
        counts = {stage.regressor.n_inputs for stage in self.stages}
        if len(counts) > 1:  # compiled code does not look how long a row is
            raise ParameterError(
                "The stages of a Refinement need the same inputs, those of one window. Got "
                f"{', '.join(map(str, sorted(counts)))}."
            )

    @property
    def rescores(self) -> bool:
        """Whether scores change."""
        return any(stage.quality is not None for stage in self.stages)

    @property
    def n_inputs(self) -> int:
        """Length of a row of inputs, the four of the place included."""
        return self.stages[0].regressor.n_inputs

    @property
    def n_outputs(self) -> int:
        """Numbers that all stages predict of a window, each from all of its inputs."""
        return sum(stage.regressor.n_outputs for stage in self.stages)

    def refine(self, level: Level, found: Found) -> Found:
        """Return the windows after all stages: their boxes moved, their scores changed.

        The gains of several stages are averaged, as Cascade R-CNN averages their scores.
        """
        gains = [stage.quality is not None for stage in self.stages].count(True)
        scores = found.scores.copy()
        for index, stage in enumerate(self.stages):
            found = found if index == 0 else level.nearest(found)
            found, gained = apply_stage(stage, level, found)
            if gained is not None:
                scores += gained / gains
        return replace(found, scores=scores)


def apply_stage(stage: Stage, level: Level, found: Found) -> tuple[Found, Floats | None]:
    """Return windows with the boxes moved by one stage, and what it adds to their scores."""
    inputs = level.inputs(found)
    outputs = stage.regressor.outputs(inputs)
    windows = level.window_boxes(found)
    deviations = stage.loss.deviations(outputs)
    if deviations is not None:
        deviations = deviations * np.tile(windows[:, 2:] - windows[:, :2], 2)
    moved = replace(
        found,
        boxes=decode(stage.loss.offsets(outputs), windows),
        deviations=deviations,
        moved=True,
    )
    if stage.quality is None:
        return moved, None
    judged = level.inputs(level.nearest(moved)) if stage.classify_after else inputs
    return moved, stage.quality.gains(judged)
