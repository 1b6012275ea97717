"""Aggregated channels against loops over pixels, and what they must not depend on."""

import json

import cv2
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2luv

from bootstrap_det.channels import ACF, make_channels
from bootstrap_det.channels.gather import gather_windows
from bootstrap_det.exceptions import ParameterError


def picture(rng, size=(21, 26), color="grey"):
    shape = size if color == "grey" else (*size, 3)
    return rng.integers(0, 256, shape).astype(np.uint8)


def expected(planes, acf):
    """Return the channels of planes by the naive twin, not rounded."""
    area = acf.cell_size**2
    n_colors, unit = len(planes), {2: 32, 4: 8}[acf.cell_size] * area
    sums = naive.acf_sums(planes, acf.cell_size, acf.n_orientations).astype(float)
    sums[:n_colors] /= area
    if acf.normalise == "none":
        sums[n_colors:] *= 4 / unit
    else:
        sums[n_colors:] = np.vectorize(naive.tangent_root)(sums[n_colors:])
    return np.clip(sums, 0, 255)


def check_channels(got, ref):
    """Compare bytes with numbers: rounded down, up to the last digit."""
    assert got.dtype == np.uint8
    assert got.shape == ref.shape
    error = ref - got
    assert error.min(initial=0) > -1e-3
    assert error.max(initial=0) < 1 + 1e-3


@pytest.mark.parametrize("normalise", ["none", "window"])
@pytest.mark.parametrize("n_orientations", [1, 4, 6, 9])
@pytest.mark.parametrize(("cell_size", "size"), [(2, (9, 13)), (2, (10, 12)), (4, (17, 23))])
def test_channels_are_those_of_the_naive_twin(rng, cell_size, size, n_orientations, normalise):
    acf = ACF(cell_size=cell_size, n_orientations=n_orientations, normalise=normalise)
    image = picture(rng, size)
    check_channels(acf.compute(image), expected(image[None], acf))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.sampled_from([2, 4]))
def test_channels_of_any_size(seed, height, width, cell_size):
    acf = ACF(cell_size=cell_size, n_orientations=3, normalise="none")
    image = picture(np.random.default_rng(seed), (height, width))
    got = acf.compute(image)
    assert got.shape[1:] == acf.grid_shape((height, width))
    check_channels(got, expected(image[None], acf))


def test_rooted_magnitude_is_close_to_the_root(rng):
    image = picture(rng, (200, 200)) // 8  # no sum is clipped
    image[:100] //= 5
    means = ACF(normalise="none").compute(image)[1] / 4  # of the magnitude, rounded down
    got = ACF(normalise="window").compute(image)[1].astype(float)
    assert np.ptp(got) > 50
    least, most = (np.sqrt(192 * m) for m in (means, means + 0.25))
    assert (got >= least - 1)[got >= 6].all()
    assert (got <= 1.07 * most)[got >= 6].all()


@pytest.mark.parametrize("cell_size", [2, 4])
def test_channels_of_colour_are_those_of_l_u_and_v(rng, cell_size):
    acf = ACF(cell_size=cell_size, color="rgb", normalise="none")
    image = picture(rng, (14, 19), "rgb")
    luv = rgb2luv(image).transpose(2, 0, 1)
    least, extent = (np.array(v)[:, None, None] for v in ((0, -134, -140), (100, 354, 262)))
    planes = (luv - least) / extent
    got = acf.compute(image)
    rows, columns = (n // cell_size for n in (14, 19))
    for color in range(3):
        plane = 255 * planes[color][: rows * cell_size, : columns * cell_size]
        means = plane.reshape(rows, cell_size, columns, cell_size).mean(axis=(1, 3))
        np.testing.assert_allclose(got[color], means, atol=3)
    ours = cv2.cvtColor(image, cv2.COLOR_RGB2LUV).transpose(2, 0, 1)
    check_channels(got, expected(ours, acf))


@settings(max_examples=20)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 9),
    st.sampled_from(["none", "window", "local"]),
    st.booleans(),
)
def test_mirror_image_has_mirrored_channels(seed, n, normalise, smooth):
    acf = ACF(n_orientations=n, normalise=normalise, smooth_before=smooth, smooth_after=smooth)
    image = picture(np.random.default_rng(seed), (18, 24))
    one, other = acf.compute(image), acf.compute(image[:, ::-1])[:, :, ::-1]
    orders = [0, 1, *(2 + (-k) % n for k in range(n))]  # a direction becomes its opposite
    np.testing.assert_allclose(
        one[orders].astype(int), other, atol=1 if normalise == "local" else 0
    )


