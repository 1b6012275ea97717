"""Boosted trees as a scikit-learn estimator, and the best split against every split."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from bootstrap_det.classifiers import BoostedLearner, BoostedTrees, ghm_weights, make_loss
from bootstrap_det.classifiers.boosting import weighting
from bootstrap_det.classifiers.training_samples import Samples
from bootstrap_det.exceptions import DataError, ParameterError

QUANTILES = "bins are quantiles of the samples, however heavy, as in HistGradientBoosting"


@parametrize_with_checks(
    [
        BoostedTrees(n_trees=8, feature_share=1.0),
        BoostedTrees(n_trees=8, feature_share=1.0, loss="focal", positive_share=0.4),
        BoostedTrees(n_trees=8, feature_share=1.0, loss="ghm"),
    ],
    expected_failed_checks=lambda estimator: {
        "check_sample_weight_equivalence_on_dense_data": QUANTILES
    },
)
def test_scikit_learns_common_checks(estimator, check):
    check(estimator)


def clouds(rng, n=200, n_features=12, distance=60):
    """Return bytes and labels of two overlapping clouds, one positive in four."""
    labels = np.arange(n) % 4 == 0
    features = rng.normal(100, 40, (n, n_features))
    features[labels, : n_features // 3] += distance
    return np.clip(features, 0, 255).astype(np.uint8), labels


def parts_of(estimator):
    model = estimator.model_
    return [model.features.tolist(), model.thresholds.tolist(), model.leaves.tolist(), model.unit]


def every_feature(**parameters):
    """Return an estimator without chance."""
    return BoostedTrees(**{"feature_share": 1.0, "trim": 0.0, **parameters})


def loss_of(features, labels, weights, estimator):
    """Return the loss of the first stump of an estimator, by the naive formula."""
    model = estimator.model_
    feature, threshold = model.features[0, 0], model.thresholds[0, 0]
    left = features[:, feature] < threshold
    return sum(
        np.sqrt(weights[side & labels].sum() * weights[side & ~labels].sum())
        for side in (left, ~left)
    )


@settings(max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(4, 40),
    st.integers(1, 4),
    st.sampled_from([2, 9, 256]),
    st.booleans(),
)
def test_first_stump_is_the_best_of_all(seed, n, n_features, n_values, weighted):
    rng = np.random.default_rng(seed)
    features = rng.choice(np.sort(rng.permutation(256)[:n_values]), (n, n_features))
    features[:2] = np.array([[0], [255]])  # no feature is constant
    features, labels = features.astype(np.uint8), np.arange(n) % 2 == 0
    given_weights = rng.uniform(0.1, 3, n) if weighted else np.ones(n)
    totals = np.bincount(labels, given_weights)
    weights = given_weights / totals[labels.astype(int)] / 2
    estimator = every_feature(n_trees=1, depth=1)
    estimator.fit(features, labels, given_weights if weighted else None)
    best = naive.best_split(features.T, labels, weights)[0]
    assert loss_of(features, labels, weights, estimator) == pytest.approx(best, abs=1e-9)


def test_first_stump_leaves_are_half_the_log_ratio(rng):
    features, labels = clouds(rng)
    model = every_feature(n_trees=1, depth=1, shrinkage=1.0).fit(features, labels).model_
    left = features[:, model.features[0, 0]] < model.thresholds[0, 0]
    smoothing = 1 / len(labels)
    for side, leaf in zip((left, ~left), model.leaves[0] * model.unit, strict=True):
        positive = (side & labels).sum() / labels.sum() / 2
        negative = (side & ~labels).sum() / (~labels).sum() / 2
        ref = 0.5 * np.log((positive + smoothing) / (negative + smoothing))
        assert leaf == pytest.approx(ref, abs=model.unit)


def test_perfect_stump_is_found(rng):
    features, labels = clouds(rng, distance=0)
    features[:, 7] = np.where(labels, 201, 200)
    model = every_feature(n_trees=1, depth=1).fit(features, labels)
    assert (model.model_.features[0, 0], model.model_.thresholds[0, 0]) == (7, 201)
    assert model.score(features, labels) == 1.0


def test_best_split_of_equal_ones_is_the_lowest():
    features = np.array([[10], [10], [90], [90]], np.uint8)
    model = every_feature(n_trees=1, depth=1).fit(features, [0, 0, 1, 1]).model_
    assert model.thresholds.tolist() == [[11]]


@pytest.mark.parametrize("n_threads", [2, 3])
@pytest.mark.parametrize("depth", [1, 3])
def test_same_trees_for_any_number_of_threads(rng, n_threads, depth):
    features, labels = clouds(rng)
    parts = {"n_trees": 12, "depth": depth, "feature_share": 0.5}
    one = BoostedTrees(**parts).fit(features, labels)
    more = BoostedTrees(**parts, n_threads=n_threads).fit(features, labels)
    assert parts_of(more) == parts_of(one)


def test_seed_decides_the_features(rng):
    features, labels = clouds(rng)
    first, again, other = (
        BoostedTrees(n_trees=12, feature_share=0.3, random_state=seed).fit(features, labels)
        for seed in (3, 3, 4)
    )
    assert parts_of(again) == parts_of(first)
    assert parts_of(other) != parts_of(first)


def exclusive_or(rng, n=400):
    features = rng.integers(0, 256, (n, 2)).astype(np.uint8)
    return features, (features[:, 0] < 128) ^ (features[:, 1] < 128)


def test_exclusive_or_needs_two_tests(rng):
    features, labels = exclusive_or(rng)
    unseen, truth = exclusive_or(rng)
    stumps = every_feature(n_trees=100, depth=1).fit(features, labels)
    trees = every_feature(n_trees=100, depth=2).fit(features, labels)
    assert stumps.score(unseen, truth) < 0.7
    assert trees.score(unseen, truth) > 0.95


def test_more_trees_fit_better(rng):
    features, labels = clouds(rng, distance=30)
    scores = [
        every_feature(n_trees=n, depth=1).fit(features, labels).score(features, labels)
        for n in (1, 10, 100)
    ]
    assert scores[0] < scores[1] < scores[2]


def test_floats_are_quantised_alike_at_any_scale_and_offset(rng):
    features, labels = clouds(rng)
    features = rng.normal(size=features.shape) + 2 * labels[:, None]
    one = every_feature(n_trees=20).fit(features, labels)
    other = every_feature(n_trees=20).fit(1024 * features + 512, labels)
    np.testing.assert_array_equal(one.predict(features), other.predict(1024 * features + 512))
    assert one.score(features, labels) > 0.95


def test_rare_values_of_an_almost_constant_feature_still_count(rng):
    features = np.zeros((2000, 1))
    features[:3] = 1.0
    model = every_feature(n_trees=1, depth=1).fit(features, features[:, 0] > 0)
    assert model.predict([[0.0], [1.0]]).tolist() == [False, True]


def test_first_trees_look_at_the_first_features_only(rng):
    features, labels = clouds(rng)
    features[:, 11] = np.where(labels, 255, 0)
    model = every_feature(n_trees=8, first_features=5, n_first_trees=3).fit(features, labels)
    assert model.model_.features[:3].max() < 5
    assert 11 in model.model_.features[3]


def test_weights_stand_for_copies_of_bytes(rng):
    features, labels = clouds(rng, n=60)
    counts = rng.integers(1, 4, len(labels))
    weighted = every_feature(n_trees=1, depth=1).fit(features, labels, counts)
    copied = every_feature(n_trees=1, depth=1).fit(
        np.repeat(features, counts, axis=0), np.repeat(labels, counts)
    )
    assert parts_of(weighted)[:2] == parts_of(copied)[:2]


def test_classes_weigh_the_same_however_many_samples(rng):
    features, labels = clouds(rng)
    one = every_feature(n_trees=1, depth=1).fit(features, labels)
    weights = np.where(labels, 5.0, 0.1)
    assert parts_of(every_feature(n_trees=1, depth=1).fit(features, labels, weights)) == parts_of(
        one
    )


def test_trimming_leaves_the_light_samples_out_of_the_search(rng):
    features, labels = clouds(rng, n=600, distance=80)
    parts = {"n_trees": 60, "depth": 1}
    exact = every_feature(**parts).fit(features, labels)
    trimmed = every_feature(**parts, trim=0.1).fit(features, labels)
    assert parts_of(trimmed) != parts_of(exact)
    assert trimmed.score(features, labels) > exact.score(features, labels) - 0.03


def test_any_two_labels_will_do(rng):
    features, labels = clouds(rng)
    names = np.where(labels, "face", "background")
    model = every_feature(n_trees=20).fit(features, names)
    assert model.classes_.tolist() == ["background", "face"]
    assert model.score(features, names) > 0.9


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(8, int), "needs samples of 2 classes. Got 1 class; check the annotations"),
        (np.arange(8) % 3, "type of the target is multiclass.* Got 3 classes"),
    ],
)
def test_other_than_two_classes_is_refused(rng, labels, message):
    with pytest.raises(DataError, match=message):
        BoostedTrees().fit(rng.integers(0, 256, (8, 3)), labels)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    features = np.arange(16.0).reshape(8, 2)
    features[3, 1] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        BoostedTrees().fit(features, np.arange(8) % 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nothing_to_learn_from_constant_features(dtype):
    features = np.full((8, 3), 5, dtype)
    with pytest.raises(DataError, match="All 3 features given to BoostedTrees are constant"):
        BoostedTrees().fit(features, np.arange(8) % 2)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.arange(8) % 2, r"sample weights that are not all zero. Got 0 and 4 in all"),
        (np.zeros(8), "not all zero. Got 0 and 0"),
        (np.full(8, -1.0), "finite, not negative"),
        (np.full(8, np.nan), "finite, not negative"),
        (np.ones(7), r"one a sample. Got shape \(7,\) for 8 samples"),
    ],
)
def test_bad_weights_are_refused(rng, weights, message):
    with pytest.raises(DataError, match=message):
        BoostedTrees().fit(rng.integers(0, 256, (8, 3)), np.arange(8) % 2, weights)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_trees": 0}, r"'n_trees' parameter of BoostedTrees .* \[1, 100000\]"),
        ({"depth": 6}, r"'depth' parameter of BoostedTrees must be an int in \[1, 5\]. Got 6"),
        ({"depth": 0}, "'depth' parameter"),
        ({"depth": 2.0}, "'depth' parameter"),
        ({"shrinkage": 0.0}, "'shrinkage' parameter"),
        ({"shrinkage": 1.5}, "'shrinkage' parameter"),
        ({"feature_share": 0}, "'feature_share' parameter"),
        ({"feature_share": 1.01}, "'feature_share' parameter"),
        ({"first_features": 0}, "'first_features' parameter"),
        ({"n_first_trees": -1}, "'n_first_trees' parameter"),
        ({"trim": 0.9}, "'trim' parameter"),
        ({"loss": "hinge"}, "'loss' parameter .* 'exponential', 'logistic', 'focal', 'ghm'. Got"),
        ({"gamma": -1}, r"'gamma' parameter of BoostedTrees must be .* \[0, 10\]. Got -1"),
        ({"positive_share": 0}, r"'positive_share' parameter .* \[1e-06, 0.999999\]. Got 0"),
        ({"positive_share": 1.0}, "'positive_share' parameter"),
        ({"n_threads": 0}, "'n_threads' parameter"),
    ],
)
def test_bad_parameters_are_refused(rng, parameters, message):
    with pytest.raises(ParameterError, match=message):
        BoostedTrees(**parameters).fit(*clouds(rng))


def test_prediction_needs_a_fit_and_as_many_features(rng):
    with pytest.raises(ValueError, match="not fitted yet"):
        BoostedTrees().predict([[0.0]])
    model = every_feature(n_trees=1).fit(*clouds(rng))
    with pytest.raises(ValueError, match="expecting 12 features"):
        model.predict(np.zeros((1, 5), np.uint8))


def test_trees_of_bytes_clip_what_is_beyond_a_byte(rng):
    features, labels = clouds(rng)
    model = every_feature(n_trees=20).fit(features, labels)
    far = np.where(features > 128, 256 + features.astype(int), -1)
    near = np.where(features > 128, 255, 0).astype(np.uint8)
    for dtype in (np.int64, np.float64):
        got = model.decision_function(far.astype(dtype))
        np.testing.assert_array_equal(got, model.decision_function(near))


def test_logistic_weights_of_easy_samples_are_small_and_finite():
    easy = weighting("logistic", 2.0)(np.array([-500.0, -1.0, 0.0, 500.0]), np.ones(4))
    assert easy[0] > 0
    np.testing.assert_allclose(easy[1:], [1 / (1 + np.exp(2.0)), 0.5, 1.0])


@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
def test_focal_factors_are_its_gradient(rng, gamma):
    scores, positive = rng.normal(0, 1, 50), rng.integers(0, 2, 50)
    wrong = np.where(positive == 1, -scores, scores)
    got = weighting("focal", gamma)(wrong, np.ones(50))
    # Scores are half the log odds.
    ref = make_loss("focal", gamma=gamma, alpha=0.5).gradient(2 * scores, positive)
    np.testing.assert_allclose(got, np.abs(ref))


def test_ghm_factors_even_out_the_norms(rng):
    wrong, weights = rng.normal(-1, 1, 500), rng.uniform(0.1, 3, 500)
    norms = 1 / (1 + np.exp(-2 * wrong))
    got = weighting("ghm", 2.0)(wrong, weights)
    np.testing.assert_allclose(got, norms * ghm_weights(norms, sample_weight=weights)[0])


def test_focal_without_gamma_is_logistic(rng):
    features, labels = clouds(rng)
    parts = {"n_trees": 30, "shrinkage": 0.2}
    one = every_feature(**parts, loss="logistic").fit(features, labels)
    other = every_feature(**parts, loss="focal", gamma=0.0).fit(features, labels)
    assert parts_of(one) == parts_of(other)


def test_share_of_hard_samples_grows_with_gamma(rng):
    wrong = rng.normal(-1, 1, 500)
    shares = []
    for gamma in (0.0, 1.0, 4.0):
        factors = weighting("focal", gamma)(wrong, np.ones(500))
        shares.append(factors[wrong > 0].sum() / factors.sum())
    assert shares[0] + 0.1 < shares[1] < shares[2] - 0.1


@pytest.mark.parametrize("loss", ["exponential", "logistic", "focal", "ghm"])
def test_every_loss_learns(rng, loss):
    features, labels = clouds(rng, n=400)
    unseen, truth = clouds(rng, n=400)
    model = every_feature(n_trees=60, shrinkage=0.2, loss=loss).fit(features, labels)
    assert model.score(unseen, truth) > 0.85


@pytest.mark.parametrize("loss", ["logistic", "focal", "ghm"])
def test_samples_told_apart_with_ease_do_not_end_the_fit(rng, loss):
    features, labels = clouds(rng)
    features[:, 7] = np.where(labels, 201, 200)
    model = every_feature(n_trees=600, depth=1, shrinkage=1.0, loss=loss, gamma=10.0)
    scores = model.fit(features, labels).decision_function(features)
    assert np.isfinite(scores).all()
    assert np.abs(scores).min() > 1000
    assert model.score(features, labels) == 1.0


@pytest.mark.parametrize("loss", ["focal", "ghm"])
def test_factors_of_any_size_are_finite(loss):
    wrong = np.array([-1e4, -1.0, 0.0, 1.0, 1e4])
    factors = weighting(loss, 10.0)(wrong, np.ones(5))
    assert np.isfinite(factors).all()
    assert (factors > 0).all()


def test_share_of_the_positives_moves_the_scores(rng):
    features, labels = clouds(rng, n=800, distance=20)
    means = []
    for share in (0.1, 0.5, 0.9):
        model = every_feature(n_trees=200, depth=1, shrinkage=0.1, positive_share=share)
        means.append(model.fit(features, labels).decision_function(features).mean())
    assert np.diff(means) == pytest.approx(0.5 * np.log(9), abs=0.25)


def test_share_of_the_positives_is_that_of_their_weight(rng):
    features, labels = clouds(rng)
    shared = every_feature(n_trees=1, depth=1, positive_share=0.2).fit(features, labels)
    model = shared.model_
    left = features[:, model.features[0, 0]] < model.thresholds[0, 0]
    positive = 0.2 * (left & labels).sum() / labels.sum()
    negative = 0.8 * (left & ~labels).sum() / (~labels).sum()
    ref = 0.25 * np.log((positive + 1 / 200) / (negative + 1 / 200))
    assert model.leaves[0, 0] * model.unit == pytest.approx(ref, abs=model.unit)


def test_learner_hands_its_loss_on(rng):
    features, labels = clouds(rng)
    samples = Samples(features[labels], np.arange(labels.sum()), features[~labels], (12, 1, 1), 12)
    learners = [
        BoostedLearner(n_trees=8, n_trees_first=8, feature_share=1.0, holdout=0.4, **changed)
        for changed in (
            {},
            {"loss": "ghm"},
            {"loss": "focal"},
            {"loss": "focal", "gamma": 0.5},
            {"positive_share": 0.3},
        )
    ]
    models = [each.fit(samples, 0, {}, seed=1, n_threads=1)[0] for each in learners]
    assert len({model.leaves.tobytes() for model in models}) == len(models)
    assert learners[4].get_params()["positive_share"] == 0.3


@pytest.mark.parametrize("parameters", [{"gamma": 11}, {"positive_share": 0.0}])
def test_learner_refuses_what_the_trees_would(parameters):
    (name,) = parameters
    with pytest.raises(ParameterError, match=f"'{name}' parameter of BoostedLearner"):
        BoostedLearner(**parameters)
