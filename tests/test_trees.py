"""Trees as plain arrays: a level's scores are those of its windows, one by one, and no other."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap_det.channels import ACF, HOG
from bootstrap_det.classifiers import TreeModel
from bootstrap_det.classifiers.files import pack_model, unpack_model
from bootstrap_det.classifiers.trees import FIRST_TREES, GROUP, NEVER
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.persistence import read_arrays, write_arrays

PLAIN = ACF(normalise="none", n_orientations=3)
SEEN = ACF(normalise="window", n_orientations=3)
SEEN_RGB = ACF(normalise="window", n_orientations=2, color="rgb")


def random_trees(rng, window_shape, *, depth=2, n_trees=20, largest=900, unit=2**-9, n_plain=0):
    """Return trees that look anywhere; the first ``n_plain`` of them into the first half only."""
    n_features, n_nodes = int(np.prod(window_shape)), 2**depth - 1
    features = rng.integers(0, n_features, (n_trees, n_nodes))
    features[:n_plain] %= max(n_features // 2, 1)
    thresholds = rng.integers(0, 256, (n_trees, n_nodes))
    leaves = rng.integers(-largest, largest + 1, (n_trees, n_nodes + 1))
    return TreeModel(features, thresholds, leaves, unit, window_shape)


def random_model(rng, channels, shape, *, cascade=True, grouped=False, lost=0.05, **parameters):
    """Return trees for windows of a level, and thresholds that some windows do not pass.

    ``grouped`` has a threshold after every fourth tree only, as a calibrated cascade.
    """
    model = random_trees(rng, (channels.n_window_channels, *shape), **parameters)
    if not cascade:
        return model
    samples = rng.integers(0, 256, (200, model.features.max() + 1)).astype(np.uint8)
    samples = np.pad(samples, ((0, 0), (0, int(np.prod(model.window_shape)) - samples.shape[1])))
    limits = np.quantile(model.staged_scores(samples), lost, axis=0).astype(int)
    if grouped:
        limits[np.arange(model.n_trees) % GROUP != GROUP - 1] = NEVER
    return model.with_rejection(limits)


def random_level(rng, channels, size):
    """Return planes of a level: blotches, so that windows differ in contrast."""
    level = rng.integers(0, 256, (channels.n_channels, *size))
    return (level * rng.uniform(0.1, 1.0, (1, size[0], 1))).astype(np.uint8)


def check_level(model, channels, level, n_threads=1):
    """Compare the scores of a level with those of the windows' feature vectors, bit for bit."""
    scores = model.score_level(level, normalisation=channels.normalisation, n_threads=n_threads)
    extent = (level.shape[1] - model.shape[0] + 1, level.shape[2] - model.shape[1] + 1)
    rows, columns = np.indices(extent).reshape(2, -1)
    features = channels.window_features(level, model.shape, rows, columns)
    passes = model.accepts(features)
    ref = np.where(passes, model.decision_function(features), -np.inf)
    assert (scores.dtype, scores.shape) == (np.float32, extent)
    np.testing.assert_array_equal(scores.ravel(), ref.astype(np.float32))
    return passes


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_staged_scores_are_those_of_the_naive_twin(seed, depth):
    rng = np.random.default_rng(seed)
    model = random_trees(rng, (2, 3, 2), depth=depth, largest=32767)
    samples = rng.integers(0, 256, (9, 12)).astype(np.uint8)
    parts = model.features, model.thresholds, model.leaves
    ref = np.array([naive.tree_scores(sample, *parts) for sample in samples])
    np.testing.assert_array_equal(model.staged_scores(samples), ref)
    np.testing.assert_array_equal(model.decision_function(samples), ref[:, -1] * 2.0**-9)
    limits = np.sort(rng.integers(ref.min(), ref.max() + 1, model.n_trees))[::-1]
    cascade = model.with_rejection(limits)
    np.testing.assert_array_equal(cascade.accepts(samples), (ref >= limits).all(axis=1))
    np.testing.assert_array_equal(cascade.decision_function(samples), ref[:, -1] * 2.0**-9)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("channels", [PLAIN, SEEN, SEEN_RGB], ids=["plain", "seen", "rgb"])
