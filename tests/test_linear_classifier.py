"""The linear classifier against scikit-learn's, its objective by hand, and what its losses do."""

import tracemalloc

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_info, threadpool_limits

from bootstrap_det.classifiers import (
    LOSSES,
    LinearClassifier,
    LinearModel,
    linear_solvers,
    make_loss,
)
from bootstrap_det.classifiers.linear_solvers import Problem
from bootstrap_det.exceptions import DataError, ParameterError

CHANCE = "the descent draws samples, so that equal problems have nearly equal solutions only"
SHUFFLED = (
    "scikit-learn 1.6 makes two classes of three by the first label after it has shuffled, so that "
    "the two problems that it compares are not the same"
)
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES)


@parametrize_with_checks(
    [LinearClassifier(), LinearClassifier(loss="ghm"), LinearClassifier(solver="sgd")],
    expected_failed_checks=lambda estimator: (
        {"check_sample_weight_equivalence_on_dense_data": CHANCE}
        if estimator.solver == "sgd"
        else {"check_sample_weight_equivalence_on_dense_data": SHUFFLED}
        if sklearn.__version__.startswith("1.6.")
        else {}
    ),
)
def test_scikit_learns_common_checks(estimator, check):
    check(estimator)


def two_clouds(rng, n=300, n_features=12, distance=0.8):
    """Return features and labels of two overlapping clouds, one positive in three."""
    labels = np.arange(n) % 3 == 0
    return rng.normal(size=(n, n_features)) + distance * labels[:, None] / 2, labels


def vector_of(estimator):
    return np.append(estimator.coef_, estimator.intercept_)


def objective(estimator, features, labels, weights=1.0):
    """Return what the estimator minimises, as its docstring says."""
    loss = make_loss(estimator.loss, **(estimator.loss_params or {}))
    scores = features @ estimator.coef_[0] + estimator.intercept_[0]
    losses = loss.value(scores, labels.astype(float))
    return 0.5 * (estimator.coef_**2).sum() + estimator.C * (weights * losses).sum()


@pytest.mark.parametrize("c", [0.003, 0.1, 3.0])
def test_squared_hinge_agrees_with_scikit_learns_machine(rng, c):
    features, labels = two_clouds(rng)
    got = LinearClassifier(C=c, tol=1e-8).fit(features, labels)
    # A large scale takes the intercept out of the regularisation.
    parts = {"dual": False, "intercept_scaling": 1e4, "tol": 1e-10, "max_iter": 100_000}
    ref = LinearSVC(C=c, **parts).fit(features, labels)
    assert got.converged_
    np.testing.assert_allclose(got.coef_, ref.coef_, atol=5e-4)
    np.testing.assert_allclose(got.intercept_, ref.intercept_, atol=1e-3)


@pytest.mark.parametrize("c", [0.003, 0.1, 3.0])
def test_logistic_agrees_with_scikit_learns_regression(rng, c):
    features, labels = two_clouds(rng)
    weights = rng.uniform(0.1, 3, len(labels))
    got = LinearClassifier(loss="logistic", C=c, tol=1e-8).fit(features, labels, weights)
    ref = LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(features, labels, weights)
    np.testing.assert_allclose(vector_of(got), vector_of(ref), atol=1e-5)


@pytest.mark.parametrize("loss", ["hinge", "squared-hinge", "logistic", "focal", "qfl"])
def test_no_small_move_is_better(rng, loss):
    features, labels = two_clouds(rng)
    weights = rng.uniform(0.1, 3, len(labels))
    fitted = LinearClassifier(loss=loss, C=0.1, tol=1e-8).fit(features, labels, weights)
    least = objective(fitted, features, labels, weights)
    for _ in range(20):
        fitted.coef_ = fitted.coef_ + rng.normal(0, 1e-3, fitted.coef_.shape)
        fitted.intercept_ = fitted.intercept_ + rng.normal(0, 1e-3, 1)
        assert objective(fitted, features, labels, weights) >= least


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_objective_in_blocks_is_the_whole_and_its_gradient_true(rng, dtype, monkeypatch):
    features, labels = two_clouds(rng)
    weights = rng.uniform(size=len(labels))
    problem = Problem(features.astype(dtype), labels.astype(float), weights, 0.3)
    vector, loss = rng.normal(size=features.shape[1] + 1), make_loss("logistic")
    value, gradient = problem.objective(vector, loss)
    monkeypatch.setattr(linear_solvers, "BLOCK", 100)
    again, in_blocks = problem.objective(vector, loss)
    scores = features @ vector[:-1] + vector[-1]
    ref = 0.15 * vector[:-1] @ vector[:-1] + weights @ loss.value(scores, labels)
    tolerance = {"rtol": 1e-5 if dtype == np.float32 else 1e-12}
    np.testing.assert_allclose([value, again], ref, **tolerance)
    np.testing.assert_allclose(in_blocks, gradient, **tolerance, atol=1e-4)
    slopes = weights * loss.gradient(scores, labels)
    ref = np.append(0.3 * vector[:-1] + slopes @ features, slopes.sum())
    np.testing.assert_allclose(gradient, ref, **tolerance, atol=1e-4)


