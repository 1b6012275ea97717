"""The detector: every score is that of the window it names, and nothing else changes a result."""

import conftest
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootstrap_det import boxes as box_ops
from bootstrap_det.channels import ACF, HOG
from bootstrap_det.classifiers import LinearModel
from bootstrap_det.detections import Candidates, Detections
from bootstrap_det.detector import Detector, Template
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.images import to_grey
from bootstrap_det.pyramid import Pyramid, make_level
from bootstrap_det.suppression import SUPPRESSIONS
from bootstrap_det.windows import Window, windows_to_boxes

EVERYTHING = -1e9  # a threshold that all windows pass


def random_template(rng, channels, size=(24, 24), label="object", object_box=None):
    shape = (channels.n_channels, *channels.grid_shape(size))
    model = LinearModel(rng.normal(0, 0.2, shape), -0.1)
    return Template(Window(size, object_box), model, label)


def random_detector(rng, channels=None, pyramid=None, sizes=((24, 24),), labels=("a", "b")):
    channels = channels or HOG(cell_size=4)
    templates = [
        random_template(rng, channels, size, label)
        for size, label in zip(sizes, labels, strict=False)
    ]
    return Detector(templates, channels, pyramid=pyramid or Pyramid(scales_per_octave=2))


def same(a, b):
    np.testing.assert_array_equal(a.boxes, b.boxes)
    np.testing.assert_array_equal(a.scores, b.scores)
    np.testing.assert_array_equal(a.labels, b.labels)


def check_master_property(detector, image, found):
    """Score every candidate anew, from the pixels of its padded level alone."""
    pixels = to_grey(image) if detector.channels.color == "grey" else image
    plans = detector.plan(image.shape[:2])
    values = {p.index: detector.channels.compute(make_level(pixels, p)) for p in plans}
    for box, score, (level, row, column, template) in zip(
        found.boxes, found.scores, found.windows, strict=True
    ):
        window, model = detector.templates[template].window, detector.templates[template].model
        at = np.array([row]), np.array([column])
        features = detector.channels.window_features(values[level], model.shape, *at)
        assert score == pytest.approx(model.decision_function(features)[0], abs=1e-5)
        np.testing.assert_array_equal(
            box, windows_to_boxes(plans[level], window, [row], [column])[0]
        )


@pytest.mark.parametrize(
    "channels",
    [
        HOG(cell_size=4),
        HOG(cell_size=6, block_size=1, n_orientations=12, signed=True),
        HOG(cell_size=4, n_orientations=8, interpolate=True, epsilon=2.0, color="rgb"),
        HOG(cell_size=5, block_size=3, gamma=True),
    ],
    ids=["plain", "signed", "rgb", "gamma"],
)
@pytest.mark.parametrize("min_object_size", [None, 17])
def test_scan_score_is_that_of_the_window(rng, channels, min_object_size):
    pyramid = Pyramid(scales_per_octave=2, min_object_size=min_object_size, padding=5)
    detector = random_detector(rng, channels, pyramid, sizes=[(24, 24), (30, 20)])
    image = rng.integers(0, 256, (41, 53, 3)).astype(np.uint8)
    found = detector.scan(image, threshold=EVERYTHING)
    assert len(found.scores) == found.n_windows
    assert set(found.windows[:, 3]) == {0, 1}
    check_master_property(detector, image, found)


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(20, 60), st.integers(20, 60), st.integers(0, 12))
def test_scan_score_is_that_of_the_window_for_any_size(seed, height, width, padding):
    rng = np.random.default_rng(seed)
    detector = random_detector(rng, pyramid=Pyramid(scales_per_octave=3, padding=padding))
    image = rng.integers(0, 256, (height, width)).astype(np.uint8)
    check_master_property(detector, image, detector.scan(image, threshold=EVERYTHING))


@pytest.mark.parametrize("kind", SUPPRESSIONS)
def test_detections_are_the_same_whatever_the_threshold(any_toy, kind):
    voting = any_toy.detector.replace(suppression=kind)
    for picture in any_toy.dataset.pictures[:5]:
        every = voting.detect(picture.pixels, threshold=voting.lowest_score)
        for threshold in (0.0, 1.5, 3.0):
            some = voting.detect(picture.pixels, threshold=threshold)
            expected = every[every.scores >= threshold]
            np.testing.assert_array_equal(some.boxes, expected.boxes)
            np.testing.assert_array_equal(some.scores, expected.scores)