@pytest.mark.parametrize("cascade", [False, True])
def test_score_level_is_that_of_each_window(rng, depth, channels, cascade):
    model = random_model(rng, channels, (4, 3), depth=depth, n_plain=8, cascade=cascade)
    passes = check_level(model, channels, random_level(rng, channels, (30, 41)))
    assert passes.any()
    assert passes.all() != cascade


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([PLAIN, SEEN, SEEN_RGB]),
    st.integers(1, 5),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.integers(1, 60),
    st.integers(1, 3),
)
def test_score_level_of_any_size(seed, channels, depth, shape, extra, n_trees, n_threads):
    rng = np.random.default_rng(seed)
    largest = int(rng.choice([3, 31, 900, 32767]))
    grouped = bool(rng.integers(2))
    parts = {"depth": depth, "n_trees": n_trees, "largest": largest, "grouped": grouped}
    n_plain, lost = int(rng.integers(n_trees + 1)), float(rng.uniform(0, 0.2))
    model = random_model(rng, channels, shape, n_plain=n_plain, lost=lost, **parts)
    size = (shape[0] + extra[0], shape[1] + extra[1])
    check_level(model, channels, random_level(rng, channels, size), n_threads)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_score_level_adds_groups_up_in_bytes(rng, depth):
    level = random_level(rng, PLAIN, (30, 41))
    parts = {"depth": depth, "n_trees": 40, "largest": 31, "grouped": True}
    model = random_model(rng, PLAIN, (4, 3), lost=0.01, **parts)
    for factor in (1, 7):
        leaves = model.leaves * factor
        scaled = TreeModel(model.features, model.thresholds, leaves, 1.0, model.window_shape)
        limits = np.maximum(model.rejection.astype(np.int64) * factor, NEVER)
        scaled = scaled.with_rejection(limits)
        units = scaled._groups(40)[1]
        assert (units >= factor).all()
        assert (units % factor == 0).all()
        assert check_level(scaled, PLAIN, level).any()
    # The largest sums that a byte holds, one more, and a rejection within a group.
    extreme = np.full_like(model.leaves, -31)
    extreme[::GROUP] = -34  # 127 in all
    features = (model.features, model.thresholds)
    fits = TreeModel(*features, extreme, 1.0, model.window_shape)
    assert (fits._groups(40)[1] == 1).all()
    check_level(fits, PLAIN, level)
    extreme[::GROUP] = -35
    assert not TreeModel(*features, extreme, 1.0, model.window_shape)._groups(40)[1].any()
    inner = fits.with_rejection(np.where(np.arange(40) == 1, -60, NEVER))
    assert list(inner._groups(40)[1]) == [0] + [1] * 9
    assert not check_level(inner, PLAIN, level).any()


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 120), st.sampled_from([1e-6, 0.1, 1e6]))
def test_from_floats_coarse_trees_add_up_in_bytes(seed, n_trees, size):
    rng = np.random.default_rng(seed)
    parts = rng.integers(0, 10, (n_trees, 3)), rng.integers(0, 256, (n_trees, 3))
    leaves = rng.normal(0, size, (n_trees, 4)) * np.geomspace(1, 0.05, n_trees)[:, None]
    model = TreeModel.from_floats(*parts, leaves, (10, 1, 1), n_coarse=1000)
    n_coarse = min(n_trees, FIRST_TREES) // GROUP * GROUP
    coarse = np.repeat(model._groups(n_coarse)[1], GROUP)
    assert (coarse > 0).all()
    error = np.abs(model.leaves * model.unit - leaves).max(axis=1)
    assert (error[:n_coarse] <= coarse * model.unit / 2 * (1 + 1e-9)).all()
    assert (error[n_coarse:] <= model.unit / 2 * (1 + 1e-9)).all()
    for group in range(0, n_coarse, GROUP):  # no coarser than a byte asks for
        assert (
            coarse[group] * 127
            <= 2.1 * np.abs(leaves[group : group + GROUP]).max(axis=1).sum() / model.unit
            or coarse[group] == 1
        )


