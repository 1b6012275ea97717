"""Training windows are what a scan sees at the same place."""

import cv2
import numpy as np
import pytest

from bootstrap_det.channels import ACF, HOG
from bootstrap_det.channels.gather import gather_windows
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.pyramid import Pyramid, make_level
from bootstrap_det.samples import Jitter, draw_changes, object_features, with_margin
from bootstrap_det.windows import Window, windows_to_boxes

PLAIN = Jitter(n_copies=0, mirror=False)
WINDOW = Window((20, 16))


class Pixels:
    """Channels that are the grey picture itself, so that a test sees the patches."""

    cell_size = 1
    context = 0
    n_channels = n_window_channels = 1
    color = "grey"

    def grid_shape(self, size):
        return size

    def compute(self, image):
        return image[None].astype(np.float32)

    def window_features(self, values, shape, rows, columns):
        return gather_windows(values, shape, rows, columns)


def patches(image, box, window=WINDOW, jitter=PLAIN, seed=0):
    """Return the patches (n, height, width) that are made of an object."""
    rng = np.random.default_rng(seed)
    rows = object_features(image, np.array(box, float), window, Pixels(), jitter, rng).features
    return rows.reshape(-1, *window.size)


def smooth(rng, size=(90, 100)):
    noise = rng.integers(0, 256, size).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)


def test_object_of_the_windows_size_is_cut_out_exactly(rng):
    image = rng.integers(0, 256, (50, 60)).astype(np.uint8)
    np.testing.assert_array_equal(patches(image, [7, 9, 23, 29])[0], image[9:29, 7:23])


def test_object_lies_in_the_windows_object_box(rng):
    image = rng.integers(0, 256, (50, 60)).astype(np.uint8)
    window = Window((20, 16), object_box=(3, 4, 13, 16))
    got = patches(image, [20, 20, 30, 32], window)[0]
    np.testing.assert_array_equal(got, image[16:36, 17:33])


def test_object_at_the_border_repeats_the_border(rng):
    image = rng.integers(0, 256, (50, 60)).astype(np.uint8)
    got = patches(image, [-4, 0, 12, 20])[0]
    np.testing.assert_array_equal(got[:, 4:], image[:20, :12])
    assert (got[:, :4] == image[:20, :1]).all()


def test_mirror_is_the_mirror_image(rng):
    image = rng.integers(0, 256, (50, 60)).astype(np.uint8)
    plain, mirror = patches(image, [7, 9, 23, 29], jitter=Jitter(n_copies=0))
    np.testing.assert_array_equal(mirror, plain[:, ::-1])


@pytest.mark.parametrize("factor", [2, 3])
def test_large_object_is_averaged_down(rng, factor):
    image = smooth(rng)
    height, width = 20 * factor, 16 * factor
    cut = image[12 : 12 + height, 18 : 18 + width]
    ref = cut.reshape(20, factor, 16, factor).mean(axis=(1, 3))
    got = patches(image, [18, 12, 18 + width, 12 + height])[0]
    assert np.abs(got - ref).mean() < 2.0  # of 255


def test_large_object_does_not_alias(rng):
    stripes = np.tile(np.array([0, 255], np.uint8), (120, 60))
    got = patches(stripes, [8, 8, 8 + 64, 8 + 80])[0]
    np.testing.assert_allclose(got, 127.5, atol=3)


def test_small_object_is_enlarged_in_place(rng):
    image = smooth(rng)
    got = patches(image, [30, 30, 38, 40])[0]
    np.testing.assert_allclose(got, cv2.resize(image[30:40, 30:38], (16, 20)), atol=20)
    assert np.abs(got[2:-2, 2:-2] - cv2.resize(image, None, fx=2, fy=2)[62:78, 62:74]).max() < 1


@pytest.mark.parametrize(
    "name", ["shift", "scale", "rotation", "gain", "light", "blur", "pixel_noise"]
)
def test_each_jitter_changes_only_the_copies(rng, name):
    values = {"shift": 0.0, "scale": 0.0, "rotation": 0.0, "gain": 0.0}
    values[name] = {"rotation": 10.0, "blur": 6.0, "pixel_noise": 6.0}.get(name, 0.3)
    image = smooth(rng).astype(np.uint8)
    plain, copy = patches(image, [7, 9, 23, 29], jitter=Jitter(1, mirror=False, **values))
    np.testing.assert_array_equal(plain, image[9:29, 7:23])
    assert np.abs(copy - plain).max() > 1