@pytest.mark.parametrize("kind", SUPPRESSIONS)
def test_suppression_travels_with_the_model(any_toy, tmp_path, kind):
    detector = any_toy.detector.replace(suppression=kind)
    detector.save(tmp_path / "m.bdet")
    loaded = Detector.load(tmp_path / "m.bdet")
    image = any_toy.dataset.pictures[0].pixels
    assert loaded.suppression == kind
    same(loaded.detect(image), detector.detect(image))


@pytest.mark.parametrize("kind", SUPPRESSIONS)
def test_suppression_keeps_the_best_window_of_each_detection(any_toy, kind):
    detector = any_toy.detector.replace(suppression=kind)
    image = any_toy.dataset.pictures[1].pixels
    found = detector.scan(image, threshold=detector.floor(0.0))
    got = detector.settle(found, threshold=0.0)
    sources = got.sources
    assert len(got) > 0
    assert len(set(sources.tolist())) == len(got)
    if kind in ("nms", "soft-nms"):
        np.testing.assert_array_equal(got.boxes, found.boxes[sources])
        assert (got.scores <= found.scores[sources]).all()
    else:
        shared = box_ops.overlap(got.boxes, found.boxes[sources])
        assert np.diag(shared).min() > 0.4
    if kind == "fusion":  # the best of all has founded a cluster
        assert found.scores.argmax() in sources


def suppressed_by_hand(rng, kind, across_labels, boxes, scores, labels):
    """Return what a detector of two labels, whose scores have a scale of 1, leaves."""
    detector = random_detector(rng, sizes=[(24, 24)] * 2).replace(
        suppression=kind, across_labels=across_labels
    )
    windows = np.zeros((len(boxes), 4), np.int64)
    windows[:, 3] = np.array(labels) == "b"
    found = Candidates(np.array(boxes, float), np.array(scores), windows, len(boxes))
    return detector.settle(found, threshold=-9.0)


PAIR = [[0, 0, 10, 10], [0, 5, 10, 15], [50, 0, 60, 10]]  # overlap of the first two: 1/3


def test_soft_nms_lowers_scores_within_a_label_or_across(rng):
    cost = 1 / 9 / 0.1
    of_pair = [(PAIR, [2.0, 1.0, 0.0], labels) for labels in ("aaa", "aba")]
    (same_label, other_label) = (
        [suppressed_by_hand(rng, "soft-nms", across, b, s, list(n)) for across in (False, True)]
        for b, s, n in of_pair
    )
    for found in (*same_label, other_label[1]):
        np.testing.assert_allclose(found.scores, [2.0, 0.0, 1.0 - cost])
        assert found.sources.tolist() == [0, 2, 1]
    assert other_label[0].scores.tolist() == [2.0, 1.0, 0.0]
    assert other_label[1].labels.tolist() == ["a", "a", "b"]


@pytest.mark.parametrize("kind", ["nms", "vote", "fusion"])
def test_detections_of_two_labels_suppress_each_other_when_asked(rng, kind):
    within, across = (
        suppressed_by_hand(rng, kind, each, PAIR, [2.0, 1.0, 0.0], ["a", "b", "a"])
        for each in (False, True)
    )
    assert within.sources.tolist() == [0, 1, 2]
    assert across.sources.tolist() == [0, 2]


def test_fusion_makes_one_detection_of_a_cluster(rng):
    boxes = [[0, 0, 10, 10], [0, 2, 10, 12], [50, 0, 60, 10]]
    found = suppressed_by_hand(rng, "fusion", False, boxes, [2.0, 2.0, 0.0], ["a"] * 3)
    np.testing.assert_allclose(found.boxes, [[0, 1, 10, 11], [50, 0, 60, 10]])
    assert found.sources.tolist() == [0, 2]


@pytest.mark.parametrize("kind", SUPPRESSIONS)
def test_suppression_of_nothing_is_nothing(rng, kind):
    found = suppressed_by_hand(rng, kind, True, np.zeros((0, 4)), [], [])
    assert (len(found), found.boxes.shape, found.sources.shape) == (0, (0, 4), (0,))


