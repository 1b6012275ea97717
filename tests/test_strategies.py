"""Strategies: each changes the right thing, by hand-worked values and on toy data."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det.classifiers import BoostedLearner, LinearLearner, LinearModel
from bootstrap_det.classifiers.platt import platt
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.imbalance import Combined, Round, available, make_strategy, strategy_class
from bootstrap_det.imbalance.classes import ForegroundBalanced
from bootstrap_det.imbalance.generative import AdversarialOcclusion, AdversarialRotation
from bootstrap_det.imbalance.hard import (
    HardNegative,
    IouBalanced,
    IouLowerBound,
    Random,
    draw_evenly,
)
from bootstrap_det.imbalance.rows import near_as_negatives, probabilities
from bootstrap_det.imbalance.soft import ClassWeight, Pisa, hierarchical_ranks
from bootstrap_det.samples import COPY, NEAR, TURNED, Jitter, ObjectRows

SHAPE = (2, 6, 6)
N_FEATURES = int(np.prod(SHAPE))


def toy_samples(rng, *, n_objects=6, kinds=(COPY, COPY, TURNED, TURNED, NEAR), n_negatives=50):
    """Return samples of which each object has copies of these kinds."""
    n = n_objects * len(kinds)
    return Samples(
        rng.normal(size=(n, N_FEATURES)).astype(np.float32),
        np.repeat(np.arange(n_objects), len(kinds)),
        rng.normal(size=(n_negatives, N_FEATURES)).astype(np.float32),
        SHAPE,
        N_FEATURES,
        positive_scores=rng.normal(1, 1, n),
        negative_scores=rng.normal(-1, 1, n_negatives),
        ious=np.where(np.tile(kinds, n_objects) == NEAR, rng.uniform(0, 0.5, n), 0.9),
        kinds=np.tile(np.array(kinds, np.uint8), n_objects),
        n_random=20,
    )


def plain(rng, **sizes):
    return toy_samples(rng, kinds=(COPY, COPY), **sizes)


NOW = Round(1, 0, LinearModel(np.ones(SHAPE, np.float32), 0.0))
FIRST = Round(0, 0, None)


# By name


@pytest.mark.parametrize("name", available())
def test_every_strategy_is_its_own_text(name):
    strategy = make_strategy(name)
    assert type(strategy) is strategy_class(name)
    assert strategy.spec == name
    assert strategy.__doc__


def test_text_gives_parameters_and_joins():
    assert make_strategy("hard-negative:ratio=5") == HardNegative(5.0)
    both = make_strategy("hard-negative:ratio=5+augment:n_copies=3,blur=1.5")
    assert isinstance(both, Combined)
    assert both.spec == "hard-negative:ratio=5+augment:n_copies=3,blur=1.5"
    assert make_strategy(both.spec).spec == both.spec
    assert make_strategy(None).spec == "bootstrap"
    assert make_strategy(HardNegative()) == HardNegative()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("focl", r"The strategy must be one of 'bootstrap', .*Did you mean 'focal'\?"),
        ("focal:gama=2", r"The strategy 'focal' takes gamma, alpha\. Got 'gama=2' instead"),
        ("focal:gamma", r"takes gamma, alpha\. Got 'gamma' instead"),
        ("bootstrap:x=1", r"The strategy 'bootstrap' takes no parameters"),
        ("focal:gamma=-1", r"The 'gamma' parameter of focal must be .* Got -1"),
        ("ghm:n_bins=2.5", r"The 'n_bins' parameter of ghm must be an int\. Got '2\.5'"),
        ("random+iou-balanced", r"Only one strategy can draw the negatives\. Got 'random' and"),
        ("", None),
    ],
)
def test_wrong_text_is_one_sentence(text, message):
    if message is None:
        assert make_strategy(text).spec == "bootstrap"
        return
    with pytest.raises(ParameterError, match=message):
        make_strategy(text)


def test_a_strategy_that_does_not_fit_the_classifier_says_which_do():
    with pytest.raises(ParameterError, match=r"'qfl' .* needs the classifier 'svm'.*'focal' or"):
        make_strategy("qfl").learner(BoostedLearner())


@pytest.mark.parametrize("name", available())
def test_strategies_do_not_touch_what_they_get(name, rng):
    strategy, samples = make_strategy(name), toy_samples(rng)
    # Apart, but not far: some samplers need neighbours of the same class, some of the other.
    samples = replace(samples, positives=samples.positives + np.float32(0.4))
    before = {field.name: np.copy(getattr(samples, field.name)) for field in fields(samples)}
    first, second = (strategy.samples(samples, NOW) for _ in range(2))
    for field in fields(samples):
        np.testing.assert_array_equal(before[field.name], getattr(samples, field.name))
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))


# Hard sampling


def test_random_keeps_a_ratio_and_draws_it_evenly(rng):
    counts = np.zeros(50)
    for seed in range(400):
        kept = Random(2.0).choose(50, 5, np.random.default_rng(seed))
        assert len(kept) == 10
        counts[kept] += 1
    assert abs(counts / 400 - 0.2).max() < 0.1
    samples = plain(rng)
    assert len(Random().samples(samples, NOW).negatives) == 50
    assert len(Random(1.0).samples(samples, NOW).negatives) == len(samples.positives)


def test_hard_negative_keeps_the_highest_scores(rng):
    assert HardNegative(2.0).choose(np.array([0.1, 0.9, -3, 0.5, 0.4]), 1).tolist() == [1, 3]
    samples = plain(rng)
    hard = HardNegative(1.0).samples(samples, NOW)
    assert len(hard.negatives) == len(samples.positives) == 12
    assert hard.negative_scores.min() >= np.sort(samples.negative_scores)[-12]
    # Round 0 has no scores: random ones, as many.
    fresh = replace(samples, positive_scores=None, negative_scores=None)
    assert len(HardNegative(1.0).samples(fresh, FIRST).negatives) == 12


@given(st.lists(st.integers(0, 4), max_size=80), st.integers(1, 100), st.integers(0, 99))
def test_draw_evenly_takes_as_many_of_each_group_as_there_are(groups, n_wanted, seed):
    drawn = draw_evenly(groups, n_wanted, np.random.default_rng(seed))
    assert len(drawn) == min(n_wanted, len(groups))
    assert len(set(drawn.tolist())) == len(drawn)
    sizes = np.bincount(groups, minlength=5) if groups else np.zeros(5, int)
    taken = np.bincount(np.array(groups, int)[drawn], minlength=5)
    # A group gives less than another only when it has no more.
    for of, size in zip(taken, sizes, strict=True):
        assert of == size or of >= taken.max() - 1


def test_iou_balanced_draws_uniformly_over_bins(rng):
    ious = np.concatenate([np.zeros(5000), rng.uniform(0, 0.5, 900)])  # a heap of background
    kept = IouBalanced(n_bins=3).choose(ious, 300, rng)
    counts = np.histogram(ious[kept], bins=3, range=(0, 0.5))[0]
    assert counts.tolist() == [100, 100, 100]
    samples = toy_samples(rng, n_negatives=9)
    balanced = IouBalanced().samples(samples, NOW)
    assert len(balanced.negatives) == 9
    assert not (balanced.kinds == NEAR).any()


def test_iou_lower_bound_takes_no_background(rng):
    assert IouLowerBound(0.1).choose(np.array([0.0, 0.05, 0.1, 0.3, 0.5])).tolist() == [2, 3]
    samples = toy_samples(rng)
    bounded = IouLowerBound(0.0).samples(samples, NOW)
    near = samples.kinds == NEAR
    assert len(bounded.negatives) == 50 + near.sum()
    only = IouLowerBound(0.001).samples(samples, NOW)
    np.testing.assert_array_equal(only.negatives, samples.positives[near])
    assert len(only.positives) == (~near).sum()


def test_near_windows_move_with_their_scores(rng):
    samples = toy_samples(rng)
    moved, ious = near_as_negatives(samples)
    near = samples.kinds == NEAR
    np.testing.assert_array_equal(moved.negatives[50:], samples.positives[near])
    np.testing.assert_array_equal(moved.negative_scores[50:], samples.positive_scores[near])
    np.testing.assert_array_equal(ious, np.r_[np.zeros(50), samples.ious[near]])
    assert moved.n_random == 20


# Soft sampling


def test_class_weight_balances_the_classes():
    labels = np.array([True, False, False, False])
    assert ClassWeight().weights(labels).tolist() == [2.0, *([4 / 6] * 3)]
    assert ClassWeight(positive=5.0).weights(labels).tolist() == [5.0, *([4 / 6] * 3)]


def test_class_weight_moves_the_surface_towards_the_lighter_class(rng):
    samples = Samples(
        rng.normal(0.6, 1, (20, N_FEATURES)).astype(np.float32), np.arange(20),
        rng.normal(0, 1, (400, N_FEATURES)).astype(np.float32), SHAPE, N_FEATURES,
    )  # fmt: skip
    light, heavy = (
        LinearLearner(C=1e-4).fit(
            ClassWeight(positive=w, negative=1.0).samples(samples, FIRST),
            2,
            {},
            seed=0,
            n_threads=1,
        )[0]
        for w in (1.0, 20.0)
    )
    assert (
        heavy.decision_function(samples.positives).mean()
        > light.decision_function(samples.positives).mean()
    )


def test_pisa_ranks_by_agreement_within_objects_first():
    ious = np.array([0.9, 0.8, 0.7, 0.95, 0.6])
    objects = np.array([0, 0, 0, 1, 1])
    # Best of each object: 0.95, 0.9; second: 0.8, 0.6; third: 0.7.
    assert hierarchical_ranks(ious, objects).tolist() == [1, 2, 4, 0, 3]


def test_pisa_weights_follow_the_formula(rng):
    weights = Pisa(beta=0.2, gamma=2.0).weights(np.array([0, 1, 2, 3]))
    raw = np.array([(0.8 * u + 0.2) ** 2 for u in (1.0, 0.75, 0.5, 0.25)])
    np.testing.assert_allclose(weights, raw / raw.mean())
    samples = plain(rng)
    weighted = Pisa().samples(replace(samples, ious=rng.uniform(0.5, 1, 12)), NOW)
    assert np.isclose(weighted.positive_weights.mean(), 1.0)
    assert weighted.negative_weights[np.argmax(samples.negative_scores)] == (
        weighted.negative_weights.max()
    )


def test_probabilities_are_calibrated(rng):
    log_odds = rng.normal(0, 3, 4000)
    labels = rng.uniform(size=4000) < 1 / (1 + np.exp(-log_odds))
    factor, _ = platt(log_odds / 7 + 2, labels)
    assert 6 < factor < 8
    samples = plain(rng)
    p = probabilities(samples)
    assert ((p > 0) & (p < 1)).all()
    assert p[:12].mean() > 0.5 > p[12:].mean()
    assert probabilities(replace(samples, positive_scores=None, negative_scores=None)) is None


# Generative


def test_occlusion_blanks_the_part_that_counts(rng):
    weights = np.zeros(SHAPE, np.float32)
    weights[:, 2:4, 4:6] = 1.0  # the middle of the right
    features = rng.uniform(1, 2, (5, N_FEATURES)).astype(np.float32)
    features.reshape(-1, *SHAPE)[:, :, 2:4, 4:6] += 5.0
    model = LinearModel(weights, 0.0)
    blanked = AdversarialOcclusion().occluded(features, SHAPE, model).reshape(-1, *SHAPE)
    changed = (blanked != features.reshape(-1, *SHAPE)).any(axis=(0, 1))
    assert changed[2:4, 4:6].all()
    assert changed.sum() == 4
    means = features.reshape(-1, *SHAPE).mean(axis=(2, 3))
    np.testing.assert_allclose(blanked[:, :, 3, 5], means, rtol=1e-5)


def test_occlusion_adds_a_hard_positive_for_each(rng):
    samples = plain(rng)
    grown = AdversarialOcclusion().samples(samples, NOW)
    assert len(grown.positives) == 24
    assert grown.objects.tolist() == [*samples.objects, *samples.objects]
    hard = NOW.model.decision_function(grown.positives[12:])
    assert (hard <= NOW.model.decision_function(samples.positives) + 1e-6).mean() > 0.9
    assert AdversarialOcclusion().samples(samples, FIRST) is samples
    assert len(AdversarialOcclusion(share=0.5).samples(samples, NOW).positives) == 18


def test_rotation_keeps_the_worst_angle_of_each_object(rng):
    assert AdversarialRotation(10, 4).angles() == (-10.0, -5.0, 5.0, 10.0)
    assert AdversarialRotation().jitter(Jitter()).turns == (-10.0, -5.0, 5.0, 10.0)
    samples = toy_samples(rng)
    kept = AdversarialRotation().samples(samples, NOW)
    for number in range(6):
        before = (samples.objects == number) & (samples.kinds == TURNED)
        after = (kept.objects == number) & (kept.kinds == TURNED)
        assert kept.positive_scores[after].tolist() == [samples.positive_scores[before].min()]
    assert (kept.kinds == COPY).sum() == 12


def test_augment_only_adds_change():
    jitter = make_strategy("augment:n_copies=4").jitter(Jitter(n_copies=10, blur=2.0, gain=0.0))
    assert (jitter.n_copies, jitter.blur, jitter.gain) == (10, 2.0, 0.3)


# Several classes


def test_foreground_balanced_equalises_the_classes(rng):
    rows = {
        name: ObjectRows.plain(rng.normal(size=(n, 3))) for name, n in (("rare", 5), ("often", 95))
    }
    balanced = ForegroundBalanced().balanced(rows, seed=0)
    assert {name: len(each) for name, each in balanced.items()} == {"rare": 50, "often": 50}
    drawn = np.unique(balanced["rare"].objects, return_counts=True)[1]
    assert drawn.tolist() == [10] * 5
    assert len(np.unique(balanced["often"].objects)) == 50
    assert len(ForegroundBalanced(n_positives=7).balanced(rows, seed=0)["often"]) == 7
