"""The plan of a pyramid is geometry that can be checked by hand; its levels are resampled."""

import cv2
import numpy as np
import pytest

from bootstrap_det import pyramid as pyramid_module
from bootstrap_det.channels import HOG
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.pyramid import Pyramid, make_level
from bootstrap_det.windows import Window, window_positions

CHANNELS = HOG(cell_size=4)
WINDOW = Window((24, 24))


def plan(size, window=WINDOW, **parameters):
    return Pyramid(**parameters).plan(size, CHANNELS, [window])


@pytest.mark.parametrize("scales_per_octave", [1, 3, 8])
def test_plan_sizes_halve_every_octave(scales_per_octave):
    levels = plan((480, 640), scales_per_octave=scales_per_octave)
    assert [level.size for level in levels[::scales_per_octave]][:4] == [
        (480, 640),
        (240, 320),
        (120, 160),
        (60, 80),
    ]


def test_plan_factors_are_new_over_old_on_each_axis():
    for level in plan((97, 211)):
        assert level.scale == (level.size[0] / 97, level.size[1] / 211)


def test_plan_first_level_is_the_picture_itself():
    first = plan((97, 211))[0]
    assert (first.index, first.size, first.scale) == (0, (97, 211), (1.0, 1.0))
    assert first.padded_size == (97 + 16, 211 + 16)


def test_plan_indices_count_up_and_sizes_fall():
    levels = plan((200, 300))
    assert [level.index for level in levels] == list(range(len(levels)))
    heights = [level.size[0] for level in levels]
    assert heights == sorted(heights, reverse=True)


def test_plan_smaller_objects_enlarge_the_picture():
    assert plan((60, 80), min_object_size=12)[0].size == (120, 160)


def test_plan_larger_objects_skip_the_large_levels():
    assert plan((480, 640), min_object_size=48)[0].size == (240, 320)


def test_plan_counts_the_object_not_the_window():
    window = Window((32, 32), object_box=(8, 8, 24, 24))
    assert plan((64, 64), window, min_object_size=8)[0].size == (128, 128)


def test_plan_max_object_size_ends_the_pyramid():
    levels = plan((480, 640), max_object_size=48)
    assert levels[-1].size == (240, 320)
    assert len(levels) == 9


@pytest.mark.parametrize("padding", [0, 8])
def test_plan_last_level_is_the_last_that_holds_the_window(padding):
    levels = plan((130, 170), padding=padding)
    assert all(min(window_positions(level, WINDOW, CHANNELS)) > 0 for level in levels)
    one_more = 2.0 ** (-len(levels) / 8)
    assert CHANNELS.grid_shape((round(130 * one_more) + 2 * padding, 170))[0] < 5


def test_plan_of_several_windows_ends_with_the_smallest():
    small = Window((16, 16))
    both = Pyramid(padding=0).plan((64, 64), CHANNELS, [WINDOW, small])
    # It begins where the larger one finds objects of the smaller one's size.
    assert both[0].size == (96, 96)
    assert window_positions(both[-1], small, CHANNELS) != (0, 0)
    assert window_positions(both[-1], WINDOW, CHANNELS) == (0, 0)


def test_plan_picture_smaller_than_the_window_is_empty():
    assert plan((20, 100), padding=0) == []
    assert plan((1, 1), padding=0) == []


def test_plan_padding_helps_small_pictures():
    assert len(plan((20, 20), padding=2)) == 1


def test_plan_refuses_an_enormous_enlargement():
    with pytest.raises(ParameterError, match=r"enlarged for objects of 1 px .* Raise min_object_s"):
        plan((4000, 4000), min_object_size=1)


def test_plan_limit_counts_the_padding(monkeypatch):
    monkeypatch.setattr(pyramid_module, "MAX_LEVEL_PIXELS", 100 * 100)
    assert plan((84, 84))[0].padded_size == (100, 100)
    with pytest.raises(ParameterError, match="have 10100 pixels, more than 10000"):
        plan((84, 85))


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_make_level_at_scale_1_is_the_picture(rng, shape, dtype):
    image = rng.integers(0, 256, shape).astype(dtype)
    level = make_level(image, plan((40, 50))[0])
    assert level.dtype == dtype
    np.testing.assert_array_equal(level[8:-8, 8:-8], image)


def test_make_level_padding_repeats_the_border(rng):
    image = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    level = make_level(image, plan((40, 50))[0])
    assert (level[:8, 8:-8] == image[0]).all()
    assert (level[8:-8, -8:] == image[:, -1:]).all()


def test_make_level_averages_areas(rng):
    image = rng.integers(0, 256, (60, 80)).astype(np.float32)
    half = plan((60, 80), padding=0, min_object_size=48)[0]
    ref = image.reshape(30, 2, 40, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(make_level(image, half), ref, atol=1e-3)


def test_make_level_enlarges_linearly(rng):
    image = rng.integers(0, 256, (20, 30)).astype(np.uint8)
    level = make_level(image, plan((20, 30), padding=0, min_object_size=12)[0])
    np.testing.assert_array_equal(level, cv2.resize(image, (60, 40)))


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_make_level_keeps_a_constant_picture(shape):
    image = np.full(shape, 77, np.uint8)
    for level in plan((40, 50), min_object_size=17):
        got = make_level(image, level)
        assert got.shape[:2] == level.padded_size
        assert (got == 77).all()


def test_iter_levels_are_the_channels_of_each_level(rng):
    image = rng.integers(0, 256, (50, 60)).astype(np.uint8)
    plans = plan((50, 60))
    levels = Pyramid().iter_levels(image, plans, CHANNELS)
    for (level, values), expected in zip(levels, plans, strict=True):
        assert level is expected
        np.testing.assert_array_equal(values, CHANNELS.compute(make_level(image, level)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"scales_per_octave": 0}, r"'scales_per_octave' parameter of Pyramid .* \[1, 64\]"),
        ({"min_object_size": 0.5}, r"'min_object_size' .* \[1, 100000\]. Got 0.5"),
        ({"max_object_size": float("inf")}, "'max_object_size' .* finite number .* Got inf"),
        ({"padding": -1}, r"'padding' .* an int in \[0, 1024\]. Got -1"),
        ({"min_object_size": 30, "max_object_size": 20}, r"\(30\) must not exceed .* \(20\)"),
    ],
)
def test_pyramid_parameter_errors(parameters, message):
    with pytest.raises(ParameterError, match=message):
        Pyramid(**parameters)


def test_covers_includes_both_limits():
    pyramid = Pyramid(min_object_size=20, max_object_size=40)
    assert [pyramid.covers(h) for h in (19, 20, 30, 40, 41)] == [False, True, True, True, False]
    assert Pyramid().covers(1)
    assert Pyramid().covers(10_000)


def test_get_params_makes_the_same_pyramid():
    pyramid = Pyramid(scales_per_octave=3, min_object_size=11.5, max_object_size=90, padding=4)
    assert Pyramid(**pyramid.get_params()).get_params() == pyramid.get_params()