def test_gain_keeps_the_mean_and_changes_the_contrast(rng):
    image = rng.integers(100, 156, (50, 60)).astype(np.uint8)
    jitter = Jitter(20, mirror=False, shift=0, scale=0, rotation=0, gain=0.5)
    plain, *copies = patches(image, [7, 9, 23, 29], jitter=jitter)
    ratios = [copy.std() / plain.std() for copy in copies]
    assert 0.6 < min(ratios) < 0.8 < 1.2 < max(ratios) < 1.55
    assert all(abs(copy.mean() - plain.mean()) < 3 for copy in copies)


def test_light_makes_copies_darker_and_flatter(rng):
    image = smooth(rng).astype(np.uint8)
    still = {"n_copies": 20, "mirror": False, "shift": 0, "scale": 0, "rotation": 0, "gain": 0}
    plain, *darker = patches(image, [7, 9, 23, 29], jitter=Jitter(**still, light=0.8))
    shares = np.array([copy.mean() / plain.mean() for copy in darker])
    assert 0.18 < shares.min() < 0.4 < 0.8 < shares.max() <= 1.0
    contrasts = np.array([copy.std() / plain.std() for copy in darker])
    np.testing.assert_allclose(contrasts, shares, rtol=0.1)


def test_noise_and_blur_change_contrast_their_own_ways(rng):
    image = rng.integers(60, 196, (50, 60)).astype(np.uint8)
    still = {"n_copies": 20, "mirror": False, "shift": 0, "scale": 0, "rotation": 0, "gain": 0}
    plain, *noisy = patches(image, [7, 9, 23, 29], jitter=Jitter(**still, pixel_noise=30.0))
    assert all(copy.std() >= plain.std() - 1 for copy in noisy)
    residues = [(copy.astype(float) - plain).std() for copy in noisy]
    assert min(residues) < 10 < 20 < max(residues) < 33
    assert len({copy.tobytes() for copy in noisy}) == 20
    plain, *blurred = patches(image, [7, 9, 23, 29], jitter=Jitter(**still, blur=2.0))
    assert all(copy.std() <= plain.std() for copy in blurred)
    assert min(copy.std() for copy in blurred) < 0.4 * plain.std()
    assert all(abs(copy.mean() - plain.mean()) < 5 for copy in blurred)


def test_jitter_without_ranges_makes_equal_copies(rng):
    image = rng.integers(0, 256, (50, 60)).astype(np.uint8)
    got = patches(image, [7, 9, 23, 29], jitter=Jitter(3, False, 0, 0, 0, 0))
    assert len(got) == 4
    assert (got == got[0]).all()


def test_jitter_is_reproducible_and_counts_its_copies(rng):
    image, jitter = smooth(rng), Jitter(n_copies=4)
    first, again, other = (patches(image, [7, 9, 23, 29], jitter=jitter, seed=s) for s in (1, 1, 2))
    assert len(first) == 10
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[2:], other[2:])


