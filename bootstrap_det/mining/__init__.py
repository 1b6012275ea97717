"""Bootstrapping negatives: sources, the cache, the loop."""

from bootstrap_det.mining.loop import BootstrapParams, Recipe, TrainingState, bootstrap
from bootstrap_det.mining.records import Callback, RoundRecord
from bootstrap_det.mining.strategy import Combined, Members, Round, Strategy

__all__ = [
    "BootstrapParams",
    "Callback",
    "Combined",
    "Members",
    "Recipe",
    "Round",
    "RoundRecord",
    "Strategy",
    "TrainingState",
    "bootstrap",
]
