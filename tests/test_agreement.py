"""The rule of the UIUC cars, by a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bootstrap_det.evaluation import GroundTruth, Predictions, evaluate
from bootstrap_det.evaluation.agreement import ellipse, ellipsoid
from bootstrap_det.exceptions import ParameterError


def car(row, column, width=100):
    return [column, row, column + width, row + 0.4 * width]


def test_shifts_within_the_axes_are_accepted():
    # About a car of width 100 the axes are 10 rows, 25 columns: 0.36 + 0.64 = 1 for (6, 20).
    truth = np.array([car(60, 50)], float)
    found = np.array([car(66, 70), car(66, 71), car(60, 50), car(50, 50), car(71, 50)], float)
    near = ellipse(found, truth)[:, 0]
    assert (near >= 0.5).tolist() == [True, False, True, True, False]
    assert near[2] == 1.0
    assert near[0] == 0.5


def test_the_width_counts_in_the_multi_scale_test_only():
    # A width of 120 about the same centre is 20 / 25 off: 0.64, with 6 rows 1, with 7 beyond.
    truth = np.array([car(60, 50)], float)
    found = np.array([car(56, 40, 120), car(62, 40, 120), car(63, 40, 120)], float)
    assert (ellipsoid(found, truth)[:, 0] >= 0.5).tolist() == [True, True, False]
    assert (ellipse(found, truth) >= 0.5).all()


def test_locations_are_whole_pixels():
    truth = np.array([car(60, 50)], float)
    found = np.array([car(66.4, 70.4), car(66.6, 70)])
    assert (ellipse(found, truth)[:, 0] >= 0.5).tolist() == [True, False]


def measured(boxes, agreement="ellipse"):
    n = len(boxes)
    truth = GroundTruth(
        np.array([car(60, 50), car(160, 50)]), ["car"] * 2, [False] * 2, [False] * 2
    )
    found = Predictions(np.array(boxes, float), np.linspace(0.9, 0.5, n), ["car"] * n)
    empty = GroundTruth(np.zeros((0, 4)), [], [], [])
    nothing = Predictions(np.zeros((0, 4)), [], [])
    return evaluate([truth, empty], [found, nothing], label="car", agreement=agreement)


def test_each_car_is_found_once():
    result = measured([car(66, 70), car(66, 71), car(60, 50), car(56, 40, 120), car(62, 40, 120)])
    assert result.matches.is_hit.tolist() == [True, False, False, False, False]
    assert result.recall_at_equal_error == 0.5
    assert result.agreement == "ellipse"
    # The same boxes by intersection over union: 60, 50 would be the first to reach 0.5.
    assert measured([car(60, 50), car(160, 75)]).recall_at_equal_error == 1.0
    assert measured([car(60, 50), car(160, 75)], "iou").recall_at_equal_error == 1.0
    assert measured([car(60, 50), car(172, 50)]).recall_at_equal_error == 0.5
    assert measured([car(60, 50), car(172, 50)], "iou").recall_at_equal_error == 1.0


def test_recall_at_equal_error_counts_as_many_detections_as_objects():
    # Wrong, right, right: of two objects one is found among the first two.
    assert measured([car(0, 300), car(60, 50), car(160, 50)]).recall_at_equal_error == 0.5
    assert measured([car(60, 50)]).recall_at_equal_error == 0.5


def test_an_unknown_agreement_is_refused():
    with pytest.raises(ParameterError, match=r"'agreement' .* must be one of 'iou', 'ellipse'"):
        measured([car(60, 50)], "circle")