def test_draw_changes_stay_within_their_limits(rng):
    jitter = Jitter(n_copies=300, shift=0.1, scale=0.2, rotation=5.0, gain=0.3)
    first, *others = draw_changes(jitter, rng)
    assert (first.shift_x, first.scale, first.rotation, first.gain) == (0.0, 1.0, 0.0, 1.0)
    assert max(abs(c.shift_x) for c in others) <= 0.1
    assert max(abs(c.rotation) for c in others) <= 5.0
    assert all(1 / 1.2 <= c.scale <= 1.2 for c in others)
    assert all(1 / 1.3 <= c.gain <= 1.3 for c in others)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_copies": -1}, r"'n_copies' parameter of Jitter .* \[0, 1000\]"),
        ({"mirror": 1}, "'mirror' parameter of Jitter must be True or False"),
        ({"shift": -0.1}, "'shift' parameter"),
        ({"scale": 1.0}, r"'scale' parameter .* \[0, 0.9\]"),
        ({"rotation": 200}, "'rotation' parameter"),
        ({"gain": float("nan")}, "'gain' parameter"),
        ({"blur": -1}, "'blur' parameter"),
        ({"light": 1.0}, r"'light' parameter .* \[0, 0.99\]"),
        ({"pixel_noise": 300}, r"'pixel_noise' parameter .* \[0, 255\]"),
    ],
)
def test_jitter_errors(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Jitter(**parameters)


@pytest.mark.parametrize(
    "channels",
    [
        HOG(cell_size=4),
        HOG(cell_size=4, n_orientations=12, signed=True, interpolate=True, epsilon=2.0),
        HOG(cell_size=6, block_size=3, gamma=True),
        HOG(cell_size=4, color="rgb", interpolate=True),
        ACF(),
        ACF(color="rgb", smooth_after=True, smooth_before=True),
        ACF(cell_size=4, normalise="none"),
    ],
    ids=["plain", "default", "gamma", "rgb", "acf", "acf-rgb", "acf-none"],
)
@pytest.mark.parametrize("object_box", [None, (3.0, 2.0, 20.0, 23.0)])
def test_positive_on_the_grid_equals_what_the_scan_sees(rng, channels, object_box):
    shape = (60, 70, 3) if channels.color == "rgb" else (60, 70)
    image = rng.integers(0, 256, shape).astype(np.uint8)
    window = Window((24, 24), object_box)
    level = Pyramid(padding=2 * channels.cell_size).plan((60, 70), channels, [window])[0]
    values = channels.compute(make_level(image, level))
    rows, columns = np.array([1, 3, 5, 7]), np.array([6, 2, 1, 8])  # the first lies at the border
    seen = channels.window_features(values, channels.grid_shape(window.size), rows, columns)
    for box, ref in zip(windows_to_boxes(level, window, rows, columns), seen, strict=True):
        got = object_features(image, box, window, channels, PLAIN, rng).features
        np.testing.assert_allclose(got[0], ref, atol=1e-5)


def test_positive_on_a_coarser_level_is_close_to_what_the_scan_sees(rng):
    channels, window = HOG(cell_size=4, interpolate=True, epsilon=2.0), Window((24, 24))
    image = smooth(rng, (120, 140)).astype(np.uint8)
    level = Pyramid().plan((120, 140), channels, [window])[5]
    values = channels.compute(make_level(image, level))
    rows, columns = np.array([3, 5]), np.array([4, 8])
    seen = channels.window_features(values, channels.grid_shape(window.size), rows, columns)
    for box, ref in zip(windows_to_boxes(level, window, rows, columns), seen, strict=True):
        got = object_features(image, box, window, channels, PLAIN, rng).features[0]
        assert np.corrcoef(got, ref)[0, 1] > 0.97


@pytest.mark.parametrize("level_index", [3, 8])  # white noise at a quarter is too much to ask
def test_positive_on_a_coarser_level_is_as_sharp_as_what_the_scan_sees(rng, level_index):
    image = cv2.GaussianBlur(rng.integers(0, 256, (260, 280)).astype(np.float32), (0, 0), 1)
    window = Window((24, 24))
    level = Pyramid(padding=0).plan((260, 280), HOG(cell_size=4), [window])[level_index]
    seen = make_level(image, level)
    ratios = []
    for row, column in rng.integers(1, 5, (20, 2)):
        box = windows_to_boxes(level, window, [row], [column])[0]
        ref = seen[row * 4 : row * 4 + 24, column * 4 : column * 4 + 24]
        ratios.append(patches(image, box, window)[0].std() / ref.std())
    assert np.mean(ratios) > 0.95


def test_with_margin_reflects_oddly():
    ramp = np.arange(50, 90, 5, dtype=np.uint8)[None, :].repeat(8, axis=0)
    got = with_margin(ramp, 3)
    assert got.shape == (14, 14)
    # A ramp goes on as a ramp: no seam for a classifier to see.
    assert np.diff(got[5].astype(int)).tolist() == [5] * 13
    np.testing.assert_array_equal(got[3:-3, 3:-3], ramp)


def test_with_margin_stays_within_grey_levels():
    crop = np.array([[0, 255, 0], [255, 0, 255], [0, 255, 0]], np.uint8)
    got = with_margin(crop, 1)
    assert (got[0, 1:-1].tolist(), got[1:-1, 0].tolist()) == ([0, 255, 0], [0, 255, 0])


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3)])
def test_with_margin_is_at_most_a_crop(rng, shape):
    crop = rng.integers(0, 256, shape).astype(np.uint8)
    assert with_margin(crop, 100).shape == (16, 19, *shape[2:])
    np.testing.assert_array_equal(with_margin(crop, 0), crop)
