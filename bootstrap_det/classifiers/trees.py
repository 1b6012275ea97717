"""The trained boosted trees: plain frozen arrays, for one window or for a whole level.

Scores are fixed-point numbers. Every leaf is a whole multiple of ``unit``, a power of two, so the
sum over the trees is exact in any order, and a window's score is the same number whether it is
computed from its feature vector, over a whole level, or through the cascade.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bootstrap_det._kernels import trees as _kernels
from bootstrap_det._validation import check_int
from bootstrap_det.exceptions import ParameterError

if TYPE_CHECKING:
    from bootstrap_det.channels import Normalisation

MAX_DEPTH = 5
MAX_EXPONENT = 64  # of the unit: sums of leaves, and their squares, are finite numbers
MAX_VALUE_SCALE = 1e9
NEVER = -(1 << 30)  # a rejection threshold that no score is below
FIRST_TREES = 64  # whose sums must fit into 16 bits: the vectorised part of a scan
FIRST_DEPTH = 2  # of trees that scan fastest
GROUP = _kernels.GROUP  # first trees between two looks at the rejection threshold


@dataclass(frozen=True, eq=False)
class TreeModel:
    """Boosted trees over a window of uint8 channels, with the thresholds of a soft cascade.

    Attributes
    ----------
    features : ndarray of shape (n_trees, n_nodes), int32
        Which feature each node looks at, in the order channel, row, column. A tree of depth d has
        ``2**d - 1`` nodes in heap order.
    thresholds : ndarray of shape (n_trees, n_nodes), uint8
        Values below go left.
    leaves : ndarray of shape (n_trees, n_nodes + 1), int16
        What each leaf adds to the score, in units.
    unit : float
        Value of one unit of the leaves, a power of two.
    window_shape : tuple of int
        Channels, rows and columns of the window.
    rejection : ndarray of shape (n_trees,), int32, optional
        A window whose running score, in units, is below the tree's entry is rejected. By default
        none is.
    value_scale : float, default=1.0
        Factor from channels that are not uint8 to the uint8 values compared.

    References
    ----------
    L. Bourdev and J. Brandt, "Robust Object Detection via Soft Cascade", CVPR 2005.
    """

    features: NDArray[np.int32]
    thresholds: NDArray[np.uint8]
    leaves: NDArray[np.int16]
    unit: float
    window_shape: tuple[int, int, int]
    rejection: NDArray[np.int32] | None = None
    value_scale: float = 1.0

    def __post_init__(self) -> None:
        rejection = self.rejection
        if rejection is None:
            rejection = np.full(len(self.features), NEVER)
        for name, values, dtype in (
            ("features", self.features, np.int32),
            ("thresholds", self.thresholds, np.uint8),
            ("leaves", self.leaves, np.int16),
            ("rejection", rejection, np.int32),
        ):
            array = np.array(values, dtype=dtype, order="C")
            if np.any(np.asarray(values) != array):
                raise ParameterError(
                    f"The '{name}' of TreeModel must fit into {np.dtype(dtype).name}. Got values "
                    f"from {np.min(values)} to {np.max(values)} instead."
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "unit", float(self.unit))
        object.__setattr__(self, "value_scale", float(self.value_scale))
        object.__setattr__(self, "window_shape", tuple(int(n) for n in self.window_shape))
        _check_trees(self)

    @classmethod
    def from_floats(
        cls,
        features: ArrayLike,
        thresholds: ArrayLike,
        leaves: ArrayLike,
        window_shape: tuple[int, int, int],
        *,
        bias: float = 0.0,
        value_scale: float = 1.0,
        n_coarse: int = 0,
    ) -> TreeModel:
        """Return the model with leaves rounded to the finest unit that 16 bits can hold.

        The bias goes into the leaves of the first tree. A score differs from the sum of the given
        leaves by at most half a unit a tree. The first ``n_coarse`` trees, at most 64, have leaves
        in larger units, such that four trees add up in bytes, which scans fastest.
        """
        values = np.array(leaves, dtype=np.float64)
        values[0] += bias
        largest = np.abs(values).max(axis=1)
        bound = max(float(np.cumsum(largest)[:FIRST_TREES].max()), float(largest.max()), 1e-12)
        unit = 2.0 ** np.ceil(np.log2(bound / 30000.0))
        units = _in_groups(values, unit, min(n_coarse, FIRST_TREES)).astype(np.int16)
        trees = (np.asarray(features), np.asarray(thresholds))
        return cls(*trees, units, unit, window_shape, value_scale=value_scale)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the window on the grid."""
        return self.window_shape[1], self.window_shape[2]

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.features)

    @property
    def depth(self) -> int:
        """Tests from the root to a leaf."""
        return int(np.log2(self.features.shape[1] + 1))

    @property
    def lowest_score(self) -> float:
        """The least score that a window can have without being rejected; -inf without cascade."""
        last = self._rejection[-1]
        return float(last * self.unit) if last > NEVER else -np.inf

    @property
    def score_scale(self) -> float:
        """The deviation of a walk through random leaves: by how much scores differ."""
        leaves = self.leaves * self.unit
        return float(np.sqrt((leaves**2).mean(axis=1).sum()))

    @property
    def _rejection(self) -> NDArray[np.int32]:
        assert self.rejection is not None  # set by __post_init__
        return self.rejection

    def with_rejection(self, rejection: ArrayLike) -> TreeModel:
        """Return the model with other rejection thresholds, in units, one a tree."""
        return replace(self, rejection=np.asarray(rejection))

    def mirrored(self, mirror_order: NDArray[np.intp]) -> TreeModel:
        """Return the model of the mirror image; see :attr:`Channels.mirror_order`."""
        channel, row, column = np.unravel_index(self.features, self.window_shape)
        places = (mirror_order[channel], row, self.window_shape[2] - 1 - column)
        features = np.ravel_multi_index(places, self.window_shape)
        return replace(self, features=features.astype(np.int32))

    def decision_function(self, features: ArrayLike) -> NDArray[np.float64]:
        """Return the full score of feature vectors of shape (n, n_features), rejected or not."""
        return np.asarray(self.staged_scores(features)[:, -1] * self.unit, np.float64)

    def staged_scores(self, features: ArrayLike) -> NDArray[np.int32]:
        """Return the running score after each tree, in units, shape (n, n_trees)."""
        samples = self.quantise(np.atleast_2d(np.asarray(features)))
        out = np.empty((len(samples), self.n_trees), np.int32)
        _kernels.partial_scores(samples, self.features, self.thresholds, self.leaves, out)
        return out

    def accepts(self, features: ArrayLike) -> NDArray[np.bool_]:
        """Return which feature vectors pass every rejection threshold, shape (n,)."""
        return np.asarray((self.staged_scores(features) >= self._rejection).all(axis=1))

    def quantise(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return channels or features as the trees compare them, uint8."""
        if values.dtype == np.uint8:
            return np.ascontiguousarray(values)
        scaled = np.clip(np.floor(values * self.value_scale), 0, 255)
        return np.ascontiguousarray(scaled.astype(np.uint8))

    def score_level(
        self,
        channels: NDArray[Any],
        *,
        normalisation: Normalisation | None = None,
        n_threads: int = 1,
        work: NDArray[np.int64] | None = None,
    ) -> NDArray[np.float32]:
        """Return the scores of all windows of a level, (rows, columns); rejected ones get -inf.

        Parameters
        ----------
        channels : ndarray of shape (n_channels, rows, columns)
            The level; other dtypes than uint8 are scaled by ``value_scale``.
        normalisation : Normalisation or None, default=None
            How windows are normalised, where they are.
        n_threads : int, default=1
            Threads over rows; they do not change the result.
        work : ndarray of shape (2,), int64, or None, default=None
            Counters to add to: windows times trees run all at once, and one by one.

        Raises
        ------
        ParameterError
            When the channels are not those of the template, or there is no thread.
        """
        n_threads = check_int(n_threads, "n_threads", "score_level", low=1, high=1024)
        n_planes = self.window_shape[0] // (1 if normalisation is None else 2)
        if channels.ndim != 3 or len(channels) != n_planes:
            raise ParameterError(
                f"The channels must have shape ({n_planes}, rows, columns), those of "
                f"the template. Got {channels.shape} instead."
            )
        n_rows = channels.shape[1] - self.shape[0] + 1
        n_columns = channels.shape[2] - self.shape[1] + 1
        if n_rows < 1 or n_columns < 1:
            return np.empty((0, 0), np.float32)
        out = np.empty((n_rows, n_columns), np.float32)
        fixed = self._scan_arguments(self.quantise(channels), normalisation)
        n_bands = min(n_threads, n_rows)
        edges = [n_rows * band // n_bands for band in range(n_bands + 1)]
        counts = np.zeros((len(edges) - 1, 2), np.int64)
        bands = [
            (*fixed, first, last, out, count)
            for (first, last), count in zip(pairwise(edges), counts, strict=True)
        ]
        if len(bands) == 1:
            _kernels.score_rows(*bands[0])
        else:
            with ThreadPoolExecutor(len(bands)) as pool:
                for job in [pool.submit(_kernels.score_rows, *band) for band in bands]:
                    job.result()
        if work is not None:
            work += counts.sum(axis=0)
        return out

    def _scan_arguments(
        self, planes: NDArray[np.uint8], normalisation: Normalisation | None
    ) -> list[Any]:
        """Return what every band of a level shares."""
        n_planes = len(planes)
        scaling: tuple[NDArray[Any], ...] = (np.empty(0), np.empty(0))
        kinds: tuple[int, ...] = (0,) * n_planes
        if normalisation is not None:
            scaling = (normalisation.scales, normalisation.noises)
            kinds = tuple(normalisation.kinds)
        of_node, n_first = self._kinds(kinds, len(scaling[0]))
        small, units = self._groups(n_first)
        return [
            planes, self._places(n_planes), self.thresholds, self.leaves, self._rejection, of_node,
            np.array(self.shape), *scaling, small, units, self.unit,
        ]  # fmt: skip

    @lru_cache(maxsize=4)  # noqa: B019 - a model lives as long as its detector
    def _places(self, n_planes: int) -> NDArray[np.uint32]:
        """Return plane, row and column of each node's feature, (3, n_trees, n_nodes)."""
        channel, row, column = np.unravel_index(self.features, self.window_shape)
        return np.stack([channel % n_planes, row, column]).astype(np.uint32)

    @lru_cache(maxsize=4)  # noqa: B019
    def _kinds(self, kinds: tuple[int, ...], plain: int) -> tuple[NDArray[np.uint8], int]:
        """Return by which statistics each node's value is normalised, and the first part's trees.

        ``plain`` stands for values as they are. The first part has the trees that look at such
        values only and whose sums fit into 16 bits, whatever the window, in whole groups.
        """
        channel = np.unravel_index(self.features, self.window_shape)[0]
        by_channel = np.array([plain] * len(kinds) + [*kinds], np.uint8)
        of_node = by_channel[channel]
        bound = np.cumsum(np.abs(self.leaves.astype(np.int64)).max(axis=1))
        fits = (bound < 32767) & (of_node == plain).all(axis=1)
        n_first = int(np.argmin(fits)) if not fits.all() else len(fits)
        return of_node, min(n_first, FIRST_TREES) // GROUP * GROUP

    @lru_cache(maxsize=4)  # noqa: B019
    def _groups(self, n_first: int) -> tuple[NDArray[np.int8], NDArray[np.int16]]:
        """Return the first trees' leaves in bytes, and the unit of each group; 0: no bytes.

        A group fits where its leaves are multiples of a unit that brings its sum into a byte, and
        no window is rejected before the group's end.
        """
        first = _distinct(self.leaves[:n_first].astype(np.int64))
        small = np.zeros(first.shape, np.int8)
        units = np.zeros(n_first // GROUP, np.int16)
        for group in range(n_first // GROUP):
            trees = slice(GROUP * group, GROUP * (group + 1))
            leaves = first[trees]
            unit = int(np.gcd.reduce(leaves, axis=None)) or 1
            inner = self._rejection[trees][:-1]
            if _group_bound(leaves / unit) <= 127 and (inner <= NEVER).all():
                small[trees], units[group] = leaves // unit, unit
        return small, units


def _distinct(leaves: NDArray[Any]) -> NDArray[Any]:
    """Return the leaves without a last level of nodes whose two leaves are the same."""
    while leaves.shape[1] > 4 and (leaves[:, ::2] == leaves[:, 1::2]).all():
        leaves = leaves[:, ::2]
    return leaves


def _group_bound(leaves: NDArray[Any]) -> float:
    """Return the largest sum, positive or not, that a group of trees can give."""
    return float(np.abs(leaves).max(axis=1).sum())


def _in_groups(leaves: NDArray[np.float64], unit: float, n_first: int) -> NDArray[np.float64]:
    """Return leaves in units, those of the first trees rounded so that a group's sum is a byte."""
    coarse = np.full(len(leaves), unit)
    for first in range(0, min(n_first, len(leaves)) // GROUP * GROUP, GROUP):
        trees = slice(first, first + GROUP)
        # Rounding may add half a unit a tree.
        largest = _group_bound(leaves[trees]) / (127 - GROUP / 2)
        coarse[trees] = max(unit, 2.0 ** np.ceil(np.log2(max(largest, unit))))
    return np.asarray(np.rint(leaves / coarse[:, None]) * (coarse[:, None] / unit))


def _check_trees(model: TreeModel) -> None:
    shapes = model.features.shape, model.thresholds.shape, model.leaves.shape
    n_trees, n_nodes = model.features.shape if model.features.ndim == 2 else (0, 0)
    wanted = (n_trees, n_nodes), (n_trees, n_nodes), (n_trees, n_nodes + 1)
    depths = [2**depth - 1 for depth in range(1, MAX_DEPTH + 1)]
    if shapes != wanted or n_nodes not in depths or not n_trees:
        raise ParameterError(
            f"TreeModel needs complete trees of depth 1 to {MAX_DEPTH}: features and thresholds "
            f"(n_trees, 2**depth - 1), leaves (n_trees, 2**depth). Got shapes {shapes} instead."
        )
    if model._rejection.shape != (n_trees,):
        raise ParameterError(
            f"The 'rejection' of TreeModel must have one entry for each of {n_trees} trees. Got "
            f"shape {model._rejection.shape} instead."
        )
    n_features = int(np.prod(model.window_shape)) if len(model.window_shape) == 3 else 0
    if model.features.min() < 0 or model.features.max() >= n_features:
        raise ParameterError(
            f"The 'features' of TreeModel must be in [0, {n_features}), those of a window of "
            f"{model.window_shape}. Got {model.features.min()} to {model.features.max()} instead."
        )
    exponent = np.log2(model.unit) if 0 < model.unit < np.inf else 0.5
    is_unit = exponent == int(exponent) and abs(exponent) <= MAX_EXPONENT
    if not is_unit or not 1.0 / MAX_VALUE_SCALE <= model.value_scale <= MAX_VALUE_SCALE:
        raise ParameterError(
            f"The 'unit' of TreeModel must be a power of two, 2**-{MAX_EXPONENT} to "
            f"2**{MAX_EXPONENT}, and its 'value_scale' in [{1.0 / MAX_VALUE_SCALE:g}, "
            f"{MAX_VALUE_SCALE:g}]. Got {model.unit} and {model.value_scale} instead."
        )
