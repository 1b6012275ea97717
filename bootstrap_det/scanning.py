"""The scan: every window of every level scored, and those that survive made into candidates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.channels import Channels
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.detections import Candidates
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.location import LocationPrior
from bootstrap_det.pyramid import LevelPlan, Pyramid, independent_levels
from bootstrap_det.refinement.stages import Found, Level, Refinement
from bootstrap_det.resample import Octaves
from bootstrap_det.templates import Template
from bootstrap_det.windows import window_identities, window_positions

MAX_WORK, MAX_WORK_PER_PIXEL = 2e9, 1e6  # operations of a scan; a common one has 1e3 a pixel
_WORK_OF_WINDOW = 16_384  # what becomes of a window that survives
_MAX_GATHERED = 1 << 24  # numbers of the features that are refined at a time
_LEAST = float(np.finfo(np.float32).min)  # rejected windows are below it

Yield = TypeVar("Yield")


@dataclass(frozen=True)
class ScoredLevel:
    """One template's score map over one level.

    Attributes
    ----------
    plan : LevelPlan
        The level.
    template_index : int
        Which template.
    scores : ndarray of shape (n_rows, n_columns), float32
        Of the windows that were scanned; below every number where a cascade rejected.
    first_row : int, default=0
        Grid row of the first of them; more than 0 where a location prior leaves rows out.
    """

    plan: LevelPlan
    template_index: int
    scores: NDArray[np.float32]
    first_row: int = 0

    @property
    def rows(self) -> tuple[int, int]:
        """First row of windows that was scanned, and the row after the last."""
        return self.first_row, self.first_row + len(self.scores)


@dataclass(frozen=True)
class Scanner:
    """What is scanned for: templates, over the levels of one pyramid.

    Attributes
    ----------
    templates : tuple of Template
        All are scanned over the same channels.
    channels : Channels
        The features.
    pyramid : Pyramid
        The scales.
    location : LocationPrior or None, default=None
        Leaves out rows of windows.
    """

    templates: tuple[Template, ...]
    channels: Channels
    pyramid: Pyramid
    location: LocationPrior | None = None

    def plan(self, size: tuple[int, int]) -> list[LevelPlan]:
        """Return the levels that a picture of ``size`` (height, width) is scanned at.

        Raises
        ------
        ParameterError
            When a level, or the scan of all, would take far more than a picture of that size
            needs; what a model file says of its parameters may be wrong on purpose.
        """
        windows = [template.window for template in self.templates]
        plans = self.pyramid.plan(size, self.channels, windows)
        _check_work(plans, self.templates, self.channels, size)
        return plans

    def over_levels(
        self,
        pixels: NDArray[Any],
        work: Callable[[NDArray[Any] | Octaves, Sequence[LevelPlan]], Iterator[Yield]],
        n_threads: int = 1,
    ) -> Iterator[Yield]:
        """Yield what ``work`` does of the levels of a picture, in their order."""
        plans = self.plan((pixels.shape[0], pixels.shape[1]))
        if n_threads == 1:
            yield from work(pixels, plans)
            return
        # A level is a thread's work from the resampling on; threads over rows of one level would
        # wait for each other dozens of times. The halves are made first: all levels share them.
        octaves = Octaves(pixels)
        octaves.make_halves(min((plan.size for plan in plans), default=pixels.shape[:2]))
        with ThreadPoolExecutor(n_threads) as pool:
            jobs = [pool.submit(list, work(octaves, group)) for group in independent_levels(plans)]
            for job in jobs:
                yield from job.result()

    def scored(
        self, image: NDArray[Any] | Octaves, plans: Sequence[LevelPlan]
    ) -> Iterator[tuple[ScoredLevel, NDArray[Any]]]:
        """Yield each template's scores over each level, and the level's channels."""
        bands = {plan.index: self._bands(plan) for plan in plans}
        wanted = [plan for plan in plans if bands[plan.index]]
        rows = self._cells(bands) if self.location else None
        for plan, values in self.pyramid.iter_levels(image, wanted, self.channels, rows=rows):
            for index, (first, end) in bands[plan.index].items():
                template = self.templates[index]
                height = self.channels.grid_shape(template.window.size)[0]
                scores = self._score(template, _rows(values, first, end - 1 + height))
                yield ScoredLevel(plan, index, scores, first), values

    def candidates(
        self, image: NDArray[Any] | Octaves, plans: Sequence[LevelPlan], *, least: float
    ) -> Iterator[Candidates]:
        """Yield the windows of each level that score at least ``least``, refined."""
        for level, inside, found in self.survivors(image, plans, least=least):
            yield self.settled(level, inside, found)

    def survivors(
        self, image: NDArray[Any] | Octaves, plans: Sequence[LevelPlan], *, least: float
    ) -> Iterator[tuple[ScoredLevel, Level, Found]]:
        """Yield the windows of each level that score at least ``least``, as the scan finds them."""
        for level, values in self.scored(image, plans):
            window = self.templates[level.template_index].window
            inside = Level(level.plan, window, self.channels, values, level.rows)
            yield level, inside, surviving(level, inside, least)

    def settled(self, level: ScoredLevel, inside: Level, survivors: Found) -> Candidates:
        """Return windows of a level with boxes and scores as refinement and prior make them."""
        refined = self._refined(self.templates[level.template_index], inside, survivors)
        identities = window_identities(
            level.plan.index, survivors.rows, survivors.columns, level.template_index
        )
        return Candidates(
            refined.boxes, refined.scores, identities, level.scores.size, refined.deviations
        )

    def _refined(self, template: Template, inside: Level, survivors: Found) -> Found:
        """Return windows after the template's stages and the prior."""
        if not len(survivors.scores):
            return survivors
        found = survivors
        if template.refinement is not None:
            found = _refined_in_parts(template.refinement, inside, survivors)
        if self.location is not None and self.location.rescores:
            height = round(inside.plan.size[0] / inside.plan.scale[0])
            gains = self.location.gain * self.location.at(found.boxes, height)
            found = replace(found, scores=found.scores + gains)
        return found

    def _bands(self, plan: LevelPlan) -> dict[int, tuple[int, int]]:
        """Return, of each template that is scanned over a level, its rows of windows."""
        bands = {}
        for index, template in enumerate(self.templates):
            if not self.pyramid.covers(template.window.object_size[0] / plan.nominal_scale):
                continue
            n_rows, _ = window_positions(plan, template.window, self.channels)
            first, end = 0, n_rows
            if self.location is not None:
                first, end = self.location.rows(plan, template.window, n_rows)
            if first < end:
                bands[index] = (first, end)
        return bands

    def _cells(self, bands: dict[int, dict[int, tuple[int, int]]]) -> dict[int, tuple[int, int]]:
        """Return the rows of cells that the windows of each level cover."""
        heights = [self.channels.grid_shape(t.window.size)[0] for t in self.templates]
        return {
            level: (
                min(first for first, _ in own.values()),
                max(end - 1 + heights[index] for index, (_, end) in own.items()),
            )
            for level, own in bands.items()
            if own
        }

    def _score(self, template: Template, values: NDArray[Any]) -> NDArray[np.float32]:
        if isinstance(template.model, LinearModel):
            return template.model.score_level(np.asarray(values, dtype=np.float32))
        return template.model.score_level(values, normalisation=self.channels.normalisation)


