"""Boxes as offsets from references: by hand, there and back, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.refinement import decode, encode

LN2 = np.log(2.0)


def test_encode_by_hand():
    # Half a width to the right, a quarter of the height up, twice as wide, half as high.
    got = encode([[2, 0, 6, 2]], [[2, 0, 4, 4]])
    np.testing.assert_allclose(got, [[0.5, -0.25, LN2, -LN2]])
    np.testing.assert_allclose(decode(got, [[2, 0, 4, 4]]), [[2, 0, 6, 2]])


sides = st.floats(0.1, 90)
some_box = st.tuples(st.floats(-100, 100), st.floats(-100, 100), sides, sides).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(some_box, some_box)
def test_decode_undoes_encode(box, reference):
    got = decode(encode([box], [reference]), [reference])
    np.testing.assert_allclose(got, [box], atol=1e-9)


@given(st.tuples(*[st.floats(-5, 5)] * 4), some_box)
def test_encode_undoes_decode(offsets, reference):
    got = encode(decode([offsets], [reference]), [reference])
    np.testing.assert_allclose(got, [offsets], atol=1e-7)


@given(
    st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 4),
    st.sampled_from([(0, 0, 1, 1), (0, 0, 1e-308, 1e308), (-1e307, 0, 1e307, 5), (9, 9, 1e4, 10)]),
)
def test_decoded_boxes_are_finite(offsets, reference):
    assert np.isfinite(decode([offsets], [reference])).all()


def test_decode_cuts_log_sizes():
    got = decode([[0, 0, 50, -50]], [[0, 0, 2, 2]])
    np.testing.assert_allclose(got, [[-999, 0.999, 1001, 1.001]])


def test_no_boxes_are_no_offsets():
    assert encode([], []).shape == decode(np.zeros((0, 4)), []).shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "references", "message"),
    [
        ([[0, 0, 0, 1]], [[0, 0, 1, 1]], r"boxes must have an area .* Row 0 is \[0.0, 0.0, 0.0"),
        ([[0, 0, 1, 1]], [[0, 1, 1, 0]], "references must have an area and be finite: x1 < x2"),
        ([[0, 0, np.nan, 1]], [[0, 0, 1, 1]], "boxes must have an area and be finite"),
        ([[0, 0, np.inf, 1]], [[0, 0, 1, 1]], "boxes must have an area and be finite"),
        ([[0, 0, 1, 1]] * 2, [[0, 0, 1, 1]], "for each row of boxes. Got 1 references for 2 rows"),
        ([[1e9, 0, 2e9, 1]], [[0, 0, 1e-308, 1]], "Box 0 is too far .* Match boxes to"),
    ],
)
def test_boxes_that_cannot_be_encoded_are_refused(boxes, references, message):
    with pytest.raises(DataError, match=message):
        encode(boxes, references)


def test_offsets_that_cannot_be_decoded_are_refused():
    with pytest.raises(DataError, match=r"offsets must be finite. Row 1 is not; drop it"):
        decode([[0, 0, 0, 0], [0, np.nan, 0, 0]], [[0, 0, 1, 1]] * 2)
    with pytest.raises(DataError, match=r"offsets must be .* shape \(n, 4\). Got shape \(1, 3\)"):
        decode([[0, 0, 0]], [[0, 0, 1, 1]])
    with pytest.raises(DataError, match="references must have an area"):
        decode([[0, 0, 0, 0]], [[0, 0, 0, 0]])
    with pytest.raises(DataError, match=r"each row of offsets. Got 0 references for 1 rows"):
        decode([[0, 0, 0, 0]], [])
    with pytest.raises(ParameterError, match=r"references must be an array of shape \(n, 4\)"):
        decode([[0, 0, 0, 0]], [[0, 1]])
