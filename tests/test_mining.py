"""The bootstrapping loop: the cache's invariants, what may be mined, and how rounds follow."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import conftest
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import boxes as box_ops
from bootstrap_det.classifiers import LinearLearner
from bootstrap_det.classifiers.learners import MARGIN
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.exceptions import DataError, ModelFormatError, ParameterError
from bootstrap_det.mining import BootstrapParams, Callback, RoundRecord, bootstrap
from bootstrap_det.mining.cache import NegativeCache
from bootstrap_det.mining.checkpoint import load_checkpoint, save_checkpoint
from bootstrap_det.mining.harvest import (
    Forbidden,
    Harvest,
    Windows,
    harvest_false_positives,
    harvest_random,
)
from bootstrap_det.mining.pool import Pool, forbidden_of, mine_pictures
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
        harvest = harvest_random(scene.pixels, *parts, forbidden, limit=10_000, rng=rng)
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
        harvest_false_positives(linear_toy.detector, image, NOTHING, threshold=EVERYTHING, limit=limit)
        for limit in (10_000, 7)
    )
    assert (np.diff(full.windows.scores) <= 0).all()
    overlap = box_ops.overlap(full.windows.boxes, full.windows.boxes)
    assert np.triu(overlap, 1).max() <= 0.5
    assert (len(some.windows), some.capped, full.capped) == (7, True, False)
    np.testing.assert_array_equal(some.windows.identities, full.windows.identities[:7])


def test_harvest_features_give_the_scores(any_toy, scene):
    harvest = harvest_false_positives(
        any_toy.detector, scene.pixels, NOTHING, threshold=EVERYTHING, limit=200
    )
    assert len(harvest.windows) > 0
    model = any_toy.detector.templates[0].model
    scores = model.decision_function(harvest.windows.features)
    np.testing.assert_allclose(scores, harvest.windows.scores, atol=1e-5)


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
    harvest = harvest_random(image, *parts_of(any_toy.recipe), NOTHING, limit=10_000, rng=rng)
    assert len(harvest.windows) == harvest.n_windows > 10
    assert len(np.unique(harvest.windows.identities, axis=0)) == harvest.n_windows


def test_harvest_random_picture_smaller_than_the_window(toy, rng):
    recipe = replace(toy.recipe, pyramid=Pyramid(padding=0))
    image = np.zeros((9, 9), np.uint8)
    harvest = harvest_random(image, *parts_of(recipe), NOTHING, limit=5, rng=rng)
    assert (len(harvest.windows), harvest.n_windows) == (0, 0)
    assert harvest.windows.features.shape == (0, recipe.n_features)


def harvest_of(scores, row=0):
    """Return a harvest of windows in one row of the first level with these scores."""
    n = len(scores)
    identities = np.column_stack([np.zeros(n), np.full(n, row), np.arange(n), np.zeros(n)])
    features = features_of_ids(np.arange(n))
    return Harvest(
        Windows(features, identities.astype(np.int64), np.zeros((n, 4)), np.array(scores)), 100
    )


@given(st.lists(st.lists(st.integers(-3, 3).map(float), max_size=8), max_size=8), st.integers(1, 9))
def test_pool_keeps_the_hardest_in_any_order_of_pictures(scores, limit):
    forwards, backwards = Pool(2, limit), Pool(2, limit)
    harvests = [harvest_of(values) for values in scores]
    for index, harvest in enumerate(harvests):
        forwards.add(index, harvest)
    for index, harvest in reversed(list(enumerate(harvests))):
        backwards.add(index, harvest)
    _, identities, got = forwards.hardest()
    every = sorted((s for values in scores for s in values), reverse=True)
    assert got.tolist() == every[:limit]
    assert forwards.n_over_limit == max(len(every) - limit, 0)
    np.testing.assert_array_equal(identities, backwards.hardest()[1])


@pytest.mark.parametrize("round_index", [0, 1])
def test_mine_pictures_honours_its_caps(linear_toy, round_index):
    toy = linear_toy
    params = BootstrapParams(
        n_random_negatives=31,
        n_negatives_per_image=9,
        n_negatives_per_round=20,
        mining_threshold=EVERYTHING,
    )
    detector = toy.detector if round_index else None
    pool = mine_pictures(detector, toy.negatives, toy.recipe, params, round_index)
    _, identities, scores = pool.hardest()
    per_picture = np.unique(identities[:, 0], return_counts=True)[1]
    if round_index:
        assert len(scores) == 20
        assert per_picture.max() <= 9
        assert pool.n_images_capped == 6
        assert pool.n_over_limit == 6 * 9 - 20
    else:
        assert sorted(per_picture) == [5, 5, 5, 5, 5, 6]


@pytest.mark.parametrize("round_index", [0, 1])
def test_mine_pictures_does_not_depend_on_the_number_of_jobs(any_toy, round_index):
    toy = any_toy
    detector = toy.detector if round_index else None
    params = BootstrapParams(n_random_negatives=60, n_negatives_per_round=50, mining_threshold=-3.0)
    one, two = (
        mine_pictures(
            detector, toy.negatives, toy.recipe, replace(params, n_jobs=n), round_index
        ).hardest()
        for n in (1, 2)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


def model_of(result):
    return conftest.parts_of(result.detector.templates[0].model)


def test_training_does_not_depend_on_the_number_of_jobs(any_toy):
    assert model_of(any_toy.train(n_jobs=2)) == model_of(any_toy.result)


def test_training_depends_on_the_seed(any_toy):
    assert model_of(any_toy.train(seed=6)) != model_of(any_toy.result)


def test_records_add_up(any_toy):
    toy, records = any_toy, any_toy.result.records
    assert [record.round for record in records] == [0, 1, 2]
    held = 0
    for record in records:
        held += record.n_mined - record.n_evicted
        assert record.n_negatives == held
        assert record.n_found == (
            record.n_mined + record.n_duplicates + record.n_refused + record.n_over_limit
        )
        assert record.n_images_scanned == 6
        assert record.n_positives == len(toy.positives)
        assert set(record.seconds) == {"mine", "fit", "evaluate"}
    assert records[0].mined_false_positives_per_image is None
    assert records[0].n_negatives == 120
    assert records[1].n_over_limit > 0
    assert "n_negatives_per_round" in records[1].limits
    assert not records[1].complete


def test_mined_windows_are_not_mined_twice(toy):
    identities = toy.result.state.cache.identities
    assert len(np.unique(identities, axis=0)) == len(identities)


def test_round_record_round_trips_through_json(toy):
    for record in toy.result.records:
        text = json.dumps(record.to_dict(), allow_nan=False)
        assert RoundRecord.from_dict(json.loads(text)) == record


def test_round_record_ignores_fields_of_later_versions(toy):
    record = toy.result.records[-1]
    assert RoundRecord.from_dict({**record.to_dict(), "of_the_future": 1}) == record


def run(
    toy, negatives=None, *, learner=None, state=None, callbacks=(), evaluate=None, **parameters
):
    return bootstrap(
        toy.positives,
        negatives or toy.negatives,
        replace(toy.recipe, learner=learner or toy.recipe.learner),
        objects=toy.objects,
        params=BootstrapParams(**{**toy.small, **parameters}),
        state=state,
        callbacks=callbacks,
        evaluate=evaluate,
    )


UNCAPPED = {"n_negatives_per_image": 100_000, "n_negatives_per_round": 100_000}


def test_bootstrap_converges_and_says_so(linear_toy):
    state = run(linear_toy, n_rounds=9, min_new_negatives=100_000, **UNCAPPED)
    assert [record.converged for record in state.records] == [False, True]
    assert state.records[-1].complete
    assert state.converged


def test_bootstrap_does_not_converge_on_an_incomplete_pass(linear_toy):
    state = run(linear_toy, n_rounds=2, min_new_negatives=100_000, n_negatives_per_round=10)
    assert len(state.records) == 3
    assert not state.records[1].complete
    assert "n_negatives_per_round" in state.records[1].limits
    assert not any(record.converged for record in state.records)


def test_bootstrap_goes_no_further_once_converged(linear_toy):
    state = run(linear_toy, n_rounds=9, min_new_negatives=100_000, **UNCAPPED)
    again = run(linear_toy, n_rounds=9, min_new_negatives=100_000, state=state, **UNCAPPED)
    assert len(again.records) == 2


def test_bootstrap_scores_its_negatives_by_the_latest_model(any_toy):
    state = any_toy.result.state
    scores = any_toy.detector.templates[0].model.decision_function(state.cache.features)
    np.testing.assert_allclose(state.cache.scores, scores, atol=1e-9)


def test_bootstrap_chooses_c_in_the_first_two_rounds_only(linear_toy, monkeypatch):
    choices = iter([0.5, 0.25, 0.125])
    target = "bootstrap_det.classifiers.learners.choose_c"
    monkeypatch.setattr(target, lambda *_, **__: next(choices))
    state = run(linear_toy, learner=LinearLearner(), n_rounds=3)
    chosen = [record.classifier for record in state.records]
    assert chosen == [{"C": 0.5}, {"C": 0.25}, {"C": 0.25}, {"C": 0.25}]


def test_bootstrap_grows_its_trees_from_round_to_round(toy):
    state = run(toy, n_rounds=3)
    assert [record.classifier["n_trees"] for record in state.records] == [3, 12, 48, 48]
    assert state.detector.templates[0].model.n_trees == 48


def test_bootstrap_does_not_converge_before_all_trees_are_there(toy):
    state = run(toy, n_rounds=9, min_new_negatives=100_000, **UNCAPPED)
    assert [record.converged for record in state.records] == [False, False, True]


def test_bootstrap_mines_what_its_classifier_asks_for(toy, linear_toy):
    state = run(toy, n_rounds=1)
    assert state.records[1].threshold == run(toy, n_rounds=0).detector.lowest_score
    assert run(linear_toy, n_rounds=1).records[1].threshold == MARGIN
    assert run(toy, n_rounds=1, mining_threshold=0.5).records[1].threshold == 0.5


def test_bootstrap_without_rounds_is_random_negatives_only(toy):
    state = run(toy, n_rounds=0)
    assert len(state.records) == 1
    assert len(state.cache) == toy.small["n_random_negatives"]


def test_bootstrap_honours_the_cache_limit(any_toy):
    n_bytes = 130 * any_toy.positives.dtype.itemsize * any_toy.recipe.n_features
    state = run(any_toy, max_cache_bytes=n_bytes)
    assert len(state.cache) == 130
    assert state.cache.n_bytes == n_bytes
    record = state.records[1]
    assert record.n_evicted + record.n_refused > 0
    assert "max_cache_bytes" in record.limits


def test_bootstrap_learns_from_what_it_mines(linear_toy, rng):
    image = conftest.noise(rng, (120, 140))
    for x, y in ((5, 5), (60, 8), (100, 70), (20, 80)):
        image[y + 8 : y + 16, x : x + 24] = 250  # a bar is half a cross
    bars = Dataset("bars", (Picture(9, "bars", pixels=image),))
    state = run(linear_toy, bars, n_random_negatives=30)
    before, after = state.records[1], state.records[-1]
    assert after.new_hinge_loss < before.new_hinge_loss


class Diary(Callback):
    """Write down all events; stop at a round."""

    def __init__(self, stop_at=None):
        self.events, self.stop_at = [], stop_at

    def on_round_begin(self, round_index):
        self.events.append(f"begin {round_index}")

    def on_progress(self, phase, n_done, n_total):
        self.events.append(f"{phase} {n_done}/{n_total}")

    def on_round_end(self, record, state):
        assert state.records[-1] is record
        assert state.detector is not None
        self.events.append(f"end {record.round}")
        return record.round == self.stop_at


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_callbacks_are_told_in_order(toy, n_jobs):
    diary = Diary()
    run(toy, n_rounds=1, callbacks=[diary], n_jobs=n_jobs)
    progress = [f"mine {i}/6" for i in range(1, 7)]
    assert diary.events == ["begin 0", *progress, "end 0", "begin 1", *progress, "end 1"]


def test_callbacks_all_hear_and_one_can_stop(toy):
    first, second = Diary(stop_at=1), Diary()
    state = run(toy, n_rounds=5, callbacks=[first, second])
    assert len(state.records) == 2
    assert second.events[-1] == first.events[-1] == "end 1"


def test_callbacks_need_to_answer_true_to_stop(toy):
    class Chatty(Callback):
        def on_round_end(self, record, state):
            return "yes"

    assert len(run(toy, n_rounds=1, callbacks=[Chatty()]).records) == 2


def test_evaluation_goes_into_the_record(toy):
    seen = []

    def evaluate(detector):
        seen.append(detector)
        return {"n": len(seen)}

    state = run(toy, n_rounds=1, evaluate=evaluate)
    assert [record.evaluation for record in state.records] == [{"n": 1}, {"n": 2}]
    assert seen[-1] is state.detector


def same_state(one, other):
    assert model_of(one) == model_of(other)
    assert one.memory == other.memory
    np.testing.assert_array_equal(one.cache.identities, other.cache.identities)
    np.testing.assert_array_equal(one.cache.features, other.cache.features)
    timeless = [[replace(record, seconds={}) for record in state.records] for state in (one, other)]
    assert timeless[0] == timeless[1]


LEARNERS = {"fixed C": LinearLearner(C=3.0), "chosen C": LinearLearner(), "boosted": None}


@pytest.fixture(params=LEARNERS)
def to_resume(request, toy, linear_toy):
    """Return a toy and the learner of a run that is interrupted."""
    return (toy if request.param == "boosted" else linear_toy), LEARNERS[request.param]


@pytest.mark.parametrize("n_rounds", [0, 1])
def test_resuming_ends_as_if_undisturbed(to_resume, n_rounds):
    toy, learner = to_resume
    straight = run(toy, learner=learner, n_rounds=2)
    stopped = copy.deepcopy(run(toy, learner=learner, n_rounds=n_rounds))
    same_state(run(toy, learner=learner, n_rounds=2, state=stopped), straight)


def test_checkpoint_resumes_as_if_undisturbed(to_resume, tmp_path):
    toy, learner = to_resume
    straight = run(toy, learner=learner, n_rounds=2)
    fingerprint = {"data": "x", "window": (24, 24)}
    save_checkpoint(tmp_path / "c", run(toy, learner=learner, n_rounds=1), fingerprint)
    recipe = replace(toy.recipe, learner=learner or toy.recipe.learner)
    loaded = load_checkpoint(tmp_path / "c", fingerprint, toy.negatives, recipe, 2 << 30)
    same_state(run(toy, learner=learner, n_rounds=2, state=loaded), straight)


def test_checkpoint_of_other_data_is_refused(toy, tmp_path):
    save_checkpoint(tmp_path / "c", toy.result.state, {"data": "x", "seed": 1})
    changed = {"data": "y", "seed": 2}
    with pytest.raises(DataError, match="cannot be resumed, because data, seed changed"):
        load_checkpoint(tmp_path / "c", changed, toy.negatives, toy.recipe, 2 << 30)
    toy.detector.save(tmp_path / "m")
    with pytest.raises(DataError, match="is not a checkpoint"):
        load_checkpoint(tmp_path / "m", {}, toy.negatives, toy.recipe, 2 << 30)
    with pytest.raises(ModelFormatError):
        load_checkpoint(tmp_path / "missing", {}, toy.negatives, toy.recipe, 2 << 30)


def with_a_missing_file(negatives, folder):
    missing = Picture(999, "missing.png", path=Path(folder, "missing.png"))
    pictures = (*negatives.pictures[:2], missing, *negatives.pictures[2:])
    return Dataset("damaged", pictures)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_unreadable_picture_is_an_error(toy, tmp_path, n_jobs):
    with pytest.raises(DataError, match=r"missing\.png: no such file"):
        run(toy, with_a_missing_file(toy.negatives, tmp_path), n_jobs=n_jobs)


def test_unreadable_picture_is_skipped_and_counted(toy, tmp_path):
    broken = with_a_missing_file(toy.negatives, tmp_path)
    state = run(toy, broken, skip_bad=True, n_rounds=1, min_new_negatives=100_000, **UNCAPPED)
    for record in state.records:
        assert record.n_images_scanned == 6
        assert [skipped["file"] for skipped in record.skipped] == ["missing.png"]
        assert not record.complete
        assert not record.converged


def test_bootstrap_needs_negatives(toy):
    with pytest.raises(DataError, match="holds no picture to take negatives from"):
        bootstrap(toy.positives, Dataset("empty"), toy.recipe)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_rounds": -1}, r"'n_rounds' parameter of bootstrap .* \[0, 1000\]. Got -1"),
        ({"n_random_negatives": 0}, "'n_random_negatives' parameter"),
        ({"n_negatives_per_image": 1.5}, "'n_negatives_per_image' parameter"),
        ({"mining_threshold": float("nan")}, "'mining_threshold' .* finite"),
        ({"min_new_negatives": -1}, "'min_new_negatives' parameter"),
        ({"n_jobs": 0}, "'n_jobs' parameter"),
        ({"skip_bad": 1}, "'skip_bad' parameter"),
        ({"seed": -1}, "'seed' parameter"),
    ],
)
def test_bootstrap_parameter_errors(parameters, message):
    with pytest.raises(ParameterError, match=message):
        BootstrapParams(**parameters)


def test_cache_knows_a_window_by_any_integer_type():
    cache = NegativeCache(2)
    identities = np.arange(5, dtype=np.int32)[None, :]
    for _ in range(2):
        added = cache.add(np.zeros((1, 2), np.float32), identities, np.zeros(1))
    assert (len(cache), added.n_duplicates) == (1, 1)
    assert cache.contains(identities).all()