def surviving(level: ScoredLevel, inside: Level, least: float) -> Found:
    """Return the windows of a level that score at least ``least``, as the scan finds them."""
    enough = np.flatnonzero(level.scores >= max(least, _LEAST))
    rows, columns = np.divmod(enough, max(level.scores.shape[1], 1))
    scores = level.scores[rows, columns].astype(np.float64)
    return inside.found(rows + level.first_row, columns, scores)


def _refined_in_parts(refinement: Refinement, inside: Level, found: Found) -> Found:
    """Return windows after all stages; the features of a part of them are in memory at a time."""
    size = max(_MAX_GATHERED // refinement.n_inputs, 1)
    n = len(found.scores)
    parts = [
        refinement.refine(
            inside,
            inside.found(found.rows[part], found.columns[part], found.scores[part]),
        )
        for part in (slice(first, first + size) for first in range(0, n, size))
    ]
    return parts[0] if len(parts) == 1 else Found.concatenate(parts)


def _check_work(
    plans: Sequence[LevelPlan],
    templates: Sequence[Template],
    channels: Channels,
    size: tuple[int, int],
) -> None:
    """Raise ParameterError when a scan would take many minutes, whatever the pixels."""
    work = 0
    for plan in plans:
        work += plan.padded_size[0] * plan.padded_size[1] * _work_of_pixel(channels)
        for template in templates:
            rows, columns = window_positions(plan, template.window, channels)
            work += rows * columns * (_WORK_OF_WINDOW + _work_of_model(template))
    limit = MAX_WORK + MAX_WORK_PER_PIXEL * size[0] * size[1]
    if work > limit:
        raise ParameterError(
            f"The scan of a picture of {size[1]}x{size[0]} would take {work:.3g} operations, more "
            f"than {limit:.3g}. Raise min_object_size, or lower scales_per_octave, the padding or "
            "the number and size of the templates."
        )


def _work_of_pixel(channels: Channels) -> int:
    return 64 + 4 * channels.n_channels // channels.cell_size**2


def _work_of_model(template: Template) -> int:
    model = template.model
    own = model.weights.size if isinstance(model, LinearModel) else model.n_trees * model.depth
    refinement = template.refinement
    return own + (0 if refinement is None else refinement.n_inputs * refinement.n_outputs // 256)


def _rows(values: NDArray[Any], first: int, end: int) -> NDArray[Any]:
    """Return some rows of a level's channels; all of them are not copied."""
    whole = first == 0 and end == values.shape[1]
    return values if whole else np.ascontiguousarray(values[:, first:end])
