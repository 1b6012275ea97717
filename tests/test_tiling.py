"""Tiles: which cover a picture, what annotations become in them, and detection in them."""

import json
from dataclasses import replace

import conftest
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import boxes as box_ops
from bootstrap_det import read_annotations
from bootstrap_det.channels import HOG
from bootstrap_det.classifiers import LinearModel
from bootstrap_det.cli import main
from bootstrap_det.data import Crops, Dataset, Picture, tile, write_coco
from bootstrap_det.detector import Detector, Template
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import write_image
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.suppression import SUPPRESSIONS
from bootstrap_det.tiles import owners, tile_boxes
from bootstrap_det.tiling import default_overlap, detect_tiled
from bootstrap_det.windows import Window

sides = st.integers(16, 400)


@st.composite
def tilings(draw):
    """Return the size of a picture, of its tiles, and their overlap."""
    tile = draw(st.integers(16, 120)), draw(st.integers(16, 120))
    return (draw(sides), draw(sides)), tile, draw(st.integers(0, min(tile) - 1))


def test_tiles_of_a_picture_by_hand():
    got = tile_boxes((100, 250), (100, 100), 20)
    # Steps of 80: 0, 80, and the last moved back to end at 250.
    assert got.tolist() == [[0, 0, 100, 100], [80, 0, 180, 100], [150, 0, 250, 100]]
    assert tile_boxes((30, 40), (64, 64), 10).tolist() == [[0, 0, 40, 30]]
    assert len(tile_boxes((200, 200), (100, 100), 0)) == 4


def test_owners_by_hand():
    tiles = tile_boxes((100, 250), (100, 100), 20)  # shared: 80 to 100 and 150 to 180
    centres = [-5, 89, 91, 164, 166, 999]
    boxes = [[x - 1, 40, x + 1, 42] for x in centres]
    assert owners(tiles, boxes).tolist() == [0, 0, 1, 1, 2, 2]


@given(tilings())
def test_tiles_cover_every_pixel_and_are_all_of_one_size(tiling):
    size, tile, overlap = tiling
    covered = np.zeros(size, dtype=bool)
    for x1, y1, x2, y2 in tile_boxes(size, tile, overlap):
        assert (y2 - y1, x2 - x1) == (min(tile[0], size[0]), min(tile[1], size[1]))
        covered[y1:y2, x1:x2] = True
    assert covered.all()


@given(tilings(), st.randoms(use_true_random=False))
def test_what_is_no_larger_than_the_overlap_is_whole_in_its_owner(tiling, random):
    size, tile, overlap = tiling
    tiles = tile_boxes(size, tile, overlap)
    for _ in range(20):
        height, width = (min(random.uniform(0.1, max(overlap, 0.2)), side) for side in size)
        y, x = random.uniform(0, size[0] - height), random.uniform(0, size[1] - width)
        inside = (tiles[:, 0] <= x) & (tiles[:, 1] <= y)
        inside &= (x + width <= tiles[:, 2]) & (y + height <= tiles[:, 3])
        if max(height, width) <= overlap:
            assert inside[owners(tiles, [[x, y, x + width, y + height]])[0]]


@pytest.mark.parametrize("overlap", [64, 80])
def test_an_overlap_as_large_as_the_tile_is_refused(overlap):
    with pytest.raises(ParameterError, match=rf"below the tile's sides, 64x90 px. Got {overlap}"):
        tile_boxes((500, 500), (64, 90), overlap)


# Detection


def crosses(rng, size, n=8, largest=110):
    """Return a picture of crosses of many sizes."""
    image = conftest.noise(rng, size)
    for _ in range(n):
        side = int(rng.integers(24, largest))
        x, y = int(rng.integers(0, size[1] - side)), int(rng.integers(0, size[0] - side))
        conftest.draw_cross(image, x, y, side)
    return image


