"""Octaves and areas: halves are exact, sizes between are close to OpenCV's and to the truth."""

import cv2
import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap_det.resample import Octaves

sides = st.integers(1, 40)


def picture(rng, shape):
    return rng.integers(0, 256, shape).astype(np.uint8)


def difference(a, b):
    return np.abs(a.astype(float) - b).max(initial=0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_halves_are_rounded_means(seed, height, width):
    image = picture(np.random.default_rng(seed), (2 * height, 2 * width))
    half = Octaves(image).resized((height, width))
    np.testing.assert_array_equal(half, naive.halved(image))


def test_quarters_are_halves_of_halves(rng):
    image = picture(rng, (48, 64))
    octaves = Octaves(image)
    ref = naive.halved(naive.halved(image))
    np.testing.assert_array_equal(octaves.resized((12, 16)), ref)
    np.testing.assert_array_equal(octaves.resized((6, 8)), naive.halved(ref))


@given(st.integers(0, 2**32 - 1), sides, sides, st.floats(0.5, 1.0))
def test_sizes_between_are_means_over_areas(seed, height, width, factor):
    image = picture(np.random.default_rng(seed), (height, width))
    size = (max(round(height * factor), 1), max(round(width * factor), 1))
    if 2 * size[0] <= height and 2 * size[1] <= width:
        return  # this is a half
    assert difference(Octaves(image).resized(size), naive.area_mean(image, size)) <= 2.5


@given(st.integers(0, 2**32 - 1), st.integers(4, 120), st.integers(4, 120), st.floats(0.51, 1.0))
def test_sizes_between_are_close_to_opencvs(seed, height, width, factor):
    # Blotches, as in pictures; in white noise, OpenCV's own rounding is larger.
    rng = np.random.default_rng(seed)
    image = cv2.GaussianBlur(picture(rng, (height, width)), (0, 0), 1.0)
    size = (round(height * factor), round(width * factor))
    ref = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    assert difference(Octaves(image).resized(size), ref) <= 1 or min(size) * 2 <= min(height, width)


@settings(max_examples=25)
@given(
    st.integers(0, 255), st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from([0, 3])
)
def test_constant_pictures_stay_constant(value, shape, size, n_colors):
    shape = (*shape, n_colors) if n_colors else shape
    resized = Octaves(np.full(shape, value, np.uint8)).resized(size)
    assert resized.shape[:2] == size
    assert resized.ndim == len(shape)
    assert (resized == value).all()


@given(st.integers(0, 2**32 - 1), st.tuples(sides, sides), st.floats(0.05, 1.0))
def test_colours_are_resampled_one_by_one(seed, shape, factor):
    image = picture(np.random.default_rng(seed), (*shape, 3))
    size = tuple(max(round(side * factor), 1) for side in shape)
    together = Octaves(image).resized(size)
    for color in range(3):
        alone = Octaves(np.ascontiguousarray(image[:, :, color])).resized(size)
        np.testing.assert_array_equal(together[:, :, color], alone)


@given(st.integers(0, 2**32 - 1), st.tuples(sides, sides), st.floats(0.05, 0.5))
def test_small_sizes_keep_the_mean_and_the_place(seed, shape, factor):
    # A ramp: what is left out or shifted would show.
    rng = np.random.default_rng(seed)
    slope = rng.uniform(-1, 1, 2)
    ys, xs = np.indices(shape)
    image = 128 + slope[0] * (ys - shape[0] / 2) + slope[1] * (xs - shape[1] / 2)
    size = tuple(max(round(side * factor), 1) for side in shape)
    got = Octaves(np.rint(image).astype(np.uint8)).resized(size)
    lost = max(side / new for side, new in zip(shape, size, strict=True))
    assert difference(got, naive.area_mean(image, size)) <= 2 + lost


def test_size_of_its_own_is_the_picture(rng):
    image = picture(rng, (20, 30))
    assert Octaves(image).resized((20, 30)) is image


def test_order_of_sizes_does_not_matter(rng):
    image, sizes = picture(rng, (61, 83)), [(7, 10), (30, 41), (50, 70), (15, 20), (3, 4)]
    octaves, backwards = Octaves(image), Octaves(image)
    there = [octaves.resized(size) for size in sizes]
    back = [backwards.resized(size) for size in reversed(sizes)][::-1]
    for one, other in zip(there, back, strict=True):
        np.testing.assert_array_equal(one, other)


def test_views_are_read_and_left_alone(rng):
    image = picture(rng, (60, 80, 3))
    before, view = image.copy(), image[::2, ::-1]
    for size in ((15, 40), (20, 61), (11, 13)):
        np.testing.assert_array_equal(
            Octaves(view).resized(size), Octaves(view.copy()).resized(size)
        )
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
@pytest.mark.parametrize("size", [(20, 25), (31, 38), (40, 20), (60, 70)])
def test_floats_are_resampled_by_opencv(rng, shape, size):
    image = rng.uniform(0, 255, shape).astype(np.float32)
    how = cv2.INTER_LINEAR if size[0] > 40 else cv2.INTER_AREA
    got = Octaves(image).resized(size)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, cv2.resize(image, size[::-1], interpolation=how))


@pytest.mark.parametrize("size", [(60, 70), (40, 51), (80, 20)])
def test_larger_sizes_are_interpolated(rng, size):
    image = picture(rng, (40, 50))
    ref = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(Octaves(image).resized(size), ref)
