"""A detector's parts as a JSON header and plain arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from bootstrap_det.channels import Channels, make_channels
from bootstrap_det.classifiers.class_model import ClassModel
from bootstrap_det.classifiers.files import pack_classes, pack_model, unpack_classes, unpack_model
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.templates import Template
from bootstrap_det.windows import Window

Arrays = dict[str, NDArray[Any]]


def pack_parts(
    templates: Sequence[Template],
    classes: Mapping[str, ClassModel],
    channels: Channels,
    pyramid: Pyramid,
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
        header["templates"].append({"window": window, "label": label, **entry})
        arrays.update(parts)
    if classes:
        header["classes"] = {}
        for index, (group, model) in enumerate(sorted(classes.items())):
            header["classes"][group], parts = pack_classes(model, index)
            arrays.update(parts)
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
            Window(tuple(entry["window"]["size"]), tuple(entry["window"]["object_box"])),
            unpack_model(entry, arrays, index),
            str(entry["label"]),
        )
        for index, entry in enumerate(header["templates"])
    ]
    classes = {  # files of version 2 and before have none
        group: unpack_classes(entry, arrays, index)
        for index, (group, entry) in enumerate(sorted(header.get("classes", {}).items()))
    }
    return {
        "templates": templates,
        "channels": make_channels(**header["channels"]),
        "pyramid": Pyramid(**header["pyramid"]),
        "classes": classes,
        "provenance": header.get("provenance"),
        **header["detector"],
    }
