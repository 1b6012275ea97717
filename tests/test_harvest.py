"""Negatives of a picture and the cache that holds them: what may be mined, and what stays."""

from dataclasses import replace

import conftest
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import boxes as box_ops
from bootstrap_det.classifiers.learners import MARGIN
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.mining import BootstrapParams
from bootstrap_det.mining.cache import NegativeCache
from bootstrap_det.mining.features import cut_windows
from bootstrap_det.mining.harvest import (
    Forbidden,
    Harvest,
    Windows,
    harvest_false_positives,
    harvest_random,
)
from bootstrap_det.mining.pool import Pass, Pool, forbidden_of
from bootstrap_det.pyramid import Pyramid

NOTHING = Forbidden(np.zeros((0, 4)), np.zeros((0, 4)))
EVERYTHING = -1e9  # a threshold that all windows pass

windows = st.lists(st.tuples(st.integers(0, 40), st.floats(-3, 1)), max_size=25)


def features_of_ids(ids):
    """Return two features that tell which window they belong to."""
    return np.column_stack([ids, -np.asarray(ids)]).astype(np.float32).reshape(-1, 2)


def offer(cache, batch):
    """Offer windows given as (id, score) to a cache."""
    ids = np.array([number for number, _ in batch], dtype=np.int64)
    identities = np.column_stack([ids, ids % 3, ids, ids, np.zeros_like(ids)]).reshape(-1, 5)
    scores = np.array([score for _, score in batch], dtype=float)
    return cache.add(features_of_ids(ids), identities, scores)


@given(st.integers(1, 30), st.lists(st.tuples(windows, st.integers(0, 99)), max_size=6))
def test_cache_invariants(capacity, rounds):
    cache = NegativeCache(2, max_bytes=8 * capacity + 7)
    for batch, seed in rounds:
        before = {int(i): s for i, s in zip(cache.identities[:, 0], cache.scores, strict=True)}
        added = offer(cache, batch)
        ids = cache.identities[:, 0]
        after = set(ids.tolist())
        assert len(after) == len(cache) <= capacity
        assert cache.n_bytes == cache.features.nbytes <= cache.max_bytes
        assert {i for i, score in before.items() if score >= MARGIN} <= after
        assert len(cache) == len(before) + added.n_added - added.n_evicted
        assert added.n_added + added.n_duplicates + added.n_refused == len(batch)
        assert len(before.keys() - after) <= added.n_evicted
        np.testing.assert_array_equal(cache.features, features_of_ids(ids))
        cache.rescore(np.random.default_rng(seed).uniform(-3, 1, len(cache)))


def test_cache_evicts_the_easiest_first():
    cache = NegativeCache(2, max_bytes=8 * 3)
    offer(cache, [(1, -1.5), (2, -9.0), (3, -2.0)])
    added = offer(cache, [(4, 0.5), (5, 0.0)])
    assert (added.n_added, added.n_evicted, added.n_refused) == (2, 2, 0)
    assert set(cache.identities[:, 0]) == {1, 4, 5}


def test_cache_refuses_newcomers_when_all_are_in_the_margin():
    cache = NegativeCache(2, max_bytes=8 * 2)
    offer(cache, [(1, -1.0), (2, 0.0)])
    added = offer(cache, [(3, 5.0)])
    assert (added.n_added, added.n_evicted, added.n_refused) == (0, 0, 1)
    assert set(cache.identities[:, 0]) == {1, 2}


def test_cache_holds_a_window_once():
    cache = NegativeCache(2, max_bytes=800)
    assert offer(cache, [(1, 0), (1, 0), (2, 0)]).n_duplicates == 1
    assert offer(cache, [(2, 0), (3, 0)]).n_duplicates == 1
    assert cache.identities[:, 0].tolist() == [1, 2, 3]
    assert cache.contains(cache.identities).all()


def test_cache_takes_an_evicted_window_back():
    cache = NegativeCache(2, max_bytes=8)
    offer(cache, [(1, -2.0)])
    offer(cache, [(2, -2.0)])
    assert offer(cache, [(1, 0.0)]).n_added == 1
    assert cache.identities[:, 0].tolist() == [1]


def test_cache_must_hold_a_window():
    with pytest.raises(ParameterError, match=r"at least one window of 400 bytes\. Got 399"):
        NegativeCache(100, max_bytes=399)


@pytest.fixture
def scene(rng):
    """Return a picture with a cross, an ignored cross, and a wide region to be ignored."""
    image = conftest.noise(rng, (100, 120))
    conftest.draw_cross(image, 10, 12)
    conftest.draw_cross(image, 60, 15)
    boxes = [[10, 12, 34, 36], [60, 15, 84, 39], [0, 70, 120, 100]]
    labels = ["cross", "cross", "crowd of crosses"]
    flags = ([False, True, False], [False, False, True])
    return Picture(0, "scene", boxes, labels, *flags, pixels=image)


def parts_of(recipe):
    return recipe.pyramid, recipe.window, recipe.channels


@pytest.mark.parametrize("random", [False, True])
def test_harvest_keeps_away_from_objects_and_ignored_regions(linear_toy, scene, rng, random):
    forbidden = forbidden_of(scene, "cross")
    if random:
        parts = parts_of(linear_toy.recipe)
        harvest = harvest_random(scene.size, *parts, forbidden, limit=10_000, rng=rng)
    else:
        harvest = harvest_false_positives(
            linear_toy.detector, scene.pixels, forbidden, threshold=EVERYTHING, limit=10_000
        )
    boxes = harvest.windows.boxes
    assert len(boxes) > 20
    assert box_ops.overlap(boxes, scene.boxes[:1]).max() <= 0.3
    assert box_ops.overlap(boxes, scene.boxes[1:], kind="min").max() <= 0.3