@pytest.mark.parametrize("size", [(2, 9000), (3000, 3), (90, 110), (150, 140)])
@pytest.mark.parametrize("channels", [PLAIN, SEEN], ids=["plain", "seen"])
def test_score_level_of_large_levels(rng, size, channels):
    level = random_level(rng, channels, size)
    for cascade in (False, True):
        model = random_model(rng, channels, (2, 3), n_trees=12, n_plain=4, cascade=cascade)
        check_level(model, channels, level, n_threads=2)


@pytest.mark.parametrize("n_plain", [0, 300])
def test_score_level_of_many_trees(rng, n_plain):
    model = random_model(rng, SEEN, (3, 3), n_trees=300, n_plain=n_plain, lost=0.01)
    assert check_level(model, SEEN, random_level(rng, SEEN, (20, 23))).any()


@pytest.mark.parametrize("n_threads", [2, 3, 50])
def test_score_level_same_bits_for_any_number_of_threads(rng, n_threads):
    model, level = random_model(rng, SEEN, (4, 4)), random_level(rng, SEEN, (31, 200))
    normalisation = SEEN.normalisation
    one = model.score_level(level, normalisation=normalisation)
    more = model.score_level(level, normalisation=normalisation, n_threads=n_threads)
    np.testing.assert_array_equal(one, more)


@pytest.mark.parametrize("channels", [PLAIN, SEEN], ids=["plain", "seen"])
def test_score_level_large_leaves_do_not_overflow(rng, channels):
    level = random_level(rng, channels, (20, 30))
    for largest in (32767, -32768):
        model = random_trees(rng, (channels.n_window_channels, 3, 4), n_trees=40)
        leaves = np.full_like(model.leaves, largest)
        model = TreeModel(model.features, model.thresholds, leaves, 1.0, model.window_shape)
        scores = model.score_level(level, normalisation=channels.normalisation)
        assert (scores == 40.0 * largest).all()
        check_level(model.with_rejection(np.arange(1, 41) * largest), channels, level)
        nothing = model.with_rejection(np.arange(1, 41) * largest + 1)
        assert not check_level(nothing, channels, level).any()


def test_score_level_a_threshold_beyond_16_bits_rejects(rng):
    model = random_trees(rng, (PLAIN.n_channels, 3, 4), n_trees=1)
    top = TreeModel(
        model.features, model.thresholds, np.full_like(model.leaves, 32767), 1.0, model.window_shape
    )
    level = random_level(rng, PLAIN, (20, 30))
    assert not check_level(top.with_rejection([40_000]), PLAIN, level).any()
    assert check_level(top.with_rejection([-40_000]), PLAIN, level).all()


def test_score_level_quantises_other_channels_as_feature_vectors(rng):
    hog = HOG(cell_size=4, n_orientations=4)
    level = hog.compute(rng.integers(0, 256, (70, 90)).astype(np.uint8))
    model = random_trees(rng, (hog.n_channels, 3, 4))
    parts = model.features, model.thresholds, model.leaves, model.unit, model.window_shape
    check_level(TreeModel(*parts, value_scale=300.0), hog, level)


def test_score_level_reads_views_and_leaves_them_alone(rng):
    model, level = random_model(rng, PLAIN, (4, 3)), random_level(rng, PLAIN, (60, 70))
    view = level[:, ::2, 5:40]
    before = level.copy()
    np.testing.assert_array_equal(model.score_level(view), model.score_level(view.copy()))
    np.testing.assert_array_equal(level, before)


@pytest.mark.parametrize("size", [(0, 0), (3, 9), (9, 2)])
def test_score_level_smaller_than_the_window_is_empty(rng, size):
    model = random_trees(rng, (PLAIN.n_channels, 4, 3))
    assert model.score_level(np.zeros((PLAIN.n_channels, *size), np.uint8)).size == 0