@pytest.mark.parametrize("normalise", ["none", "window", "local"])
@pytest.mark.parametrize("value", [0, 7, 255])
def test_flat_picture_has_no_gradients(normalise, value):
    values = ACF(normalise=normalise).compute(np.full((20, 30), value, np.uint8))
    assert (values[1:] == 0).all()
    assert (values[0] == (128 if normalise == "local" else value)).all()


@pytest.mark.parametrize("cell_size", [2, 4])
@pytest.mark.parametrize("normalise", ["none", "window", "local"])
@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_shifted_picture_has_shifted_channels(rng, cell_size, normalise, color):
    acf = ACF(cell_size=cell_size, normalise=normalise, radius=2, color=color, smooth_after=True)
    image, (down, right) = picture(rng, (64, 72), color), (3, 2)
    one = acf.compute(image)[:, down:, right:]
    other = acf.compute(image[down * cell_size :, right * cell_size :])
    inner = slice(acf.context, -acf.context)
    np.testing.assert_allclose(
        one[:, inner, inner].astype(int), other[:, inner, inner], atol=normalise == "local"
    )


def test_turned_picture_has_turned_orientations(rng):
    acf, image = ACF(n_orientations=4, normalise="none"), picture(rng, (20, 20))
    one, turned = acf.compute(image), acf.compute(image.T)
    np.testing.assert_array_equal(turned[:2], one[:2].transpose(0, 2, 1))
    # x and y change places: 0 and 90 degrees do, 45 stays, 135 becomes its opposite.
    np.testing.assert_array_equal(turned[[4, 3, 2, 5]], one[2:].transpose(0, 2, 1))


