"""The package's errors: one root, and one class for each thing that can be wrong.

All of them are ``ValueError`` too, so code that knows nothing of this package can catch them.
Every message is one sentence: what is wrong, which value, what is allowed, and the way out.
"""

from __future__ import annotations


class BootstrapDetError(ValueError):
    """Root of every error that the package raises on purpose."""


class ParameterError(BootstrapDetError):
    """A parameter is of the wrong type, out of range, or does not fit another one."""


class DataError(BootstrapDetError):
    """A picture, an annotation, a data set or an output folder cannot be used."""


class ModelFormatError(BootstrapDetError):
    """A model file is damaged, not one of ours, or newer than this package."""


class WorkerError(BootstrapDetError):
    """The processes or machines that work was given to died, or cannot be had."""
