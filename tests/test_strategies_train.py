"""Strategies in a training: every one makes a detector, and does what it says to the loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bootstrap_det.classifiers import LinearLearner
from bootstrap_det.detector import Detector
from bootstrap_det.evaluation import evaluate_detector
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.imbalance import Strategy, available, make_strategy
from bootstrap_det.imbalance.online import OnlineLearner
from bootstrap_det.imbalance.registry import strategy_class
from bootstrap_det.mining import BootstrapParams, bootstrap
from bootstrap_det.mining.checkpoint import load_checkpoint, save_checkpoint
from bootstrap_det.samples import NEAR, Jitter, draw_changes
from tests.conftest import parts_of

LINEAR_ONLY = ("qfl", "ohem")
TREES_ONLY = ("rusboost", "balanced-forest")


@pytest.mark.parametrize("name", available())
def test_every_strategy_trains_a_detector(any_toy, name, tmp_path):
    own = any_toy.recipe.learner.name
    needed = "svm" if name in LINEAR_ONLY else "boosted" if name in TREES_ONLY else own
    if needed != own:
        with pytest.raises(ParameterError, match=f"needs the classifier '{needed}'"):
            any_toy.train(name)
        return
    if name == "hierarchical":  # trained in test_hierarchy, where there are groups
        with pytest.raises(DataError, match="needs the group of each label"):
            any_toy.train(name)
        return
    result = any_toy.train(name, n_rounds=1)
    assert len(result.records) == 2
    result.detector.save(tmp_path / "model.bdet")
    loaded = Detector.load(tmp_path / "model.bdet")
    measured = evaluate_detector(loaded, any_toy.dataset).evaluation
    # Without background, or with few hard negatives, a detector is worse; none is without use.
    assert measured.ap > 0.2, name


@pytest.mark.parametrize("name", ["random", "iou-balanced", "ohem", "adversarial-rotation"])
def test_a_strategy_does_not_depend_on_the_number_of_jobs(linear_toy, name):
    one, two = (linear_toy.train(name, n_rounds=1, n_jobs=n) for n in (1, 2))
    assert parts_of(one.detector.templates[0].model) == parts_of(two.detector.templates[0].model)


@pytest.mark.parametrize("name", ["hard-negative:ratio=1", "ohem", "adversarial-occlusion"])
def test_a_resumed_run_does_as_it_would_have_done(linear_toy, name, tmp_path):
    toy = linear_toy
    strategy = make_strategy(name)
    recipe = replace(toy.recipe, learner=strategy.learner(toy.recipe.learner))

    def run(n_rounds, state=None):
        params = BootstrapParams(**{**toy.small, "n_rounds": n_rounds})
        return bootstrap(
            toy.positives, toy.negatives, recipe, strategy=strategy, params=params, state=state
        )

    whole = run(2)
    save_checkpoint(tmp_path / "state", run(1), {})
    params = BootstrapParams()
    state = load_checkpoint(tmp_path / "state", {}, toy.negatives, recipe, params)
    resumed = run(2, state)
    assert parts_of(resumed.templates[0].model) == parts_of(whole.templates[0].model)


def test_random_mines_nothing_by_score(linear_toy):
    records = linear_toy.train("random").records
    assert [record.mined_false_positives_per_image for record in records] == [None] * 3
    assert records[-1].n_held > records[0].n_held


def test_hard_negative_bounds_what_is_fitted_not_what_is_held(linear_toy):
    records = linear_toy.train("hard-negative:ratio=1").records
    for record in records:
        assert record.n_negatives == min(record.n_positives, record.n_held)
    assert records[-1].n_held > records[-1].n_negatives


def test_ohem_learns_while_it_scans(linear_toy):
    assert make_strategy("ohem").learner(linear_toy.recipe.learner) == OnlineLearner(C=3.0)
    first, last = (linear_toy.train("ohem", n_rounds=n).detector for n in (0, 2))
    false_alarms = [
        sum(len(d.detect(p.load("grey"), threshold=-1.0)) for p in linear_toy.negatives.pictures)
        for d in (first, last)
    ]
    assert false_alarms[1] < 0.7 * false_alarms[0]
    assert evaluate_detector(last, linear_toy.dataset).evaluation.ap > 0.9


def test_other_losses_put_the_surface_where_classes_are_even(linear_toy):
    for loss in ("logistic", "focal", "ghm"):
        result = linear_toy.train(strategy=None, n_rounds=0)
        recipe = replace(linear_toy.recipe, learner=LinearLearner(C=1.0, loss=loss))
        params = BootstrapParams(**{**linear_toy.small, "n_rounds": 0})
        state = bootstrap(linear_toy.positives, linear_toy.negatives, recipe, params=params)
        model = state.templates[0].model
        positive = model.decision_function(linear_toy.positives.features)
        negative = model.decision_function(state.cache.features)
        assert np.mean(positive > 0) > 0.9
        assert np.mean(negative < 0) > 0.9
        assert len(result.records) == 1


def test_an_unknown_loss_is_refused():
    with pytest.raises(ParameterError, match=r"The loss must be one of .*'focal'"):
        LinearLearner(loss="focl")


def test_near_windows_agree_with_the_object_by_less_than_a_half():
    jitter = Jitter(n_copies=2, n_near=10)
    changes = list(draw_changes(jitter, np.random.default_rng(0)))
    near = [change.iou for change in changes if change.kind == NEAR]
    assert len(changes) == 13
    assert len(near) == 10
    # One from each tenth of [0, 0.5).
    assert (np.array(near) * 20).astype(int).tolist() == list(range(10))


def test_every_strategy_says_where_it_comes_from_or_what_it_does():
    for name in available():
        text = strategy_class(name).__doc__
        assert len(text) > 40, name


def test_a_strategy_may_find_nothing_to_mine(linear_toy):
    """An empty pool is an answer; the usual negatives must not take its place."""

    class Nothing(Strategy):
        def mine(self, scan):
            return scan.pool() if scan.index else None

    params = BootstrapParams(**linear_toy.small)
    state = bootstrap(
        linear_toy.positives, linear_toy.negatives, linear_toy.recipe, strategy=Nothing(),
        params=params,
    )  # fmt: skip
    assert [record.n_mined for record in state.records] == [120, 0, 0]