@EVERY_LOSS
def test_float32_gives_the_same_to_its_precision(rng, loss):
    features, labels = two_clouds(rng, n=600)
    one, other = (
        LinearClassifier(loss=loss, C=0.1, tol=1e-5).fit(features.astype(dtype), labels)
        for dtype in (np.float64, np.float32)
    )
    assert other.converged_
    np.testing.assert_allclose(vector_of(other), vector_of(one), atol=5e-3)


def test_features_are_not_copied(rng):
    features, labels = two_clouds(rng, n=4000, n_features=600)
    features = features.astype(np.float32)
    tracemalloc.start()
    fitted = LinearClassifier(C=0.001).fit(features, labels)
    fitted.decision_function(features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes / 4


@pytest.mark.parametrize("solver", ["lbfgs", "sgd"])
def test_same_bits_for_any_number_of_threads(rng, solver):
    features, labels = two_clouds(rng, n=1200, n_features=900)
    fits = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, "blas"):
            fitted = LinearClassifier(solver=solver, max_iter=3).fit(features, labels)
            fits.append((vector_of(fitted), fitted.decision_function(features)))
            assert {each["num_threads"] for each in threadpool_info()} >= {n_threads}
    np.testing.assert_array_equal(fits[0][0], fits[1][0])
    np.testing.assert_array_equal(fits[0][1], fits[1][1])


def test_bytes_are_features_too(rng):
    features, labels = two_clouds(rng)
    features = np.clip(100 + 40 * features, 0, 255).astype(np.uint8)
    one, other = (
        LinearClassifier(C=1e-4).fit(some, labels) for some in (features, features.astype("f4"))
    )
    np.testing.assert_array_equal(vector_of(one), vector_of(other))
    np.testing.assert_array_equal(
        one.decision_function(features), other.decision_function(features.astype("f4"))
    )
    assert one.score(features, labels) > 0.7


def test_columns_in_order_of_fortran_will_do(rng):
    features, labels = two_clouds(rng)
    one, other = (
        LinearClassifier().fit(some, labels) for some in (features, np.asfortranarray(features))
    )
    np.testing.assert_allclose(vector_of(one), vector_of(other), atol=1e-6)


def test_it_becomes_a_template(rng):
    features, labels = two_clouds(rng)
    fitted = LinearClassifier().fit(features, labels)
    model = LinearModel.from_estimator(fitted, (3, 2, 2))
    np.testing.assert_allclose(
        model.decision_function(features), fitted.decision_function(features), atol=1e-5
    )


@EVERY_LOSS
def test_weight_of_two_is_the_sample_twice(rng, loss):
    features, labels = two_clouds(rng, n=150)
    counts = rng.integers(0, 4, len(labels))
    parts = {"loss": loss, "C": 0.1, "tol": 1e-9}
    weighted = LinearClassifier(**parts).fit(features, labels, counts)
    copied = LinearClassifier(**parts).fit(
        np.repeat(features, counts, axis=0), np.repeat(labels, counts)
    )
    np.testing.assert_allclose(vector_of(weighted), vector_of(copied), atol=1e-5)


def test_heavier_positives_score_higher(rng):
    features, labels = two_clouds(rng)
    shares = []
    for weight in (0.2, 1.0, 5.0):
        fitted = LinearClassifier(loss="logistic").fit(
            features, labels, np.where(labels, weight, 1.0)
        )
        shares.append(fitted.predict(features).mean())
    assert shares == sorted(shares)
    assert shares[2] > shares[0] + 0.2


@pytest.mark.parametrize("loss", ["squared-hinge", "logistic", "focal", "qfl", "hinge"])
def test_descent_approaches_the_minimum(rng, loss):
    features, labels = two_clouds(rng, n=600)
    weights = rng.uniform(0.2, 4, len(labels))
    exact, near = (
        LinearClassifier(loss=loss, C=0.1, solver=solver, tol=1e-5).fit(features, labels, weights)
        for solver in ("lbfgs", "sgd")
    )
    assert near.converged_
    least = objective(exact, features, labels, weights)
    assert least < objective(near, features, labels, weights) < 1.005 * least
    difference = np.linalg.norm(vector_of(near) - vector_of(exact))
    assert difference < 0.1 * np.linalg.norm(vector_of(exact))


