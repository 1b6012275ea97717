"""HOG against scikit-image and the naive twin, and its invariances."""

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.feature import hog as skimage_hog

from bootstrap_det.channels import HOG, make_channels
from bootstrap_det.exceptions import ParameterError


def picture(rng, shape=(45, 53), dtype=np.uint8):
    values = rng.integers(0, 256, shape)
    return values.astype(np.uint8) if dtype == np.uint8 else (values / 255).astype(np.float32)


def of_skimage(image, hog, channel_axis=None):
    """Return scikit-image's blocks in our order of the axes."""
    blocks = skimage_hog(
        image,
        orientations=hog.n_orientations,
        pixels_per_cell=(hog.cell_size, hog.cell_size),
        cells_per_block=(hog.block_size, hog.block_size),
        block_norm="L2-Hys",
        transform_sqrt=hog.gamma,
        feature_vector=False,
        channel_axis=channel_axis,
    )
    rows, columns = blocks.shape[:2]
    return blocks.reshape(rows, columns, -1).transpose(2, 0, 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    ("cell_size", "block_size", "n_orientations"),
    [(8, 2, 9), (8, 1, 9), (4, 2, 8), (6, 3, 12), (5, 2, 9), (7, 1, 18), (2, 4, 4)],
)
def test_hog_equals_skimage(rng, cell_size, block_size, n_orientations, dtype):
    hog = HOG(cell_size=cell_size, block_size=block_size, n_orientations=n_orientations)
    image = picture(rng, dtype=dtype)
    np.testing.assert_allclose(hog.compute(image), of_skimage(image, hog), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (23, 31), (16, 40), (33, 16)])
def test_hog_equals_skimage_at_any_size(rng, size):
    hog, image = HOG(), picture(rng, size)
    got = hog.compute(image)
    assert got.shape[1:] == hog.grid_shape(size)
    np.testing.assert_allclose(got, of_skimage(image, hog), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_hog_gamma_equals_skimage(rng, dtype):
    hog, image = HOG(gamma=True), picture(rng, dtype=dtype)
    np.testing.assert_allclose(hog.compute(image), of_skimage(image, hog), atol=1e-5)


@pytest.mark.parametrize("gamma", [False, True])
def test_hog_colour_equals_skimage(rng, gamma):
    hog, image = HOG(color="rgb", gamma=gamma), picture(rng, (40, 32, 3))
    ref = of_skimage(image, hog, channel_axis=-1)
    np.testing.assert_allclose(hog.compute(image), ref, atol=1e-5)


def test_hog_equals_skimage_on_drawn_edges():
    image = np.zeros((32, 32), np.uint8)
    image[8:20, 10:25] = 200  # mostly flat, with exact diagonals at the corners
    np.testing.assert_allclose(HOG().compute(image), of_skimage(image, HOG()), atol=1e-5)


@pytest.mark.parametrize("shape", [(19, 22), (19, 22, 3)])
@pytest.mark.parametrize(
    "parameters",
    [
        {"interpolate": True},
        {"signed": True, "n_orientations": 8},
        {"interpolate": True, "signed": True, "n_orientations": 12, "epsilon": 2.0, "clip": 0.3},
    ],
)
def test_hog_equals_the_naive_twin(rng, parameters, shape):
    hog, image = HOG(cell_size=4, **parameters), picture(rng, shape)
    twin = naive.hog_cells_interpolated if hog.interpolate else naive.hog_cells
    cells = twin(image.reshape(19, 22, -1), 4, hog.n_orientations, hog.signed)
    ref = naive.l2_hys(cells, hog.block_size, hog.epsilon, hog.clip)
    np.testing.assert_allclose(hog.compute(image), ref, atol=1e-5)


@given(st.floats(0.01, 100.0), st.booleans())
def test_hog_does_not_depend_on_the_gain(gain, interpolate):
    image = picture(np.random.default_rng(440), (24, 24), np.float32) * 255
    hog = HOG(cell_size=6, interpolate=interpolate)
    ref, got = hog.compute(image), hog.compute(image * np.float32(gain))
    np.testing.assert_allclose(got, ref, atol=1e-4)


def test_hog_epsilon_quiets_faint_noise_beside_strong_edges(rng):
    image = picture(rng, (32, 64))
    image[:, 32:] = rng.integers(100, 102, (32, 32))  # a flat wall beside a busy scene
    plain, quiet = (hog.compute(image).mean(axis=(0, 1)) for hog in (HOG(), HOG(epsilon=5.0)))
    assert plain[-1] > 0.5 * plain[0]
    assert quiet[-1] < 0.2 * quiet[0]


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("block_size", [1, 2])
def test_hog_moves_by_a_cell_with_the_picture(rng, block_size, interpolate):
    hog, image = HOG(cell_size=4, block_size=block_size, interpolate=interpolate), picture(rng)
    moved = hog.compute(image[4:, 8:])
    # The outermost cells of the cut picture have no gradient at the cut.
    np.testing.assert_allclose(moved[:, 1:, 1:], hog.compute(image)[:, 2:, 3:], atol=1e-6)


def test_hog_signed_bins_fold_to_unsigned_ones(rng):
    image = picture(rng)
    shared = {"block_size": 1, "clip": 1.0}
    signed = HOG(n_orientations=18, signed=True, **shared).compute(image)
    folded = signed[:9] + signed[9:]
    folded /= np.linalg.norm(folded, axis=0)
    np.testing.assert_allclose(folded, HOG(n_orientations=9, **shared).compute(image), atol=1e-5)


def test_hog_only_signed_bins_know_the_direction_of_a_step():
    step = np.zeros((24, 24), np.uint8)
    step[:, 12:] = 200
    unsigned, signed = HOG(), HOG(n_orientations=18, signed=True)
    np.testing.assert_array_equal(unsigned.compute(step), unsigned.compute(200 - step))
    assert not np.allclose(signed.compute(step), signed.compute(200 - step))


def test_hog_interpolation_softens_a_shift_by_a_pixel(rng):
    image = np.kron(picture(rng, (10, 10)), np.ones((6, 6), np.uint8))
    changes = []
    for interpolate in (False, True):
        hog = HOG(interpolate=interpolate)
        changes.append(np.abs(hog.compute(image[:, 1:]) - hog.compute(image[:, :-1])).mean())
    assert changes[1] < changes[0]


def test_hog_grey_picture_as_rgb_changes_nothing(rng):
    image, hog = picture(rng), HOG(color="rgb")
    np.testing.assert_array_equal(hog.compute(np.dstack([image] * 3)), hog.compute(image))


def test_hog_constant_picture_is_zero():
    assert not HOG().compute(np.full((32, 32), 200, np.uint8)).any()


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (15, 40), (40, 15), (9, 9)])
def test_hog_picture_smaller_than_a_block_is_empty(size):
    got = HOG().compute(np.zeros(size, np.uint8))
    assert 0 in got.shape[1:]
    assert got.shape == (36, *HOG().grid_shape(size))


