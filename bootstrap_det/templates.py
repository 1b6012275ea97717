"""What a detector looks for: trained models with their windows and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bootstrap_det._validation import check_label
from bootstrap_det.channels import Channels
from bootstrap_det.classifiers.class_model import ClassModel
from bootstrap_det.classifiers.learners import MARGIN, Model
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.refinement.stages import N_PLACE, Refinement
from bootstrap_det.windows import Window


@dataclass(frozen=True)
class Template:
    """A trained model, the window that it looks at, and the label that it stands for.

    Attributes
    ----------
    window : Window
        Its extent, and where the object lies in it.
    model : LinearModel or TreeModel
        Scores windows.
    label : str, default="object"
        What is found.
    refinement : Refinement or None, default=None
        Moves the boxes of windows that survive the scan.
    """

    window: Window
    model: Model
    label: str = "object"
    refinement: Refinement | None = None

    def __post_init__(self) -> None:
        check_label(self.label, "label", "Template")

    @property
    def lowest_score(self) -> float:
        """The least score worth listing: where the cascade ends, the margin of a linear model."""
        return MARGIN if isinstance(self.model, LinearModel) else self.model.lowest_score

    @property
    def score_scale(self) -> float:
        """By how much scores differ; 1 for a linear model, whose margin is the unit."""
        return 1.0 if isinstance(self.model, LinearModel) else self.model.score_scale

    def mirrored(self, channels: Channels) -> Template:
        """Return the template that finds the mirror images of what this one finds.

        Raises
        ------
        ParameterError
            When it is refined: refine the pair instead.
        """
        if self.refinement is not None:
            raise ParameterError(
                f"The template of {self.label!r} is refined already, so it has no mirror image. "
                "Make the mirror image first, then refine both."
            )
        model = self.model.mirrored(channels.mirror_order)
        return Template(self.window.mirrored(), model, self.label)


def check_templates(templates: tuple[Template, ...], channels: Channels) -> None:
    """Raise ParameterError unless there are templates, all of which fit the channels."""
    if not templates:
        raise ParameterError("A Detector needs at least one template. Got none.")
    for index, template in enumerate(templates):
        model = template.model
        shape = model.weights.shape if isinstance(model, LinearModel) else model.window_shape
        wanted = (channels.n_window_channels, *channels.grid_shape(template.window.size))
        if shape != wanted:
            what = "weights" if isinstance(model, LinearModel) else "trees"
            raise ParameterError(
                f"Template {index} has {what} of shape {shape}, but a "
                f"window of {template.window.size} px has features of shape {wanted}. Train it "
                "with the same channels and window."
            )
        n_inputs = int(np.prod(wanted)) + N_PLACE
        if template.refinement is not None and template.refinement.n_inputs != n_inputs:
            raise ParameterError(
                f"The refinement of template {index} has {template.refinement.n_inputs} inputs, "
                f"but a window gives {n_inputs}. Refine the detector with its own channels and "
                "window."
            )
        if isinstance(model, LinearModel) and getattr(channels, "normalise", "") == "window":
            raise ParameterError(
                f"Template {index} is linear, but ACF(normalise='window') shows each window its "
                "own values. Take normalise='local', or boosted trees."
            )


def check_classes(classes: Mapping[str, ClassModel], templates: Sequence[Template]) -> None:
    """Raise ParameterError unless each label has a model of its classes, or none has."""
    labels = sorted({template.label for template in templates})
    if not classes:
        return
    if sorted(classes) != labels:
        raise ParameterError(
            f"The 'classes' of a Detector must be of each of its labels, "
            f"{', '.join(map(repr, labels))}, or of none. Got {', '.join(map(repr, classes))}."
        )
    for label in labels:
        if classes[label].view is None:
            raise ParameterError(
                f"The classes of {label!r} do not say what they look at. Give their ClassModel "
                "the 'view' that it was trained with."
            )
