"""The window grid: boxes and back, what a pyramid can reach, and why not."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import boxes as box_ops
from bootstrap_det.channels import HOG
from bootstrap_det.channels.gather import gather_windows
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.pyramid import LevelPlan, Pyramid
from bootstrap_det.windows import (
    Window,
    boxes_to_windows,
    check_reach,
    nearest_windows,
    window_positions,
    windows_to_boxes,
)

CHANNELS = HOG(cell_size=4)
WINDOW = Window((24, 24))


def plan(size=(160, 200), window=WINDOW, **parameters):
    return Pyramid(**parameters).plan(size, CHANNELS, [window])


def reach(box, size=(160, 200), window=WINDOW, **parameters):
    """Return overlap and reason of one box."""
    found = check_reach(plan(size, window, **parameters), window, CHANNELS, [box])
    assert found.reachable[0] == (found.overlap[0] >= 0.5) == (found.reasons[0] == "")
    return found.overlap[0], found.reasons[0]


@st.composite
def level_and_window(draw):
    size = draw(st.tuples(st.integers(20, 500), st.integers(20, 500)))
    scale = draw(st.tuples(st.floats(0.1, 4.0), st.floats(0.1, 4.0)))
    level = LevelPlan(0, size, scale, draw(st.integers(0, 32)), draw(st.integers(2, 16)))
    x1, y1 = draw(st.floats(-20, 20)), draw(st.floats(-20, 20))
    box = (x1, y1, x1 + draw(st.floats(4, 90)), y1 + draw(st.floats(4, 90)))
    return level, Window((draw(st.integers(4, 99)), draw(st.integers(4, 99))), box)


@given(level_and_window(), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200))))
def test_boxes_to_windows_inverts_windows_to_boxes(case, positions):
    level, window = case
    rows, columns = np.array(positions, int).reshape(-1, 2).T
    boxes = windows_to_boxes(level, window, rows, columns)
    back = boxes_to_windows(level, window, boxes)
    np.testing.assert_allclose(back[0], rows, atol=1e-6)
    np.testing.assert_allclose(back[1], columns, atol=1e-6)


def test_windows_to_boxes_by_hand():
    level = LevelPlan(0, (50, 100), (0.5, 0.25), 8, 4)
    window = Window((24, 16), (2, 4, 12, 24))
    # Column 3 begins at pixel 12 of the padded level, 4 of the level, 16 of the picture.
    got = windows_to_boxes(level, window, [2], [3])
    assert got.tolist() == [[(4 + 2) / 0.25, (0 + 4) / 0.5, (4 + 12) / 0.25, (0 + 24) / 0.5]]


def test_boxes_to_windows_goes_by_the_centre():
    level = LevelPlan(0, (100, 100), (1.0, 1.0), 0, 4)
    rows, columns = boxes_to_windows(level, WINDOW, [[16, 20, 40, 44], [10, 14, 46, 50]])
    assert rows.tolist() == [5, 5]
    assert columns.tolist() == [4, 4]


@pytest.mark.parametrize("size", [(24, 24), (27, 40), (100, 31)])
def test_window_positions_are_all_that_fit(size):
    level = LevelPlan(0, size, (1.0, 1.0), 0, 4)
    rows, columns = window_positions(level, WINDOW, CHANNELS)
    boxes = windows_to_boxes(level, WINDOW, [rows - 1, rows], [columns - 1, columns])
    assert boxes[0, 3] <= size[0] < boxes[1, 3]
    assert boxes[0, 2] <= size[1] < boxes[1, 2]


def test_window_positions_none_fits():
    assert window_positions(LevelPlan(0, (23, 99), (1.0, 1.0), 0, 4), WINDOW, CHANNELS) == (0, 0)


def test_gather_windows_orders_as_channel_row_column(rng):
    values = rng.normal(size=(3, 7, 8)).astype(np.float32)
    got = gather_windows(values, (2, 4), np.array([0, 5]), np.array([4, 1]))
    np.testing.assert_array_equal(got[0], values[:, 0:2, 4:8].ravel())
    np.testing.assert_array_equal(got[1], values[:, 5:7, 1:5].ravel())


def test_gather_windows_of_nothing_has_the_right_shape():
    none = np.zeros(0, int)
    assert gather_windows(np.zeros((3, 7, 8), np.float32), (2, 4), none, none).shape == (0, 24)


def test_nearest_windows_tells_where(rng):
    plans = plan()
    rows, columns = np.array([3, 10]), np.array([7, 0])
    boxes = windows_to_boxes(plans[5], WINDOW, rows, columns)
    overlap, where = nearest_windows(plans, WINDOW, CHANNELS, boxes)
    np.testing.assert_allclose(overlap, 1.0)
    assert where.tolist() == [[5, 3, 7], [5, 10, 0]]


def test_nearest_windows_is_the_best_of_all_windows(rng):
    plans = plan((60, 70), scales_per_octave=2)
    every = []
    for level in plans:
        rows, columns = np.indices(window_positions(level, WINDOW, CHANNELS)).reshape(2, -1)
        every.append(windows_to_boxes(level, WINDOW, rows, columns))
    corners = rng.uniform(0, 30, (20, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(22, 40, (20, 1))], axis=1)
    got, _ = nearest_windows(plans, WINDOW, CHANNELS, boxes)
    ref = box_ops.overlap(boxes, np.concatenate(every)).max(axis=1)
    # The nearest centre is the best window, but for the pull of the other axis.
    np.testing.assert_allclose(got, ref, atol=0.02)


def test_nearest_windows_without_levels():
    overlap, where = nearest_windows([], WINDOW, CHANNELS, [[0, 0, 9, 9]])
    assert overlap.tolist() == [0.0]
    assert where.tolist() == [[-1, -1, -1]]


@given(
    st.integers(80, 300),
    st.integers(80, 300),
    st.floats(24, 70),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from([4, 8]),
)
def test_reach_of_covered_objects_has_a_bound(height, width, side, at_y, at_x, per_octave):
    x, y = at_x * (width - side), at_y * (height - side)
    plans = plan((height, width), scales_per_octave=per_octave)
    overlap, _ = nearest_windows(plans, WINDOW, CHANNELS, [[x, y, x + side, y + side]])
    # At worst it lies half a cell off on both axes, and half a step between two levels.
    shared = (24 + 24 * 2 ** (0.5 / per_octave)) / 2 - 2
    bound = shared**2 / (24**2 * (1 + 2 ** (1 / per_octave)) - shared**2)
    rounding = 0.03  # levels have whole pixels
    assert overlap[0] >= bound - rounding


@pytest.mark.parametrize("corner", [(0, 0), (176, 0), (0, 136), (176, 136)])
def test_reach_objects_at_the_border(corner):
    x, y = corner
    assert reach([x, y, x + 24, y + 24])[0] == 1.0


@pytest.mark.parametrize("corner", [(-8, 40), (184, 40), (40, -8), (40, 144)])
def test_reach_objects_past_the_border_thanks_to_padding(corner):
    x, y = corner
    with_padding, _ = reach([x, y, x + 24, y + 24], padding=8)
    without, _ = reach([x, y, x + 24, y + 24], padding=0)
    assert with_padding == 1.0
    assert without < 0.6


def test_reach_object_in_the_corner_that_no_cell_fills():
    box = [103 - 24, 83 - 24, 103, 83]  # 103 x 83 is no multiple of the cell
    assert reach(box, size=(83, 103), padding=4)[0] > 0.7


@pytest.mark.parametrize(
    ("box", "parameters", "message"),
    [
        ([50, 50, 60, 60], {}, r"10x10 px is below the smallest window \(24 px high\).*0.17 < 0.5"),
        ([50, 50, 60, 60], {}, "lower min_object_size"),
        ([0, 0, 90, 90], {"max_object_size": 40}, r"above the largest window \(\d+ px high\)"),
        ([0, 0, 90, 90], {"max_object_size": 40}, "raise max_object_size"),
        ([10, 10, 110, 40], {}, "100x30 px, aspect 3.33 against 1.00 of the template"),
        ([10, 10, 110, 40], {}, "second template"),
        ([-20, 50, 4, 74], {}, "too far outside the picture or between two window positions"),
        ([-20, 50, 4, 74], {}, "raise the padding or scales_per_octave, or take smaller cells"),
    ],
)
def test_reach_says_why_not(box, parameters, message):
    overlap, reason = reach(box, **parameters)
    assert overlap < 0.5
    assert re.search(message, reason), reason


def test_reach_picture_smaller_than_the_window():
    overlap, reason = reach([0, 0, 20, 20], size=(20, 20), padding=0)
    assert overlap == 0.0
    assert reason.startswith("the picture is smaller than the 24x24 window")


def test_reach_max_object_size_below_the_template():
    with pytest.raises(ParameterError, match=r"max_object_size \(10 px\) is below the smallest"):
        reach([50, 50, 74, 74], max_object_size=10)


def test_reach_all_fine():
    found = check_reach(plan(), WINDOW, CHANNELS, [[10, 10, 40, 40], [60, 50, 110, 100]])
    assert found.reachable.all()
    assert found.reasons == ("", "")


def test_reach_of_no_boxes():
    found = check_reach(plan(), WINDOW, CHANNELS, [])
    assert len(found.overlap) == len(found.reachable) == len(found.reasons) == 0


def test_reach_min_overlap_is_the_callers():
    box = [[50, 50, 72, 74]]
    assert check_reach(plan(), WINDOW, CHANNELS, box, min_overlap=0.6).reachable[0]
    strict = check_reach(plan(), WINDOW, CHANNELS, box, min_overlap=0.99)
    assert "< 0.99" in strict.reasons[0]


def test_window_object_defaults_to_the_whole_window():
    window = Window((32, 16))
    assert window.object_box == (0.0, 0.0, 16.0, 32.0)
    assert window.object_size == (32.0, 16.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((3, 24),), r"'size' parameter of Window .* ints in \[4, 4096\]. Got \(3, 24\)"),
        ((24,), "'size' parameter of Window .* pair"),
        (((24.0, 24),), "'size' parameter of Window"),
        (((24, 24), (4, 4, 4, 9)), "'object_box' .* x1 < x2 and y1 < y2"),
        (((24, 24), (4, 4, 9)), "'object_box' parameter of Window must be finite x1, y1, x2, y2"),
        (((24, 24), (0, 0, float("nan"), 9)), "'object_box'"),
    ],
)
def test_window_errors(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Window(*arguments)


def test_window_object_box_must_be_finite():
    with pytest.raises(ParameterError, match="must be finite"):
        Window((24, 24), (0, 0, np.inf, np.inf))


def test_reach_box_without_area_says_so():
    overlap, reason = reach([10, 10, 40, 10])
    assert overlap == 0.0
    assert "has no area" in reason