@pytest.mark.parametrize("normalise", ["window", "local"])
def test_contrast_counts_for_little(rng, normalise):
    acf = ACF(normalise=normalise, noise=0.5)
    strong = picture(rng, (40, 40)) // 2 + 60
    weak = (strong // 4 + 20).astype(np.uint8)
    at = np.array([4]), np.array([4])
    one, other = (
        acf.window_features(acf.compute(image), (12, 12), *at)[0].astype(int)
        for image in (strong.astype(np.uint8), weak)
    )
    if normalise == "window":
        one, other = (features[len(features) // 2 :] for features in (one, other))
    assert np.corrcoef(one, other)[0, 1] > 0.97
    assert one.std() == pytest.approx(other.std(), rel=0.15)


@settings(max_examples=20)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["grey", "rgb"]),
    st.sampled_from([0.5, 4.0, 60.0]),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
)
def test_window_features_are_plain_ones_then_those_it_sees(seed, color, noise, shape):
    rng = np.random.default_rng(seed)
    acf = ACF(color=color, noise=noise, n_orientations=3)
    image = picture(rng, (24, 28), color) // int(rng.integers(1, 30))
    values, rows, columns = acf.compute(image), rng.integers(0, 6, 9), rng.integers(0, 8, 9)
    got = acf.window_features(values, shape, rows, columns)
    plain = gather_windows(values, shape, rows, columns)
    assert got.dtype == np.uint8
    assert got.shape[1] == acf.n_window_channels * shape[0] * shape[1]
    np.testing.assert_array_equal(got[:, : plain.shape[1]], plain)
    for features, seen in zip(plain, got[:, plain.shape[1] :], strict=True):
        window = features.reshape(acf.n_channels, *shape)
        ref = naive.seen_by_window(window, acf.n_colors, noise).ravel()
        np.testing.assert_allclose(seen, np.floor(ref), atol=2)  # factors have 8 binary digits


@pytest.mark.parametrize("normalise", ["local", "none"])
def test_window_features_without_normalisation_are_the_levels(rng, normalise):
    acf = ACF(normalise=normalise)
    values = acf.compute(picture(rng))
    at = np.array([1, 4]), np.array([0, 3])
    assert acf.normalisation is None
    assert acf.n_window_channels == acf.n_channels == 8
    np.testing.assert_array_equal(
        acf.window_features(values, (3, 4), *at), gather_windows(values, (3, 4), *at)
    )


def test_local_channels_are_compared_with_their_neighbourhood(rng):
    acf = ACF(normalise="local", radius=1, n_orientations=2)
    image = picture(rng, (16, 18))
    sums = naive.acf_sums(image[None], 2, 2).astype(float)
    wide = np.pad(sums, ((0, 0), (1, 1), (1, 1)), mode="edge")
    blocks = np.lib.stride_tricks.sliding_window_view(wide, (3, 3), axis=(1, 2))
    ref = np.empty_like(sums)
    ref[0] = 128 + 40 * (sums[0] - blocks[0].mean((2, 3))) / (blocks[0].std((2, 3)) + 8 * 4)
    ref[1:] = 48 * sums[1:] / (blocks[1].mean((2, 3)) + 4 * 32 * 4)
    got = acf.compute(image)
    np.testing.assert_allclose(got, np.floor(np.clip(ref, 0, 255)), atol=1)


def test_floats_are_rounded_and_clipped(rng):
    acf, image = ACF(), picture(rng)
    off = image + rng.uniform(-0.4, 0.4, image.shape)
    np.testing.assert_array_equal(acf.compute(off.astype(np.float32)), acf.compute(image))
    bright = np.where(image > 128, 300.0, -20.0).astype(np.float32)
    clipped = np.where(image > 128, 255, 0).astype(np.uint8)
    np.testing.assert_array_equal(acf.compute(bright), acf.compute(clipped))


def test_views_are_read_and_left_alone(rng):
    acf, image = ACF(smooth_before=True, smooth_after=True), picture(rng, (40, 50))
    before, view = image.copy(), image[::2, ::-1]
    np.testing.assert_array_equal(acf.compute(view), acf.compute(view.copy()))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("size", [(0, 0), (0, 9), (1, 9), (3, 3)])
@pytest.mark.parametrize("color", ["grey", "rgb"])
def test_pictures_without_a_block_have_no_rows(size, color):
    acf = ACF(cell_size=4, color=color)
    values = acf.compute(np.zeros(size if color == "grey" else (*size, 3), np.uint8))
    assert values.shape == (acf.n_channels, size[0] // 4, size[1] // 4)


@pytest.mark.parametrize(
    "acf",
    [
        ACF(),
        ACF(cell_size=4, n_orientations=3, normalise="local", radius=2, noise=1.5),
        ACF(color="rgb", smooth_before=True, smooth_after=True, normalise="none"),
    ],
)
def test_make_channels_is_the_inverse_of_get_params(rng, acf):
    again = make_channels("ACF", **json.loads(json.dumps(acf.get_params())))
    assert again.get_params() == acf.get_params()
    image = picture(rng, color=acf.color)
    np.testing.assert_array_equal(again.compute(image), acf.compute(image))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cell_size": 3}, r"'cell_size' parameter of ACF must be 2 or 4\. Got 3 instead"),
        ({"cell_size": 8}, r"'cell_size' parameter of ACF must be an int in \[2, 4\]"),
        ({"n_orientations": 0}, r"'n_orientations' parameter of ACF .* \[1, 16\]"),
        ({"normalise": "always"}, "'normalise' parameter of ACF must be one of 'window', 'local'"),
        ({"radius": 0}, r"'radius' parameter of ACF must be an int in \[1, 64\]"),
        ({"noise": 0.0}, r"'noise' parameter of ACF must be a finite number in \[0.5, 255\]"),
        ({"noise": np.nan}, "'noise' parameter of ACF must be a finite number"),
        ({"smooth_before": 1}, "'smooth_before' parameter of ACF must be True or False"),
        ({"smooth_after": "no"}, "'smooth_after' parameter of ACF must be True or False"),
        ({"color": "luv"}, "'color' parameter of ACF must be one of 'grey', 'rgb'"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ParameterError, match=message):
        ACF(**parameters)


@pytest.mark.parametrize(
    ("color", "image", "message"),
    [
        ("grey", np.zeros((9, 9, 3), np.uint8), r"shape \(height, width\)\. Got uint8 of shape"),
        ("grey", np.zeros((9, 9)), r"uint8 or float32 picture .* Got float64 of shape \(9, 9\)"),
        ("rgb", np.zeros((9, 9), np.uint8), r"shape \(height, width, 3\)\. Got uint8 of shape"),
        ("rgb", np.zeros((9, 9, 4), np.uint8), r"Got uint8 of shape \(9, 9, 4\)"),
    ],
)
def test_other_pictures_are_refused(color, image, message):
    with pytest.raises(ParameterError, match=message):
        ACF(color=color).compute(image)


# One octave up


@pytest.mark.parametrize("normalise", ["none", "window", "local"])
@pytest.mark.parametrize("size", [(24, 32), (25, 39), (4, 4), (1, 9)])
def test_coarser_channels_come_behind_the_own_ones(rng, normalise, size):
    image = picture(rng, size)
    own, both = (ACF(normalise=normalise, coarser=c) for c in (False, True))
    values = both.compute(image)
    assert values.shape == (2 * own.n_channels, *own.grid_shape(size))
    assert both.n_channels == 2 * own.n_channels
    assert both.n_window_channels == 2 * own.n_window_channels
    np.testing.assert_array_equal(values[: own.n_channels], own.compute(image))


def test_coarser_channels_are_those_of_the_picture_at_half_its_size(rng):
    image = picture(rng, (48, 64))
    own, both = ACF(normalise="none"), ACF(normalise="none", coarser=True)
    halved = cv2.resize(image, (32, 24), interpolation=cv2.INTER_AREA)
    above, got = own.compute(halved), both.compute(image)[own.n_channels :]
    # Four cells share one of above: linear interpolation keeps their mean close to it.
    means = got.reshape(len(got), 12, 2, 16, 2).mean(axis=(2, 4))
    inner = np.s_[:, 1:-1, 1:-1]
    assert np.corrcoef(means[inner].ravel(), above[inner].ravel())[0, 1] > 0.95
    flat = both.compute(np.full((48, 64), 90, np.uint8))[own.n_channels :]
    assert (flat[0] == own.compute(np.full((24, 32), 90, np.uint8))[0, 0, 0]).all()
    assert (flat[1:] == 0).all()


def test_coarser_channels_see_further(rng):
    """What changes three cells away is seen one octave up, not in a cell itself."""
    image = picture(rng, (64, 64))
    changed = image.copy()
    changed[32:36, 38:44] = 255 - changed[32:36, 38:44]
    acf = ACF(normalise="none", coarser=True)
    differs = (acf.compute(image) != acf.compute(changed))[:, 16:18, 16:18].any(axis=(1, 2))
    assert not differs[: acf.n_channels // 2].any()
    assert differs[acf.n_channels // 2 :].any()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["none", "window"]))
def test_coarser_channels_are_mirrored_too(seed, normalise):
    acf = ACF(normalise=normalise, coarser=True)
    image = picture(np.random.default_rng(seed), (24, 32))
    one, other = acf.compute(image), acf.compute(image[:, ::-1])[:, :, ::-1]
    order = acf.mirror_order[: acf.n_channels]
    np.testing.assert_allclose(one[order].astype(int), other, atol=1)
    assert sorted(acf.mirror_order) == list(range(acf.n_window_channels))


@pytest.mark.parametrize("normalise", ["none", "window"])
def test_a_patch_has_the_coarser_channels_of_its_place(rng, normalise):
    """Training cuts patches, a scan sees levels: they must agree at even positions."""
    acf = ACF(normalise=normalise, coarser=True)
    image = picture(rng, (120, 120))
    margin = acf.context
    assert margin % 2 == 0
    top, left, shape = 14, 18, (12, 10)
    patch = image[
        2 * (top - margin) : 2 * (top + shape[0] + margin),
        2 * (left - margin) : 2 * (left + shape[1] + margin),
    ]
    level, cut = acf.compute(image), acf.compute(np.ascontiguousarray(patch))
    at = np.array([top]), np.array([left])
    inside = np.array([margin]), np.array([margin])
    np.testing.assert_array_equal(
        acf.window_features(level, shape, *at), acf.window_features(cut, shape, *inside)
    )
