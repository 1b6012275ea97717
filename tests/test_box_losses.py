"""Losses of boxes against values by hand, gradients against differences, any boxes at all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.refinement import available_losses, box_loss, encode, make_loss
from bootstrap_det.refinement.offsets import MAX_LOG_SIZE

LN2 = np.log(2.0)
STEP = 1e-6  # of the differences
OF_FLOOR = 6 * np.log(10.0)  # -ln of the IoU's floor

FAMILY = ("iou", "log-iou", "giou", "diou", "ciou")
VARIANTS = [(name, {}) for name in available_losses()] + [
    ("iou", {"log": True}),
    ("smooth-l1", {"beta": 0.3}),
    ("balanced-l1", {"alpha": 0.2, "gamma": 0.9}),
    ("bounded-iou", {"beta": 1.0}),
    ("dfl", {"n_bins": 4, "reach": 2.0}),
]


# What overflows is cut afterwards; numpy tells of it only when the kernels are not compiled.
may_overflow = pytest.mark.filterwarnings("ignore:overflow encountered")


def on_boxes(loss, predicted, true):
    """Return values and gradients of a loss of the family; "log-iou" is the logarithm's."""
    if loss == "log-iou":
        return box_loss("iou", predicted, true, log=True)
    return box_loss(loss, predicted, true)


def random_boxes(rng, n):
    corners = rng.uniform(0, 10, (n, 2))
    return np.concatenate([corners, corners + rng.uniform(1, 8, (n, 2))], axis=1)


def by_differences(values_of, points):
    """Return the gradient of each row's value by central differences."""
    steps = np.eye(points.shape[1]) * STEP
    slopes = [(values_of(points + s) - values_of(points - s)) / (2 * STEP) for s in steps]
    return np.stack(slopes, axis=1)


# Of each pair: the loss of iou, log-iou, giou, diou and ciou.
# v of a thin box against a square one: 4 / pi^2 (pi / 4 - atan(1 / 2))^2.
V = 4 / np.pi**2 * (np.pi / 4 - np.arctan(0.5)) ** 2


@pytest.mark.parametrize(
    ("predicted", "true", "losses"),
    [
        # Equal.
        ((0, 0, 2, 2), (0, 0, 2, 2), (0, 0, 0, 0, 0)),
        # Moved by half: 2 of 6 shared; around both 3 x 2 with nothing empty; 1^2 of 9 + 4.
        (
            (0, 0, 2, 2),
            (1, 0, 3, 2),
            (2 / 3, np.log(3), 2 / 3, 2 / 3 + 1 / 13, 2 / 3 + 1 / 13),
        ),
        # Nested in a corner: 4 of 16; the centres are (1, 1) apart, the diagonal is 4, 4.
        (
            (0, 0, 2, 2),
            (0, 0, 4, 4),
            (0.75, 2 * LN2, 0.75, 0.75 + 2 / 32, 0.75 + 2 / 32),
        ),
        # Nested, of one centre, half as wide.
        ((1, 0, 3, 4), (0, 0, 4, 4), (0.5, LN2, 0.5, 0.5, 0.5 + V**2 / (0.5 + V))),
        # Disjoint: 1 of 3 is empty; 2^2 of 9 + 1.
        ((0, 0, 1, 1), (2, 0, 3, 1), (1, OF_FLOOR, 4 / 3, 1.4, 1.4)),
        # Touching: nothing is empty; 1^2 of 4 + 1.
        ((0, 0, 1, 1), (1, 0, 2, 1), (1, OF_FLOOR, 1, 1.2, 1.2)),
        # No width: the angles are 0 and a quarter of pi, so v = 1 / 4, alpha = v / (1 + v) = 1 / 5.
        ((1, 0, 1, 2), (0, 0, 2, 2), (1, OF_FLOOR, 1, 1, 1.05)),
        # The wrong way round: the same.
        ((2, 2, 0, 0), (0, 0, 2, 2), (1, OF_FLOOR, 1, 1, 1.05)),
        # One point: nothing around it to be empty.
        ((1, 1, 1, 1), (1, 1, 1, 1), (1, OF_FLOOR, 1, 1, 1)),
        # Two points: all between them is empty, and they are the diagonal apart.
        ((0, 0, 0, 0), (1, 1, 1, 1), (1, OF_FLOOR, 2, 2, 2)),
    ],
)
def test_overlap_losses_by_hand(predicted, true, losses):
    for loss, value in zip(FAMILY, losses, strict=True):
        values, gradients = on_boxes(loss, [predicted], [true])
        assert values == pytest.approx(value, abs=1e-12), loss
        assert np.isfinite(gradients).all()


