"""The imbalance laboratory: remedies by name, each measurable against the others.

A strategy is a small class with the hooks of the loop that it needs, usable alone on plain arrays,
in :func:`bootstrap_det.train` (``strategy=``) and on the command line
(``--strategy NAME[:param=value,...]``, several joined by ``+``). Most rows follow the survey of
K. Oksuz, B. C. Cam, S. Kalkan and E. Akbas, "Imbalance Problems in Object Detection: A Review",
PAMI 2020.
"""

from bootstrap_det.imbalance.catalogue import balanced_ensembles, samplers
from bootstrap_det.imbalance.registry import available, make_strategy, strategy_class
from bootstrap_det.mining.strategy import Combined, Round, Strategy

__all__ = [
    "Combined",
    "Round",
    "Strategy",
    "available",
    "balanced_ensembles",
    "make_strategy",
    "samplers",
    "strategy_class",
]
