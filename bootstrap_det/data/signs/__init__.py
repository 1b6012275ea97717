"""Traffic signs: drawn by this package, before packaged pictures, as annotated scenes."""

from bootstrap_det.data.signs.classes import CLASSES, GROUPS, SignClass, frequencies
from bootstrap_det.data.signs.synth import SceneSource, supercategories, synth_signs

__all__ = [
    "CLASSES",
    "GROUPS",
    "SceneSource",
    "SignClass",
    "frequencies",
    "supercategories",
    "synth_signs",
]