def one_scale(rng, sizes=((24, 24),), labels=("a", "b"), **options):
    """Return a detector of random templates at the pixels of the picture alone."""
    channels = HOG(cell_size=4)
    templates = [
        Template(
            Window(size),
            LinearModel(rng.normal(0, 0.2, (channels.n_channels, *channels.grid_shape(size))), 0.0),
            label,
        )
        for size, label in zip(sizes, labels, strict=False)
    ]
    limits = {"min_object_size": sizes[0][0], "max_object_size": sizes[0][0]}
    return Detector(templates, channels, pyramid=Pyramid(**limits), **options)


@pytest.mark.parametrize("suppression", SUPPRESSIONS)
@pytest.mark.parametrize("labels", [("a", "a"), ("a", "b")])
def test_at_one_scale_and_on_one_grid_tiles_change_nothing(rng, suppression, labels):
    """Tiles begin on the picture's grid of cells here, so every window is the same."""
    detector = one_scale(rng, ((24, 24), (24, 32)), labels, suppression=suppression)
    image = conftest.noise(rng, (152, 216))
    whole = detector.detect(image)
    got = detect_tiled(detector, image, tile=(88, 104), overlap=56)
    assert len(whole) > 5
    np.testing.assert_allclose(got.boxes, whole.boxes, atol=1e-9)
    np.testing.assert_allclose(got.scores, whole.scores, atol=1e-5)
    assert got.labels.tolist() == whole.labels.tolist()


def agreement(one, other):
    """Return the overlap of each confident detection with the nearest of the other's."""
    sure = one[one.scores >= np.percentile(one.scores, 60)]
    return box_ops.overlap(sure.boxes, other.boxes).max(axis=1)


def test_objects_of_all_sizes_are_found_as_in_the_whole(any_toy, rng):
    """Tiles change detections no more than cutting off three rows and five columns does."""
    detector, tiles, cuts = any_toy.detector, [], []
    for _ in range(3):
        image = crosses(rng, (260, 330))
        whole, tiled = detector.detect(image), detect_tiled(detector, image, tile=(120, 140))
        tiles += [*agreement(whole, tiled), *agreement(tiled, whole)]
        cut = detector.detect(image[3:, 5:])
        moved = replace(cut, boxes=cut.boxes + np.array([5, 3, 5, 3]))
        cuts += [*agreement(whole, moved), *agreement(moved, whole)]
    assert len(tiles) > 60
    assert np.median(tiles) > 0.85
    assert np.mean(tiles) > np.mean(cuts) - 0.02
    assert min(tiles) > 0.3  # more, and suppression would see one object


def test_large_objects_are_found_although_every_tile_cuts_them(toy, rng):
    image = conftest.noise(rng, (240, 240))
    conftest.draw_cross(image, 50, 45, 150)
    found = detect_tiled(toy.detector, image, tile=(96, 96), overlap=48)
    best = box_ops.overlap([[50, 45, 200, 195]], found.boxes)[0]
    assert best.max() > 0.5
    whole = toy.detector.detect(image)  # coarse levels are those of the whole, both times
    of_whole, of_tiles = (each.boxes[each.boxes[:, 3] - each.boxes[:, 1] > 96]
                          for each in (whole, found))  # fmt: skip
    assert len(of_whole)
    np.testing.assert_allclose(of_tiles, of_whole)


def test_templates_of_two_sizes_and_limits_are_each_scanned_once(rng):
    """Whatever of (level, template) is above the tiles' limit comes from the whole, once."""
    detector = one_scale(rng, ((24, 24), (36, 36)))
    wide = Pyramid(scales_per_octave=3, min_object_size=20, max_object_size=100)
    detector = detector.replace(**wide.get_params(), threshold=-100.0, nms_threshold=1.0)
    image = conftest.noise(rng, (190, 200))
    whole = detector.scan(image, threshold=-np.inf)
    from bootstrap_det import tiling

    limit = tiling._largest_height(detector, 60)
    assert 20 < limit < 60
    coarse = tiling._scan_coarse(detector, image, limit, -np.inf, 1)
    fine = detector.replace(max_object_size=limit).scan(image, threshold=-np.inf)
    ids = {tuple(row) for row in [*coarse.windows.tolist(), *fine.windows.tolist()]}
    assert ids == {tuple(row) for row in whole.windows.tolist()}
    assert len(coarse.windows) + len(fine.windows) == len(whole.windows)


