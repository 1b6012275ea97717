"""Every kernel against its naive twin.

To be run three times: as it is, without numba's compiler (``NUMBA_DISABLE_JIT=1``, ``-m nojit``),
and with ``NUMBA_BOUNDSCHECK=1``. The last one needs a ``NUMBA_CACHE_DIR`` of its own: the cache
does not know whether code was compiled with the check.
"""

import naive
import naive_losses
import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det._kernels import box_losses, hog, linear, offset_losses
from bootstrap_det._kernels import boxes as box_kernels


def boundaries(n_bins, signed):
    """Return cosine and sine of the inner boundaries of the upper half plane."""
    n_half = n_bins // 2 if signed else n_bins
    angles = np.arange(1, n_half) * (np.pi / n_half)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).round(9).astype(np.float32)


def cells_of(image, cell_size, n_bins, signed=False, interpolate=False):
    """Return the kernel's cells of a picture of shape (height, width[, channels])."""
    planes = np.ascontiguousarray(image.reshape(*image.shape[:2], -1))
    out = np.empty((n_bins, image.shape[0] // cell_size, image.shape[1] // cell_size), np.float32)
    fill = hog.interpolated_histograms if interpolate else hog.cell_histograms
    fill(planes, cell_size, boundaries(n_bins, signed), signed, out)
    return out


def twin_cells(image, cell_size, n_bins, signed=False, interpolate=False):
    twin = naive.hog_cells_interpolated if interpolate else naive.hog_cells
    return twin(image.reshape(*image.shape[:2], -1), cell_size, n_bins, signed)


def picture(rng, shape, dtype=np.uint8):
    values = rng.integers(0, 256, shape)
    return values.astype(np.uint8) if dtype == np.uint8 else (values / 255).astype(np.float32)


@pytest.mark.nojit
@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_histograms_grey(rng, dtype, interpolate):
    image = picture(rng, (13, 11), dtype)
    got = cells_of(image, 4, 9, interpolate=interpolate)
    np.testing.assert_allclose(got, twin_cells(image, 4, 9, interpolate=interpolate), rtol=1e-5)


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("cell_size", "n_bins"), [(2, 2), (3, 8), (4, 18), (5, 12), (8, 4)])
def test_histograms_settings(rng, cell_size, n_bins, signed, interpolate):
    image = picture(rng, (19, 17))
    ref = twin_cells(image, cell_size, n_bins, signed, interpolate)
    got = cells_of(image, cell_size, n_bins, signed, interpolate)
    np.testing.assert_allclose(got, ref, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_histograms_colour(rng, dtype, interpolate):
    image = picture(rng, (14, 10, 3), dtype)
    ref = twin_cells(image, 4, 8, True, interpolate)
    np.testing.assert_allclose(cells_of(image, 4, 8, True, interpolate), ref, rtol=1e-4, atol=1e-5)


@pytest.mark.nojit
@pytest.mark.parametrize("interpolate", [False, True])
def test_histograms_tiny_pictures(rng, interpolate):
    for height in range(2, 10):
        for width in (2, 3, 9):
            image = picture(rng, (height, width))
            ref = twin_cells(image, 2, 3, interpolate=interpolate)
            got = cells_of(image, 2, 3, interpolate=interpolate)
            np.testing.assert_allclose(got, ref, rtol=1e-4, atol=1e-4, err_msg=f"{height} {width}")


@pytest.mark.parametrize("interpolate", [False, True])
def test_histograms_no_cell(interpolate):
    assert cells_of(np.zeros((3, 9), np.uint8), 4, 9, interpolate=interpolate).shape == (9, 0, 2)


@pytest.mark.nojit
@pytest.mark.parametrize("interpolate", [False, True])
def test_histograms_constant_picture_is_zero(interpolate):
    assert not cells_of(np.full((9, 9), 200, np.uint8), 3, 9, interpolate=interpolate).any()


def test_histograms_one_bright_pixel():
    image = np.zeros((8, 8), np.uint8)
    image[1, 2] = 100
    cells = cells_of(image, 4, 4)
    # Its left and right neighbour see a step along x (bin 0), the ones above and below, along y.
    # The one above lies in the first row, which has no gradient along y.
    assert cells[:, 0, 0] * 16 == pytest.approx([200, 0, 100, 0])
    assert not cells[:, 1, :].any()
    assert not cells[:, :, 1].any()


@pytest.mark.parametrize("signed", [False, True])
def test_histograms_exact_diagonals(signed):
    ramps = np.add.outer(np.arange(9), np.arange(9)).astype(np.uint8)
    for image in (ramps, ramps[:, ::-1], ramps[::-1], ramps[::-1, ::-1]):
        ref = twin_cells(image, 3, 8, signed)
        np.testing.assert_allclose(cells_of(image, 3, 8, signed), ref, rtol=1e-5)


def test_histograms_colour_ties_take_the_first_channel():
    step = np.zeros((6, 6, 3), np.uint8)
    step[:, 3:, 0] = 50  # dark to bright
    step[:, :3, 1] = 50  # bright to dark, as strong
    cells = cells_of(step, 6, 2, signed=True)
    assert cells[0, 0, 0] > 0
    assert cells[1, 0, 0] == 0


@pytest.mark.nojit
@pytest.mark.parametrize(("block_size", "n_bins"), [(1, 9), (2, 4), (3, 2)])
def test_normalise_blocks(rng, block_size, n_bins):
    cells = rng.gamma(1.0, 10.0, (n_bins, 5, 4)).astype(np.float32)
    ref = naive.l2_hys(cells, block_size, 0.5, 0.2)
    got = np.empty(ref.shape, np.float32)
    hog.normalise_blocks(cells, block_size, np.float32(0.5), np.float32(0.2), got)
    np.testing.assert_allclose(got, ref, rtol=1e-5, atol=1e-6)


def test_normalise_blocks_zeros_stay_zeros():
    got = np.empty((16, 2, 2), np.float32)
    hog.normalise_blocks(np.zeros((4, 3, 3), np.float32), 2, np.float32(1e-5), np.float32(0.2), got)
    assert not got.any()


@pytest.mark.nojit
@pytest.mark.parametrize("width", [1, 3, 4, 5, 8, 9])
def test_score_rows(rng, width):
    channels = rng.normal(size=(3, 6, 10)).astype(np.float32)
    weights = rng.normal(size=(3, 2, width)).astype(np.float32)
    ref = naive.score_level(channels, weights, -0.5)
    got = np.empty(ref.shape, np.float32)
    linear.score_rows(channels, weights, -0.5, 0, len(ref), got)
    np.testing.assert_allclose(got, ref, atol=1e-5)


def test_score_rows_only_the_rows_asked_for(rng):
    channels = rng.normal(size=(2, 6, 6)).astype(np.float32)
    weights = rng.normal(size=(2, 2, 2)).astype(np.float32)
    got = np.full((5, 5), 99, np.float32)
    linear.score_rows(channels, weights, 0.0, 2, 4, got)
    assert (got[[0, 1, 4]] == 99).all()
    np.testing.assert_allclose(got[2:4], naive.score_level(channels, weights, 0.0)[2:4], atol=1e-5)


def test_score_rows_large_template_keeps_its_precision(rng):
    channels = rng.uniform(0, 1, (36, 16, 16)).astype(np.float32)
    weights = rng.normal(0, 0.1, (36, 15, 15)).astype(np.float32)
    got = np.empty((2, 2), np.float32)
    linear.score_rows(channels, weights, 0.25, 0, 2, got)
    np.testing.assert_allclose(got, naive.score_level(channels, weights, 0.25), atol=1e-5)


def random_boxes(rng, n, grid=12):
    """Return boxes on whole numbers, so that ties and touching sides are frequent."""
    corners = rng.integers(0, grid, (n, 2))
    return np.concatenate([corners, corners + rng.integers(0, grid, (n, 2))], axis=1).astype(float)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", ["iou", "min"])
@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (7, 9)])
def test_overlap_matrix(rng, n, m, kind):
    a, b = random_boxes(rng, n), random_boxes(rng, m)
    got = np.empty((n, m))
    box_kernels.overlap_matrix(a, b, kind == "min", got)
    ref = np.array([[naive.overlap(x, y, kind) for y in b] for x in a]).reshape(n, m)
    np.testing.assert_allclose(got, ref)