def test_gradient_of_iou_by_hand():
    # 2 (x2 - 1) is shared, the union is 4 + 2 (x2 - x1) - that: x2 adds 2 to the shared part and
    # nothing to the union, so 2 / 6; x1 adds nothing and takes 2, so 2 * 2 / 6^2. The sides on
    # each other, y1 and y2: half of 1 is shared, 2 - 1 / 2 of union, so 3 / 6^2 - 2 * 1.5 / 6^2.
    _, gradients = box_loss("iou", [[0, 0, 2, 2]], [[1, 0, 3, 2]])
    np.testing.assert_allclose(gradients, [[-1 / 9, 0, -1 / 3, 0]], atol=1e-12)
    _, gradients = box_loss("iou", [[0, 0, 2, 2]], [[1, 0, 3, 2]], log=True)
    np.testing.assert_allclose(gradients, [[-1 / 3, 0, -1, 0]], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "params", "outputs", "targets", "value", "gradient"),
    [
        # Of all: z = (2, -1/2, 1, 0), as the scales are 1, 1, 2, 2.
        ("l2", {}, [2, -0.5, 2, 0], [0] * 4, 2.625, [2, -0.5, 0.5, 0]),
        ("l1", {}, [2, -0.5, 2, 0], [0] * 4, 3.5, [1, -1, 0.5, 0]),
        # 2 - 1/2, 1/8, 1 - 1/2.
        ("smooth-l1", {}, [2, -0.5, 2, 0], [0] * 4, 2.125, [1, -0.5, 0.5, 0]),
        # alpha = 1 and gamma = ln 2 make b = 1: beyond 1 it is ln 2 (abs(z) + 1) - 1; at 1/2 it
        # is 3/2 ln 3/2 - 1/2.
        (
            "balanced-l1",
            {"alpha": 1.0, "gamma": LN2},
            [2, -0.5, 2, 0],
            [0] * 4,
            (3 * LN2 - 1) + (1.5 * np.log(1.5) - 0.5) + (2 * LN2 - 1),
            [LN2, -np.log(1.5), LN2 / 2, 0],
        ),
        # Variances 1, 4, 2, 1: 3/2; 1/4 1/8 + ln 2; 1/2 1/2 + ln(2) / 2; 0.
        (
            "kl",
            {},
            [2, -0.5, 2, 0, 0, 2 * LN2, LN2, 0],
            [0] * 4,
            1.5 + (1 / 32 + LN2) + (1 / 4 + LN2 / 2),
            [1, -1 / 8, 1 / 4, 0, -1, 1 / 2 - 1 / 32, 1 / 4, 1 / 2],
        ),
        # Bins -1, 0, 1 (times the scale) of probability 1/4, 1/2, 1/4. Targets 1/4: 3/4 of the
        # middle one, 1/4 of the last; beyond the last; the first; the middle.
        (
            "dfl",
            {"n_bins": 3, "reach": 1.0},
            [0, LN2, 0] * 4,
            [0.25, 5, -2, 0],
            (0.75 * LN2 + 0.25 * 2 * LN2) + 2 * LN2 + 2 * LN2 + LN2,
            [1 / 4, -1 / 4, 0, 1 / 4, 1 / 2, -3 / 4, -3 / 4, 1 / 2, 1 / 4, 1 / 4, -1 / 2, 1 / 4],
        ),
    ],
)
def test_losses_in_scales_by_hand(name, params, outputs, targets, value, gradient):
    loss = make_loss(name, scales=(1, 1, 2, 2), **params)
    values, gradients = loss.evaluate([outputs], [targets])
    assert values == pytest.approx(value, abs=1e-12)
    np.testing.assert_allclose(gradients, [gradient], atol=1e-12)


