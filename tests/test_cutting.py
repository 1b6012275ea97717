"""Objects cut out of their pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bootstrap_det import Dataset, read_crops
from bootstrap_det.cli import main
from bootstrap_det.data import Picture, write_annotations
from bootstrap_det.data.cutting import cut_objects, write_cuts
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import write_image


def scene(boxes, labels=None, pixels=None, ignore=None, name="a/b.png"):
    n = len(boxes)
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    flags = np.zeros(n, bool)
    return Picture(
        0, name, np.array(boxes, float), np.array(labels or ["car"] * n),
        flags if ignore is None else np.array(ignore), flags, pixels=pixels,
    )  # fmt: skip


def cuts(picture, size, **options):
    return list(cut_objects(Dataset("cars", (picture,)), size, **options))


def test_a_crop_of_the_box_s_own_size_is_the_box():
    picture = scene([[10, 20, 34, 36]])
    cut = cuts(picture, (16, 24))[0]
    np.testing.assert_array_equal(cut.pixels, picture.pixels[20:36, 10:34])
    assert (cut.picture, cut.index, cut.label) == ("a/b.png", 0, "car")


def test_a_large_object_is_averaged():
    picture = scene([[8, 8, 56, 40]])
    cut = cuts(picture, (8, 12), color="grey")[0].pixels.astype(float)
    grey = picture.load("grey")[8:40, 8:56].reshape(8, 4, 12, 4).mean(axis=(1, 3))
    assert np.abs(cut - grey).max() <= 1.5


def test_the_box_grows_to_the_crop_s_shape_and_margin():
    picture = scene([[30, 20, 40, 40]])  # 10 wide, 20 high
    np.testing.assert_array_equal(cuts(picture, (20, 20))[0].pixels, picture.pixels[20:40, 25:45])
    np.testing.assert_array_equal(
        cuts(picture, (40, 40), margin=0.5)[0].pixels, picture.pixels[10:50, 15:55]
    )


def test_beyond_the_border_the_outermost_pixels_go_on():
    picture = scene([[-4, 0, 16, 20]])
    pixels = cuts(picture, (20, 20))[0].pixels
    np.testing.assert_array_equal(pixels[:, 4:], picture.pixels[:20, :16])
    assert (pixels[:, :4] == picture.pixels[:20, :1]).all()


def test_ignored_boxes_and_other_labels_are_left_out():
    picture = scene([[0, 0, 8, 8], [8, 8, 16, 16], [20, 20, 30, 30]], ["a", "b", "a"],
                    ignore=[False, False, True])  # fmt: skip
    assert [cut.index for cut in cuts(picture, (8, 8))] == [0, 1]
    assert [cut.index for cut in cuts(picture, (8, 8), label="b")] == [1]


def test_both_forms_are_read_again(tmp_path):
    data = Dataset("cars", (scene([[0, 0, 16, 16], [20, 20, 36, 36]]),))
    assert write_cuts(data, tmp_path / "crops.npz", (16, 16)) == {"car": 2}
    assert write_cuts(data, tmp_path / "crops", (16, 16)) == {"car": 2}
    of_file = read_crops(tmp_path / "crops.npz", label="car").crops.pixels
    of_folder = read_crops(tmp_path / "crops" / "car", label="car").crops.pixels
    np.testing.assert_array_equal(of_file, of_folder)
    np.testing.assert_array_equal(of_file[1], data.pictures[0].pixels[20:36, 20:36])


def test_what_cannot_be_written_says_why(tmp_path):
    data = Dataset("cars", (scene([[0, 0, 8, 8], [8, 8, 16, 16]], ["a", "b"]),))
    with pytest.raises(DataError, match=r"an \.npz holds crops of one label\. Got a, b; choose"):
        write_cuts(data, tmp_path / "crops.npz", (8, 8))
    with pytest.raises(DataError, match="'cars' has no object of label 'c' to cut out"):
        write_cuts(data, tmp_path / "none", (8, 8), label="c")
    (tmp_path / "there").mkdir()
    with pytest.raises(DataError, match="there: exists already"):
        write_cuts(data, tmp_path / "there", (8, 8))
    with pytest.raises(ParameterError, match="The 'margin' parameter of cut_objects"):
        cuts(data.pictures[0], (8, 8), margin=-1)


def test_the_command(tmp_path):
    picture = scene([[0, 0, 8, 8], [8, 8, 16, 16]], ["a", "b"], name="b.png")
    write_image(tmp_path / "b.png", picture.pixels)
    write_annotations(Dataset("cars", (picture,)), tmp_path / "cars.json", format="coco")
    command = ["dataset", "crops", str(tmp_path / "cars.json"), "--size", "8x8"]
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "crops"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"a": 1, "b": 1}
    assert sorted(p.name for p in (tmp_path / "crops").rglob("*.png")) == [
        "b.png_0.png", "b.png_1.png",
    ]  # fmt: skip
    again = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "crops")])
    assert again.exit_code == 1
    assert "exists already" in again.output
