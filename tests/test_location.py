"""The location prior: where it is learnt, what it leaves out, and what it adds to scores."""

import conftest
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import Detector, Pyramid, RefineParams, Window, refine
from bootstrap_det.channels import ACF, HOG
from bootstrap_det.classifiers.linear import LinearModel
from bootstrap_det.data import Dataset, Picture
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.location import LocationPrior, learn_location
from bootstrap_det.templates import Template
from bootstrap_det.tiling import detect_tiled
from bootstrap_det.windows import window_positions

CHANNELS = {
    "acf": ACF(),
    "local": ACF(normalise="local"),
    "smooth": ACF(normalise="none", smooth_before=True, smooth_after=True),
    "coarser": ACF(normalise="none", coarser=True),
    "cells of four": ACF(cell_size=4, normalise="none"),
    "hog": HOG(cell_size=4, n_orientations=8),
    "hog blocks": HOG(cell_size=6, block_size=3),
}


def prior(log_odds=None, sizes=(0.1, 0.6), limit=0.0, **more):
    """Return a prior, by default one of objects in the middle rows."""
    if log_odds is None:
        log_odds = np.full((4, 11), -5.0)
        log_odds[:, 4:7] = 3.0
    return LocationPrior(log_odds, sizes, limit, 0.0, 0.5, **more)


def objects_at(rows, heights, size=(200, 300)):
    """Return one picture an object, its middle at a row, of a height, both in pixels."""
    none = [False]
    return Dataset(
        "rows",
        tuple(
            Picture(i, f"{i}.png", [[10, y - h / 2, 10 + h, y + h / 2]], ["car"], none, none,
                    pixels=np.zeros(size, np.uint8))
            for i, (y, h) in enumerate(zip(rows, heights, strict=True))
        ),
    )  # fmt: skip


def street(rng, n=200):
    """Return objects that lie the lower the larger they are."""
    heights = rng.uniform(16, 64, n)
    return objects_at(60 + heights + rng.normal(0, 4, n), heights)


def linear_detector(rng, channels, location=None, threshold=-1e9):
    """Return a detector that scores every window."""
    shape = (channels.n_window_channels, *channels.grid_shape((24, 24)))
    template = Template(Window((24, 24)), LinearModel(rng.normal(0, 0.01, shape), 0.0))
    pyramid = Pyramid(scales_per_octave=3)
    return Detector([template], channels, pyramid=pyramid, threshold=threshold, location=location)


@pytest.mark.parametrize("name", [name for name, c in CHANNELS.items() if name != "acf"])
def test_windows_that_are_left_have_the_scores_of_a_whole_scan(rng, name):
    channels = CHANNELS[name]
    image = conftest.noise(rng, (150, 170))
    whole = linear_detector(np.random.default_rng(1), channels)
    pruned = whole.replace(location=prior())
    every, some = whole.scan(image), pruned.scan(image)
    assert 0 < some.n_windows < every.n_windows
    scores = {tuple(w): s for w, s in zip(every.windows.tolist(), every.scores, strict=True)}
    assert len(some.scores) > 100
    for window, score in zip(some.windows.tolist(), some.scores, strict=True):
        assert scores[tuple(window)] == score
    np.testing.assert_array_equal(pruned.scan(image, n_threads=3).scores, some.scores)


def test_a_cascade_is_pruned_too(toy, rng):
    image = conftest.noise(rng, (150, 170))
    conftest.draw_cross(image, 40, 64)
    conftest.draw_cross(image, 100, 4)  # where none is likely
    detector = toy.detector.replace(location=prior())
    every, some = toy.detector.scan(image), detector.scan(image)
    rows = (every.boxes[:, 1] + every.boxes[:, 3]) / 2 / 150
    likely = detector.location.at(every.boxes, 150) >= 0
    assert 0 < likely.sum() < len(rows)
    np.testing.assert_array_equal(some.windows, every.windows[likely])
    np.testing.assert_array_equal(some.scores, every.scores[likely])
    found = detector.detect(image)
    assert (found.boxes[:, 1] > 30).all()
    assert len(found) > 0


@given(st.integers(0, 2**32 - 1))
def test_no_likely_window_is_left_out(seed):
    """For maps of any form, the rows scanned end at the first and the last likely one."""
    rng = np.random.default_rng(seed)
    own = prior(rng.normal(0, 1, (5, 12)), limit=float(rng.normal(0, 1)))
    detector = linear_detector(rng, CHANNELS["hog"])
    for plan in detector.plan((120, 160)):
        window = detector.templates[0].window
        n_rows, _ = window_positions(plan, window, detector.channels)
        first, end = own.rows(plan, window, n_rows)
        assert 0 <= first <= end <= n_rows
        height = 24 / plan.scale[0]
        middles = (np.arange(n_rows) * 4 - plan.padding + 12) / plan.scale[0]
        boxes = np.stack([0 * middles, middles - height / 2, 0 * middles + 24,
                          middles + height / 2], axis=1)  # fmt: skip
        likely = own.at(boxes, 120) >= own.limit
        assert not likely[:first].any()
        assert not likely[end:].any()
        assert end == first or (likely[first] and likely[end - 1])


def test_the_map_between_its_points_by_hand():
    own = prior([[0.0, 1.0], [2.0, 5.0]], sizes=(0.1, 0.4))
    boxes = [[0, -10, 5, 10], [0, 90, 5, 110], [0, 40, 5, 60], [0, 40, 5, 80], [0, -5, 5, 5]]
    # Heights of 20, 20, 20, 40 and 10 px of 100: log2 shares half way, half way, half way, top.
    np.testing.assert_allclose(own.at(boxes, 100), [1.0, 3.0, 2.0, 3.8, 0.0], atol=1e-6)


