"""A detector's parts as a JSON header and plain arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from bootstrap_det.channels import Channels, make_channels
from bootstrap_det.classifiers.class_model import ClassModel
from bootstrap_det.classifiers.files import (
    pack_classes,
    pack_model,
    unpack_classes,
    unpack_model,
    unpack_window,
)
from bootstrap_det.location import LocationPrior
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.refinement.files import pack_refinement, unpack_refinement
from bootstrap_det.refinement.stages import Refinement
from bootstrap_det.templates import Template

Arrays = dict[str, NDArray[Any]]


def pack_parts(
    templates: Sequence[Template],
    classes: Mapping[str, ClassModel],
    channels: Channels,
    pyramid: Pyramid,
    location: LocationPrior | None,
) -> tuple[dict[str, Any], Arrays]:
    """Return the entries of a model's header that say what it is made of, and its arrays."""
    header: dict[str, Any] = {
        "channels": {"name": type(channels).__name__, **channels.get_params()},
        "pyramid": pyramid.get_params(),
        "templates": [],
    }
    arrays: Arrays = {}
    for index, template in enumerate(templates):
        entry, parts = pack_model(template.model, index)
        window, label = asdict(template.window), template.label
        arrays.update(parts)
        if template.refinement is not None:
            entry["refinement"], parts = pack_refinement(template.refinement, index)
            arrays.update(parts)
        header["templates"].append({"window": window, "label": label, **entry})
    if classes:
        header["classes"] = {}
        for index, (group, model) in enumerate(sorted(classes.items())):
            header["classes"][group], parts = pack_classes(model, index)
            arrays.update(parts)
    if location is not None:
        header["location"] = {
            name: value for name, value in vars(location).items() if name != "log_odds"
        }
        arrays["location"] = location.log_odds
    return header, arrays


def unpack_parts(header: dict[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Return the arguments of :class:`Detector` that :func:`pack_parts` took apart.

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        For what is missing or of another kind.
    """
    templates = [
        Template(
            unpack_window(entry["window"]),
            unpack_model(entry, arrays, index),
            str(entry["label"]),
            _refinement(entry, arrays, index),
        )
        for index, entry in enumerate(header["templates"])
    ]
    classes = {  # files of version 3 and before have none, or such that saw the template's window
        group: unpack_classes(entry, arrays, index)
        for index, (group, entry) in enumerate(sorted(_classes(header).items()))
    }
    location = header.get("location")  # files of version 3 and before have none
    prior = None if location is None else LocationPrior(arrays["location"], **location)
    return {
        "templates": templates,
        "channels": make_channels(**header["channels"]),
        "pyramid": Pyramid(**header["pyramid"]),
        "classes": classes,
        "location": prior,
        "provenance": header.get("provenance"),
        **header["detector"],
    }


def _refinement(entry: dict[str, Any], arrays: Arrays, index: int) -> Refinement | None:
    """Return a template's refinement, if it has one; files of version 3 and before have none."""
    if "refinement" not in entry:
        return None
    return unpack_refinement(entry["refinement"], arrays, index)


def _classes(header: dict[str, Any]) -> dict[str, Any]:
    """Return the entries of a second level, those of version 3 with the view that they had."""
    window, channels = header["templates"][0]["window"], header["channels"]
    usual = {"window": window, "channels": channels}
    return {group: {**usual, **entry} for group, entry in header.get("classes", {}).items()}
