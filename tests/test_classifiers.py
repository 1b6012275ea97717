"""The linear model as plain arrays, its dense scores, and the fit of the support vector machine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.svm import SVC, LinearSVC

from bootstrap_det.channels.gather import gather_windows
from bootstrap_det.classifiers import LinearModel, choose_c, fit_linear_svm
from bootstrap_det.classifiers.svm import C_GRID, MAX_CROSS_VALIDATION_SAMPLES
from bootstrap_det.exceptions import DataError, ParameterError

SHAPE = (4, 3, 2)


def two_clouds(rng, n=120, n_features=24, distance=1.0):
    """Return features and labels of two overlapping clouds, one positive in three."""
    labels = np.arange(n) % 3 == 0
    features = rng.normal(size=(n, n_features)) + distance * labels[:, None] / 2
    return features.astype(np.float32), labels


def random_model(rng, shape=SHAPE):
    return LinearModel(rng.normal(0, 0.3, shape), 0.25)


def every_window(channels, shape):
    """Return the features of all windows of a level, in reading order, and the map's shape."""
    extent = (channels.shape[1] - shape[0] + 1, channels.shape[2] - shape[1] + 1)
    rows, columns = np.indices(extent).reshape(2, -1)
    return gather_windows(channels, shape, rows, columns), extent


