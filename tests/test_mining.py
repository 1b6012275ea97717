"""The bootstrapping loop: how rounds follow, what they record, and how a run is resumed."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import conftest
import numpy as np
import pytest

from bootstrap_det.classifiers import LinearLearner
from bootstrap_det.classifiers.learners import MARGIN
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.exceptions import DataError, ModelFormatError, ParameterError
from bootstrap_det.mining import BootstrapParams, Callback, RoundRecord, bootstrap
from bootstrap_det.mining.checkpoint import load_checkpoint, save_checkpoint


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
    identities = toy.result.states[0].cache.identities
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
    state = any_toy.result.states[0]
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
    n_bytes = 130 * any_toy.positives.features.dtype.itemsize * any_toy.recipe.n_features
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
    progress = [f"{phase} {i}/6" for phase in ("mine", "features") for i in range(1, 7)]
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
    assert seen[-1] is state.whole


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
    loaded = load_checkpoint(tmp_path / "c", fingerprint, toy.negatives, recipe, BootstrapParams())
    same_state(run(toy, learner=learner, n_rounds=2, state=loaded), straight)


def test_checkpoint_of_other_data_is_refused(toy, tmp_path):
    save_checkpoint(tmp_path / "c", toy.result.states[0], {"data": "x", "seed": 1})
    changed = {"data": "y", "seed": 2}
    with pytest.raises(DataError, match="cannot be resumed, because data, seed changed"):
        load_checkpoint(tmp_path / "c", changed, toy.negatives, toy.recipe, BootstrapParams())
    toy.detector.save(tmp_path / "m")
    with pytest.raises(DataError, match="is not a checkpoint"):
        load_checkpoint(tmp_path / "m", {}, toy.negatives, toy.recipe, BootstrapParams())
    with pytest.raises(ModelFormatError):
        load_checkpoint(tmp_path / "missing", {}, toy.negatives, toy.recipe, BootstrapParams())


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


def test_a_limit_on_pictures_draws_anew_in_each_round(any_toy):
    state = run(any_toy, n_images_per_round=3, **UNCAPPED)
    assert [record.n_images_scanned for record in state.records] == [3, 3, 3]
    for record in state.records:
        assert "n_images_per_round" in record.limits
        assert not record.complete
        assert not record.converged
    other = run(any_toy, n_images_per_round=3, **{**UNCAPPED, "seed": 9})
    assert len(np.unique(state.cache.identities[:, 0])) > 3  # not the same ones in each round
    assert model_of_state(run(any_toy, n_images_per_round=3, **UNCAPPED)) == model_of_state(state)
    assert model_of_state(other) != model_of_state(state)


def test_a_limit_above_the_number_of_pictures_limits_nothing(any_toy):
    state = run(any_toy, n_images_per_round=1000)
    assert model_of_state(state) == model_of_state(run(any_toy))
    assert "n_images_per_round" not in state.records[-1].limits


def test_the_last_round_may_hold_more_negatives(any_toy):
    few = {**UNCAPPED, "n_negatives_per_round": 5, "min_new_negatives": 0}
    state = run(any_toy, n_rounds=2, n_negatives_last_round=40, **few)
    n_mined = [record.n_mined for record in state.records[1:]]
    assert n_mined[0] <= 5 < 30 < n_mined[1] <= 40  # windows that are held already do not count


def model_of_state(state):
    return conftest.parts_of(state.detector.templates[0].model)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_images_per_round": 0}, "'n_images_per_round' parameter"),
        ({"n_negatives_last_round": 0}, "'n_negatives_last_round' parameter"),
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