@pytest.mark.parametrize("threshold", [-np.inf, EVERYTHING, -1.5, 0.0])
def test_soft_nms_lists_no_more_than_asked_for_and_not_every_window(rng, threshold):
    detector = random_detector(rng).replace(suppression="soft-nms")
    image = rng.integers(0, 256, (60, 60)).astype(np.uint8)
    found = detector.scan(image, threshold=threshold)
    got = detector.settle(found, threshold=threshold)
    assert 0 < len(got) < len(found.scores)
    lowest = min(found.scores.min(), detector.lowest_score)
    assert got.scores.min() >= max(threshold, lowest)
    assert detector.suppress(found).scores.min() >= lowest


def test_trained_trees_vote_and_linear_models_do_not(any_toy):
    boosted = any_toy.detector.templates[0].model.__class__.__name__ == "TreeModel"
    assert any_toy.detector.suppression == ("vote" if boosted else "nms")


def test_detect_score_is_that_of_the_window(any_toy):
    toy = any_toy
    image = toy.dataset.pictures[0].pixels
    found = toy.detector.scan(image)
    detections = toy.detector.replace(suppression="nms").detect(image)
    assert len(detections) > 0
    for box, score in zip(detections.boxes, detections.scores, strict=True):
        assert ((found.boxes == box).all(axis=1) & (found.scores == score)).any()
    check_master_property(toy.detector, image, found)


def test_detect_finds_unseen_crosses(any_toy, rng):
    toy = any_toy
    for _ in range(8):
        image = conftest.noise(rng, (100, 110))
        x, y = rng.integers(0, 110 - conftest.SIDE), rng.integers(0, 100 - conftest.SIDE)
        conftest.draw_cross(image, x, y)
        box = [[x, y, x + conftest.SIDE, y + conftest.SIDE]]
        assert box_ops.overlap(toy.detector.detect(image).boxes[:1], box)[0, 0] > 0.5


def test_detect_finds_crosses_of_any_size(toy, rng):
    for side in (30, 48, 66):
        image = conftest.noise(rng, (100, 110))
        conftest.draw_cross(image, 20, 15, side)
        # The best windows: of a model this weak, hundreds of others would outvote them.
        found = toy.detector.replace(suppression="nms").detect(image)
        assert box_ops.overlap(found.boxes[:1], [[20, 15, 20 + side, 15 + side]])[0, 0] > 0.4


def test_detect_is_sorted_and_suppressed(linear_toy, rng):
    detector = linear_toy.detector.replace(nms_threshold=0.2)
    found = detector.detect(conftest.noise(rng), threshold=-3.0)
    assert len(found) > 3
    assert (np.diff(found.scores) <= 0).all()
    assert np.triu(box_ops.overlap(found.boxes, found.boxes), 1).max() <= 0.2


def test_detect_threshold(linear_toy, rng):
    toy = linear_toy
    image = conftest.noise(rng)
    assert toy.detector.detect(image, threshold=-2.0).scores.min() >= -2.0
    changed = toy.detector.replace(threshold=-2.0)
    same(changed.detect(image), toy.detector.detect(image, threshold=-2.0))


@pytest.mark.parametrize("n_threads", [2, 5])
def test_detect_same_bits_for_any_number_of_threads(rng, n_threads):
    detector = random_detector(rng)
    image = rng.integers(0, 256, (70, 60)).astype(np.uint8)
    same(detector.detect(image, n_threads=n_threads), detector.detect(image))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_detect_batch_is_detect_of_each(rng, n_jobs):
    detector = random_detector(rng)
    images = [rng.integers(0, 256, (40 + 3 * i, 50)).astype(np.uint8) for i in range(5)]
    results = list(detector.detect_batch(iter(images), n_jobs=n_jobs, threshold=0.5))
    assert [found.image_id for found in results] == list(range(5))
    for image, found in zip(images, results, strict=True):
        same(found, detector.detect(image, threshold=0.5))