def test_a_picture_no_larger_than_a_tile_is_scanned_whole(any_toy):
    image = any_toy.dataset.pictures[0].load()
    whole = any_toy.detector.detect(image, image_id=3)
    got = detect_tiled(any_toy.detector, image, tile=(80, 96), overlap=60, image_id=3)
    np.testing.assert_array_equal(got.boxes, whole.boxes)
    np.testing.assert_array_equal(got.scores, whole.scores)
    assert got.image_id == 3


def test_a_higher_threshold_leaves_the_same_detections(toy, rng):
    image = crosses(rng, (200, 220))
    everything = detect_tiled(toy.detector, image, tile=(120, 120))
    best = detect_tiled(toy.detector, image, tile=(120, 120), threshold=1.0)
    np.testing.assert_array_equal(best.boxes, everything.boxes[everything.scores >= 1.0])


def test_threads_do_not_change_the_result(toy, rng):
    image = crosses(rng, (200, 220))
    one, two = (
        detect_tiled(toy.detector, image, tile=(120, 120), n_threads=n_threads)
        for n_threads in (1, 2)
    )
    np.testing.assert_array_equal(one.boxes, two.boxes)


def test_an_overlap_below_the_smallest_window_is_refused(toy):
    needed = 24 + 2 * toy.detector.channels.cell_size
    message = rf"must hold the smallest window, {needed} px.* Got 20 instead. Give {needed} or more"
    with pytest.raises(ParameterError, match=message):
        detect_tiled(toy.detector, np.zeros((200, 200), np.uint8), tile=(100, 100), overlap=20)
    enlarged = toy.detector.replace(min_object_size=48)
    with pytest.raises(ParameterError, match="must hold the smallest window, "):
        detect_tiled(enlarged, np.zeros((200, 200), np.uint8), tile=(100, 100), overlap=40)


def test_the_default_overlap_is_a_quarter_or_what_the_window_needs(toy):
    assert default_overlap(toy.detector, (400, 600)) == 100
    needed = 24 + 2 * toy.detector.channels.cell_size
    assert default_overlap(toy.detector, (64, 64)) == needed


# The command line


@pytest.fixture
def files(toy, rng, tmp_path):
    """A model, and a picture of crosses."""
    toy.detector.save(tmp_path / "model.bdet")
    write_image(tmp_path / "large.png", crosses(rng, (220, 260)))
    return tmp_path


def detect(folder, *options, code=0):
    arguments = ["detect", folder / "large.png", "--model", folder / "model.bdet", *options]
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result


def test_detect_in_tiles_is_the_function_on_files(toy, files):
    from bootstrap_det import read_image

    found = json.loads(detect(files, "--tile", "128x128", "--json").stdout)["results"]
    image = read_image(files / "large.png", color="grey")
    ref = detect_tiled(toy.detector, image, tile=(128, 128), overlap=32)
    assert [entry["score"] for entry in found] == pytest.approx(ref.scores.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tile-overlap", "40"], "no effect without tiles. Give their size with --tile"),
        (["--tile", "100x100", "--tile-overlap", "3"], "must hold the smallest window"),
        (["--tile", "100x100", "--tile-overlap", "100"], "must be below the tile's sides"),
        (["--tile", "20x20"], "must be below the tile's sides"),
    ],
)
def test_what_detect_refuses_about_tiles(files, options, message):
    assert message in detect(files, *options, code=2).stderr


# Annotations


def annotated(boxes, size=(100, 100), name="a/b.png", **flags):
    n = len(boxes)
    ignore, crowd = (flags.get(key, [False] * n) for key in ("ignore", "crowd"))
    pixels = np.random.default_rng(3).integers(0, 255, (*size, 3)).astype(np.uint8)
    return Picture(5, name, boxes, ["x"] * n, ignore, crowd, pixels=pixels)