@pytest.mark.parametrize(
    ("beta", "outputs", "targets", "value"),
    [
        (0.2, [0, 0, 0, 0], [0, 0, 0, 0], 0),  # equal
        # A quarter of the width away allows (1 - 1/2) / (1 + 1/2), twice the width 1/2.
        (0.0, [0.25, 0, LN2, 0], [0, 0, 0, 0], 2 / 3 + 1 / 2),
        (0.2, [0.25, 0, LN2, 0], [0, 0, 0, 0], 2 / 3 + 1 / 2 - 2 * 0.1),
        (1.0, [0.25, 0, LN2, 0], [0, 0, 0, 0], (4 / 9 + 1 / 4) / 2),
        # The same of a true box twice as wide.
        (0.0, [0.5, 0, 2 * LN2, 0], [0, 0, LN2, 0], 2 / 3 + 1 / 2),
        (0.2, [0, 0, -LN2, -LN2], [0, 0, 0, 0], 2 * 0.4),  # nested
        (0.2, [1, 0, 0, 0], [0, 0, 0, 0], 0.9),  # touching: beyond half a width it is 1
        (0.2, [3, 0, 0, 0], [0, 0, 0, 0], 0.9),  # disjoint
        (0.2, [0, 0, -1e4, 0], [0, 0, 0, 0], 0.9),  # as good as without area
    ],
)
def test_bounded_iou_by_hand(beta, outputs, targets, value):
    values, gradients = make_loss("bounded-iou", beta=beta).evaluate([outputs], [targets])
    assert values == pytest.approx(value, abs=1e-12)
    assert np.isfinite(gradients).all()