def test_detect_batch_of_nothing(rng):
    assert list(random_detector(rng).detect_batch([])) == []


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (23, 23)])
def test_detect_picture_smaller_than_the_window_is_empty(rng, size):
    detector = random_detector(rng, pyramid=Pyramid(padding=0))
    found = detector.detect(np.zeros(size, np.uint8), threshold=EVERYTHING, image_id=7)
    assert (len(found), found.boxes.shape, found.image_id) == (0, (0, 4), 7)
    assert found.to_coco({}) == []


def test_detect_any_dtype_and_number_of_channels(rng):
    detector = random_detector(rng, pyramid=Pyramid(max_object_size=24))
    grey = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    ref = detector.detect(grey, threshold=EVERYTHING)
    opaque = np.full_like(grey, 255)
    for image in (
        grey[:, :, None],
        np.dstack([grey] * 3),
        np.dstack([grey, grey, grey, opaque]),
        grey.astype(np.uint16) * 257,
    ):
        same(detector.detect(image, threshold=EVERYTHING), ref)
    for dtype in (np.float32, np.float64):
        found = detector.detect(grey.astype(dtype), threshold=EVERYTHING)
        np.testing.assert_allclose(found.scores, ref.scores, atol=1e-4)


def test_detect_rgb_channels_take_grey_pictures(rng):
    detector = random_detector(rng, HOG(cell_size=4, color="rgb"))
    grey = rng.integers(0, 256, (40, 50)).astype(np.uint8)
    same(detector.detect(grey), detector.detect(np.dstack([grey] * 3)))


def test_detect_leaves_the_picture_alone_and_reads_views(rng):
    detector = random_detector(rng)
    image = rng.integers(0, 256, (80, 100)).astype(np.uint8)
    before, view = image.copy(), image[::2, ::-2]
    same(detector.detect(view), detector.detect(view.copy()))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "parameters", "message"),
    [
        (np.zeros((9, 9), bool), {}, "Detector.detect"),
        (np.zeros((0, 9), np.uint8), {}, "needs a picture with pixels"),
        (np.full((40, 40), np.nan, np.float32), {}, "without NaN"),
        (np.zeros((40, 40), np.uint8), {"n_threads": 0}, r"'n_threads' .* \[1, 1024\]. Got 0"),
        (np.zeros((40, 40), np.uint8), {"threshold": "low"}, "'threshold' parameter of scan"),
    ],
)
def test_detect_errors(rng, image, parameters, message):
    with pytest.raises(ParameterError, match=message):
        random_detector(rng).detect(image, **parameters)


@pytest.mark.parametrize(("labels", "factor"), [(("a", "b"), 2), (("a", "a"), 1)])
def test_nms_is_per_label(rng, labels, factor):
    channels = HOG(cell_size=4)
    template = random_template(rng, channels)
    twins = [Template(template.window, template.model, label) for label in labels]
    image = rng.integers(0, 256, (60, 60)).astype(np.uint8)
    alone = Detector(twins[:1], channels).detect(image)
    both = Detector(twins, channels).detect(image)
    assert len(both) == factor * len(alone) > 0
    assert set(both.labels) == set(labels)


def test_templates_of_two_sizes_see_what_each_sees_alone(rng):
    channels, pyramid = HOG(cell_size=4), Pyramid(scales_per_octave=2, padding=4)
    a = random_template(rng, channels, (24, 24), "a")
    b = random_template(rng, channels, (24, 40), "b")
    image = rng.integers(0, 256, (60, 70)).astype(np.uint8)
    both = Detector([a, b], channels, pyramid=pyramid).scan(image, threshold=EVERYTHING)
    for index, template in enumerate((a, b)):
        alone = Detector([template], channels, pyramid=pyramid).scan(image, threshold=EVERYTHING)
        mine = both.windows[:, 3] == index
        np.testing.assert_array_equal(both.scores[mine], alone.scores)
        np.testing.assert_array_equal(both.boxes[mine], alone.boxes)


def test_object_size_limits_bound_the_detections(rng):
    detector = random_detector(rng, pyramid=Pyramid(min_object_size=30, max_object_size=60))
    image = rng.integers(0, 256, (120, 120)).astype(np.uint8)
    heights = np.diff(detector.scan(image, threshold=EVERYTHING).boxes[:, 1::2]).ravel()
    assert 29 < heights.min() < 31
    assert 50 < heights.max() < 61