def test_it_is_learnt_where_objects_are(rng):
    learnt = learn_location(street(rng))
    assert learnt.share_windows < 0.5
    assert learnt.share_lost <= 0.005
    likely, unlikely = np.array([[0, 84, 32, 116]]), np.array([[0, 4, 32, 36]])
    assert learnt.at(likely, 200)[0] > learnt.limit > learnt.at(unlikely, 200)[0]
    # Other objects of the same kind: at most as many are lost as was said, and chance.
    others = street(np.random.default_rng(9), 400)
    boxes = np.concatenate([picture.boxes for picture in others.pictures])
    assert (learnt.at(boxes, 200) < learnt.limit).mean() < 0.03


def test_more_may_be_lost_for_fewer_windows(rng):
    data = street(rng)
    shares = [learn_location(data, max_lost=lost) for lost in (0.0, 0.02, 0.1)]
    scanned = [each.share_windows for each in shares]
    assert scanned == sorted(scanned, reverse=True)
    for each, lost in zip(shares, (0.0, 0.02, 0.1), strict=True):
        assert each.share_lost <= lost


def test_objects_anywhere_leave_everything(rng):
    data = objects_at(rng.uniform(40, 160, 300), rng.uniform(16, 64, 300))
    assert learn_location(data, max_lost=0.0).share_windows > 0.6


def test_scores_rise_where_objects_are_likely(toy, scene_of_crosses):
    image, height = scene_of_crosses
    own = prior(use="rescore", gain=2.0)
    detector = toy.detector.replace(location=own)
    every, some = toy.detector.scan(image), detector.scan(image)
    assert every.n_windows == some.n_windows
    np.testing.assert_array_equal(some.boxes, every.boxes)
    np.testing.assert_allclose(some.scores, every.scores + 2.0 * own.at(every.boxes, height))
    # Windows that may still rise are candidates, whatever the threshold.
    assert detector.floor(100.0) == detector.lowest_score
    assert toy.detector.replace(location=prior(use="both")).scan(image).n_windows < some.n_windows


@pytest.fixture
def scene_of_crosses(rng):
    image = conftest.noise(rng, (150, 170))
    conftest.draw_cross(image, 40, 64)
    conftest.draw_cross(image, 100, 4)
    return image, 150


@pytest.mark.parametrize("use", ["prune", "rescore", "both"])
def test_it_travels_with_the_model(toy, tmp_path, scene_of_crosses, use):
    detector = toy.detector.replace(location=prior(use=use, gain=0.5))
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    ref, got = (each.detect(scene_of_crosses[0]) for each in (detector, loaded))
    np.testing.assert_array_equal(got.boxes, ref.boxes)
    np.testing.assert_array_equal(got.scores, ref.scores)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "model").read_bytes()


def test_refine_learns_it_of_the_detectors_own_labels(toy, rng):
    pictures = []
    for picture in street(rng, 60).pictures:
        boxes = np.concatenate([picture.boxes, [[0, 2, 20, 22]]])
        pictures.append(
            Picture(picture.image_id, picture.name, boxes, ["cross", "bird"], [False] * 2,
                    [False] * 2, pixels=picture.pixels)
        )  # fmt: skip
    params = RefineParams(loss=None, location="prune")
    detector, told = refine(toy.detector, Dataset("street", tuple(pictures)), params)
    own = detector.location
    assert told["location"]["share_windows"] == own.share_windows
    assert own.at([[0, 2, 20, 22]], 200)[0] < own.limit  # birds do not count
    assert detector.templates[0].refinement is None


def test_tiles_are_refused(toy, rng):
    detector = toy.detector.replace(location=prior())
    with pytest.raises(ParameterError, match="a location prior cannot be used in detect_tiled"):
        detect_tiled(detector, conftest.noise(rng, (200, 200)), tile=(100, 100))


def test_few_objects_are_refused(rng):
    with pytest.raises(DataError, match="at least 30 objects in pictures, and 'rows' has 29"):
        learn_location(street(rng, 29))
    with pytest.raises(ParameterError, match="'max_lost' parameter of learn_location"):
        learn_location(street(rng), max_lost=0.8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_odds": np.zeros(4)}, r"of shape \(n_sizes, n_rows\)"),
        ({"log_odds": np.full((2, 2), np.nan)}, "must be finite"),
        ({"sizes": (0.5, 0.1)}, "the smaller first"),
        ({"use": "crop"}, "'use' parameter of LocationPrior must be one of 'prune'"),
        ({"gain": -1.0}, "'gain' parameter"),
        ({"limit": np.inf}, "'limit' parameter"),
    ],
)
def test_wrong_priors_are_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        prior(**change)


def test_sizes_that_the_header_of_a_picture_does_not_state_are_read(rng, tmp_path):
    from bootstrap_det.images import write_image

    data, pictures = street(rng, 40), []
    for picture in data.pictures:
        write_image(tmp_path / picture.name, picture.pixels)
        pictures.append(
            Picture(picture.image_id, picture.name, picture.boxes, picture.labels, picture.ignore,
                    picture.crowd, path=tmp_path / picture.name)
        )  # fmt: skip
    one, other = learn_location(data), learn_location(Dataset("files", tuple(pictures)))
    np.testing.assert_array_equal(one.log_odds, other.log_odds)