def test_score_level_counts_its_work(rng):
    level = random_level(rng, SEEN, (40, 50))
    counts = []
    for cascade in (False, True):
        model, work = random_model(rng, SEEN, (4, 3), cascade=cascade), np.zeros(2, np.int64)
        model.score_level(level, normalisation=SEEN.normalisation, work=work)
        counts.append(work.sum())
    assert counts[0] >= 37 * 48 * 20
    assert 0 < counts[1] < counts[0]


def test_score_level_refuses_other_channels_and_no_thread(rng):
    model = random_trees(rng, (4, 3, 3))
    with pytest.raises(ParameterError, match=r"must have shape \(4, rows, columns\).* Got \(2, 9"):
        model.score_level(np.zeros((2, 9, 9), np.uint8))
    with pytest.raises(ParameterError, match=r"Got \(9, 9\) instead"):
        model.score_level(np.zeros((9, 9), np.uint8))
    with pytest.raises(ParameterError, match="'n_threads' parameter of score_level"):
        model.score_level(np.zeros((4, 9, 9), np.uint8), n_threads=0)


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 300), st.integers(1, 5),
    st.sampled_from([1e-6, 0.1, 1.0, 1e6]), st.floats(-50, 50),
)  # fmt: skip
def test_from_floats_rounds_by_half_a_unit_a_tree(seed, n_trees, depth, size, bias):
    rng = np.random.default_rng(seed)
    n_nodes = 2**depth - 1
    features = rng.integers(0, 10, (n_trees, n_nodes))
    thresholds = rng.integers(0, 256, (n_trees, n_nodes))
    leaves = rng.normal(0, size, (n_trees, n_nodes + 1))
    model = TreeModel.from_floats(features, thresholds, leaves, (10, 1, 1), bias=bias * size)
    samples = rng.integers(0, 256, (5, 10)).astype(np.uint8)
    ranks = np.tile(np.arange(n_nodes + 1), (n_trees, 1))
    for sample, score in zip(samples, model.decision_function(samples), strict=True):
        steps = np.diff([0, *naive.tree_scores(sample, features, thresholds, ranks)])
        ref = leaves[np.arange(n_trees), steps].sum() + bias * size
        assert abs(score - ref) <= n_trees * model.unit / 2 * (1 + 1e-9)
    # The unit is not coarser than it has to be: half of it would not fit.
    first = np.abs(model.leaves.astype(int)).max(axis=1)
    assert max(np.cumsum(first)[:128].max(), first.max()) > 14_000


def test_from_floats_of_zeros_scores_zero():
    model = TreeModel.from_floats([[0]], [[9]], [[0.0, 0.0]], (1, 1, 1))
    assert model.decision_function(np.array([[3], [200]], np.uint8)).tolist() == [0, 0]


def test_lowest_score_is_where_the_cascade_ends(rng):
    model = random_trees(rng, (2, 3, 2), n_trees=3, unit=0.25)
    assert model.lowest_score == -np.inf
    cascade = model.with_rejection([-9, -5, 6])
    assert cascade.lowest_score == 1.5
    assert model.lowest_score == -np.inf
    assert cascade.accepts(np.zeros((1, 12), np.uint8)).shape == (1,)


def test_trees_know_their_size(rng):
    model = random_trees(rng, (2, 3, 4), depth=3, n_trees=7)
    assert (model.n_trees, model.depth, model.shape) == (7, 3, (3, 4))


def test_values_that_are_not_bytes_are_scaled_and_clipped():
    model = TreeModel([[0]], [[128]], [[-1, 1]], 1.0, (1, 1, 1), value_scale=100.0)
    values = np.array([[-5.0], [1.27], [1.28], [9.0]], np.float32)
    assert model.quantise(values).ravel().tolist() == [0, 127, 128, 255]
    assert model.decision_function(values).tolist() == [-1, -1, 1, 1]