def test_descent_of_ghm_is_near_the_fit_of_all(rng):
    features, labels = two_clouds(rng, n=600)
    exact, near = (
        LinearClassifier(loss="ghm", C=0.1, solver=solver, tol=1e-5).fit(features, labels)
        for solver in ("lbfgs", "sgd")
    )
    scores = [fitted.decision_function(features) for fitted in (exact, near)]
    assert np.corrcoef(*scores)[0, 1] > 0.98


def test_descent_depends_on_the_seed_alone(rng):
    features, labels = two_clouds(rng)
    first, again, other = (
        vector_of(LinearClassifier(solver="sgd", random_state=seed).fit(features, labels))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_heavy_sample_comes_often_and_a_weightless_one_never(rng):
    weights = np.array([0.0, 0.5, 0.125, 0.125, 0.25, 0.0])
    counts = np.bincount(linear_solvers.epoch(weights, rng), minlength=6)
    assert counts[[0, 5]].tolist() == [0, 0]
    assert counts[1] == 2
    assert counts[4] == 1
    order = linear_solvers.epoch(np.full(50, 1 / 50), rng)
    assert sorted(order) == list(range(50))


def test_early_end_is_said_and_not_warned_of(rng):
    features, labels = two_clouds(rng)
    for solver in ("lbfgs", "sgd"):
        fitted = LinearClassifier(solver=solver, max_iter=1).fit(features, labels)
        assert (fitted.converged_, fitted.n_iter_) == (False, 1)
        assert LinearClassifier(solver=solver).fit(features, labels).converged_
    assert not LinearClassifier(loss="ghm", max_iter=1).fit(features, labels).converged_


def test_focal_moves_the_surface_and_alpha_of_a_half_does_not(rng):
    features, labels = two_clouds(rng, n=900)
    labels, features = labels[np.arange(900) % 3 != 1], features[np.arange(900) % 3 != 1]
    shares = {}
    for alpha in (0.25, 0.5):
        parts = {"loss_params": {"alpha": alpha}, "C": 0.1}
        fitted = LinearClassifier(loss="focal", **parts).fit(features, labels)
        shares[alpha] = fitted.predict(features).mean()
    assert labels.mean() == 0.5
    assert shares[0.5] == pytest.approx(0.5, abs=0.05)
    assert shares[0.25] < 0.35


def test_ghm_ends_near_where_its_own_gradient_is_nothing(rng):
    loss, shares = make_loss("ghm"), []
    for _ in range(5):
        features, labels = two_clouds(rng, n=1000)
        left = []
        for name in ("logistic", "ghm"):
            fitted = LinearClassifier(loss=name, C=0.1).fit(features, labels)
            slopes = 0.1 * loss.gradient(fitted.decision_function(features), labels)
            gradient = np.append(fitted.coef_[0] + slopes @ features, slopes.sum())
            left.append(np.linalg.norm(gradient))
            assert fitted.converged_
        shares.append(left[1] / left[0])
    # Near only: one sample that moves into an almost empty bin changes what many weigh.
    assert np.median(shares) < 0.4


def test_soft_targets_are_met(rng):
    features = rng.normal(size=(2000, 3))
    truth = np.array([1.0, -0.5, 0.0])
    targets = 1 / (1 + np.exp(-(features @ truth - 0.3)))
    for loss in ("qfl", "logistic"):
        fitted = LinearClassifier(loss=loss, C=1e4, tol=1e-6)
        fitted.fit(features, targets > 0.5, targets=targets)
        np.testing.assert_allclose(vector_of(fitted), [*truth, -0.3], atol=0.03)


def test_labels_are_hard_targets(rng):
    features, labels = two_clouds(rng)
    one = LinearClassifier(loss="qfl").fit(features, labels)
    other = LinearClassifier(loss="qfl").fit(features, labels, targets=labels)
    np.testing.assert_array_equal(vector_of(one), vector_of(other))


@EVERY_LOSS
def test_steps_approach_the_fit(rng, loss):
    features, labels = two_clouds(rng, n=600)
    online = LinearClassifier(loss=loss, C=0.1)
    for _ in range(60):
        for batch in np.array_split(rng.permutation(600), 30):
            online.step(features[batch], labels[batch])
    assert online.n_iter_ == 1800
    fitted = LinearClassifier(loss=loss, C=6.0).fit(features, labels)  # of 60 times the samples
    scores = [model.decision_function(features) for model in (fitted, online)]
    assert np.corrcoef(*scores)[0, 1] > 0.97
    assert (np.sign(scores[0]) == np.sign(scores[1])).mean() > 0.93


def test_steps_go_on_from_a_fit(rng):
    features, labels = two_clouds(rng, n=600)
    fitted = LinearClassifier(C=0.1).fit(features, labels)
    before = objective(fitted, features, labels)
    for batch in np.array_split(rng.permutation(600), 30):
        fitted.step(features[batch], labels[batch])
    assert objective(fitted, features, labels) < 1.05 * before
    new = two_clouds(rng, n=600, distance=-0.8)
    worse = fitted.score(*new)
    for batch in np.array_split(rng.permutation(6000) % 600, 300):
        fitted.step(new[0][batch], new[1][batch])
    assert fitted.score(*new) > worse + 0.1


def test_steps_go_on_from_weights_given(rng):
    features, labels = two_clouds(rng)
    model = LinearClassifier().fit(features, labels)
    online = LinearClassifier().start_from(model.coef_, model.intercept_[0], n_seen=300)
    np.testing.assert_array_equal(
        online.decision_function(features), model.decision_function(features)
    )
    hard = ~labels & (model.decision_function(features) > -0.5)
    before = online.decision_function(features[hard]).mean()
    online.step(features[hard], labels[hard], learning_rate=0.01)  # of one label
    assert online.decision_function(features[hard]).mean() < before


def test_step_by_hand():
    online = LinearClassifier(loss="logistic", C=0.5).start_from([1.0], 0.0, classes=["no", "yes"])
    online.step([[0.0], [2.0]], ["no", "yes"], [3.0, 1.0], learning_rate=0.1)
    slopes = 0.75 * 0.5, 0.25 * -(1 / (1 + np.exp(2.0)))
    decay = 1 / (0.5 * 4)
    assert online.coef_[0, 0] == pytest.approx(1 - 0.1 * (decay + 2.0 * slopes[1]))
    assert online.intercept_[0] == pytest.approx(-0.1 * sum(slopes))


def test_step_of_no_weight_changes_nothing(rng):
    features, labels = two_clouds(rng)
    model = LinearClassifier().fit(features, labels)
    before = vector_of(model)
    model.step(features, labels, np.zeros(300))
    np.testing.assert_array_equal(vector_of(model), before)


def test_bad_steps_are_refused(rng):
    features, labels = two_clouds(rng)
    with pytest.raises(
        DataError, match=r"LinearClassifier needs samples of 2 classes. Got 1 class"
    ):
        LinearClassifier().step(features, np.zeros(300))
    model = LinearClassifier().fit(features, labels)
    with pytest.raises(DataError, match=r"goes on with the labels \[False, True\]. Got array"):
        model.step(features, np.full(300, 7))
    with pytest.raises(DataError, match=r"one a sample. Got shape \(2,\) for 300"):
        model.step(features, labels, [1, 2])
    with pytest.raises(ValueError, match="expecting 12 features"):
        model.step(features[:, :5], labels)
    with pytest.raises(ParameterError, match="'learning_rate' parameter of LinearClassifier"):
        model.step(features, labels, learning_rate=-1)
    for start in (([np.nan], 0.0), ([], 0.0), ([1.0], np.inf)):
        with pytest.raises(ParameterError, match="finite weights and a finite intercept"):
            model.start_from(*start)
    with pytest.raises(ParameterError, match=r"two labels. Got .* and \[1\] instead"):
        model.start_from([1.0], 0.0, classes=[1])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "focus"}, "loss must be one of 'hinge', .* Did you mean 'focal'?"),
        ({"loss_params": {"gamma": 1}}, "no parameter 'gamma' of the loss 'squared-hinge'"),
        ({"loss_params": 3}, "'loss_params' parameter .* dict .* Got 3 instead"),
        ({"C": 0}, r"'C' parameter of LinearClassifier must be .* \[1e-08, 1e\+08\]. Got 0"),
        ({"C": np.inf}, "'C' parameter"),
        ({"solver": "adam"}, "'solver' parameter .* 'lbfgs', 'sgd'. Got 'adam'"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"tol": -1}, "'tol' parameter"),
    ],
)
def test_bad_parameters_are_refused(rng, parameters, message):
    with pytest.raises(ParameterError, match=message):
        LinearClassifier(**parameters).fit(*two_clouds(rng))


def test_bad_samples_are_refused(rng):
    features, labels = two_clouds(rng)
    model = LinearClassifier()
    with pytest.raises(DataError, match=r"needs samples of 2 classes. Got 1 class"):
        model.fit(features, np.zeros(300))
    with pytest.raises(DataError, match="sample weights of LinearClassifier must be finite, not"):
        model.fit(features, labels, np.full(300, -1.0))
    with pytest.raises(DataError, match=r"not all zero. Got 200 and 0 in all"):
        model.fit(features, labels, ~labels)
    with pytest.raises(DataError, match=r"targets of SquaredHinge must be 0 or 1; .* Got 0.3"):
        model.fit(features, labels, targets=np.full(300, 0.3))
    with pytest.raises(DataError, match=r"one length. Got shapes \(300,\) and \(2,\)"):
        model.fit(features, labels, targets=[0, 1])