@pytest.mark.nojit
@pytest.mark.parametrize("by_smaller", [False, True])
def test_overlap_matrix_degenerate_boxes(by_smaller):
    odd = np.array([[0, 0, 0, 5], [5, 5, 1, 1], [0, 0, 4, 4]], float)
    got = np.empty((3, 3))
    box_kernels.overlap_matrix(odd, odd, by_smaller, got)
    assert got[2, 2] == 1.0
    assert got.sum() == 1.0


@pytest.mark.nojit
@pytest.mark.parametrize("kind", ["iou", "min"])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_greedy_nms(rng, n, kind):
    boxes = random_boxes(rng, n)
    kept = np.empty(n, np.int64)
    n_kept = box_kernels.greedy_nms(boxes, 0.3, kind == "min", kept)
    falling = -np.arange(n)
    boxes_in_order = [tuple(box) for box in boxes]
    assert kept[:n_kept].tolist() == naive.nms(boxes_in_order, falling, 0.3, kind)


@given(st.integers(0, 2**32 - 1), st.integers(0, 25), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_greedy_nms_any_boxes(seed, n, threshold):
    boxes = random_boxes(np.random.default_rng(seed), n, grid=6)
    kept = np.empty(n, np.int64)
    n_kept = box_kernels.greedy_nms(boxes, threshold, False, kept)
    assert kept[:n_kept].tolist() == naive.nms(boxes, -np.arange(n), threshold)


def test_greedy_nms_stops_when_full(rng):
    boxes = random_boxes(rng, 20)
    few, all_of_them = np.empty(3, np.int64), np.empty(20, np.int64)
    assert box_kernels.greedy_nms(boxes, 0.3, False, few) == 3
    box_kernels.greedy_nms(boxes, 0.3, False, all_of_them)
    assert few.tolist() == all_of_them[:3].tolist()


BOX_LOSSES = {
    "iou": box_losses.IOU,
    "log-iou": box_losses.LOG_IOU,
    "giou": box_losses.GIOU,
    "diou": box_losses.DIOU,
    "ciou": box_losses.CIOU,
}


@pytest.mark.nojit
@pytest.mark.parametrize("kind", BOX_LOSSES)
@pytest.mark.parametrize("n", [0, 1, 60])
def test_box_losses(rng, kind, n):
    predicted, true = random_boxes(rng, n), random_boxes(rng, n)
    if n > 1:
        true[:5] = predicted[:5]
        predicted[5:10] = predicted[5:10, [2, 3, 0, 1]]  # the wrong way round
    values, gradients = np.empty(n), np.empty((n, 4))
    box_losses.box_losses(predicted, true, BOX_LOSSES[kind], values, gradients)
    ref = [naive_losses.box_loss(kind, p, t) for p, t in zip(predicted, true, strict=True)]
    np.testing.assert_allclose(values, ref, rtol=1e-12, atol=1e-12)
    assert np.isfinite(gradients).all()


def by_differences(loss, point, step=1e-6):
    """Return the gradient of a function of one list of numbers."""
    point = np.asarray(point, float)
    steps = np.eye(point.size).reshape(point.size, *point.shape) * step
    slopes = [(loss(point + move) - loss(point - move)) / (2 * step) for move in steps]
    return np.reshape(slopes, point.shape)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", BOX_LOSSES)
def test_gradients_of_box_losses(rng, kind):
    n = 20
    predicted, true = (rng.uniform([0, 0, 3, 3], [4, 4, 8, 8], (n, 4)) for _ in range(2))
    values, gradients = np.empty(n), np.empty((n, 4))
    box_losses.box_losses(predicted, true, BOX_LOSSES[kind], values, gradients)
    for p, t, got in zip(predicted, true, gradients, strict=True):
        ref = by_differences(lambda box, t=t: naive_losses.box_loss(kind, box, t), p)
        np.testing.assert_allclose(got, ref, atol=1e-6)


COORDINATE_LOSSES = {
    "squared": (offset_losses.squared, ()),
    "smooth_l1": (offset_losses.smooth_l1, (0.7,)),
    "balanced_l1": (offset_losses.balanced_l1, (0.4, 1.2)),
}


@pytest.mark.nojit
@pytest.mark.parametrize("name", COORDINATE_LOSSES)
def test_coordinate_losses(rng, name):
    kernel, params = COORDINATE_LOSSES[name]
    apart = rng.normal(0, 1, (20, 4))
    values, gradients = np.empty(20), np.empty((20, 4))
    kernel(apart, *params, values, gradients)
    twin = getattr(naive_losses, name)
    for row, value, got in zip(apart, values, gradients, strict=True):
        assert value == pytest.approx(twin(row, *params))
        ref = by_differences(lambda z: twin(z, *params), row)
        np.testing.assert_allclose(got, ref, atol=1e-6)


@pytest.mark.nojit
def test_uncertain(rng):
    outputs = rng.normal(0, 1, (20, 8))
    values, gradients = np.empty(20), np.empty((20, 8))
    offset_losses.uncertain(outputs[:, :4], outputs[:, 4:], 20.0, values, gradients)

    def twin(row):
        return naive_losses.uncertain(row[:4], row[4:])

    for row, value, got in zip(outputs, values, gradients, strict=True):
        assert value == pytest.approx(twin(row))
        np.testing.assert_allclose(got, by_differences(twin, row), atol=1e-6)


@pytest.mark.nojit
def test_bounded_iou(rng):
    offsets, targets = rng.normal(0, 0.4, (20, 4)), rng.normal(0, 0.4, (20, 4))
    values, gradients = np.empty(20), np.empty((20, 4))
    offset_losses.bounded_iou(offsets, targets, 7.0, 0.3, values, gradients)
    for row, true, value, got in zip(offsets, targets, values, gradients, strict=True):
        assert value == pytest.approx(naive_losses.bounded_iou(row, true, 0.3))
        ref = by_differences(lambda z, t=true: naive_losses.bounded_iou(z, t, 0.3), row)
        np.testing.assert_allclose(got, ref, atol=1e-6)


@pytest.mark.nojit
@pytest.mark.parametrize("n_bins", [2, 5])
def test_distribution(rng, n_bins):
    logits, positions = rng.normal(0, 1, (12, 4, n_bins)), rng.uniform(0, n_bins - 1, (12, 4))
    positions[:2] = [0, n_bins - 1, 1, 0]  # on bins, and at both ends
    values, gradients = np.empty(12), np.empty((12, 4, n_bins))
    offset_losses.distribution(logits, positions, values, gradients)
    for block, position, value, got in zip(logits, positions, values, gradients, strict=True):
        assert value == pytest.approx(naive_losses.distribution(block, position))
        ref = by_differences(lambda z, at=position: naive_losses.distribution(z, at), block)
        np.testing.assert_allclose(got, ref, atol=1e-6)


@pytest.mark.nojit
@pytest.mark.parametrize("kind", ["iou", "min"])
@pytest.mark.parametrize(("n", "least"), [(0, 0.0), (1, 0.0), (25, -30.0), (25, 0.0), (9, 99.0)])
def test_soft_nms(rng, n, least, kind):
    boxes, scores = random_boxes(rng, n), rng.normal(0, 3, n)
    boxes = boxes[np.lexsort(boxes.T[::-1])]
    weights, lowered = np.full(n, 4.0), np.empty(n)
    waiting, kept = np.empty(n, np.int64), np.empty(n, np.int64)
    n_kept = box_kernels.soft_nms(
        boxes, scores, weights, kind == "min", least, waiting, lowered, kept
    )
    ref_kept, ref_lowered = naive.soft_nms(boxes, scores, weights, 1.0, least, kind)
    assert kept[:n_kept].tolist() == ref_kept
    np.testing.assert_allclose(lowered[kept[:n_kept]], ref_lowered)


@pytest.mark.nojit
@pytest.mark.parametrize("n", [0, 1, 25])
def test_fuse(rng, n):
    boxes, scores = random_boxes(rng, n), -np.arange(n) / 3
    totals, fused = np.empty(n), np.empty((n, 4))
    counts, founders = np.empty(n, np.int64), np.empty(n, np.int64)
    n_clusters = box_kernels.fuse(boxes, scores, 0.3217, 2.0, totals, fused, counts, founders)
    ref_fused, _, clusters = naive.fuse(boxes, scores, 0.3217, 2.0, 1.0, 1.0)
    assert founders[:n_clusters].tolist() == [members[0] for members in clusters]
    assert counts[:n_clusters].tolist() == [len(members) for members in clusters]
    np.testing.assert_allclose(fused[:n_clusters], ref_fused, atol=1e-9)


@pytest.mark.skipif(
    not numba.config.BOUNDSCHECK or bool(numba.config.DISABLE_JIT),
    reason="shows that NUMBA_BOUNDSCHECK=1 reaches the kernels, and is not hidden by the cache",
)
def test_boundscheck_is_effective():
    boxes = np.zeros((4, 4))
    with pytest.raises(IndexError):
        box_kernels.overlap_matrix(boxes, boxes, False, np.empty((2, 2)))
