"""Detections that the last frames steady: the rule by hand, and what holds for any detections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det.boxes import score_order
from bootstrap_det.detections import Detections
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.smoothing import Smoother, smooth

BOX = [10.0, 10.0, 30.0, 30.0]
FAR = [60.0, 60.0, 80.0, 80.0]


def frame(*entries):
    """Return detections of (box, score) or (box, score, label)."""
    filled = [(*entry, "cross")[:3] for entry in entries]
    if not filled:
        return Detections()
    boxes, scores, labels = zip(*filled, strict=True)
    return Detections(np.array(boxes), np.array(scores, float), np.array(labels))


def run(frames, n_frames, threshold=0.0):
    smoother = Smoother(n_frames, threshold)
    return [smoother.smooth(each) for each in frames]


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("boxes", "scores", "labels")
    )


@st.composite
def videos(draw):
    """Draw the detections of a few frames, near two places, of two labels, weak ones among them."""
    frames = []
    for _ in range(draw(st.integers(1, 8))):
        n = draw(st.integers(0, 4))
        near = draw(st.lists(st.sampled_from([BOX, FAR]), min_size=n, max_size=n))
        moved = draw(st.lists(st.integers(-12, 12), min_size=n, max_size=n))
        scores = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
        labels = draw(st.lists(st.sampled_from(["cross", "bar"]), min_size=n, max_size=n))
        boxes = np.array(near, float).reshape(n, 4) + np.array(moved, float).reshape(n, 1)
        found = Detections(boxes, np.array(scores, float), np.array(labels, dtype=np.str_))
        frames.append(found[score_order(found.boxes, found.scores)])
    return frames


def test_boxes_are_averaged_with_falling_weights():
    moved = [14.0, 10.0, 34.0, 30.0]
    got = run([frame((BOX, 1)), frame((BOX, 1)), frame((moved, 2))], 3)[-1]
    assert got.boxes == pytest.approx(np.array([[10 + 16 / 7, 10, 30 + 16 / 7, 30]]))
    assert got.scores.tolist() == [2]


def test_a_weak_detection_is_kept_where_most_frames_had_it():
    above, weak = frame((BOX, 1)), frame((BOX, -0.5))
    assert len(run([above, above, above, weak], 5)[-1]) == 1
    assert len(run([above, above, weak, weak], 5)[-1]) == 0  # in two of five
    assert len(run([above, weak], 2)[-1]) == 0  # in one of two, which is not most
    assert run([above, above, weak], 3)[-1].scores.tolist() == [-0.5]


def test_what_is_weak_for_ever_never_appears():
    assert sum(map(len, run([frame((BOX, -0.5))] * 9, 3))) == 0


def test_what_is_in_one_frame_alone_is_dropped():
    nothing, flash = frame(), frame((BOX, 3))
    assert [len(each) for each in run([nothing, flash, nothing, flash], 2)] == [0, 0, 0, 0]
    assert [len(each) for each in run([nothing, flash, flash, flash], 3)] == [0, 0, 1, 1]
    assert [len(each) for each in run([flash, nothing], 3)] == [1, 0]  # nothing speaks against it


def test_a_new_object_follows_a_weak_one():
    assert len(run([frame(), frame((BOX, -0.5)), frame((BOX, 1))], 3)[-1]) == 1


def test_partners_have_the_label_and_the_place():
    other_label, elsewhere = frame((BOX, 1, "bar")), frame((FAR, 1))
    for other in (other_label, elsewhere):
        assert len(run([other, frame((BOX, 1))], 3)[-1]) == 0
    got = run([frame((BOX, 1), (FAR, 2)), frame((FAR, 3), (BOX, 1))], 3)[-1]
    assert got.boxes.tolist() == [FAR, BOX]


def test_an_object_that_is_missing_is_not_made_up():
    assert len(run([frame((BOX, 1))] * 4 + [frame()], 5)[-1]) == 0


@given(videos(), st.integers(1, 5))
def test_order_and_origin(frames, n_frames):
    for found, got in zip(frames, run(frames, n_frames), strict=True):
        assert np.array_equal(score_order(got.boxes, got.scores), np.arange(len(got)))
        pairs = set(zip(found.labels.tolist(), found.scores.tolist(), strict=True))
        assert set(zip(got.labels.tolist(), got.scores.tolist(), strict=True)) <= pairs


@given(videos())
def test_one_frame_changes_nothing(frames):
    for found, got in zip(frames, run(frames, 1), strict=True):
        assert same(got, found[found.scores >= 0])


@given(videos(), st.integers(1, 5))
def test_a_constant_scene_does_not_flicker(frames, n_frames):
    scene = frames[0]
    expected = scene[scene.scores >= 0]
    for got in run([scene] * 6, n_frames):
        order = np.argsort(expected.scores, kind="stable")
        assert sorted(got.scores) == sorted(expected.scores[order])


def test_boxes_of_a_constant_scene_stand_still():
    scene = frame((BOX, 2), (FAR, 1))
    for got in run([scene] * 6, 4):
        assert got.boxes == pytest.approx(scene.boxes, abs=1e-9)


@given(videos(), st.integers(1, 5), st.integers(0, 7))
def test_no_future_frame_has_a_say(frames, n_frames, cut):
    whole, part = run(frames, n_frames), run(frames[: cut + 1], n_frames)
    assert all(same(a, b) for a, b in zip(whole, part, strict=False))


@given(videos(), st.integers(1, 5))
def test_only_the_last_frames_have_a_say(frames, n_frames):
    assert same(run(frames, n_frames)[-1], smooth(frames[-n_frames:], n_frames, 0.0))


def test_parameters_are_checked():
    with pytest.raises(ParameterError, match="'n_frames' parameter of Smoother"):
        Smoother(0, 0.0)
    with pytest.raises(ParameterError, match="'min_overlap' parameter of Smoother"):
        Smoother(2, 0.0, min_overlap=1.5)
