"""Versions of the packages that results depend on."""

from __future__ import annotations

import platform
from importlib import metadata

_PACKAGES = (
    "numpy", "numba", "scikit-learn", "imbalanced-learn", "scikit-image", "opencv-python-headless",
    "pillow", "pycocotools", "joblib", "pyyaml", "rich", "click",
)  # fmt: skip


def package_versions() -> dict[str, str]:
    """Return the version of each package that this one stands on, by name."""
    return {name: _version(name) for name in _PACKAGES}


def python_version() -> str:
    """Return the interpreter's version."""
    return platform.python_version()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