def test_boxes_in_tiles_by_hand():
    """Two tiles, 0 to 60 and 40 to 100; the object from 30 to 70 is three quarters in each."""
    data = Dataset(
        "set", (annotated([[30, 5, 70, 45], [2, 2, 12, 12], [55, 50, 75, 60]], (60, 100)),)
    )
    got = tile(data, (60, 60), overlap=20)
    left, right = got.dataset.pictures
    assert (left.name, right.name) == ("a_b_y00000_x00000", "a_b_y00000_x00040")
    assert left.boxes.tolist() == [[30, 5, 60, 45], [2, 2, 12, 12], [55, 50, 60, 60]]
    assert left.ignore.tolist() == [False, False, True]  # a quarter is too little
    assert right.boxes.tolist() == [[0, 5, 30, 45], [15, 50, 35, 60]]
    assert right.ignore.tolist() == [False, False]
    counts = got.to_dict()
    assert counts == {"n_tiles": 2, "n_pictures": 1, "n_objects": 3, "n_whole": 2, "n_cut": 1,
                      "n_lost": 0, "n_boxes": 4, "n_remains": 1, "n_slivers": 0}  # fmt: skip
    np.testing.assert_array_equal(right.load("rgb"), data.pictures[0].pixels[:, 40:])


def test_a_stricter_share_loses_the_object_and_says_so():
    data = Dataset("set", (annotated([[30, 5, 70, 45]], (60, 100)),))
    got = tile(data, (60, 60), overlap=20, min_visible=0.8)
    assert (got.n_whole, got.n_cut, got.n_lost, got.n_remains) == (0, 0, 1, 2)
    assert got.dataset.n_objects == 0


def test_boxes_can_be_kept_whole():
    data = Dataset("set", (annotated([[30, 5, 70, 45]], (60, 100)),))
    left, right = tile(data, (60, 60), overlap=20, keep_whole=True).dataset.pictures
    assert left.boxes.tolist() == [[30, 5, 70, 45]]
    assert right.boxes.tolist() == [[-10, 5, 30, 45]]


def test_ignored_boxes_and_crowds_are_cut_and_stay_what_they_are():
    flags = {"ignore": [True, False], "crowd": [False, True]}
    data = Dataset("set", (annotated([[50, 0, 64, 10], [30, 20, 100, 40]], (60, 100), **flags),))
    left, right = tile(data, (60, 60), overlap=20).dataset.pictures
    assert left.boxes.tolist() == [[50, 0, 60, 10], [30, 20, 60, 40]]
    assert left.ignore.tolist() == [True, False]
    assert right.crowd.tolist() == [False, True]


def test_remains_thinner_than_a_pixel_are_left_out():
    data = Dataset("set", (annotated([[59.5, 5, 79, 25]], (60, 120)),))
    got = tile(data, (60, 60))
    assert [len(p.boxes) for p in got.dataset.pictures] == [0, 1]
    assert got.n_slivers == 1
    assert len(tile(data, (60, 60), keep_empty=False).dataset) == 1


def test_an_object_past_the_border_counts_by_what_the_picture_shows():
    data = Dataset("set", (annotated([[-30, 5, 20, 45]], (60, 120)),))
    got = tile(data, (60, 60))
    assert got.dataset.pictures[0].boxes.tolist() == [[-30, 5, 20, 45]]
    assert got.n_whole == 1


@given(tilings(), st.data())
def test_objects_no_larger_than_the_overlap_are_whole_and_map_back(tiling, drawn):
    size, frame, overlap = tiling
    numbers = st.floats(0.0, 1.0)
    boxes = []
    for _ in range(drawn.draw(st.integers(1, 5))):
        height, width = (
            max(drawn.draw(numbers) * min(max(overlap, 2), side), 1.0) for side in size
        )
        y, x = drawn.draw(numbers) * (size[0] - height), drawn.draw(numbers) * (size[1] - width)
        boxes.append([x, y, x + width, y + height])
    data = Dataset("set", (annotated(boxes, size),))
    got = tile(data, frame, overlap=overlap)
    back = [
        part.boxes[part.targets] + np.tile(part.source.box[:2], 2) for part in got.dataset.pictures
    ]
    every = np.concatenate(back)
    for box in boxes:
        # Cut or not, what a tile has of an object is a part of it.
        near = (np.abs(every - box) < 1e-6).all(axis=1)
        if max(box[2] - box[0], box[3] - box[1]) <= overlap:
            assert near.any()
    assert got.n_whole + got.n_cut + got.n_lost == len(boxes)
    inside = [part.boxes.min(initial=0) >= -1e-9 for part in got.dataset.pictures]
    assert all(inside)


