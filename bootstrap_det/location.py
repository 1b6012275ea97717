"""Where in a picture, and of which size, objects are: a prior over rows and scales.

Learned from annotated pictures, it leaves out rows of windows that hold hardly any object, or
weighs scores by the place. It speaks of pictures taken the same way, such as from a car.

References
----------
J. Wang, K. Chen, S. Yang, C. C. Loy and D. Lin, "Region Proposal by Guided Anchoring", CVPR 2019.
D. Hoiem, A. A. Efros and M. Hebert, "Putting Objects in Perspective", CVPR 2006.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._validation import check_boxes, check_choice, check_float
from bootstrap_det.data import Dataset
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.pyramid import LevelPlan
from bootstrap_det.windows import Window

Floats = NDArray[np.float64]

USES = ("prune", "rescore", "both")
N_SIZES, N_ROWS = 48, 96  # of the map
MAX_SIDE = 1024  # of a map
MAX_LOG_ODDS = 1e6
MIN_OBJECTS = 30
DEFAULT_MAX_LOST = 0.0025
_BANDWIDTHS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)  # shares of the deviation
_LEAST = 1e-6  # of a density, so that logarithms are finite


@dataclass(frozen=True)
class LocationPrior:
    """How much more likely objects are at a row and a size than windows.

    Attributes
    ----------
    log_odds : ndarray of shape (n_sizes, n_rows), float32
        Logarithm of the density of objects over that of windows. Sizes ascend evenly in
        logarithm, rows from the top of the picture to its bottom; read-only.
    sizes : tuple of float
        Smallest and largest height of objects, as shares of the picture's height.
    limit : float
        Windows of smaller log odds are left out, but for those between two larger ones of a size.
    share_lost : float
        Share of the training objects that lie where windows are left out, each judged by the map
        of the others.
    share_windows : float
        Share of the windows that are scanned, of pictures whose scales are those of ``sizes``.
    use : {"prune", "rescore", "both"}, default="prune"
        Leave windows out; add the log odds to scores; or both.
    gain : float, default=1.0
        What a factor e in the odds adds to a score.
    """

    log_odds: NDArray[np.float32]
    sizes: tuple[float, float]
    limit: float
    share_lost: float
    share_windows: float
    use: str = "prune"
    gain: float = 1.0

    def __post_init__(self) -> None:
        log_odds = np.array(self.log_odds, dtype=np.float32, order="C")
        is_map = log_odds.ndim == 2 and all(2 <= side <= MAX_SIDE for side in log_odds.shape)
        if not is_map or not (np.abs(log_odds) <= MAX_LOG_ODDS).all():
            raise ParameterError(
                f"The 'log_odds' of LocationPrior must be finite, within +-{MAX_LOG_ODDS:g}, of "
                f"shape (n_sizes, n_rows), 2 to {MAX_SIDE}. Got shape {log_odds.shape}."
            )
        sizes = tuple(float(size) for size in self.sizes)
        if len(sizes) != 2 or not 1e-6 <= sizes[0] <= sizes[1] / 1.001 <= 1e6:
            raise ParameterError(
                "The 'sizes' of LocationPrior must be two shares of a picture's height in [1e-06, "
                f"1e+06], the smaller first. Got {self.sizes!r:.80} instead."
            )
        log_odds.flags.writeable = False
        object.__setattr__(self, "log_odds", log_odds)
        object.__setattr__(self, "sizes", sizes)
        for name, high in (("limit", None), ("share_lost", 1.0), ("share_windows", 1.0)):
            low = None if high is None else 0.0
            value = check_float(getattr(self, name), name, "LocationPrior", low=low, high=high)
            object.__setattr__(self, name, value)
        check_choice(self.use, "use", "LocationPrior", USES)
        check_float(self.gain, "gain", "LocationPrior", low=0.0, high=1e6)

    @property
    def prunes(self) -> bool:
        """Whether windows are left out."""
        return self.use != "rescore"

    @property
    def rescores(self) -> bool:
        """Whether scores depend on the place."""
        return self.use != "prune"

    def at(self, boxes: ArrayLike, height: int) -> Floats:
        """Return the log odds of boxes, shape (n,).

        Parameters
        ----------
        boxes : array-like of shape (n, 4)
            Xyxy, picture pixels; what lies beyond the map counts as on its border.
        height : int
            Of the picture.
        """
        rows, sizes = _places(check_boxes(boxes), height)
        return self._interpolated(rows, sizes)

    def rows(self, plan: LevelPlan, window: Window, n_rows: int) -> tuple[int, int]:
        """Return the first row of a level's windows to scan, and the row after the last.

        Parameters
        ----------
        plan : LevelPlan
            The level.
        window : Window
            The template's extent.
        n_rows : int
            Rows of windows on the level.
        """
        if not self.prunes or n_rows == 0:
            return 0, n_rows
        height = plan.size[0] / plan.scale[0]
        y1, y2 = window.object_xyxy[[1, 3]]
        centres = np.arange(n_rows) * plan.cell_size - plan.padding + (y1 + y2) / 2
        rows = centres / plan.scale[0] / height
        size = np.log2((y2 - y1) / plan.scale[0] / height)
        likely = np.flatnonzero(self._interpolated(rows, np.full(n_rows, size)) >= self.limit)
        return (int(likely[0]), int(likely[-1]) + 1) if len(likely) else (0, 0)

    def _interpolated(self, rows: Floats, sizes: Floats) -> Floats:
        """Return the map between its points, bilinearly; rows are shares, sizes their log2."""
        n_sizes, n_rows = self.log_odds.shape
        low, high = np.log2(self.sizes)
        at_row = np.clip(rows, 0.0, 1.0) * (n_rows - 1)
        at_size = np.clip((sizes - low) / (high - low), 0.0, 1.0) * (n_sizes - 1)
        row = np.minimum(at_row.astype(np.intp), n_rows - 2)
        size = np.minimum(at_size.astype(np.intp), n_sizes - 2)
        right, above = at_row - row, at_size - size
        values = self.log_odds.astype(np.float64)
        lower = values[size, row] * (1 - right) + values[size, row + 1] * right
        upper = values[size + 1, row] * (1 - right) + values[size + 1, row + 1] * right
        return np.asarray(lower * (1 - above) + upper * above)


def learn_location(
    dataset: Dataset,
    *,
    max_lost: float = DEFAULT_MAX_LOST,
    use: str = "prune",
    gain: float = 1.0,
    min_object_size: float | None = None,
    max_object_size: float | None = None,
) -> LocationPrior:
    """Return a prior of where the objects of a data set lie.

    The density of objects over the height of their middle and the logarithm of their own height,
    both as shares of the picture's, is estimated by a Gaussian kernel, whose width is the most
    likely one when each object is left out in turn. Windows are spread evenly over rows, and
    their number falls with the square of the size. The limit is the ratio that leaves out at most
    ``max_lost`` of the objects, each judged by the others: no other region of as few windows
    loses fewer.

    Parameters
    ----------
    dataset : Dataset
        Annotated pictures; objects of all labels count alike.
    max_lost : float, default=0.0025
        Largest share of objects where no window is scanned, 0 to 0.5.
    use, gain
        See :class:`LocationPrior`.
    min_object_size, max_object_size : float or None, default=None
        Heights that are scanned for, picture pixels; by default those of the objects.

    Raises
    ------
    DataError
        When there are fewer than 30 objects in pictures.
    """
    max_lost = check_float(max_lost, "max_lost", "learn_location", low=0.0, high=0.5)
    rows, sizes, heights = _object_places(dataset)
    usual = float(np.median(heights)) if len(heights) else 1.0
    if len(rows) < MIN_OBJECTS:
        raise DataError(
            f"A location prior needs at least {MIN_OBJECTS} objects in pictures, and "
            f"{dataset.name!r} has {len(rows)}. Leave it out, or annotate more."
        )
    low = float(np.log2(min_object_size / usual) if min_object_size else sizes.min())
    high = float(np.log2(max_object_size / usual) if max_object_size else sizes.max())
    high = max(high, low + 1.0)
    points = np.stack([rows, sizes], axis=1)
    widths = _best_widths(points)
    at = np.stack(np.meshgrid(np.linspace(0, 1, N_ROWS), np.linspace(low, high, N_SIZES)), axis=-1)
    grid = at.reshape(-1, 2)
    log_odds = _log_ratio(_density(grid, points, widths), grid[:, 1], low, high)
    own = _log_ratio(_density_of_others(points, widths), sizes, low, high)
    limit = float(np.sort(own)[int(max_lost * len(own))])
    lost, limits = float((own < limit).mean()), (float(2.0**low), float(2.0**high))
    table = log_odds.reshape(N_SIZES, N_ROWS).astype(np.float32)
    shares = _share_scanned(table >= limit, np.linspace(low, high, N_SIZES))
    return LocationPrior(table, limits, limit, lost, shares, use, gain)


def _object_places(dataset: Dataset) -> tuple[Floats, Floats, Floats]:
    """Return row and size of each object, see `_places`, and the height of its picture."""
    rows, sizes, heights = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]
    for picture in dataset.pictures:
        boxes = picture.boxes[picture.targets]
        whole = boxes[boxes[:, 3] > boxes[:, 1]]
        if not len(whole):
            continue
        height = (picture.size or picture.load("grey").shape)[0]
        row, size = _places(whole, height)
        rows.append(row)
        sizes.append(size)
        heights.append(np.full(len(row), float(height)))
    return np.concatenate(rows), np.concatenate(sizes), np.concatenate(heights)


def _places(boxes: Floats, height: int) -> tuple[Floats, Floats]:
    """Return the middle row of boxes and log2 of their height, as shares of the picture's."""
    tall = np.maximum(boxes[:, 3] - boxes[:, 1], np.finfo(float).tiny)
    return (boxes[:, 1] + boxes[:, 3]) / 2 / height, np.log2(tall / height)