@pytest.mark.parametrize(
    "estimator",
    [LinearSVC(), LogisticRegression(), SGDClassifier(random_state=0), RidgeClassifier()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_from_estimator_scores_as_the_estimator(rng, estimator):
    features, labels = two_clouds(rng)
    estimator.fit(features, labels)
    model = LinearModel.from_estimator(estimator, SHAPE)
    ref = estimator.decision_function(features)
    np.testing.assert_allclose(model.decision_function(features), ref, rtol=1e-5, atol=1e-5)


def test_from_estimator_without_an_intercept(rng):
    estimator = LinearSVC(fit_intercept=False).fit(*two_clouds(rng))
    assert LinearModel.from_estimator(estimator, SHAPE).bias == 0.0


def test_from_estimator_errors(rng):
    features, labels = two_clouds(rng)
    with pytest.raises(ParameterError, match=r"24 coefficients\. Got LinearSVC with no coef_"):
        LinearModel.from_estimator(LinearSVC(), SHAPE)
    with pytest.raises(ParameterError, match=r"Got LinearSVC with a coef_ of shape \(1, 24\)"):
        LinearModel.from_estimator(LinearSVC().fit(features, labels), (5, 5, 5))
    three_classes = LinearSVC().fit(features, np.arange(len(features)) % 3)
    with pytest.raises(ParameterError, match=r"Got LinearSVC with a coef_ of shape \(3, 24\)"):
        LinearModel.from_estimator(three_classes, SHAPE)
    with pytest.raises(ParameterError, match="Got SVC with no coef_"):
        LinearModel.from_estimator(SVC().fit(features, labels), SHAPE)


def test_decision_function_of_one_vector(rng):
    model = random_model(rng)
    assert model.decision_function(np.zeros(24)).tolist() == [0.25]


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(1, 9)),
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_score_level_equals_decision_function(seed, shape, extra):
    rng = np.random.default_rng(seed)
    model = random_model(rng, shape)
    size = (shape[0], shape[1] + extra[0], shape[2] + extra[1])
    channels = rng.uniform(0, 0.5, size).astype(np.float32)
    features, extent = every_window(channels, model.shape)
    ref = model.decision_function(features).reshape(extent)
    np.testing.assert_allclose(model.score_level(channels), ref, atol=1e-5)


@pytest.mark.parametrize("n_threads", [2, 3, 7, 100])
def test_score_level_same_bits_for_any_number_of_threads(rng, n_threads):
    model, channels = random_model(rng), rng.normal(size=(4, 13, 17)).astype(np.float32)
    one = model.score_level(channels)
    np.testing.assert_array_equal(model.score_level(channels, n_threads=n_threads), one)


@pytest.mark.parametrize("size", [(0, 0), (2, 9), (9, 1)])
def test_score_level_smaller_than_the_template_is_empty(rng, size):
    assert random_model(rng).score_level(np.zeros((4, *size), np.float32)).size == 0


def test_score_level_reads_views(rng):
    model, channels = random_model(rng), rng.normal(size=(4, 20, 20)).astype(np.float32)
    view = channels[:, ::2, 3:15]
    np.testing.assert_array_equal(model.score_level(view), model.score_level(view.copy()))


def test_linear_model_is_frozen_and_of_its_own(rng):
    weights = rng.normal(size=SHAPE)
    model = LinearModel(weights, 0)
    before = model.weights.copy()
    weights[:] = 0
    np.testing.assert_array_equal(model.weights, before)
    with pytest.raises(ValueError, match="read-only"):
        model.weights[0] = 0
    with pytest.raises(AttributeError):
        model.bias = 1.0


@pytest.mark.parametrize(
    ("weights", "bias", "message"),
    [
        (np.zeros(5), 0, r"\(n_channels, height, width\) .* Got \(5,\)"),
        (np.zeros((3, 0, 2)), 0, r"no side of 0. Got \(3, 0, 2\)"),
        (np.full((1, 1, 1), np.nan), 0, "weights and the bias of LinearModel must be finite"),
        (np.zeros((1, 1, 1)), np.inf, "must be finite"),
    ],
)
def test_linear_model_errors(weights, bias, message):
    with pytest.raises(ParameterError, match=message):
        LinearModel(weights, bias)


def test_fit_linear_svm_separates_and_is_deterministic(rng):
    features, labels = two_clouds(rng, distance=6.0)
    first, second = (fit_linear_svm(features, labels, seed=3) for _ in range(2))
    assert first.C == second.C
    np.testing.assert_array_equal(first.coef_, second.coef_)
    assert ((first.decision_function(features) > 0) == labels).mean() > 0.95


def test_fit_linear_svm_uses_the_c_given(rng):
    assert fit_linear_svm(*two_clouds(rng), C=0.37).C == 0.37


def test_fit_linear_svm_chooses_c_by_itself(rng):
    features, labels = two_clouds(rng)
    svm = fit_linear_svm(features, labels, seed=1)
    assert choose_c(features, labels, seed=1) == svm.C


@pytest.mark.parametrize("c", [0, -1, float("nan"), float("inf"), "1", True])
def test_fit_linear_svm_bad_c(rng, c):
    with pytest.raises(ParameterError, match="'C' parameter of fit_linear_svm"):
        fit_linear_svm(*two_clouds(rng), C=c)


@pytest.mark.parametrize("fit", [fit_linear_svm, choose_c])
def test_fit_needs_both_classes_and_finite_features(fit):
    features = np.zeros((4, 2), np.float32)
    with pytest.raises(DataError, match="Got 0 positives and 4 negatives; check the annotations"):
        fit(features, np.zeros(4, bool))
    with pytest.raises(DataError, match="Got 4 positives and 0 negatives"):
        fit(features, np.ones(4, bool))
    with pytest.raises(DataError, match="Got 0 positives and 0 negatives"):
        fit(features[:0], np.zeros(0, bool))
    features[2, 1] = np.inf
    with pytest.raises(DataError, match="NaN or infinite values"):
        fit(features, np.arange(4) % 2 == 0)


def test_choose_c_is_on_the_grid_and_finds_a_surface_that_separates(rng):
    features, labels = two_clouds(rng, n=400, distance=6.0)
    features *= 0.05  # small features need a large C
    c = choose_c(features, labels)
    assert c in C_GRID
    assert fit_linear_svm(features, labels, C=c).score(features, labels) > 0.9


def test_choose_c_one_positive_is_too_few_to_choose_by(rng):
    assert choose_c(rng.normal(size=(9, 3)).astype(np.float32), np.arange(9) == 4) == 0.01


def test_choose_c_samples_large_sets_and_keeps_the_rare_class(rng):
    n = 3 * MAX_CROSS_VALIDATION_SAMPLES
    labels = np.arange(n) < 6
    features = (rng.normal(size=(n, 2)) + 9 * labels[:, None]).astype(np.float32)
    assert choose_c(features, labels, seed=1) == choose_c(features, labels, seed=1)


def test_score_level_refuses_other_channels_and_no_thread(rng):
    model = LinearModel(rng.normal(size=(4, 3, 3)), 0.0)
    with pytest.raises(ParameterError, match=r"must have shape \(4, rows, columns\)"):
        model.score_level(np.zeros((2, 10, 10), np.float32))
    with pytest.raises(ParameterError, match="'n_threads' parameter of score_level"):
        model.score_level(np.zeros((4, 10, 10), np.float32), n_threads=0)
