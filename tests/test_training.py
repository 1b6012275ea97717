"""The front door: which window is trained when none is given."""

import conftest
import numpy as np
import pytest

from bootstrap_det import ACF, HOG, Window, train
from bootstrap_det import boxes as box_ops
from bootstrap_det.classifiers import BoostedLearner
from bootstrap_det.data import Crops, Dataset
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.mining import BootstrapParams
from bootstrap_det.samples import Jitter
from bootstrap_det.training import as_window, default_window


@pytest.mark.parametrize("context", [0.1, 0.25, 1.0])
def test_context_is_in_the_window_on_all_sides(toy, context):
    plain = default_window(toy.dataset, "cross", ACF())
    window = default_window(toy.dataset, "cross", ACF(), context=context)
    assert plain.object_size == plain.size
    height, width = window.object_size
    assert height == pytest.approx(plain.size[0], abs=2)
    assert width == pytest.approx(plain.size[1], abs=2)
    x1, y1, x2, y2 = window.object_box
    assert x1 == pytest.approx(window.size[1] - x2)
    assert y1 == pytest.approx(window.size[0] - y2)
    assert x1 == pytest.approx(context * height, abs=ACF().cell_size)


def test_detector_with_context_reports_the_object_alone(toy):
    result = train(
        toy.dataset,
        context=0.3,
        channels=ACF(),
        jitter=Jitter(n_copies=4),
        learner=BoostedLearner(n_trees=32, n_trees_first=8, holdout=0.4),
        params=BootstrapParams(n_rounds=1, n_random_negatives=500, n_negatives_per_round=500),
    )
    assert result.detector.templates[0].window.size[0] > 1.4 * conftest.SIDE
    hits = 0
    for picture in toy.dataset.pictures[:8]:
        found = result.detector.detect(picture.pixels)
        targets = picture.boxes[picture.targets & (picture.labels == "cross")]
        if len(found) and len(targets):
            hits += box_ops.overlap(found.boxes[:1], targets).max() > 0.5
    assert hits >= 6


def test_context_needs_pictures_and_no_window(rng):
    crops = Dataset(
        "crops", crops=Crops(rng.integers(0, 256, (5, 24, 24)).astype(np.uint8), label="a")
    )
    with pytest.raises(ParameterError, match=r"must be 0 for crops.* Got 0.2; give annotated"):
        default_window(crops, "a", ACF(), context=0.2)
    with pytest.raises(ParameterError, match=r"must be 0 where one is given\. Got 0.2; give a Win"):
        as_window(Window((24, 24)), crops, "a", ACF(), 0.2)
    with pytest.raises(ParameterError, match=r"'context' parameter of train .*\[0, 2\]"):
        default_window(crops, "a", ACF(), context=-1)


def test_window_too_small_for_its_features(toy):
    with pytest.raises(ParameterError, match=r"at least one block of features\. Got \(4, 6\)"):
        as_window((4, 6), toy.dataset, "cross", HOG(cell_size=8))