def _best_widths(points: Floats) -> Floats:
    """Return the kernel's deviations of the largest likelihood of each point by the others."""
    spread = np.maximum(points.std(axis=0), 1e-3)
    scores = [
        np.log(_density_of_others(points, spread * share) + _LEAST).mean() for share in _BANDWIDTHS
    ]
    return np.asarray(spread * _BANDWIDTHS[int(np.argmax(scores))])


def _density(at: Floats, points: Floats, widths: Floats) -> Floats:
    """Return the mean of Gaussians about the points, at other points."""
    total = np.zeros(len(at))
    for point in points:  # one by one: their number is not bounded
        total += np.exp(-0.5 * (((at - point) / widths) ** 2).sum(axis=1))
    return np.asarray(total / (len(points) * 2.0 * np.pi * widths.prod()))


def _density_of_others(points: Floats, widths: Floats) -> Floats:
    """Return the same at the points themselves, each left out where it stands."""
    n, own = len(points), 1.0 / (2.0 * np.pi * widths.prod())
    others = np.maximum(_density(points, points, widths) * n - own, 0.0)
    return np.asarray(others / (n - 1))


def _log_ratio(density: Floats, sizes: Floats, low: float, high: float) -> Floats:
    """Return the log of a density over that of windows, whose number falls as size squared."""
    total = (4.0**-low - 4.0**-high) / np.log(4.0)
    return np.asarray(np.log(density + _LEAST) - np.log(4.0**-sizes / total))


def _share_scanned(likely: NDArray[np.bool_], sizes: Floats) -> float:
    """Return the share of windows between the first and the last likely row of each size."""
    forward = np.logical_or.accumulate(likely, axis=1)
    backward = np.logical_or.accumulate(likely[:, ::-1], axis=1)[:, ::-1]
    return float(np.average((forward & backward).mean(axis=1), weights=4.0**-sizes))
