"""What a remedy for imbalance may change in the bootstrapping loop.

A training asks its strategy at the points below, in this order; the base class changes nothing. The
remedies themselves are in :mod:`bootstrap_det.imbalance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.class_model import ClassView
from bootstrap_det.classifiers.learners import Learner, Model
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.data import Dataset
from bootstrap_det.detector import Detector
from bootstrap_det.mining.pool import Pass, Pool
from bootstrap_det.mining.records import Callback
from bootstrap_det.samples import Jitter, ObjectRows
from bootstrap_det.windows import Window

if TYPE_CHECKING:
    from bootstrap_det.mining.loop import BootstrapParams


@dataclass(frozen=True)
class Round:
    """What a strategy may know of the round that it takes part in.

    Attributes
    ----------
    index : int
        0 is the round of random negatives.
    seed : int
        Of the run.
    model : LinearModel, TreeModel or None
        Of the round before; None in round 0.
    """

    index: int
    seed: int
    model: Model | None

    def rng(self) -> np.random.Generator:
        """Return a generator of this round's own, apart from those of the loop."""
        return np.random.default_rng([self.seed, self.index, 11])


@dataclass(frozen=True)
class Members:
    """The objects of one group, and the class of each.

    Attributes
    ----------
    rows : ObjectRows
        How the view sees them and changed copies.
    labels : ndarray of shape (n_objects,), str
        The class of each object.
    classes : tuple of str
        All classes of the group, also those without objects.
    view : ClassView
        What classes are told by.
    """

    rows: ObjectRows
    labels: NDArray[np.str_]
    classes: tuple[str, ...]
    view: ClassView


class Strategy:
    """A remedy for imbalance, with the hooks that it needs; this one changes nothing.

    Subclasses are frozen dataclasses of their parameters, and hold no state: what they need to
    know of the rounds before, the loop tells them. So a resumed run does as it would have done.
    """

    name: ClassVar[str] = ""

    @property
    def spec(self) -> str:
        """The strategy as text, as the command line takes it: its name, and what is not default."""
        changed = [
            f"{field.name}={_as_text(getattr(self, field.name))}"
            for field in fields(self)  # type: ignore[arg-type]  # of the subclasses
            if getattr(self, field.name) != field.default
        ]
        return ":".join([self.name, *([",".join(changed)] if changed else [])])

    @property
    def by_group(self) -> bool:
        """Whether templates stand for groups of labels, and classes are told apart inside them."""
        return False

    def relabelled(self, dataset: Dataset) -> Dataset:
        """Return a data set with the labels that templates are trained for.

        Raises
        ------
        DataError
            When the data set does not say what the strategy needs to know.
        """
        return dataset

    def balanced(self, positives: dict[str, ObjectRows], seed: int) -> dict[str, ObjectRows]:
        """Return what each label is trained on; called once, before the first round."""
        return positives

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return how positives are varied; called once, before they are read."""
        return jitter

    def learner(self, learner: Learner) -> Learner:
        """Return what fits the models; called once.

        Raises
        ------
        ParameterError
            When the strategy does not go with this kind of classifier.
        """
        return learner

    def mine(self, scan: Pass) -> Pool | None:
        """Return the negatives of a round, or None for the usual ones."""
        return None

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return what a round is fitted on: chosen, added to, weighted."""
        return samples

    def class_view(self, window: Window) -> ClassView:
        """Return what the classes of a group are told by; asked of strategies by group only.

        Parameters
        ----------
        window : Window
            The group's template's.
        """
        raise NotImplementedError(f"{self.name} does not tell classes apart")

    def refined(
        self,
        detector: Detector,
        dataset: Dataset,
        members: Mapping[str, Members],
        params: BootstrapParams,
        callbacks: Sequence[Callback] = (),
    ) -> tuple[Detector, dict[str, Any]]:
        """Return the detector with what is fitted after its last round, and how, JSON-ready.

        Called once, where the strategy trains by group, with the relabelled data set and the
        objects of each group.
        """
        return detector, {}


class Combined(Strategy):
    """Several strategies, each applied to what those before it made."""

    name = "combined"

    def __init__(self, parts: Sequence[Strategy]) -> None:
        self.parts = tuple(parts)

    @property
    def spec(self) -> str:
        """The parts, joined by ``+``."""
        return "+".join(part.spec for part in self.parts)

    @property
    def by_group(self) -> bool:
        """Whether it is so for one of the parts."""
        return any(part.by_group for part in self.parts)

    def relabelled(self, dataset: Dataset) -> Dataset:
        """Return the data set as the part that trains by group wants it."""
        own = next((part for part in self.parts if part.by_group), None)
        return own.relabelled(dataset) if own else dataset

    def class_view(self, window: Window) -> ClassView:
        """Return the view of the part that trains by group."""
        return next(part for part in self.parts if part.by_group).class_view(window)

    def refined(
        self,
        detector: Detector,
        dataset: Dataset,
        members: Mapping[str, Members],
        params: BootstrapParams,
        callbacks: Sequence[Callback] = (),
    ) -> tuple[Detector, dict[str, Any]]:
        """Return the detector after all parts."""
        told: dict[str, Any] = {}
        for part in self.parts:
            detector, more = part.refined(detector, dataset, members, params, callbacks)
            told.update(more)
        return detector, told

    def balanced(self, positives: dict[str, ObjectRows], seed: int) -> dict[str, ObjectRows]:
        """Return what each label is trained on after all parts."""
        for part in self.parts:
            positives = part.balanced(positives, seed)
        return positives

    def jitter(self, jitter: Jitter) -> Jitter:
        """Return how positives are varied after all parts."""
        for part in self.parts:
            jitter = part.jitter(jitter)
        return jitter

    def learner(self, learner: Learner) -> Learner:
        """Return what fits the models after all parts."""
        for part in self.parts:
            learner = part.learner(learner)
        return learner

    def mine(self, scan: Pass) -> Pool | None:
        """Return the negatives of the first part that draws any."""
        return next((pool for part in self.parts if (pool := part.mine(scan)) is not None), None)

    def samples(self, samples: Samples, now: Round) -> Samples:
        """Return what a round is fitted on after all parts."""
        for part in self.parts:
            samples = part.samples(samples, now)
        return samples


def _as_text(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(map(_as_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
