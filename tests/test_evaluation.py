"""Evaluation: matching against a naive twin and stock pycocotools, measures worked by hand."""

import contextlib
import io
import json
from types import SimpleNamespace

import naive_evaluation as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bootstrap_det import evaluation as ev
from bootstrap_det.exceptions import BootstrapDetError, DataError, ParameterError

QUICK = settings(derandomize=True, deadline=None, max_examples=60)
OBJECT = (0, 0, 10, 10)
FAR = (50, 50, 60, 60)


def truth(*rows):
    """Build a GroundTruth from (box, label, ignore, crowd), of which all but the box may lack."""
    full = [(*row, *("sign", False, False)[len(row) - 1 :]) for row in rows]
    boxes, labels, ignore, crowd = zip(*full, strict=True) if full else ([], [], [], [])
    return ev.GroundTruth(np.array(boxes, float), labels, ignore, crowd)


def found(*rows):
    """Build Predictions from (box, score, label), of which the label may lack."""
    full = [(*row, "sign")[:3] for row in rows]
    boxes, scores, labels = zip(*full, strict=True) if full else ([], [], [])
    return ev.Predictions(np.array(boxes, float), scores, labels)


def judged(verdicts, scores=None, n_objects=1, n_images=1):
    """Build Matches from a string: + hit, - false positive, o ignored."""
    m = len(verdicts)
    return ev.Matches(
        scores=np.array(range(m, 0, -1) if scores is None else scores, float),
        is_hit=np.array([v == "+" for v in verdicts], bool),
        ignored=np.array([v == "o" for v in verdicts], bool),
        image_index=np.zeros(m, np.intp),
        rank_index=np.arange(m),
        missed=(np.zeros(0, np.intp),) * n_images,
        n_objects=n_objects,
        n_images=n_images,
        object_index=np.array([-1 if v == "-" else 0 for v in verdicts], np.intp),
    )


def verdicts(matches):
    """Write Matches as the string that ``judged`` reads."""
    assert not (matches.is_hit & matches.ignored).any()
    return "".join(
        "+" if hit else "o" if ignored else "-"
        for hit, ignored in zip(matches.is_hit, matches.ignored, strict=True)
    )


def match(truths, predictions, threshold=0.5):
    return ev.match(truths, predictions, label="sign", iou_threshold=threshold)


# Random sets. Whole coordinates on a small board give many touches and many exactly equal
# overlaps; few distinct scores give ties.

boxes = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 5), st.integers(0, 5)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
labels = st.sampled_from(["sign", "sign", "sign", "face"])
scores = st.sampled_from([-2.5, -1.0, 0.0, 0.25, 3.0])
flags = st.sampled_from([(False, False), (False, False), (True, False), (False, True)])


def pictures(flags=flags, scores=scores):
    """Draw a list of (truth rows, detection rows), one a picture."""
    objects = st.tuples(boxes, labels, flags).map(lambda o: (o[0], o[1], *o[2]))
    detections = st.tuples(boxes, scores, labels)
    picture = st.tuples(st.lists(objects, max_size=5), st.lists(detections, max_size=8))
    return st.lists(picture, min_size=1, max_size=4)


def as_arguments(rows):
    return [truth(*t) for t, _ in rows], [found(*d) for _, d in rows]


@QUICK
@given(pictures(), st.sampled_from([0.3, 0.5, 1.0]))
def test_match_naive_twin(rows, threshold):
    got = match(*as_arguments(rows), threshold)
    ref, missed, n_objects = naive.match(*zip(*rows, strict=True), "sign", threshold)
    names = {"+": "hit", "-": "false", "o": "ignored"}
    columns = (got.scores, verdicts(got), got.image_index, got.rank_index)
    assert [(s, names[v], i, k) for s, v, i, k in zip(*columns, strict=True)] == ref
    assert [list(lost) for lost in got.missed] == missed
    assert (got.n_objects, got.n_images) == (n_objects, len(rows))


@QUICK
@given(pictures(scores=st.sampled_from(np.linspace(-3, 3, 40).tolist())))
def test_measures_naive_twin(rows):
    got = ev.evaluate(*as_arguments(rows), label="sign")
    ref, _, n_objects = naive.match(*zip(*rows, strict=True), "sign", 0.5)
    if n_objects == 0:
        assert np.isnan(got.ap)
        return
    assert got.ap == pytest.approx(naive.average_precision(ref, n_objects), abs=1e-12)
    assert got.recall_at_false_positives[10] == naive.recall_at(ref, n_objects, 10)
    assert got.recall_at_fppi[1.0] == naive.recall_at(ref, n_objects, len(rows))