@pytest.mark.parametrize("cut", [np.s_[::2, ::3], np.s_[::-1, ::-1], np.s_[3:, 5:]])
def test_hog_reads_views_and_leaves_them_alone(rng, cut):
    image = picture(rng, (90, 150))
    before, hog = image.copy(), HOG(gamma=True)
    np.testing.assert_array_equal(hog.compute(image[cut]), hog.compute(image[cut].copy()))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cell_size": 1}, r"'cell_size' parameter of HOG must be an int in \[2, 64\]. Got 1"),
        ({"cell_size": 8.0}, "'cell_size' parameter .* Got 8.0"),
        ({"block_size": 0}, r"'block_size' parameter of HOG must be an int in \[1, 8\]. Got 0"),
        ({"n_orientations": 65}, r"'n_orientations' .* \[1, 64\]. Got 65"),
        ({"n_orientations": 9, "signed": True}, "must be even when signed=True. Got 9"),
        ({"signed": 1}, "'signed' parameter of HOG must be True or False. Got 1"),
        ({"interpolate": "yes"}, "'interpolate' .* True or False. Got 'yes'"),
        ({"gamma": None}, "'gamma' .* True or False. Got None"),
        ({"clip": 0.0}, r"'clip' .* a finite number in \[0.001, 1\]. Got 0.0"),
        ({"epsilon": float("nan")}, "'epsilon' .* a finite number .* Got nan"),
        ({"epsilon": 0}, "'epsilon' .* Got 0"),
        ({"color": "gray"}, "'color' parameter of HOG must be one of 'grey', 'rgb'. Got 'gray'"),
    ],
)
def test_hog_parameter_errors(parameters, message):
    with pytest.raises(ParameterError, match=message):
        HOG(**parameters)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((20, 20)), "uint8 or float32 picture .* Got float64"),
        (np.zeros(20, np.uint8), r"Got uint8 of shape \(20,\)"),
        (np.zeros((2, 20, 20, 3), np.uint8), r"of shape \(2, 20, 20, 3\)"),
    ],
)
def test_hog_picture_errors(image, message):
    with pytest.raises(ParameterError, match=message):
        HOG().compute(image)


def test_hog_gamma_refuses_negative_pixels():
    with pytest.raises(ParameterError, match=r"not negative\. Got a minimum of -2"):
        HOG(gamma=True).compute(np.full((20, 20), -2, np.float32))


def test_make_channels_is_the_inverse_of_get_params():
    hog = HOG(cell_size=5, signed=True, n_orientations=4, epsilon=2.0, color="rgb")
    assert make_channels("HOG", **hog.get_params()).get_params() == hog.get_params()
    with pytest.raises(ParameterError, match=r"must be one of 'HOG', 'ACF'\. Got 'LBP'"):
        make_channels("LBP")


def test_hog_refuses_a_picture_without_channels():
    with pytest.raises(ParameterError, match="HOG needs a uint8 or float32 picture"):
        HOG().compute(np.zeros((32, 32, 0), np.uint8))