@pytest.mark.parametrize("side", [101, 106])
def test_all_planned_levels_are_scanned_whatever_the_size_of_the_picture(rng, side):
    detector = random_detector(rng, pyramid=Pyramid(min_object_size=30, max_object_size=60))
    scanned = detector.iter_scored_levels(np.zeros((side, side), np.uint8))
    assert [level.plan.index for level in scanned] == list(range(len(detector.plan((side, side)))))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"templates": []}, "at least one template"),
        ({"channels": HOG(cell_size=8)}, "Template 0 has weights of shape"),
        ({"channels": ACF()}, "Template 0 has weights of shape"),
        ({"threshold": np.inf}, "'threshold' parameter of Detector"),
        ({"nms_threshold": 1.5}, r"'nms_threshold' parameter of Detector .* \[0, 1\]"),
        (
            {"suppression": "soft"},
            "'suppression' .* 'nms', 'vote', 'soft-nms', 'fusion'. Got 'soft'",
        ),
        ({"nms_kind": "soft"}, "'nms_kind' parameter of Detector must be one of 'iou', 'min'"),
    ],
)
def test_detector_errors(rng, parameters, message):
    channels = HOG(cell_size=4)
    arguments = {"templates": [random_template(rng, channels)], "channels": channels, **parameters}
    with pytest.raises(ParameterError, match=message):
        Detector(**arguments)


def test_linear_templates_cannot_see_windows_of_their_own(rng):
    channels = ACF(normalise="window")
    shape = (channels.n_window_channels, *channels.grid_shape((24, 24)))
    template = Template(Window((24, 24)), LinearModel(rng.normal(size=shape), 0.0))
    with pytest.raises(ParameterError, match=r"Template 0 is linear, .* Take normalise='local'"):
        Detector([template], channels)


def test_replace_changes_the_pyramid_too_and_leaves_the_original(rng):
    detector = random_detector(rng, pyramid=Pyramid(scales_per_octave=5))
    changed = detector.replace(min_object_size=12, threshold=1.5)
    assert changed.pyramid.get_params() == {**detector.pyramid.get_params(), "min_object_size": 12}
    assert (changed.threshold, detector.threshold) == (1.5, 0.0)
    assert changed.templates is detector.templates


def test_labels_are_sorted_and_unique(rng):
    detector = random_detector(rng, sizes=[(24, 24)] * 3, labels=["b", "a", "b"])
    assert detector.labels == ("a", "b")


def some_detections():
    boxes = [[0, 0, 10, 20], [5, 5, 15.126, 25], [1, 1, 2, 2]]
    return Detections(boxes, np.array([3.0, 2.0, 1.0]), np.array(["a", "b", "a"]), 4)


def test_detections_slices_masks_and_indices():
    found = some_detections()
    assert found[:2].scores.tolist() == [3, 2]
    assert found[found.labels == "a"].scores.tolist() == [3, 1]
    assert found[np.array([2, 0])].scores.tolist() == [1, 3]
    assert found[1].boxes.tolist() == [[5, 5, 15.126, 25]]
    assert found[1].image_id == 4
    assert len(found[:0]) == 0


def test_detections_to_coco():
    results = some_detections()[1:].to_coco({"a": 1, "b": 9})
    assert results[0] == {"image_id": 4, "category_id": 9, "bbox": [5, 5, 10.13, 20], "score": 2.0}
    assert [result["category_id"] for result in results] == [9, 1]
    with pytest.raises(KeyError):
        some_detections().to_coco({"a": 1})


def test_detections_mapped_to_another_box_convention():
    assert some_detections().mapped((0, 0.5, 1, 1)).boxes[0].tolist() == [0, 10, 10, 20]


def test_detections_must_be_of_one_length():
    with pytest.raises(ParameterError, match="Got 1, 2 and 1 instead"):
        Detections(np.zeros((1, 4)), np.zeros(2), np.array(["a"]))
    with pytest.raises(ParameterError, match=r"shape \(n, 4\)"):
        Detections(np.zeros((1, 5)), np.zeros(1), np.array(["a"]))
    assert len(Detections()) == 0
