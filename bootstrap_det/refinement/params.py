"""How a detector is refined: the parameters of :func:`bootstrap_det.refining.refine`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bootstrap_det._validation import check_bool, check_choice, check_float, check_int
from bootstrap_det.location import DEFAULT_MAX_LOST, USES
from bootstrap_det.refinement.losses import make_loss

REGRESSORS = ("linear", "trees")
ORDERS = ("classify-then-regress", "regress-then-classify")
WEIGHTS = ("none", "carl")
SAMPLINGS = ("survivors", "iou-uniform")

IOU_STEP = 0.1  # by which the overlap rises from stage to stage
MIN_WINDOWS = 40  # of a template; with fewer it is left as it is


@dataclass(frozen=True)
class RefineParams:
    """How a detector is refined.

    Parameters
    ----------
    loss : str or None, default="smooth-l1"
        One of :func:`bootstrap_det.refinement.available_losses`; with None boxes stay.
    loss_params : mapping, default={}
        Parameters of the loss. ``scales`` are those of the training windows unless given.
    regressor : {"linear", "trees"}, default="linear"
        What predicts the offsets.
    n_stages : int, default=1
        Stages, each for boxes that agree better: the overlap that windows need to be learnt from
        rises by 0.1 a stage, as in Cascade R-CNN.
    rescore : bool, default=False
        Each stage has a classifier of well-placed boxes, too, that changes the score.
    order : {"classify-then-regress", "regress-then-classify"}, default="classify-then-regress"
        Whether that classifier sees the window before its box was moved, or the one nearest to
        the box afterwards.
    weights : {"none", "carl"}, default="none"
        Whether windows of high scores count more in the regression.
    guided : bool, default=False
        Scale the classifier's loss to the size of the regression's.
    sampling : {"survivors", "iou-uniform"}, default="survivors"
        The windows that boxes are learnt from: those that survive the scan, or, in the first
        stage, windows beside objects drawn evenly over their overlap.
    min_iou : float, default=0.5
        Least overlap of a window with its object in the first stage.
    max_windows : int, default=20000
        Most windows of a template; more are left out at random.
    location : {"prune", "rescore", "both"} or None, default=None
        Learn where objects are, too, and leave other windows out, or weigh scores by it; see
        :func:`bootstrap_det.location.learn_location`.
    max_lost : float, default=0.0025
        Largest share of the objects where windows are left out.
    seed : int, default=0
        For all that is drawn.
    n_jobs : int, default=1
        Pictures at a time, on threads; they do not change the result.
    skip_bad : bool, default=False
        Go on after pictures that cannot be read.

    Raises
    ------
    ParameterError
        When a parameter is out of its range.
    """

    loss: str | None = "smooth-l1"
    loss_params: Mapping[str, Any] = field(default_factory=dict)
    regressor: str = "linear"
    n_stages: int = 1
    rescore: bool = False
    order: str = ORDERS[0]
    weights: str = "none"
    guided: bool = False
    sampling: str = "survivors"
    min_iou: float = 0.5
    max_windows: int = 20_000
    location: str | None = None
    max_lost: float = DEFAULT_MAX_LOST
    seed: int = 0
    n_jobs: int = 1
    skip_bad: bool = False

    def __post_init__(self) -> None:
        owner = "RefineParams"
        check_choice(self.regressor, "regressor", owner, REGRESSORS)
        check_int(self.n_stages, "n_stages", owner, low=1, high=4)
        check_choice(self.order, "order", owner, ORDERS)
        check_choice(self.weights, "weights", owner, WEIGHTS)
        check_choice(self.sampling, "sampling", owner, SAMPLINGS)
        check_float(self.min_iou, "min_iou", owner, low=0.3, high=0.9)
        check_int(self.max_windows, "max_windows", owner, low=MIN_WINDOWS)
        check_int(self.seed, "seed", owner, low=0)
        for name in ("rescore", "guided", "skip_bad"):
            check_bool(getattr(self, name), name, owner)
        if self.loss is not None:
            make_loss(self.loss, **self.loss_params)
        if self.location is not None:
            check_choice(self.location, "location", owner, USES)
        check_float(self.max_lost, "max_lost", owner, low=0.0, high=0.5)

    def stage_iou(self, stage: int) -> float:
        """Return the overlap that a stage is for."""
        return min(self.min_iou + IOU_STEP * stage, 0.95)