def test_trees_are_frozen_and_of_their_own():
    leaves = np.array([[-1, 1]], np.int16)
    model = TreeModel([[0]], [[128]], leaves, 1.0, (1, 1, 1))
    leaves[:] = 0
    assert model.leaves.tolist() == [[-1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        model.leaves[0] = 0
    with pytest.raises(AttributeError, match="cannot assign"):
        model.unit = 2.0


def changed(**parts):
    whole = {
        "features": np.zeros((2, 3), int),
        "thresholds": np.zeros((2, 3), int),
        "leaves": np.zeros((2, 4), int),
        "unit": 1.0,
        "window_shape": (2, 3, 4),
    }
    return {**whole, **parts}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"features": np.zeros((1, 63)), "thresholds": np.zeros((1, 63)),
             "leaves": np.zeros((1, 64))},
            r"complete trees of depth 1 to 5.* Got shapes \(\(1, 63\)",
        ),
        ({"features": np.zeros((2, 2)), "thresholds": np.zeros((2, 2))}, "complete trees"),
        ({"thresholds": np.zeros((1, 3))}, "complete trees"),
        ({"leaves": np.zeros((2, 3))}, "complete trees"),
        ({"features": np.zeros((0, 3)), "thresholds": np.zeros((0, 3)), "leaves": np.zeros((0, 4))},
         "complete trees"),
        ({"features": np.zeros(3)}, "complete trees"),
        ({"features": np.full((2, 3), 24)}, r"must be in \[0, 24\).* Got 24 to 24"),
        ({"features": np.full((2, 3), -1)}, r"must be in \[0, 24\).* Got -1"),
        ({"window_shape": (2, 3)}, r"those of a window of \(2, 3\)"),
        ({"unit": 0.3}, "'unit' of TreeModel must be a power of two"),
        ({"unit": 0.0}, "'unit' of TreeModel must be a power of two"),
        ({"unit": -2.0}, "'unit' of TreeModel must be a power of two"),
        ({"unit": np.inf}, "'unit' of TreeModel must be a power of two"),
        ({"unit": np.nan}, "'unit' of TreeModel must be a power of two"),
        ({"value_scale": 0.0}, "'value_scale' in"),
        ({"value_scale": np.nan}, "'value_scale' in"),
        ({"rejection": np.zeros(3)}, r"one entry for each of 2 trees. Got shape \(3,\)"),
    ],
)  # fmt: skip
def test_tree_model_errors(parts, message):
    with pytest.raises(ParameterError, match=message):
        TreeModel(**changed(**parts))


def test_with_rejection_of_another_length_is_refused():
    with pytest.raises(ParameterError, match="one entry for each of 2 trees"):
        TreeModel(**changed()).with_rejection([1])


@pytest.mark.parametrize("cascade", [False, True])
def test_packed_models_come_back_bit_for_bit(rng, tmp_path, cascade):
    model = random_model(rng, SEEN, (3, 4), cascade=cascade, depth=3)
    entry, arrays = pack_model(model, 4)
    write_arrays(tmp_path / "m", entry, arrays)
    got = unpack_model(*read_arrays(tmp_path / "m"), 4)
    assert isinstance(got, TreeModel)
    for name in ("features", "thresholds", "leaves", "rejection"):
        array = getattr(got, name)
        np.testing.assert_array_equal(array, getattr(model, name))
        assert array.dtype == getattr(model, name).dtype
    for name in ("unit", "window_shape", "value_scale", "lowest_score"):
        assert getattr(got, name) == getattr(model, name)


def test_unpack_refuses_what_it_does_not_know(rng):
    entry, arrays = pack_model(random_trees(rng, (1, 2, 2)), 0)
    with pytest.raises(KeyError, match="unknown kind of model 'forest'"):
        unpack_model({**entry, "kind": "forest"}, arrays, 0)
    with pytest.raises(KeyError, match="leaves_1"):
        unpack_model(entry, {**arrays, "features_1": 0, "thresholds_1": 0}, 1)


def test_score_level_of_a_window_whose_squares_exceed_32_bits(rng):
    level = np.full((SEEN.n_channels, 240, 220), 250, np.uint8)
    level[:, ::3] -= rng.integers(0, 90, level[:, ::3].shape, dtype=np.uint8)
    model = random_trees(rng, (SEEN.n_window_channels, 238, 219), n_trees=12)
    check_level(model, SEEN, level)
