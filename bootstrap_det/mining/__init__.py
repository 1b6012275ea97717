"""Bootstrapping negatives: sources, the cache, the loop."""

from bootstrap_det.mining.loop import BootstrapParams, Recipe, TrainingState, bootstrap
from bootstrap_det.mining.records import Callback, RoundRecord

__all__ = ["BootstrapParams", "Callback", "Recipe", "RoundRecord", "TrainingState", "bootstrap"]