def test_forbidden_of_other_labels_are_negatives_like_any_other(scene):
    forbidden = forbidden_of(scene, "circle")
    assert len(forbidden.objects) == 0
    assert len(forbidden.regions) == 2


def test_harvest_is_hardest_first_capped_and_without_near_duplicates(linear_toy, rng):
    image = conftest.noise(rng)
    full, some = (
        harvest_false_positives(
            linear_toy.detector, image, NOTHING, threshold=EVERYTHING, limit=limit
        )
        for limit in (10_000, 7)
    )
    assert (np.diff(full.windows.scores) <= 0).all()
    overlap = box_ops.overlap(full.windows.boxes, full.windows.boxes)
    assert np.triu(overlap, 1).max() <= 0.5
    assert (len(some.windows), some.capped, full.capped) == (7, True, False)
    np.testing.assert_array_equal(some.windows.identities, full.windows.identities[:7])


def test_features_that_are_cut_give_the_scores_of_the_scan(any_toy, scene):
    harvest = harvest_false_positives(
        any_toy.detector, scene.pixels, NOTHING, threshold=EVERYTHING, limit=200
    )
    assert len(harvest.windows) > 0
    model, windows = any_toy.detector.templates[0].model, harvest.windows
    identities = np.insert(windows.identities, 0, scene.image_id, axis=1)
    cut = cut_windows(identities, Dataset("one", (scene,)), any_toy.recipe, BootstrapParams())
    assert cut.there.all()
    scores = model.decision_function(cut.features)
    np.testing.assert_allclose(scores, windows.scores, atol=1e-5)


def test_harvest_threshold_and_count_of_false_positives(any_toy, scene):
    toy = any_toy
    harvest = harvest_false_positives(
        toy.detector, scene.pixels, NOTHING, threshold=-0.5, limit=1000
    )
    assert harvest.windows.scores.min() >= -0.5
    assert harvest.n_false_positives == len(toy.detector.detect(scene.pixels)) >= 1
    assert harvest.n_windows == toy.detector.scan(scene.pixels).n_windows


def test_harvest_random_draws_each_window_once(any_toy, rng):
    image = conftest.noise(rng, (40, 40))
    harvest = harvest_random(image.shape, *parts_of(any_toy.recipe), NOTHING, limit=10_000, rng=rng)
    assert len(harvest.windows) == harvest.n_windows > 10
    assert len(np.unique(harvest.windows.identities, axis=0)) == harvest.n_windows


def test_harvest_random_picture_smaller_than_the_window(toy, rng):
    recipe = replace(toy.recipe, pyramid=Pyramid(padding=0))
    image = np.zeros((9, 9), np.uint8)
    harvest = harvest_random(image.shape, *parts_of(recipe), NOTHING, limit=5, rng=rng)
    assert (len(harvest.windows), harvest.n_windows) == (0, 0)


def harvest_of(scores, row=0):
    """Return a harvest of windows in one row of the first level with these scores."""
    n = len(scores)
    identities = np.column_stack([np.zeros(n), np.full(n, row), np.arange(n), np.zeros(n)])
    return Harvest(Windows(identities.astype(np.int64), np.zeros((n, 4)), np.array(scores)), 100)


@given(st.lists(st.lists(st.integers(-3, 3).map(float), max_size=8), max_size=8), st.integers(1, 9))
def test_pool_keeps_the_hardest_in_any_order_of_pictures(scores, limit):
    forwards, backwards = Pool(limit), Pool(limit)
    harvests = [harvest_of(values) for values in scores]
    for index, harvest in enumerate(harvests):
        forwards.add(index, harvest)
    for index, harvest in reversed(list(enumerate(harvests))):
        backwards.add(index, harvest)
    identities, got = forwards.hardest()
    every = sorted((s for values in scores for s in values), reverse=True)
    assert got.tolist() == every[:limit]
    assert forwards.n_over_limit == max(len(every) - limit, 0)
    np.testing.assert_array_equal(identities, backwards.hardest()[0])


def mined(toy, params, round_index):
    detector = toy.detector if round_index else None
    scan = Pass(detector, toy.negatives, toy.recipe, params, round_index, toy.positives)
    return scan.false_positives() if round_index else scan.random()


@pytest.mark.parametrize("round_index", [0, 1])
def test_a_pass_honours_its_caps(linear_toy, round_index):
    toy = linear_toy
    params = BootstrapParams(
        n_random_negatives=31,
        n_negatives_per_image=9,
        n_negatives_per_round=20,
        mining_threshold=EVERYTHING,
    )
    pool = mined(toy, params, round_index)
    identities, scores = pool.hardest()
    per_picture = np.unique(identities[:, 0], return_counts=True)[1]
    if round_index:
        assert len(scores) == 20
        assert per_picture.max() <= 9
        assert pool.n_images_capped == 6
        assert pool.n_over_limit == 6 * 9 - 20
    else:
        assert sorted(per_picture) == [5, 5, 5, 5, 5, 6]


@pytest.mark.parametrize("round_index", [0, 1])
def test_a_pass_does_not_depend_on_the_number_of_jobs(any_toy, round_index):
    toy = any_toy
    params = BootstrapParams(n_random_negatives=60, n_negatives_per_round=50, mining_threshold=-3.0)
    one, two = (mined(toy, replace(params, n_jobs=n), round_index).hardest() for n in (1, 2))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def test_cache_knows_a_window_by_any_integer_type():
    cache = NegativeCache(2)
    identities = np.arange(5, dtype=np.int32)[None, :]
    for _ in range(2):
        added = cache.add(np.zeros((1, 2), np.float32), identities, np.zeros(1))
    assert (len(cache), added.n_duplicates) == (1, 1)
    assert cache.contains(identities).all()