@pytest.mark.parametrize("loss", FAMILY)
def test_gradients_on_boxes_equal_differences(rng, loss):
    predicted, true = random_boxes(rng, 300), random_boxes(rng, 300)
    predicted[:30, 2:] = predicted[:30, :2] - 1.0  # the wrong way round
    apart = box_loss("iou", predicted[30:], true[30:])[0] == 1
    assert 50 < apart.sum() < 220  # some overlap, some do not
    _, gradients = on_boxes(loss, predicted, true)
    ref = by_differences(lambda boxes: on_boxes(loss, boxes, true)[0], predicted)
    np.testing.assert_allclose(gradients, ref, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", FAMILY)
def test_gradients_at_shared_sides_are_the_means_of_both_sides(rng, loss):
    # Central differences across a kink are that mean. On so coarse a grid most pairs share sides.
    predicted, true = (rng.integers([0, 0, 3, 3], [3, 3, 6, 6], (200, 4)) * 1.0 for _ in "pt")
    assert (predicted == true).any(axis=1).mean() > 0.7
    _, gradients = on_boxes(loss, predicted, true)
    ref = by_differences(lambda boxes: on_boxes(loss, boxes, true)[0], predicted)
    np.testing.assert_allclose(gradients, ref, atol=2e-6)


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_gradients_on_offsets_equal_differences(rng, name, params):
    loss = make_loss(name, **params)
    outputs, targets = rng.normal(0, 0.3, (200, loss.n_outputs)), rng.normal(0, 0.3, (200, 4))
    _, gradients = loss.evaluate(outputs, targets)
    ref = by_differences(lambda points: loss.evaluate(points, targets)[0], outputs)
    np.testing.assert_allclose(gradients, ref, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_the_interface(rng, name, params):
    loss = make_loss(name, **params)
    assert loss.name == name
    start = np.tile(loss.start(), (3, 1))
    assert start.shape == (3, loss.n_outputs)
    np.testing.assert_allclose(loss.offsets(start), 0.0, atol=1e-15)
    values, gradients = loss.evaluate(start, np.zeros((3, 4)))
    assert values.shape == (3,)
    assert gradients.shape == start.shape
    outputs = rng.normal(0, 1, (3, loss.n_outputs))
    sure = loss.deviations(outputs)
    assert sure is None if name not in ("kl", "dfl") else (sure > 0).all()
    if name != "dfl":
        assert loss.offsets(outputs).tolist() == outputs[:, :4].tolist()
    empty, no_slopes = loss.evaluate(np.zeros((0, loss.n_outputs)), np.zeros((0, 4)))
    assert (empty.shape, no_slopes.shape) == ((0,), (0, loss.n_outputs))


def test_names_are_complete():
    assert available_losses() == (
        "l2", "l1", "smooth-l1", "balanced-l1", "kl", "iou", "bounded-iou", "giou", "diou",
        "ciou", "dfl",
    )  # fmt: skip
    assert [make_loss(name).n_outputs for name in ("l2", "kl", "dfl")] == [4, 8, 4 * 17]


def test_deviations_by_hand():
    kl = make_loss("kl", scales=(1, 1, 2, 2))
    logs = [0, 0, 0, 0, 0, 2 * LN2, -2 * LN2, 100]
    np.testing.assert_allclose(kl.deviations([logs]), [[1, 2, 1, 2 * np.exp(10)]])
    # Bins -1, 0, 1 of 1/4, 1/2, 1/4: a variance of 1/2; and all in the last bin.
    dfl = make_loss("dfl", scales=(1, 1, 2, 2), n_bins=3, reach=1.0)
    outputs = [[0, LN2, 0, 0, 0, 1e308, 0, LN2, 0, 0, 0, 1e308]]
    np.testing.assert_allclose(dfl.deviations(outputs), [[0.5**0.5, 0, 2 * 0.5**0.5, 0]])
    np.testing.assert_allclose(dfl.offsets(outputs), [[0, 1, 0, 2]], atol=1e-15)


@pytest.mark.parametrize("name", ["kl", "dfl"])
def test_uncertain_losses_learn_how_far_the_targets_spread(rng, name):
    spread = np.array([0.05, 0.1, 0.2, 0.3])
    targets = rng.normal([0.1, -0.1, 0.0, 0.2], spread, (200, 4))
    loss = make_loss(name)
    outputs = loss.start()
    for _ in range(2000):
        _, gradients = loss.evaluate(np.tile(outputs, (len(targets), 1)), targets)
        step = 0.002 if name == "kl" else 0.5
        outputs = outputs - step * gradients.mean(axis=0)
    np.testing.assert_allclose(loss.offsets(outputs[None])[0], targets.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(loss.deviations(outputs[None])[0], targets.std(axis=0), rtol=0.25)


def any_boxes():
    numbers = st.one_of(
        st.floats(allow_nan=False, allow_infinity=False),
        st.floats(-10, 10),
        st.sampled_from([0.0, 1.0, -1.0, 2.0, 5e-324, 1e-308, 1e308, -1e308, 1.7e308, 1e300]),
    )
    boxes = st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=8)
    return boxes.map(lambda rows: np.array(rows, float))


@may_overflow
@given(any_boxes(), any_boxes())
def test_any_finite_boxes_have_a_loss_and_a_gradient(some, others):
    n = min(len(some), len(others))
    pairs = [(some, some), (some[:n], others[:n]), (others[:n], some[:n] * 0.5)]
    for predicted, true in pairs:
        results = {loss: on_boxes(loss, predicted, true) for loss in FAMILY}
        for values, gradients in results.values():
            assert np.isfinite(values).all()
            assert np.isfinite(gradients).all()
            assert (values >= 0).all()
        of_iou = results["iou"][0]
        assert (of_iou <= 1).all()
        assert (results["giou"][0] <= 2).all()
        assert (results["log-iou"][0] <= OF_FLOOR + 1e-9).all()
        for loss in ("giou", "diou", "ciou"):
            assert (results[loss][0] >= of_iou).all()


SIZES = [5e-324, 1e-308, 1e-200, 1e-30, 1.0, 1e30, 1e200, 1e308]


@may_overflow
@pytest.mark.parametrize("loss", FAMILY)
def test_thin_and_far_boxes_are_safe(loss):
    # Every mix of sides and shifts, of which many overflow or vanish when multiplied.
    grid = np.array(np.meshgrid([0.0, 1e-308, 1.0, -1e308], SIZES, SIZES)).reshape(3, -1).T
    predicted = np.stack([grid[:, 0], grid[:, 0], grid[:, 1], grid[:, 2]], axis=1)
    for roll in range(1, len(predicted), 3):
        values, gradients = on_boxes(loss, predicted, np.roll(predicted, roll, axis=0))
        assert np.isfinite(values).all()
        assert np.isfinite(gradients).all()


@pytest.mark.parametrize("loss", FAMILY)
def test_equal_boxes_have_no_loss_and_no_gradient(rng, loss):
    boxes = random_boxes(rng, 50)
    boxes[0], boxes[1] = [0, 0, 1e308, 1e-308], [0, 0, 5e-324, 1]
    values, gradients = on_boxes(loss, boxes, boxes)
    np.testing.assert_array_equal(values, 0)
    np.testing.assert_array_equal(gradients, 0)


@pytest.mark.parametrize("loss", FAMILY)
def test_overlap_losses_move_and_grow_with_the_boxes(rng, loss):
    predicted, true = random_boxes(rng, 100), random_boxes(rng, 100)
    values, gradients = on_boxes(loss, predicted, true)
    move = np.tile(rng.uniform(-50, 50, (100, 2)), 2)
    moved_values, moved = on_boxes(loss, predicted + move, true + move)
    np.testing.assert_allclose(moved_values, values, atol=1e-12)
    np.testing.assert_allclose(moved, gradients, atol=1e-10)
    for factor in (1e-290, 1e-3, 7.0, 1e290):
        scaled_values, scaled = on_boxes(loss, predicted * factor, true * factor)
        np.testing.assert_allclose(scaled_values, values, atol=1e-12)
        np.testing.assert_allclose(scaled * factor, gradients, atol=1e-10)


def test_gradients_too_steep_for_a_float_are_cut():
    _, gradients = box_loss("giou", np.array([[0, 0, 1, 1]]) * 1e-308, [[0, 0, 2e-308, 2e-308]])
    assert gradients[0, 2] == -1e300


@may_overflow
@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4), min_size=1))
def test_any_finite_offsets_have_a_loss_and_a_gradient(rows):
    offsets = np.array(rows, float)
    for name, params in VARIANTS:
        loss = make_loss(name, **params)
        outputs = np.tile(offsets, (1, loss.n_outputs // 4))
        values, gradients = loss.evaluate(outputs, offsets[::-1])
        assert np.isfinite(values).all(), name
        assert np.isfinite(gradients).all(), name
        assert np.isfinite(loss.offsets(outputs)).all()


def test_log_sizes_that_decoding_cuts_have_no_gradient():
    outputs = np.array([[0.1, 0.2, MAX_LOG_SIZE + 1, 0.3], [0.1, 0.2, 0.3, -MAX_LOG_SIZE - 1]])
    for name in ("iou", "giou", "diou", "ciou"):
        values, gradients = make_loss(name).evaluate(outputs, np.zeros((2, 4)))
        cut, _ = make_loss(name).evaluate(np.clip(outputs, -7, MAX_LOG_SIZE), np.zeros((2, 4)))
        assert values[0] == cut[0]
        assert gradients[0, 2] == gradients[1, 3] == 0
        assert gradients[0, 3] != 0


def test_log_variances_beyond_the_bound_have_no_gradient():
    outputs = [[1, 1, 1, 1, 30, -30, 19, -19]]
    values, gradients = make_loss("kl").evaluate(outputs, [[0, 0, 0, 0]])
    assert np.isfinite(values).all()
    assert (gradients[0, 4:] != 0).tolist() == [False, False, True, True]


def test_overlap_losses_of_offsets_are_those_of_the_boxes(rng):
    # Of any reference for IoU and GIoU, of a square one for the others.
    predicted, true = random_boxes(rng, 40), random_boxes(rng, 40)
    references, squares = random_boxes(rng, 40), np.tile([1.0, 2.0, 4.0, 5.0], (40, 1))
    for name in ("iou", "giou", "diou", "ciou"):
        for base in (squares, references) if name in ("iou", "giou") else (squares,):
            got, _ = make_loss(name).evaluate(encode(predicted, base), encode(true, base))
            np.testing.assert_allclose(got, box_loss(name, predicted, true)[0], atol=1e-12)


def test_balanced_l1_has_no_step_where_its_pieces_meet():
    loss = make_loss("balanced-l1", scales=(1, 1, 1, 1))
    below, above = (loss.evaluate([[1 + s, 0, 0, 0]], [[0] * 4]) for s in (-1e-9, 1e-9))
    assert below[0] == pytest.approx(above[0], abs=1e-8)
    assert below[1][0, 0] == pytest.approx(1.5, abs=1e-8)
    assert above[1][0, 0] == 1.5


def test_smooth_l1_without_beta_is_l1(rng):
    outputs, targets = rng.normal(size=(20, 4)), rng.normal(size=(20, 4))
    smooth = make_loss("smooth-l1", beta=0).evaluate(outputs, targets)
    for got, ref in zip(smooth, make_loss("l1").evaluate(outputs, targets), strict=True):
        assert got.tolist() == ref.tolist()


def test_no_boxes_have_no_losses():
    values, gradients = box_loss("giou", [], [])
    assert (values.shape, gradients.shape) == ((0,), (0, 4))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("gio", {}, "box loss must be one of 'l2', .* Got 'gio' instead. Did you mean 'giou'?"),
        (None, {}, "Got None instead"),
        ("giou", {"log": True}, "no parameter 'log' of the box loss 'giou', which has none."),
        ("kl", {"scale": 1}, "which has 'scales'. Did you mean 'scales'?"),
        ("iou", {"log": 1}, "'log' parameter of IoU must be True or False. Got 1"),
        (
            "l2",
            {"scales": (1, 1, 1)},
            r"'scales' parameter of L2 must be four numbers .* \(1, 1, 1",
        ),
        ("kl", {"scales": (1, 1, 1, 0)}, "'scales' parameter of KL"),
        ("dfl", {"scales": (1, 1, 1, np.nan)}, "'scales' parameter of DistributionFocal"),
        ("l1", {"scales": "abcd"}, "'scales' parameter of L1"),
        ("l1", {"scales": 2}, "'scales' parameter of L1"),
        ("smooth-l1", {"beta": -1}, r"'beta' parameter of SmoothL1 must be .* \[0, 100\]. Got -1"),
        ("balanced-l1", {"alpha": 0}, r"'alpha' parameter of BalancedL1 must be .* \[0.1, 10\]"),
        ("balanced-l1", {"gamma": 99}, r"'gamma' parameter of BalancedL1 must be .* \[0.1, 10\]"),
        ("bounded-iou", {"beta": 2}, r"'beta' parameter of BoundedIoU must be .* \[0, 1\]"),
        ("dfl", {"n_bins": 1}, r"'n_bins' parameter of DistributionFocal .* int in \[2, 1000\]"),
        ("dfl", {"reach": 0}, r"'reach' parameter of DistributionFocal .* \[0.01, 1000\]"),
    ],
)
def test_bad_losses_are_refused(name, params, message):
    with pytest.raises(ParameterError, match=message):
        make_loss(name, **params)