def stock_ap(rows, threshold=0.5):
    """AP by unchanged pycocotools, with its own files of annotations and results."""
    annotations, results = [], []
    for image_id, (objects, detections) in enumerate(rows):
        for box, label, ignore, crowd in objects:
            x1, y1, x2, y2 = box
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "category_id": 1 + (label != "sign"),
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": int(crowd),
                    "ignore": int(ignore),
                }
            )
        for (x1, y1, x2, y2), score, label in detections:
            results.append(
                {
                    "image_id": image_id,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                    "category_id": 1 + (label != "sign"),
                }
            )
    coco = COCO()
    coco.dataset = {
        "info": {},
        "images": [{"id": i} for i in range(len(rows))],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
        engine = COCOeval(coco, coco.loadRes(results) if results else COCO(), "bbox")
        engine.params.iouThrs = np.array([threshold])
        engine.params.catIds = [1]
        engine.evaluate()
        engine.accumulate()
    return engine.eval["precision"][0, :, 0, 0, -1].mean()


def assert_ap_is_stock(rows):
    if not any(d for _, d in rows):
        return  # stock cannot load an empty list of results
    got = ev.average_precision(match(*as_arguments(rows)))
    ref = stock_ap(rows)
    assert got == pytest.approx(np.nan if ref < 0 else ref, abs=1e-12, nan_ok=True)


@QUICK
@given(pictures(flags=st.just((False, False))))
def test_average_precision_is_stock(rows):
    assert_ap_is_stock(rows)


@QUICK
@given(pictures(flags=st.sampled_from([(False, False), (False, True)])))
def test_average_precision_with_crowds_is_stock(rows):
    assert_ap_is_stock(rows)


def test_average_precision_many_objects_is_stock():
    # With 10 objects COCO's recall 70 * 0.01 lies just above 7 / 10; so it must here.
    places = [(20 * i, 0, 20 * i + 10, 10) for i in range(10)]
    objects = [(box, "sign", False, False) for box in places]
    detections = [(box, 10.0 - i, "sign") for i, box in enumerate(places[:7])]
    detections += [((0, 90, 5, 95), 8.5, "sign")]
    assert_ap_is_stock([(objects, detections)])


# Each rule of matching, by hand.


def test_match_greedy_by_score():
    # The second detection fits better, but the first comes first; its double is a false positive.
    got = match([truth((OBJECT,))], [found((OBJECT, 1.0), ((0, 0, 10, 9), 2.0))])
    assert verdicts(got) == "+-"
    np.testing.assert_array_equal(got.scores, [2.0, 1.0])
    np.testing.assert_array_equal(got.rank_index, [1, 0])


def test_match_threshold_is_included():
    half = found(((0, 0, 10, 5), 1.0))
    assert verdicts(match([truth((OBJECT,))], [half], 0.5)) == "+"
    assert verdicts(match([truth((OBJECT,))], [half], 0.51)) == "-"
    assert verdicts(match([truth((OBJECT,))], [found((OBJECT, 1.0))], 1.0)) == "+"


def test_match_other_labels_play_no_part():
    truths = [truth((OBJECT, "face"), (FAR, "face", True))]
    got = match(truths, [found((OBJECT, 3.0, "face"), (OBJECT, 2.0), (FAR, 1.0))])
    assert verdicts(got) == "--"
    assert got.n_objects == 0
    np.testing.assert_array_equal(got.rank_index, [1, 2])


def test_match_labels_that_are_numbers():
    # Labels are kept as text; a number must not silently compare unequal to all of them.
    got = ev.match([truth((OBJECT, 5))], [found((OBJECT, 1.0, 5))], label=5)
    assert verdicts(got) == "+"


def test_match_missed_are_indices_of_the_truth():
    truths = [truth((FAR, "face"), (OBJECT,), (FAR, "sign", True), (FAR,)), truth()]
    got = match(truths, [found((FAR, 1.0)), found()])
    np.testing.assert_array_equal(got.missed[0], [1])
    assert got.missed[1].shape == (0,)
    assert got.n_objects == 2


def test_match_first_object_and_first_detection_can_be_matched():
    # Numbered from 0, both would look unmatched to pycocotools.
    got = match([truth((OBJECT,))], [found((OBJECT, 1.0))])
    assert verdicts(got) == "+"
    assert len(got.missed[0]) == 0


def test_match_ignored_object_counts_neither_way():
    rows = [
        (
            [(OBJECT, "sign", True, False), (FAR, "sign", False, False)],
            [(OBJECT, 3.0, "sign"), (OBJECT, 2.0, "sign"), (FAR, 1.0, "sign")],
        )
    ]
    got = match(*as_arguments(rows))
    assert verdicts(got) == "oo+"
    assert got.n_objects == 1
    assert ev.average_precision(got) == 1.0
    # Stock overwrites ignore=1 by iscrowd=0: two objects, and the double is a false positive.
    assert stock_ap(rows) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_match_ignored_object_needs_ordinary_overlap_but_crowd_does_not():
    # A small detection inside of a large region: IoU 0.04, all of its own area.
    inside = found(((4, 4, 6, 6), 1.0))
    assert verdicts(match([truth((OBJECT, "sign", True))], [inside])) == "-"
    assert verdicts(match([truth((OBJECT, "sign", False, True))], [inside])) == "o"
    assert verdicts(match([truth((OBJECT, "sign", True, True))], [inside])) == "o"


@pytest.mark.parametrize("flags", [(True, False), (False, True)])
def test_match_prefers_objects_that_count(flags):
    # The ignored one fits exactly, the other just well enough; the second detection finds the
    # object taken and falls on the ignored one.
    truths = [truth((OBJECT, "sign", *flags), ((0, 0, 10, 8), "sign"))]
    got = match(truths, [found((OBJECT, 2.0), (OBJECT, 1.0), (FAR, 0.5))])
    assert verdicts(got) == "+o-"
    assert len(got.missed[0]) == 0


def test_match_more_than_100_detections():
    noise = [((20 + i, 50, 30 + i, 60), 1000.0 - i) for i in range(150)]
    got = match([truth((OBJECT,))], [found(*noise, (OBJECT, 1.0))])
    assert verdicts(got) == "-" * 150 + "+"


def test_match_boxes_of_any_size():
    # pycocotools' range "all" ends at 1e10 square pixels.
    huge = (0, 0, 1e6, 1e6)
    got = match(
        [truth((huge,))], [found((huge, 2.0), ((2e6, 0, 4e6, 1e6), 1.0), ((5, 5, 5, 5), 0))]
    )
    assert verdicts(got) == "+--"
    assert got.n_objects == 1


def test_match_accepts_any_object_with_boxes_scores_and_labels():
    other = SimpleNamespace(
        boxes=np.array([OBJECT], np.float32), scores=np.array([-3], np.float32), labels=["sign"]
    )
    got = match([truth((OBJECT,))], [other])
    assert verdicts(got) == "+"
    assert got.scores.dtype == np.float64


def test_match_leaves_its_arguments_alone():
    truths, predictions = [truth((OBJECT, "sign", True))], [found((OBJECT, 1.0))]
    first, second = match(truths, predictions), match(truths, predictions)
    assert verdicts(first) == verdicts(second) == "o"
    assert truths[0].ignore.all()
    assert not truths[0].crowd.any()


def test_match_empty_cases():
    nothing = match([truth()], [found()])
    assert (nothing.n_objects, nothing.n_images, len(nothing.scores)) == (0, 1, 0)
    assert [c.dtype.kind for c in (nothing.scores, nothing.is_hit, nothing.rank_index)] == list(
        "fbi"
    )
    no_truth = match([truth(), truth()], [found((OBJECT, 1.0)), found()])
    assert verdicts(no_truth) == "-"
    no_prediction = match([truth(), truth((OBJECT,))], [found(), found()])
    assert [list(lost) for lost in no_prediction.missed] == [[], [0]]


def test_match_prints_nothing(capsys):
    ev.evaluate([truth((OBJECT,))], [found((OBJECT, 1.0))], label="sign")
    assert capsys.readouterr() == ("", "")


distinct = st.permutations(np.linspace(-5, 5, 32).tolist())


@QUICK
@given(pictures(), distinct, st.randoms(use_true_random=False))
def test_evaluate_order_does_not_matter(rows, values, random):
    values = iter(values)
    rows = [(t, [(box, next(values), label) for box, _, label in d]) for t, d in rows]
    shuffled = [(t, random.sample(d, len(d))) for t, d in random.sample(rows, len(rows))]
    ref = ev.evaluate(*as_arguments(rows), label="sign")
    got = ev.evaluate(*as_arguments(shuffled), label="sign")
    assert got.to_dict() == ref.to_dict()
    assert verdicts(got.matches) == verdicts(ref.matches)


@QUICK
@given(pictures())
def test_average_precision_monotone_rescaling(rows):
    scaled = [(t, [(box, np.exp(3 * s) - 50, label) for box, s, label in d]) for t, d in rows]
    ref, got = match(*as_arguments(rows)), match(*as_arguments(scaled))
    assert verdicts(got) == verdicts(ref)
    assert ev.average_precision(got) == pytest.approx(ev.average_precision(ref), nan_ok=True)


# The measures, by hand.


def test_average_precision_by_hand():
    # Two objects: precision 1 to recall 0.5 (51 of the 101 recalls), then 2/3.
    matches = judged("+o-+-", n_objects=2)
    assert ev.average_precision(matches) == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert ev.average_precision(judged("++", n_objects=2)) == 1.0
    assert ev.average_precision(judged("+-", n_objects=2)) == pytest.approx(51 / 101)
    assert ev.average_precision(judged("ooo", n_objects=2)) == 0.0


def test_average_precision_empty():
    assert ev.average_precision(judged("", n_objects=2)) == 0.0
    assert np.isnan(ev.average_precision(judged("--", n_objects=0)))


def test_precision_recall_by_hand():
    precision, recall, thresholds = ev.precision_recall(
        judged("+o-+-", scores=[3, 2, 1, 1, -4], n_objects=4)
    )
    np.testing.assert_array_equal(thresholds, [3, 1, -4])
    np.testing.assert_allclose(precision, [1, 2 / 3, 1 / 2])
    np.testing.assert_allclose(recall, [1 / 4, 1 / 2, 1 / 2])


def test_precision_recall_empty():
    assert [len(column) for column in ev.precision_recall(judged(""))] == [0, 0, 0]
    precision, recall, _ = ev.precision_recall(judged("-", n_objects=0))
    assert precision == [0]
    assert np.isnan(recall).all()


def test_recall_at_false_positives_by_hand():
    matches = judged("+-+-o+", n_objects=4)
    got = ev.recall_at_false_positives(matches, [0, 1, 2, 100])
    assert got == {0: 0.25, 1: 0.5, 2: 0.75, 100: 0.75}
    assert list(ev.recall_at_false_positives(matches)) == [10, 31, 50, 65, 78, 95, 167]


def test_recall_at_false_positives_ties_go_together():
    # The second hit ties with two false positives: it costs both.
    matches = judged("++--+", scores=[3, 1, 1, 1, 0], n_objects=3)
    assert ev.recall_at_false_positives(matches, (0, 1, 2)) == {0: 1 / 3, 1: 1 / 3, 2: 1.0}
    assert ev.recall_at_false_positives(judged("+-", scores=[1, 1]), [0]) == {0: 0.0}


def test_recall_at_fppi_by_hand():
    # Ten pictures: 0.1 allows one false positive, 0.3 three (3 / 10 == 0.3 exactly).
    matches = judged("+-+--+-+", n_objects=4, n_images=10)
    assert ev.recall_at_fppi(matches, (0.0, 0.1, 0.3, 1)) == {
        0.0: 0.25,
        0.1: 0.5,
        0.3: 0.75,
        1: 1.0,
    }
    assert ev.recall_at_fppi(judged("", n_objects=3)) == {0.1: 0.0, 1.0: 0.0}


def test_log_average_miss_rate_by_hand():
    # One picture: up to 0.56 per picture no false positive is allowed, at 1 one is.
    got = ev.log_average_miss_rate(judged("+-+-+", n_objects=4))
    assert got == pytest.approx((0.75**8 * 0.5) ** (1 / 9))
    # Left of the curve the miss rate is 1.
    got = ev.log_average_miss_rate(judged("-+", n_objects=2))
    assert got == pytest.approx(0.5 ** (1 / 9))


def test_log_average_miss_rate_limits():
    assert ev.log_average_miss_rate(judged("+")) == pytest.approx(1e-10)
    assert ev.log_average_miss_rate(judged("")) == 1.0
    assert np.isnan(ev.log_average_miss_rate(judged("-", n_objects=0)))


def test_log_average_miss_rate_reads_the_nine_rates():
    # A hundred pictures: 0.01 and 0.1 and 1 allow exactly 1, 10 and 100 false positives.
    verdicts = "-+" + "-" * 9 + "+" + "-" * 90 + "+"
    got = ev.log_average_miss_rate(judged(verdicts, n_objects=4, n_images=100))
    assert got == pytest.approx((0.75**4 * 0.5**4 * 0.25) ** (1 / 9))


def test_false_positives_per_image_by_hand():
    matches = judged("-+-o-", scores=[2, 1, 0, -1, -2], n_images=4)
    assert ev.false_positives_per_image(matches) == 0.5
    assert ev.false_positives_per_image(matches, threshold=0.1) == 0.25
    assert ev.false_positives_per_image(matches, threshold=-5) == 0.75


def test_miss_rate_at_fppw_by_hand():
    # 2 of 10 windows may pass: the threshold lies just above the third highest, 3.
    got = ev.miss_rate_at_fppw([1, 5, 3, 4, 2], 10, [3, 3.5, 9, -np.inf], rate=0.2)
    assert got.miss_rate == 0.5
    assert got.threshold == np.nextafter(3, 4)
    assert not got.is_upper_bound


def test_miss_rate_at_fppw_ties_go_together():
    got = ev.miss_rate_at_fppw([5, 4, 4, 4, 1], 5, [4, 4.5, 6], rate=0.4)
    assert got.threshold == np.nextafter(4, 5)
    assert got.miss_rate == pytest.approx(1 / 3)


def test_miss_rate_at_fppw_is_the_best_threshold():
    rng = np.random.default_rng(0)
    negatives, objects = rng.integers(0, 50, 400) / 7, rng.integers(20, 60, 30) / 7
    for rate in (0.0, 0.01, 0.29, 0.5, 0.99):
        allowed = [t for t in np.append(objects, np.inf) if (negatives >= t).mean() <= rate]
        ref = (objects < min(allowed)).mean()
        top = negatives[negatives > np.quantile(negatives, 0.4)] if rate < 0.5 else negatives
        got = ev.miss_rate_at_fppw(top, 400, objects, rate=rate)
        assert got.miss_rate == ref
        assert not got.is_upper_bound


def test_miss_rate_at_fppw_allowance_is_not_rounded_down():
    # 0.29 * 100 = 28.999999999999996, and yet 29 of 100 windows are 0.29 of them.
    got = ev.miss_rate_at_fppw(np.arange(100), 100, [71, 70], rate=0.29)
    assert got.miss_rate == 0.5


def test_miss_rate_at_fppw_too_short_is_an_upper_bound():
    objects = [1, 3, 4, 5]
    got = ev.miss_rate_at_fppw([5, 4, 3], 30, objects, rate=0.1)
    assert got == ev.WindowMissRate(miss_rate=0.25, threshold=3.0, is_upper_bound=True)
    longer = ev.miss_rate_at_fppw([5, 4, 3, 0.5], 30, objects, rate=0.1)
    assert (longer.miss_rate, longer.is_upper_bound) == (0.0, False)
    nothing = ev.miss_rate_at_fppw([], 30, objects, rate=0.1)
    assert nothing == ev.WindowMissRate(miss_rate=1.0, threshold=np.inf, is_upper_bound=True)


def test_miss_rate_at_fppw_limits():
    everything = ev.miss_rate_at_fppw([1, 2], 2, [0, -np.inf], rate=1.0)
    assert (everything.miss_rate, everything.is_upper_bound) == (0.5, False)
    assert np.isnan(ev.miss_rate_at_fppw([1, 2], 2, []).miss_rate)
    default = ev.miss_rate_at_fppw([7, 6], 10_000, [6.5, 6], rate=1e-4)
    assert default.miss_rate == 0.5


# One record of all.


def test_evaluate_by_hand():
    truths = [truth((OBJECT,), (FAR,)), truth()]
    predictions = [found((OBJECT, 2.0), (FAR, -1.0)), found((FAR, 1.0))]
    got = ev.evaluate(truths, predictions, label="sign")
    assert got.ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert got.recall_at_fppi == {0.1: 0.5, 1.0: 1.0}
    assert set(got.recall_at_false_positives.values()) == {1.0}
    assert got.log_average_miss_rate == pytest.approx((0.5**7 * 1e-10**2) ** (1 / 9))
    assert got.false_positives_per_image == 0.5
    assert (got.n_images, got.n_objects, got.n_detections) == (2, 2, 3)
    assert verdicts(got.matches) == "+-+"


def test_evaluate_to_dict_is_json():
    got = ev.evaluate([truth((OBJECT,))], [found((OBJECT, 2.0))], label="sign").to_dict()
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert got["recall_at_fppi"] == {"0.1": 1.0, "1": 1.0}
    assert list(got["recall_at_false_positives"])[:2] == ["10", "31"]
    assert (got["label"], got["iou_threshold"]) == ("sign", 0.5)
    assert "matches" not in got


def test_evaluate_to_dict_without_objects():
    got = ev.evaluate([truth()], [found((OBJECT, 2.0))], label="sign").to_dict()
    json.dumps(got, allow_nan=False)
    assert got["ap"] is None
    assert got["log_average_miss_rate"] is None
    assert got["recall_at_fppi"] == {"0.1": None, "1": None}
    assert got["false_positives_per_image"] == 1.0


# Errors.

ERRORS = [
    (
        lambda: ev.GroundTruth([[0, 0, 1]], ["sign"], [False], [False]),
        ParameterError,
        r"boxes of GroundTruth must be an array of shape \(n, 4\)",
    ),
    (
        lambda: ev.GroundTruth([OBJECT], ["a", "b"], [False], [False]),
        ParameterError,
        r"labels of GroundTruth must have shape \(1,\).*Got \(2,\) instead",
    ),
    (
        lambda: ev.GroundTruth([OBJECT], ["a"], [[False]], [False]),
        ParameterError,
        r"ignore of GroundTruth must have shape \(1,\).*Got \(1, 1\) instead",
    ),
    (
        lambda: ev.GroundTruth([OBJECT], ["a"], [False], []),
        ParameterError,
        r"crowd of GroundTruth must have shape \(1,\).*Got \(0,\) instead",
    ),
    (
        lambda: truth(((0, 0, np.nan, 1),)),
        DataError,
        r"boxes of GroundTruth must be finite\. Drop",
    ),
    (
        lambda: ev.Predictions([OBJECT], [1.0, 2.0], ["a"]),
        ParameterError,
        r"scores of Predictions must have shape \(1,\).*Got \(2,\) instead",
    ),
    (lambda: found((OBJECT, np.nan)), DataError, r"scores of Predictions must be finite\. Drop"),
    (
        lambda: match([truth()], [SimpleNamespace(boxes=[OBJECT], scores=[np.inf], labels=["a"])]),
        DataError,
        r"scores of Predictions must be finite",
    ),
    (
        lambda: match([truth(), truth()], [found()]),
        ParameterError,
        r"one entry for each picture, empty ones too\. Got 2 and 1 instead",
    ),
    (lambda: match([], []), DataError, r"There is no picture to evaluate\. Give at least one"),
    (
        lambda: match([truth()], [found()], 0.0),
        ParameterError,
        r"'iou_threshold' parameter of match must be a finite number in \[1e-06, 1\]\. Got 0\.0",
    ),
    (
        lambda: match([truth()], [found()], 1.5),
        ParameterError,
        r"'iou_threshold' parameter of match",
    ),
    (
        lambda: ev.recall_at_false_positives(judged("+"), [1.5]),
        ParameterError,
        r"'counts' parameter of recall_at_false_positives must be an int in \[0, inf\)",
    ),
    (
        lambda: ev.recall_at_fppi(judged("+"), [-0.1]),
        ParameterError,
        r"'rates' parameter of recall_at_fppi must be a finite number in \[0, inf\)",
    ),
    (
        lambda: ev.miss_rate_at_fppw([1, 2], 1, [1]),
        ParameterError,
        r"'n_negative_windows' parameter of miss_rate_at_fppw must be an int in \[2, inf\)",
    ),
    (
        lambda: ev.miss_rate_at_fppw([], 0, [1]),
        ParameterError,
        r"'n_negative_windows' parameter of miss_rate_at_fppw must be an int in \[1, inf\)",
    ),
    (
        lambda: ev.miss_rate_at_fppw([1], 1, [1], rate=2),
        ParameterError,
        r"'rate' parameter of miss_rate_at_fppw must be a finite number in \[0, 1\]",
    ),
    (
        lambda: ev.miss_rate_at_fppw([1], 1, [np.nan]),
        DataError,
        r"object_scores must not be NaN, .* give -inf for an object that no window covers",
    ),
    (
        lambda: ev.miss_rate_at_fppw([np.inf], 1, [1]),
        DataError,
        r"negative_scores must be finite",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS)
def test_errors(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, BootstrapDetError)