def test_tile_names_are_distinct():
    twins = [annotated([], (60, 60), name) for name in ("a/b.png", "a_b.jpg")]
    data = Dataset("set", (twins[0], replace(twins[1], image_id=6)))
    names = [p.name for p in tile(data, (60, 60)).dataset.pictures]
    assert names == ["a_b_y00000_x00000", "a_b_y00000_x00000_2"]


def test_what_tiling_refuses():
    data = Dataset("set", (annotated([]),))
    with pytest.raises(ParameterError, match=r"'overlap' parameter of tile must be below"):
        tile(data, (64, 64), overlap=64)
    with pytest.raises(ParameterError, match=r"'min_visible' parameter of tile must be"):
        tile(data, (64, 64), min_visible=0.0)
    with pytest.raises(DataError, match="crops of 'set' cannot be cut"):
        tile(Dataset("set", crops=Crops(np.zeros((1, 8, 8), "u1"))), (64, 64))


@pytest.fixture
def aerial(tmp_path):
    """A folder with annotations of two pictures, one of them grey."""
    (tmp_path / "images").mkdir()
    pictures = []
    for index, color in enumerate(("rgb", "grey")):
        made = annotated([[30, 5, 70, 45], [2, 2, 12, 12]], (60, 100), f"{index}.png")
        path = tmp_path / "images" / made.name
        write_image(path, made.load(color))
        pictures.append(replace(made, image_id=index, pixels=None, path=path))
    write_coco(Dataset("aerial", tuple(pictures)), tmp_path / "aerial.json")
    return tmp_path


def run_tile(folder, *options, code=0):
    arguments = ["dataset", "tile", folder / "aerial.json", "--tile", "60x60", *options]
    result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize("jobs", [1, 2])
def test_tiles_are_written_as_a_data_set(aerial, jobs):
    out = aerial / "out"
    said = run_tile(aerial, "--overlap", "20", "--out", out, "--jobs", jobs)
    assert "2 pictures -> 4 tiles" in said.stdout
    assert "2 objects are in no tile whole. Raise --overlap" in said.stderr
    data = read_annotations(out / "annotations.json")
    source = read_annotations(aerial / "aerial.json")
    tiles = tile(source, (60, 60), overlap=20).dataset
    for got, ref in zip(data.pictures, tiles.pictures, strict=True):
        np.testing.assert_array_equal(got.load("rgb"), ref.load("rgb"))
        np.testing.assert_allclose(got.boxes, ref.boxes)
    assert "exists already" in run_tile(aerial, "--out", out, code=1).stderr
    facts = json.loads(run_tile(aerial, "--out", out, "--overwrite", "--json").stdout)
    assert facts["n_tiles"] == 4


def test_tiles_can_be_jpeg(aerial):
    run_tile(aerial, "--out", aerial / "out", "--format", "jpg")
    names = sorted(path.name for path in (aerial / "out/images").iterdir())
    assert names[0] == "0_y00000_x00000.jpg"
    assert len(read_annotations(aerial / "out/annotations.json")) == 4


def test_an_unreadable_picture_stops_or_is_left_out(aerial):
    (aerial / "images/1.png").write_bytes(b"nothing")
    assert "1.png" in run_tile(aerial, "--out", aerial / "out", code=1).stderr
    assert not (aerial / "out/annotations.json").exists()
    said = run_tile(aerial, "--out", aerial / "out", "--skip-bad")
    assert "left out: 1.png" in said.stderr
    assert len(read_annotations(aerial / "out/annotations.json")) == 2


def test_tiles_are_not_written_among_other_pictures(aerial):
    (aerial / "out").mkdir()
    (aerial / "out/images").symlink_to(aerial / "images")
    assert "is a link to other pictures" in run_tile(aerial, "--out", aerial / "out", code=1).stderr
    assert len(list((aerial / "images").iterdir())) == 2
