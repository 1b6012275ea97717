"""Losses against values by hand, gradients against differences, GHM against counting."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bootstrap_det.classifiers import LOSSES, ghm_weights, make_loss
from bootstrap_det.classifiers.losses import GHM
from bootstrap_det.exceptions import DataError, ParameterError

LN2 = np.log(2.0)
STEP = 1e-5  # of the differences


def naive_ghm_weights(norms, n_bins, counts_of=None):
    """Return N / GD(g): GD is the number of norms in the unit region of g over its length."""
    counted = [1.0] * len(norms) if counts_of is None else counts_of
    weights = []
    for norm in norms:
        region = min(int(norm * n_bins), n_bins - 1)
        inside = 0.0
        for other, count in zip(norms, counted, strict=True):
            low, high = region / n_bins, (region + 1) / n_bins
            is_last = region == n_bins - 1
            if low <= other < high or (is_last and other >= high):
                inside += count
        density = inside / (1.0 / n_bins)
        weights.append(sum(counted) / density)
    return weights


@pytest.mark.parametrize(
    ("name", "params", "score", "target", "value", "slope"),
    [
        ("hinge", {"smoothing": 0.0}, 0.0, 1, 1.0, -1.0),
        ("hinge", {}, 3.0, 0, 4.0, 1.0),
        ("hinge", {}, 2.0, 1, 0.0, 0.0),
        ("hinge", {"smoothing": 0.5}, 1.0, 1, 0.5 / 4, -0.5),  # the parabola's middle
        ("hinge", {"smoothing": 0.0}, 1.0, 1, 0.0, 0.0),  # the subgradient at the kink
        ("squared-hinge", {}, 0.0, 1, 1.0, -2.0),
        ("squared-hinge", {}, 2.0, 0, 9.0, 6.0),
        ("logistic", {}, 0.0, 1, LN2, -0.5),
        ("logistic", {}, 0.0, 0.25, LN2, 0.25),
        ("logistic", {}, np.log(3.0), 0, np.log(4.0), 0.75),
        ("focal", {}, 0.0, 1, 0.25 * 0.25 * LN2, -0.25 * (0.25 * LN2 + 0.125)),
        ("focal", {}, 0.0, 0, 0.75 * 0.25 * LN2, 0.75 * (0.25 * LN2 + 0.125)),
        ("focal", {"gamma": 1.0, "alpha": 0.5}, -np.log(3.0), 1, 0.5 * 0.75 * np.log(4.0), None),
        ("qfl", {}, 0.0, 1.0, 0.25 * LN2, -(0.25 * LN2 + 0.125)),
        ("qfl", {}, 0.0, 0.8, 0.09 * LN2, -(2 * 0.3 * 0.25 * LN2 + 0.3**3)),
        ("qfl", {}, np.log(3.0), 0.75, 0.0, 0.0),  # p is the target
    ],
)
def test_value_by_hand(name, params, score, target, value, slope):
    loss = make_loss(name, **params)
    assert loss.value([score], [target]) == pytest.approx(value, abs=1e-12)
    if slope is not None:
        assert loss.gradient([score], [target]) == pytest.approx(slope, abs=1e-12)


def test_ghm_by_hand():
    # With two bins: p - y is 0.5, 0.25, 0.25 and 0.75, so two samples are in each bin.
    scores, targets = np.array([0, -np.log(3), np.log(3), np.log(3)]), [0, 0, 1, 0]
    loss = make_loss("ghm", n_bins=2)
    weights, counts = loss.weights(scores, targets)
    assert counts.tolist() == [2, 2]
    assert weights.tolist() == [4 / (2 * 2)] * 4
    np.testing.assert_allclose(
        loss.value(scores, targets), [LN2, np.log(4 / 3), np.log(4 / 3), np.log(4)]
    )
    np.testing.assert_allclose(loss.gradient(scores, targets), [0.5, 0.25, -0.25, 0.75])
    assert loss.value([0.0], [1], weights=[3.0]) == pytest.approx(3 * LN2)
    assert loss.gradient([0.0], [1], weights=[3.0]) == pytest.approx(-1.5)


def some_losses():
    return st.one_of(
        st.builds(lambda h: make_loss("hinge", smoothing=h), st.sampled_from([0.0, 0.1, 1.0])),
        st.builds(lambda: make_loss("squared-hinge")),
        st.builds(lambda: make_loss("logistic")),
        st.builds(
            lambda g, a: make_loss("focal", gamma=g, alpha=a),
            st.floats(0, 5),
            st.floats(0.05, 0.95),
        ),
        st.builds(lambda b: make_loss("qfl", beta=b), st.floats(2, 4)),
    )


@given(some_losses(), st.floats(-20, 20), st.floats(0, 1))
def test_gradient_equals_differences(loss, score, target):
    target = target if loss.soft else round(target)
    margin = score if target == 1 else -score
    smoothing = getattr(loss, "smoothing", 0.0)
    assume(min(abs(margin - 1 - h) for h in (-smoothing, 0, smoothing)) > 10 * STEP)
    high, low = (loss.value([score + step], [target])[0] for step in (STEP, -STEP))
    got = loss.gradient([score], [target])[0]
    assert got == pytest.approx((high - low) / (2 * STEP), abs=1e-6, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 40))
def test_gradient_of_ghm_equals_differences_at_fixed_weights(seed, n, n_bins):
    rng = np.random.default_rng(seed)
    scores, targets = rng.normal(0, 3, n), rng.integers(0, 2, n)
    loss = GHM(n_bins=n_bins)
    weights, _ = loss.weights(scores, targets)
    high, low = (loss.value(scores + step, targets, weights) for step in (STEP, -STEP))
    got = loss.gradient(scores, targets)
    np.testing.assert_allclose(got, (high - low) / (2 * STEP), atol=1e-6 * weights.max())


@pytest.mark.parametrize("name", LOSSES)
def test_scores_of_any_size_are_safe(name):
    loss = make_loss(name)
    sizes = np.array([0, 1e-300, 1e-9, 1, 36, 40, 700, 750, 1e4])
    scores = np.concatenate([-sizes, sizes])
    for target in (0.0, 1.0) + (0.3,) * loss.soft:
        targets = np.full(len(scores), target)
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            value, gradient = loss.value(scores, targets), loss.gradient(scores, targets)
        assert np.isfinite(value).all()
        assert np.isfinite(gradient).all()
        assert (value >= 0).all()
    assert loss.gradient([-1e4, 1e4], [1, 0]) @ [-1, 1] > 0  # far on the wrong side


@pytest.mark.parametrize("name", ["logistic", "focal", "qfl"])
def test_losses_of_easy_samples_are_not_rounded_away(name):
    loss = make_loss(name, **({"gamma": 1.0} if name == "focal" else {}))
    value, slope = loss.value([60.0], [1]), loss.gradient([60.0], [1])
    assert 0 < value < 1e-20
    assert -1e-20 < slope < 0


@given(st.lists(st.floats(-30, 30), min_size=1), st.booleans())
def test_focal_without_gamma_is_half_the_logistic_loss(scores, target):
    targets = np.full(len(scores), target)
    half = make_loss("focal", gamma=0.0, alpha=0.5)
    full = make_loss("logistic")
    for of in ("value", "gradient"):
        got, ref = getattr(half, of)(scores, targets), getattr(full, of)(scores, targets)
        np.testing.assert_allclose(got, ref / 2, rtol=1e-12)


def test_focal_puts_more_of_the_gradient_on_hard_samples(rng):
    scores, targets = rng.normal(-2, 2, 1000), np.zeros(1000)
    hard = scores > 0
    shares = []
    for loss in (make_loss("logistic"), *(make_loss("focal", gamma=g) for g in (0.5, 2.0, 5.0))):
        sizes = np.abs(loss.gradient(scores, targets))
        shares.append(sizes[hard].sum() / sizes.sum())
    assert shares == sorted(shares)
    assert shares[-1] > shares[0] + 0.1


@given(st.lists(st.tuples(st.floats(-30, 30), st.floats(0, 1)), min_size=1), st.floats(1, 4))
def test_qfl_is_its_formula(samples, beta):
    scores, targets = np.array(samples).T
    p = 1 / (1 + np.exp(-scores))
    # log(1 - p) is taken of the mirrored score, since 1 - p is rounded.
    entropy = targets * np.log(p) + (1 - targets) * np.log(1 / (1 + np.exp(scores)))
    ref = -(np.abs(targets - p) ** beta) * entropy
    got = make_loss("qfl", beta=beta).value(scores, targets)
    np.testing.assert_allclose(got, ref, rtol=1e-6, atol=1e-12)


def test_qfl_is_least_where_the_probability_is_the_target():
    scores = np.linspace(-5, 5, 2001)
    for target in (0.2, 0.5, 0.9):
        values = make_loss("qfl").value(scores, np.full(len(scores), target))
        assert scores[values.argmin()] == pytest.approx(np.log(target / (1 - target)), abs=0.005)


@given(
    st.lists(
        st.one_of(st.floats(0, 1), st.sampled_from([0, 1 / 30, 0.1, 0.5, 29 / 30, 1])), min_size=1
    ),
    st.sampled_from([1, 2, 10, 30]),
    st.booleans(),
)
def test_ghm_weights_equal_counting(norms, n_bins, weighted):
    # Where a bin begins is a matter of rounding: keep off.
    assume(all(abs(g * n_bins - round(g * n_bins)) > 1e-9 or g in (0, 0.5, 1) for g in norms))
    counts_of = [1.0 + i % 3 for i in range(len(norms))] if weighted else None
    got, state = ghm_weights(norms, n_bins=n_bins, sample_weight=counts_of)
    np.testing.assert_allclose(got, naive_ghm_weights(norms, n_bins, counts_of))
    assert state.sum() == pytest.approx(sum(counts_of) if weighted else len(norms))


def test_ghm_gives_the_easy_mass_and_the_outliers_less_than_the_middle(rng):
    easy, middle, outliers = (
        rng.uniform(*ends, n)
        for ends, n in (((0, 0.03), 9000), ((0.3, 0.7), 400), ((0.97, 1), 600))
    )
    weights, _ = ghm_weights(np.concatenate([easy, middle, outliers]))
    of_easy, of_middle, of_outliers = np.split(weights, [9000, 9400])
    assert of_easy.max() < of_outliers.min()
    assert of_outliers.max() < of_middle.min()


def test_ghm_gives_every_bin_the_same_in_all(rng):
    norms = rng.beta(0.3, 2, 5000)
    weights, _ = ghm_weights(norms, n_bins=10)
    of_bins = np.bincount((norms * 10).astype(int), weights)
    np.testing.assert_allclose(of_bins, 5000 / 10)


def test_ghm_weight_of_two_is_the_sample_twice(rng):
    norms, counts = rng.uniform(size=50), rng.integers(0, 4, 50)
    weighted, _ = ghm_weights(norms, sample_weight=counts)
    copied, _ = ghm_weights(np.repeat(norms, counts))
    np.testing.assert_allclose(np.repeat(weighted, counts), copied)


def test_ghm_momentum_mixes_the_counts(rng):
    first, second = [0.1, 0.1, 0.1, 0.9], [0.9, 0.9, 0.9, 0.9]
    _, state = ghm_weights(first, n_bins=2, momentum=0.75)
    assert state.tolist() == [3, 1]  # the first step's are taken as they are
    weights, state = ghm_weights(second, n_bins=2, momentum=0.75, state=state)
    assert state.tolist() == [0.75 * 3, 0.75 * 1 + 0.25 * 4]
    np.testing.assert_allclose(weights, 4 / (1.75 * 2))
    again, _ = ghm_weights(second, n_bins=2, state=state)
    np.testing.assert_allclose(again, 4 / (4 * 2))  # without momentum the state is forgotten


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("focsl", {}, "must be one of 'hinge', .* Got 'focsl' instead. Did you mean 'focal'?"),
        ("zzz", {}, "Got 'zzz' instead.$"),
        (None, {}, "Got None instead"),
        ("focal", {"gama": 2}, "no parameter 'gama' of the loss 'focal', which has 'gamma' and "),
        ("focal", {"gama": 2}, "Did you mean 'gamma'?"),
        ("logistic", {"gamma": 2}, "no parameter 'gamma' of the loss 'logistic', which has none."),
        ("focal", {"gamma": -1}, r"'gamma' parameter of Focal must be .* \[0, 10\]. Got -1"),
        ("focal", {"gamma": np.nan}, "'gamma' parameter of Focal"),
        ("focal", {"alpha": 0}, r"'alpha' parameter of Focal must be .* \[0.001, 0.999\]. Got 0"),
        ("qfl", {"beta": 0.5}, r"'beta' parameter of QualityFocal must be .* \[1, 10\]"),
        ("hinge", {"smoothing": 2.0}, r"'smoothing' parameter of Hinge must be .* \[0, 1\]"),
        ("ghm", {"n_bins": 0}, r"'n_bins' parameter of GHM must be an int in \[1, 10000\]"),
        ("ghm", {"momentum": 1.0}, r"'momentum' parameter of GHM must be .* \[0, 0.999\]"),
    ],
)
def test_bad_losses_are_refused(name, params, message):
    with pytest.raises(ParameterError, match=message):
        make_loss(name, **params)


@pytest.mark.parametrize("name", LOSSES)
def test_targets_out_of_range_are_refused(name):
    loss = make_loss(name)
    for targets in ([2.0], [-0.1], [np.nan]):
        with pytest.raises(DataError, match=f"targets of {type(loss).__name__} must be"):
            loss.value([0.0], targets)
    with pytest.raises(DataError, match=r"lists of one length. Got shapes \(1,\) and \(2,\)"):
        loss.gradient([0.0], [0, 1])
    if not loss.soft:
        with pytest.raises(DataError, match=r"0 or 1; 'qfl' and .* Got 0.5"):
            loss.gradient([0.0], [0.5])


def test_bad_gradient_norms_are_refused():
    for norms in ([1.5], [-0.1], [np.nan], [[0.5]]):
        with pytest.raises(DataError, match=r"gradient norms of ghm_weights .* in \[0, 1\]"):
            ghm_weights(norms)
    with pytest.raises(DataError, match=r"one a sample. Got shape \(2,\) for 1 samples"):
        ghm_weights([0.5], sample_weight=[1, 1])
    with pytest.raises(ParameterError, match=r"each of 30 bins, .* Got shape \(2,\)"):
        ghm_weights([0.5], state=[1, 1])


def test_ghm_of_a_sample_of_no_weight_is_nothing():
    assert ghm_weights([0.1, 0.9], sample_weight=[0, 1])[0].tolist() == [0, 1 / 30]
