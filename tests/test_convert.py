"""Trees of other libraries score as in their own."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from bootstrap_det.classifiers import calibrate_cascade
from bootstrap_det.classifiers.convert import trees_from_estimator
from bootstrap_det.exceptions import ParameterError

SHAPE = (2, 3, 2)


@pytest.fixture(autouse=True)
def one_thread():
    """Fit on one thread: others spin for longer than these fits take."""
    with threadpool_limits(1):
        yield


def samples(rng, n=300, n_values=256):
    values = rng.permutation(256)[:n_values]
    features = rng.choice(values, (n, 12)).astype(np.uint8)
    labels = (features[:, 3].astype(int) + features[:, 8] > 250) ^ (rng.random(n) < 0.1)
    return features, labels


def check_scores(model, estimator, features, ref=None):
    """Compare with the estimator's own scores, up to the rounding of the leaves."""
    if ref is None:
        ref = estimator.decision_function(features.astype(np.float64))
    error = np.abs(model.decision_function(features) - ref).max()
    assert error <= model.n_trees * model.unit / 2 + 1e-9
    assert np.ptp(ref) > 0.3  # there is something to compare


def gradient_boosting(**parameters):
    return GradientBoostingClassifier(**{"n_estimators": 12, "random_state": 0, **parameters})


def histograms(**parameters):
    return HistGradientBoostingClassifier(
        **{"max_iter": 12, "min_samples_leaf": 5, "random_state": 0, **parameters}
    )


ESTIMATORS = {
    "stumps": gradient_boosting(max_depth=1),
    "gradient boosting": gradient_boosting(),
    "deepest": gradient_boosting(max_depth=5),
    "leaves": gradient_boosting(max_depth=5, max_leaf_nodes=6),
    "from zero": gradient_boosting(init="zero", max_depth=2),
    "from the prior": gradient_boosting(init=DummyClassifier(), max_depth=2),
    "exponential": gradient_boosting(loss="exponential", max_depth=2),
    "subsampled": gradient_boosting(subsample=0.5, learning_rate=0.5),
    "histogram stumps": histograms(max_depth=1),
    "histograms": histograms(max_depth=5),
    "few bins": histograms(max_depth=3, max_bins=8),
    "few leaves": histograms(max_leaf_nodes=6),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("n_values", [256, 5, 2])
def test_scores_are_those_of_the_estimator(rng, name, n_values):
    features, labels = samples(rng, n_values=n_values)
    estimator = ESTIMATORS[name].fit(features.astype(np.float64), labels)
    model = trees_from_estimator(estimator, SHAPE)
    assert model.n_trees == 12
    assert model.window_shape == SHAPE
    check_scores(model, estimator, features)
    unseen = rng.integers(0, 256, (200, 12)).astype(np.uint8)
    check_scores(model, estimator, unseen)
    assert model.lowest_score == -np.inf


def test_depth_is_that_of_the_deepest_tree(rng):
    features, labels = samples(rng)
    for depth in (1, 2, 4):
        estimator = gradient_boosting(max_depth=depth, n_estimators=3).fit(features, labels)
        assert trees_from_estimator(estimator, SHAPE).depth == depth


def test_trees_that_are_one_leaf_score_their_constant(rng):
    features, labels = samples(rng)
    estimator = histograms(min_samples_leaf=200).fit(features, labels)
    model = trees_from_estimator(estimator, SHAPE)
    assert model.depth == 1
    ref = estimator.decision_function(features)
    np.testing.assert_allclose(model.decision_function(features), ref, atol=12 * model.unit / 2)


def test_splits_beyond_the_range_of_bytes_are_left_out(rng):
    # Values that no byte has: all bytes go one way.
    features, labels = samples(rng)
    wide = features.astype(np.float64)
    wide[:100, 0], wide[100:200, 1] = 900, -900
    labels[:200] = np.arange(200) < 100
    estimator = gradient_boosting(max_depth=3).fit(wide, labels)
    thresholds = np.concatenate([tree.tree_.threshold for tree in estimator.estimators_[:, 0]])
    assert (thresholds >= 255).any()
    assert ((thresholds < 0) & (thresholds != -2)).any()
    check_scores(trees_from_estimator(estimator, SHAPE), estimator, features)


def test_missing_values_do_not_matter(rng):
    features, labels = samples(rng)
    holes = features.astype(np.float64)
    holes[labels & (rng.random(len(labels)) < 0.7), 5] = np.nan
    estimator = histograms(max_depth=3).fit(holes, labels)
    model = trees_from_estimator(estimator, SHAPE)
    check_scores(model, estimator, features)


def test_converted_trees_can_have_a_cascade(rng):
    features, labels = samples(rng)
    estimator = gradient_boosting().fit(features, labels)
    model = calibrate_cascade(trees_from_estimator(estimator, SHAPE), features[labels], keep=0.9)
    assert model.accepts(features[labels]).mean() >= 0.9
    assert model.accepts(features[~labels]).mean() < 0.8


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "needs a fitted GradientBoosting.* Got LogisticRegression instead"),
        (RandomForestClassifier(n_estimators=2), "Got RandomForestClassifier instead"),
        (gradient_boosting(max_depth=6), "at most 5 tests. Got GradientBoosting.*max_depth=5"),
        (histograms(max_leaf_nodes=31), "at most 5 tests. Got HistGradientBoosting"),
        (
            gradient_boosting(init=LogisticRegression(max_iter=2000)),
            "start from a constant. Got GradientBoostingClassifier with init=LogisticRegression",
        ),
        (histograms(categorical_features=[2]), "with categorical features; fit it without"),
    ],
)
def test_what_cannot_be_converted_is_refused(rng, estimator, message):
    features, labels = samples(rng, n=600, n_values=200)
    estimator.fit(features / 1.0, labels)
    with pytest.raises(ParameterError, match=message):
        trees_from_estimator(estimator, SHAPE)