def test_scales_of_any_kind_are_kept_as_a_tuple():
    loss = make_loss("l2", scales=np.array([1, 2, 3, 4]))
    assert loss.scales == (1.0, 2.0, 3.0, 4.0)
    assert hash(loss) == hash(make_loss("l2", scales=[1, 2, 3, 4]))


@pytest.mark.parametrize("name", available_losses())
def test_bad_outputs_and_targets_are_refused(name):
    loss = make_loss(name)
    good, n = np.zeros((2, loss.n_outputs)), loss.n_outputs
    with pytest.raises(DataError, match=rf"outputs must be .* \(n, {n}\). Got shape \(2, 1\)"):
        loss.evaluate(good[:, :1], np.zeros((2, 4)))
    with pytest.raises(DataError, match=r"targets must be .* \(n, 4\). Got shape \(4,\)"):
        loss.evaluate(good, np.zeros(4))
    with pytest.raises(DataError, match="Got 3 targets for 2 outputs"):
        loss.evaluate(good, np.zeros((3, 4)))
    with pytest.raises(DataError, match=r"targets must be finite. Row 0 is not"):
        loss.evaluate(good, np.full((2, 4), np.inf))
    with pytest.raises(DataError, match=r"outputs must be finite. Row 0 is not"):
        loss.offsets(good * np.nan)


def test_bad_boxes_are_refused():
    box = [[0, 0, 1, 1]]
    with pytest.raises(ParameterError, match=r"'name' parameter of box_loss .* 'iou', 'giou'"):
        box_loss("l2", box, box)
    with pytest.raises(ParameterError, match="no parameter 'log' of the box loss 'ciou'"):
        box_loss("ciou", box, box, log=True)
    with pytest.raises(ParameterError, match=r"true must be an array of shape \(n, 4\)"):
        box_loss("iou", box, [[0, 1]])
    with pytest.raises(DataError, match="Got 2 true boxes for 1 predicted ones"):
        box_loss("iou", box, box * 2)
    with pytest.raises(DataError, match=r"predicted must be finite. Row 0 is .*nan.*; drop it"):
        box_loss("iou", [[0, 0, np.nan, 1]], box)
