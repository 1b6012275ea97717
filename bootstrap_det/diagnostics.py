"""Facts for a bug report: versions, machine, and what a model file holds."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from bootstrap_det import __version__
from bootstrap_det.persistence import read_model
from bootstrap_det.versions import package_versions, python_version


def environment() -> dict[str, Any]:
    """Return the versions of the package and of what it stands on, and the machine."""
    return {
        "bootstrap_det": __version__,
        "python": python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        **package_versions(),
    }


def model_facts(path: Path) -> dict[str, Any]:
    """Return a model file's header and the shapes of its arrays.

    Raises
    ------
    ModelFormatError
        When it is no model file, damaged or too new.
    """
    header, arrays = read_model(path)
    return {**header, "arrays": {name: list(array.shape) for name, array in arrays.items()}}


def as_text(facts: dict[str, Any], indent: str = "") -> str:
    """Return facts as aligned lines, nested ones indented."""
    lines = []
    width = max(len(name) for name in facts) if facts else 0
    for name, value in facts.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}", as_text(value, indent + "  ")]
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            for number, entry in enumerate(value):
                lines += [f"{indent}{name} {number}", as_text(entry, indent + "  ")]
        else:
            lines.append(f"{indent}{name:<{width}}  {value}")
    return "\n".join(lines)