@pytest.mark.parametrize("estimator", [gradient_boosting(), histograms()])
def test_estimators_that_do_not_fit_the_window_are_refused(rng, estimator):
    with pytest.raises(ParameterError, match="Classifier that is not fitted instead"):
        trees_from_estimator(type(estimator)(), SHAPE)
    features, labels = samples(rng)
    with pytest.raises(ParameterError, match=r"\(2, 3, 3\) has 18 features. Got .* with 12; fit"):
        trees_from_estimator(estimator.set_params(max_depth=2).fit(features, labels), (2, 3, 3))
    estimator.fit(features, np.arange(len(features)) % 3)
    with pytest.raises(ParameterError, match=r"needs an estimator of 2 classes. Got .* of 3"):
        trees_from_estimator(estimator, SHAPE)


def lightgbm_model(features, labels, categories="auto", **parameters):
    lightgbm = pytest.importorskip("lightgbm")
    defaults = {"n_estimators": 12, "max_depth": 5, "verbose": -1, "n_jobs": 1, "random_state": 0}
    model = lightgbm.LGBMClassifier(**{**defaults, **parameters})
    return model.fit(features.astype(np.float64), labels, categorical_feature=categories)


@pytest.mark.parametrize("n_values", [256, 3])
@pytest.mark.parametrize(
    "parameters",
    [{}, {"max_depth": 1}, {"num_leaves": 5, "min_child_samples": 3}, {"scale_pos_weight": 3.0},
     {"boosting_type": "dart"}, {"use_missing": False}, {"boost_from_average": False}],
    ids=str,
)  # fmt: skip
def test_lightgbm_scores_are_its_raw_scores(rng, n_values, parameters):
    features, labels = samples(rng, n_values=n_values)
    estimator = lightgbm_model(features, labels, **parameters)
    unseen = rng.integers(0, 256, (200, 12)).astype(np.uint8)
    for trained in (estimator, estimator.booster_):
        model = trees_from_estimator(trained, SHAPE)
        ref = estimator.predict(unseen.astype(np.float64), raw_score=True)
        check_scores(model, trained, unseen, ref)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_depth": 7, "num_leaves": 60, "min_child_samples": 1}, "at most 5 tests. Got LGBM"),
        ({"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}, "of averaged trees"),
        ({"objective": "regression"}, "Got objective 'regression' instead"),
        ({"linear_tree": True}, "linear_tree=True; fit it without"),
        ({"categories": [3]}, "with categorical features; fit it without"),
    ],
)
def test_lightgbm_models_that_cannot_be_converted_are_refused(rng, parameters, message):
    features, labels = samples(rng, n_values=20)
    with pytest.raises(ParameterError, match=message):
        trees_from_estimator(lightgbm_model(features, labels, **parameters), SHAPE)


def test_lightgbm_of_three_classes_or_another_window_is_refused(rng):
    features, labels = samples(rng)
    with pytest.raises(ParameterError, match=r"needs an estimator of 2 classes. Got LGBM.* of 3"):
        trees_from_estimator(lightgbm_model(features, np.arange(300) % 3), SHAPE)
    with pytest.raises(ParameterError, match=r"has 18 features\. Got LGBMClassifier with 12"):
        trees_from_estimator(lightgbm_model(features, labels), (2, 3, 3))


def test_lightgbm_zeros_as_missing_values_are_refused_where_they_matter(rng):
    features, labels = samples(rng)
    features[labels & (rng.random(300) < 0.8), 4] = 0
    features[~labels, 4] |= 128
    features[: len(features) // 3, 4] //= 2
    estimator = lightgbm_model(features, labels, zero_as_missing=True)
    with pytest.raises(ParameterError, match="zero_as_missing=True; fit it without"):
        trees_from_estimator(estimator, SHAPE)
