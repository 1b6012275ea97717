"""Boxes: conversions, overlap, and the properties of non-maximum suppression."""

import cv2
import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import boxes as box_ops
from bootstrap_det.exceptions import ParameterError


def random_boxes(rng, n, size=100.0):
    corners = rng.uniform(0, size, (n, 2))
    return np.concatenate([corners, corners + rng.uniform(5, 40, (n, 2))], axis=1)


@st.composite
def scored_boxes(draw):
    """Draw up to 40 boxes on a coarse grid, with ties among boxes and among scores."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(0, 40))
    corners = rng.integers(0, 12, (n, 2))
    boxes = np.concatenate([corners, corners + rng.integers(1, 9, (n, 2))], axis=1).astype(float)
    return boxes, rng.integers(-3, 4, n).astype(float)


thresholds = st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])
kinds = st.sampled_from(["iou", "min"])


@given(scored_boxes(), thresholds, kinds)
def test_nms_kept_boxes_do_not_overlap_more_than_the_threshold(case, threshold, kind):
    boxes, scores = case
    kept = box_ops.nms(boxes, scores, threshold=threshold, kind=kind)
    overlap = box_ops.overlap(boxes[kept], boxes[kept], kind=kind)
    assert (overlap[~np.eye(len(kept), dtype=bool)] <= threshold).all()


@given(scored_boxes(), thresholds, kinds)
def test_nms_dropped_boxes_overlap_a_kept_one_that_scores_as_much(case, threshold, kind):
    boxes, scores = case
    kept = box_ops.nms(boxes, scores, threshold=threshold, kind=kind)
    for i in set(range(len(boxes))) - set(kept.tolist()):
        better = kept[scores[kept] >= scores[i]]
        assert box_ops.overlap(boxes[[i]], boxes[better], kind=kind).max() > threshold


@given(scored_boxes(), thresholds)
def test_nms_is_idempotent(case, threshold):
    boxes, scores = case
    kept = box_ops.nms(boxes, scores, threshold=threshold)
    again = box_ops.nms(boxes[kept], scores[kept], threshold=threshold)
    assert again.tolist() == list(range(len(kept)))


@given(scored_boxes(), thresholds, st.integers(0, 2**32 - 1))
def test_nms_does_not_depend_on_the_order(case, threshold, seed):
    boxes, scores = case
    shuffled = np.random.default_rng(seed).permutation(len(boxes))
    one = box_ops.nms(boxes, scores, threshold=threshold)
    other = shuffled[box_ops.nms(boxes[shuffled], scores[shuffled], threshold=threshold)]
    np.testing.assert_array_equal(boxes[one], boxes[other])
    np.testing.assert_array_equal(scores[one], scores[other])


@given(scored_boxes(), st.integers(0, 45))
def test_nms_max_kept_is_a_prefix(case, max_kept):
    boxes, scores = case
    some, full = box_ops.nms(boxes, scores, max_kept=max_kept), box_ops.nms(boxes, scores)
    assert some.tolist() == full[:max_kept].tolist()


@given(scored_boxes())
def test_nms_is_sorted_by_falling_score(case):
    boxes, scores = case
    assert (np.diff(scores[box_ops.nms(boxes, scores)]) <= 0).all()


@pytest.mark.parametrize("threshold", [0.15, 0.3, 0.6])
def test_nms_keeps_what_opencv_keeps(rng, threshold):
    boxes, scores = random_boxes(rng, 300), rng.normal(size=300)
    # OpenCV drops scores that are not above its (non-negative) score threshold: hence the shift.
    shifted = scores - scores.min() + 1.0
    ref = cv2.dnn.NMSBoxes(box_ops.xyxy_to_xywh(boxes), shifted, 0.0, threshold)
    assert box_ops.nms(boxes, scores, threshold=threshold).tolist() == list(ref)


def test_nms_by_smaller_drops_the_part_inside_the_whole():
    boxes, scores = [[0, 0, 100, 100], [40, 40, 60, 60]], [2.0, 1.0]
    assert box_ops.nms(boxes, scores, threshold=0.5).tolist() == [0, 1]
    assert box_ops.nms(boxes, scores, threshold=0.5, kind="min").tolist() == [0]


def test_nms_breaks_ties_by_coordinates():
    boxes = [[9, 0, 19, 10], [0, 5, 10, 15], [0, 0, 10, 10]]
    assert box_ops.nms(boxes, [1, 1, 1], threshold=1.0).tolist() == [2, 1, 0]


def test_nms_of_nothing_is_empty():
    assert box_ops.nms([], []).shape == (0,)


@pytest.mark.parametrize(
    ("boxes", "scores", "parameters", "message"),
    [
        ([[0, 0, 1, 1]], [1, 2], {}, r"shape \(1,\), one for each box. Got \(2,\)"),
        ([[0, 0, 1, 1]], [np.nan], {}, "must be finite"),
        ([[0, 0, np.inf, 1]], [1], {}, "must be finite"),
        ([[0, 0, 1]], [1], {}, r"boxes must be an array of shape \(n, 4\)"),
        ([], [], {"threshold": 1.5}, r"'threshold' parameter of nms .* \[0, 1\]. Got 1.5"),
        ([], [], {"kind": "giou"}, "'kind' parameter of nms must be one of 'iou', 'min'"),
        ([], [], {"max_kept": -1}, r"'max_kept' parameter of nms must be an int in \[0, inf\)"),
        ([], [], {"max_kept": True}, "'max_kept' parameter"),
    ],
)
def test_nms_errors(boxes, scores, parameters, message):
    with pytest.raises(ParameterError, match=message):
        box_ops.nms(boxes, scores, **parameters)


def test_overlap_by_hand():
    got = box_ops.overlap([[0, 0, 2, 2]], [[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2]])
    np.testing.assert_allclose(got, [[1, 1 / 7, 0]])
    assert box_ops.overlap([[0, 0, 4, 4]], [[1, 1, 2, 2]], kind="min") == 1.0


def test_overlap_is_symmetric_and_at_most_1(rng):
    boxes = random_boxes(rng, 20)
    got = box_ops.overlap(boxes, boxes)
    np.testing.assert_array_equal(got, got.T)
    assert got.max() == 1.0
    assert got.min() >= 0.0


def test_overlap_names_the_argument_that_is_wrong():
    with pytest.raises(ParameterError, match=r"others must be an array of shape \(n, 4\)"):
        box_ops.overlap([[0, 0, 1, 1]], [[1, 2, 3]])


def test_area_of_inverted_boxes_is_0():
    assert box_ops.area([[0, 0, 3, 2], [3, 0, 0, 2], [3, 3, 0, 0]]).tolist() == [6, 0, 0]


def test_clip_cuts_to_the_picture():
    got = box_ops.clip([[-5, -5, 15, 25], [30, 30, 40, 40]], (20, 10))
    assert got.tolist() == [[0, 0, 10, 20], [10, 20, 10, 20]]


def test_conversions_round_trip(rng):
    boxes = random_boxes(rng, 10)
    np.testing.assert_allclose(box_ops.xywh_to_xyxy(box_ops.xyxy_to_xywh(boxes)), boxes)
    assert box_ops.xyxy_to_xywh([[1, 2, 4, 8]]).tolist() == [[1, 2, 3, 6]]


def test_conversions_leave_their_input_alone(rng):
    boxes = random_boxes(rng, 4)
    before = boxes.copy()
    for convert in (box_ops.xyxy_to_xywh, box_ops.xywh_to_xyxy, box_ops.area):
        convert(boxes)
    box_ops.clip(boxes, (10, 10))
    np.testing.assert_array_equal(boxes, before)


def test_relative_whole_changes_nothing(rng):
    boxes = random_boxes(rng, 5)
    np.testing.assert_allclose(box_ops.relative(boxes, (0, 0, 1, 1)), boxes)
    assert box_ops.relative([[10, 20, 30, 60]], (0.5, -0.25, 1, 0.5)).tolist() == [[20, 10, 30, 40]]


def test_boxes_must_be_numbers():
    with pytest.raises(ParameterError, match="boxes must be numbers"):
        box_ops.area([["a", "b", "c", "d"]])


@given(scored_boxes(), thresholds, st.sampled_from([0.5, 6.0]), st.sampled_from([0.0, 2.0]))
def test_vote_is_that_of_the_naive_twin(case, threshold, temperature, hit_gain):
    boxes, scores = case
    parameters = {"temperature": temperature, "hit_gain": hit_gain, "usual_hits": 3.0}
    got = box_ops.vote(boxes, scores, threshold=threshold, **parameters)
    ref = naive.vote(boxes, scores, threshold, *parameters.values())
    for one, other in zip(got, ref, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_vote_a_box_alone_stays_where_it_is_and_is_believed_less():
    boxes, scores = box_ops.vote([[0, 0, 10, 10], [50, 50, 60, 60]], [1.0, 2.0])
    assert boxes.tolist() == [[0, 0, 10, 10], [50, 50, 60, 60]]
    assert (scores < [1.0, 2.0]).all()


def test_vote_many_hits_are_believed_more_than_one():
    crowd = np.array([[0, 0, 20, 20]]) + np.arange(-8, 8)[:, None] / 10
    boxes, scores = box_ops.vote([*crowd, [60, 60, 80, 80]], [1.0] * 16 + [2.0])
    assert scores[:16].min() > scores[16]
    np.testing.assert_allclose(boxes[:16], np.tile(crowd.mean(axis=0), (16, 1)), atol=1e-9)


def test_vote_of_nothing_is_nothing():
    boxes, scores = box_ops.vote(np.zeros((0, 4)), [])
    assert (boxes.shape, scores.shape) == ((0, 4), (0,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1.0, 2.0]}, r"scores must have shape \(1,\)"),
        ({"scores": [np.nan]}, "must be finite"),
        ({"threshold": 1.5}, r"'threshold' parameter of vote .* \[0, 1\]"),
        ({"temperature": 0}, "'temperature' parameter of vote"),
        ({"hit_gain": -1}, "'hit_gain' parameter of vote"),
        ({"usual_hits": 0}, "'usual_hits' parameter of vote"),
    ],
)
def test_vote_bad_input(change, message):
    with pytest.raises(ParameterError, match=message):
        box_ops.vote(**{"boxes": [[0, 0, 1, 1]], "scores": [0.5], **change})


def shuffled(case, seed):
    """Return the boxes and scores in another order, and where each came from."""
    order = np.random.default_rng(seed).permutation(len(case[0]))
    return case[0][order], case[1][order], order


sigmas = st.sampled_from([0.01, 0.1, 1.0])


@given(scored_boxes(), sigmas, kinds, st.sampled_from([None, -2.5, 0.0]))
def test_soft_nms_is_that_of_the_naive_twin(case, sigma, kind, min_score):
    boxes, scores = case
    scales = 1.0 + np.arange(len(scores)) % 3
    least = scores.min(initial=0.0) if min_score is None else min_score
    kept, lowered = box_ops.soft_nms(
        boxes, scores, scale=scales, sigma=sigma, kind=kind, min_score=min_score
    )
    ref_kept, ref_lowered = naive.soft_nms(boxes, scores, scales, sigma, least, kind)
    assert kept.tolist() == ref_kept
    np.testing.assert_allclose(lowered, ref_lowered, atol=1e-9)


@given(scored_boxes(), sigmas)
def test_soft_nms_never_raises_a_score_and_leaves_the_best(case, sigma):
    boxes, scores = case
    kept, lowered = box_ops.soft_nms(boxes, scores, sigma=sigma)
    assert (lowered <= scores[kept]).all()
    assert (np.diff(lowered) <= 0).all()
    assert lowered[:1].tolist() == sorted(scores)[::-1][:1]
    assert len(set(kept.tolist())) == len(kept)


@given(scored_boxes(), sigmas, st.integers(0, 2**32 - 1))
def test_soft_nms_does_not_depend_on_the_order(case, sigma, seed):
    boxes, scores, order = shuffled(case, seed)
    (one, lowered), (other, of_other) = (
        box_ops.soft_nms(*each, sigma=sigma, min_score=-99) for each in (case, (boxes, scores))
    )
    np.testing.assert_array_equal(case[0][one], boxes[other])
    np.testing.assert_array_equal(lowered, of_other)
    assert sorted(order[other]) == sorted(one)


@given(scored_boxes(), st.sampled_from([-3.0, -0.5, 1.0]))
def test_soft_nms_least_score_leaves_what_is_above_as_it_is(case, min_score):
    boxes, scores = case
    few, of_few = box_ops.soft_nms(boxes, scores, min_score=min_score)
    every, of_every = box_ops.soft_nms(boxes, scores, min_score=-1e9)
    above = of_every >= min_score
    assert few.tolist() == every[above].tolist()
    np.testing.assert_array_equal(of_few, of_every[above])
    # Nor do boxes that begin below it bear on the rest.
    enough = scores >= min_score
    _, of_enough = box_ops.soft_nms(boxes[enough], scores[enough], min_score=min_score)
    np.testing.assert_array_equal(of_few, of_enough)


@pytest.mark.parametrize("best", [5.0, -1.0])
def test_soft_nms_by_hand(best):
    boxes = [[40, 0, 50, 10], [0, 0, 10, 10], [0, 5, 10, 15]]  # overlap of the last two: 1/3
    kept, lowered = box_ops.soft_nms(
        boxes, [best - 3, best, best - 1], scale=2.0, sigma=0.5, min_score=-99
    )
    assert kept.tolist() == [1, 2, 0]
    np.testing.assert_allclose(lowered, [best, best - 1 - 2 / 0.5 / 9, best - 3])


def test_soft_nms_lowers_more_where_boxes_overlap_more():
    for x in range(1, 10):
        boxes = [[0, 0, 10, 10], [x, 0, x + 10, 10], [0, x + 1, 10, x + 11]]
        kept, _ = box_ops.soft_nms(boxes, [-1.0, -2.0, -2.0], min_score=-99)
        assert kept.tolist() == [0, 2, 1]


def test_soft_nms_by_default_drops_what_falls_below_all_that_came_in():
    boxes = [[0, 0, 10, 10], [0, 1, 10, 11], [40, 0, 50, 10]]
    kept, lowered = box_ops.soft_nms(boxes, [3.0, 2.0, 1.0])
    assert (kept.tolist(), lowered.tolist()) == ([0, 2], [3.0, 1.0])


def test_soft_nms_breaks_ties_by_coordinates():
    kept, _ = box_ops.soft_nms([[9, 0, 19, 10], [0, 25, 10, 35], [0, 0, 9, 10]], [1, 1, 1])
    assert kept.tolist() == [2, 1, 0]


def test_soft_nms_of_nothing_is_nothing():
    kept, lowered = box_ops.soft_nms([], [])
    assert (kept.shape, lowered.shape) == ((0,), (0,))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1.0, 2.0]}, r"scores must have shape \(1,\)"),
        ({"scores": [np.inf]}, "must be finite"),
        ({"scale": [1.0, 2.0]}, r"'scale' .* one for each of the 1 boxes. Got shape \(2,\)"),
        ({"scale": 0.0}, "'scale' parameter of soft_nms must be positive and finite. Got 0"),
        ({"sigma": 0}, "'sigma' parameter of soft_nms"),
        ({"kind": "giou"}, "'kind' parameter of soft_nms must be one of 'iou', 'min'"),
        ({"min_score": np.nan}, "'min_score' parameter of soft_nms must be a finite number"),
    ],
)
def test_soft_nms_bad_input(change, message):
    with pytest.raises(ParameterError, match=message):
        box_ops.soft_nms(**{"boxes": [[0, 0, 1, 1]], "scores": [0.5], **change})


# Means are rounded: no overlap of boxes on the grid is just one of these.
unusual = st.sampled_from([0.1234, 0.3217, 0.7123])


@given(st.integers(0, 2**32 - 1), st.integers(0, 40), unusual, st.sampled_from([0.5, 6.0]))
def test_fuse_is_that_of_the_naive_twin(seed, n, threshold, temperature):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, n, 40.0), rng.integers(-3, 4, n).astype(float)
    parameters = {"temperature": temperature, "hit_gain": 2.0, "usual_hits": 3.0}
    fused, raised, sources = box_ops.fuse(boxes, scores, threshold=threshold, **parameters)
    ref_fused, ref_raised, clusters = naive.fuse(boxes, scores, threshold, *parameters.values())
    assert sources.tolist() == [members[0] for members in clusters]
    np.testing.assert_allclose(fused, ref_fused, atol=1e-9)
    np.testing.assert_allclose(raised, ref_raised, atol=1e-9)
    for box, members in zip(fused, clusters, strict=True):
        assert (box >= boxes[members].min(axis=0) - 1e-9).all()
        assert (box <= boxes[members].max(axis=0) + 1e-9).all()


@given(scored_boxes(), thresholds, st.integers(0, 2**32 - 1))
def test_fuse_does_not_depend_on_the_order(case, threshold, seed):
    boxes, scores, _ = shuffled(case, seed)
    one = box_ops.fuse(*case, threshold=threshold)
    other = box_ops.fuse(boxes, scores, threshold=threshold)
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    np.testing.assert_array_equal(case[0][one[2]], boxes[other[2]])


@given(scored_boxes())
def test_fuse_boxes_that_do_not_overlap_stay_as_they_are(case):
    boxes, scores = case
    alone = box_ops.nms(boxes, scores, threshold=0.0)
    fused, raised, sources = box_ops.fuse(boxes[alone], scores[alone], usual_hits=1.0)
    assert sources.tolist() == list(range(len(alone)))
    np.testing.assert_array_equal(fused, boxes[alone])
    np.testing.assert_array_equal(raised, scores[alone])


def test_fuse_by_hand():
    boxes = [[2, 0, 12, 10], [50, 0, 60, 10], [0, 0, 10, 10]]
    scores = [-1 - np.log(3), -3.0, -1.0]  # odds a third of the best's
    fused, raised, sources = box_ops.fuse(
        boxes, scores, temperature=1.0, hit_gain=2.0, usual_hits=1.0
    )
    np.testing.assert_allclose(fused, [[0.5, 0, 10.5, 10], [50, 0, 60, 10]])
    np.testing.assert_allclose(raised, [-1 + 2 * np.log(2), -3.0])
    assert sources.tolist() == [2, 1]


def test_fuse_takes_the_nearest_of_two_clusters():
    boxes = [[0, 0, 10, 10], [6, 0, 16, 10], [4, 0, 14, 10]]
    fused, _, sources = box_ops.fuse(boxes, [3.0, 2.0, 2.0 - 1e-9], threshold=0.3, temperature=1.0)
    assert sources.tolist() == [0, 1]
    np.testing.assert_allclose(fused, [[0, 0, 10, 10], [5, 0, 15, 10]], atol=1e-6)


def test_fuse_of_nothing_is_nothing():
    assert [len(part) for part in box_ops.fuse(np.zeros((0, 4)), [])] == [0, 0, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": [1.0, 2.0]}, r"scores must have shape \(1,\)"),
        ({"boxes": [[0, 0, np.nan, 1]]}, "must be finite"),
        ({"threshold": -0.1}, r"'threshold' parameter of fuse .* \[0, 1\]"),
        ({"temperature": 0}, "'temperature' parameter of fuse"),
        ({"hit_gain": -1}, "'hit_gain' parameter of fuse"),
        ({"usual_hits": 0}, "'usual_hits' parameter of fuse"),
    ],
)
def test_fuse_bad_input(change, message):
    with pytest.raises(ParameterError, match=message):
        box_ops.fuse(**{"boxes": [[0, 0, 1, 1]], "scores": [0.5], **change})
