"""Data sets in memory, folders of negatives, and crops."""

import dataclasses
import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bootstrap_det.data import (
    Crops,
    Dataset,
    Picture,
    Skipped,
    merge,
    read_crops,
    read_negatives,
    write_crops,
)
from bootstrap_det.exceptions import DataError, ParameterError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
BOXES = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3], [-1, 0, 9, 2]])


def a_picture(image_id=0, **changes):
    fields = {
        "image_id": image_id,
        "name": f"{image_id}.png",
        "boxes": BOXES,
        "labels": ["face", "sign", "face"],
        "ignore": [False, True, False],
        "crowd": [False, False, True],
        "pixels": GREY,
    }
    return Picture(**{**fields, **changes})


def some_crops(n=2, **changes):
    return Crops(**{"pixels": np.zeros((n, 5, 6), np.uint8), "label": "face", **changes})


def test_skipped_to_dict():
    assert Skipped("a.png", "is empty.").to_dict() == {"file": "a.png", "reason": "is empty."}


def test_picture_fields_have_their_declared_types():
    picture = a_picture(image_id=np.int64(3))
    assert type(picture.image_id) is int
    assert picture.boxes.dtype == np.float64
    assert picture.labels.dtype.kind == "U"
    assert picture.ignore.dtype == picture.crowd.dtype == np.bool_
    assert picture.size == (3, 4)
    assert picture.targets.tolist() == [True, False, False]


def test_picture_without_boxes_is_short():
    picture = Picture(0, "a", path="x/a.png")
    assert picture.boxes.shape == (0, 4)
    assert picture.labels.dtype.kind == "U"
    assert picture.targets.shape == (0,)
    assert picture.path == Path("x/a.png")
    assert picture.size is None


def test_picture_cannot_be_changed():
    boxes = BOXES.copy()
    picture = a_picture(boxes=boxes)
    boxes[:] = 0
    np.testing.assert_array_equal(picture.boxes, BOXES)
    for array in (picture.boxes, picture.labels, picture.ignore, picture.crowd, picture.pixels):
        assert not array.flags.writeable
    assert GREY.flags.writeable
    with pytest.raises(dataclasses.FrozenInstanceError):
        picture.name = "b"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": [[0, 0, 1]]}, r"boxes of Picture '0\.png' must be .* \(n, 4\)"),
        ({"boxes": [["a", 0, 1, 1]]}, r"boxes of Picture '0\.png' must be numbers"),
        ({"boxes": [[0, 0, 1, np.nan]]}, "Box 0 of Picture '0.png' must be finite"),
        ({"boxes": [*BOXES[:2], [3, 0, 3, 2]]}, "Box 2 .* x2 > x1 .*Drop it first"),
        ({"labels": ["a"]}, r"labels of Picture '0\.png' must be str_ of shape \(3,\)"),
        ({"labels": [1, 2, 3]}, "Got int64 of shape"),
        ({"ignore": [0, 1, 0]}, r"ignore of Picture '0\.png' must be bool"),
        ({"crowd": [True]}, r"crowd of .* Got bool of shape \(1,\)"),
        ({"path": "a.png"}, r"needs a path or pixels, and not both"),
        ({"pixels": None}, r"needs a path or pixels, and not both"),
        ({"pixels": GREY.astype(float)}, r"must be uint8 of shape \(height, width\) or"),
        ({"pixels": np.zeros((2, 2, 4), np.uint8)}, r"Got uint8 of shape \(2, 2, 4\)"),
        ({"size": (4, 3)}, r"pixels of \(height, width\) \(3, 4\), but size \(4, 3\)"),
        ({"size": 4}, "'size' parameter of Picture"),
        ({"image_id": "1"}, "'image_id' parameter of Picture"),
        ({"image_id": 1 << 63}, "'image_id' parameter of Picture"),
        ({"name": None}, "name of a Picture must be a str"),
    ],
)
def test_picture_errors(changes, message):
    with pytest.raises(ParameterError, match=message):
        a_picture(**changes)


def test_picture_load_from_memory():
    grey = a_picture().load()
    np.testing.assert_array_equal(grey, GREY)
    grey[:] = 0
    assert GREY.any()
    np.testing.assert_array_equal(a_picture().load("rgb"), np.stack([GREY] * 3, axis=-1))
    red = np.zeros((2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert (a_picture(pixels=red).load() == 76).all()
    loaded = a_picture(pixels=red).load("rgb")
    np.testing.assert_array_equal(loaded, red)
    assert loaded.flags.writeable
    with pytest.raises(ParameterError, match=r"'color' parameter of Picture\.load"):
        a_picture().load("bgr")


def test_picture_load_from_file_checks_the_size(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    for size in (None, (3, 4)):
        np.testing.assert_array_equal(Picture(0, "a", path=path, size=size).load(), GREY)
    turned = r"a\.png: is 4 x 3 pixels .*for 3 x 4\. It was probably .*EXIF rotation.*remove"
    with pytest.raises(DataError, match=turned):
        Picture(0, "a", path=path, size=(4, 3)).load()
    with pytest.raises(DataError, match=r"is 4 x 3 .*for 8 x 6\. Correct the sizes"):
        Picture(0, "a", path=path, size=(6, 8)).load()
    with pytest.raises(DataError, match=r"b\.png: no such file"):
        Picture(0, "b", path=tmp_path / "b.png").load()


def test_crops_defaults():
    crops = Crops(np.zeros((2, 5, 6), np.uint8))
    assert crops.object_box == (0.0, 0.0, 6.0, 5.0)
    assert crops.label == "object"
    assert len(crops) == 2
    assert len(Crops(np.zeros((1, 5, 6, 3), np.uint8), np.array([1, 1, 4, 4]))) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixels": np.zeros((5, 6), np.uint8)}, r"pixels of Crops must be uint8 of shape \(n, "),
        ({"pixels": np.zeros((0, 5, 6), np.uint8)}, "not empty"),
        ({"pixels": np.zeros((1, 5, 6))}, "Got float64"),
        ({"object_box": (1, 2, 3)}, r"boxes of Crops must be .* \(n, 4\)"),
        ({"object_box": "abcd"}, "boxes of Crops must be numbers"),
        ({"object_box": 5}, "boxes of Crops must be"),
        ({"object_box": (2, 0, 2, 4)}, "Box 0 of Crops must be finite, with x2 > x1"),
        ({"object_box": (6, 0, 9, 4)}, r"must touch the crop of 6 x 5 .*Got \[6\.0"),
        ({"label": 3}, "label of Crops must be a str, not empty"),
    ],
)
def test_crops_errors(changes, message):
    with pytest.raises(ParameterError, match=message):
        some_crops(**changes)


def test_dataset_counts():
    dataset = Dataset("d", [a_picture(0), a_picture(1)], some_crops(3))
    assert len(dataset) == 2
    assert dataset.n_objects == 2 + 3
    assert dataset.n_ignored == 4
    assert dataset.categories == ("face", "sign")
    assert Dataset("empty").n_objects == 0


def test_dataset_errors():
    with pytest.raises(ParameterError, match=r"two pictures with the id 0\. Number them anew"):
        Dataset("d", (a_picture(), a_picture()))
    with pytest.raises(ParameterError, match=r"boxes of 'sign', which is not one of its cat"):
        Dataset("d", (a_picture(),), categories=("face",))
    with pytest.raises(ParameterError, match="'face', which is not one"):
        Dataset("d", crops=some_crops(), categories=("sign",))


def test_dataset_subset():
    dataset = Dataset("d", [a_picture(i) for i in range(3)], some_crops(), notes=("n",))
    ids = [picture.image_id for picture in dataset.subset([2, 0]).pictures]
    assert ids == [2, 0]
    assert len(dataset.subset(np.array([True, False, True]))) == 2
    assert len(dataset.subset([])) == 0
    kept = dataset.subset([1])
    assert (kept.categories, kept.notes, kept.crops) == (dataset.categories, ("n",), dataset.crops)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0.5], "list of ints or a mask.* Got float64"),
        ([True], "Got bool"),
        (1, r"of shape \(\)"),
        ([3], r"must be in \[0, 1\]\. Got 3 to 3"),
        ([-1], r"must be in \[0, 1\]\. Got -1"),
        ([0, 0], "two pictures with the id 0"),
    ],
)
def test_dataset_subset_errors(indices, message):
    dataset = Dataset("d", [a_picture(0), a_picture(1)])
    with pytest.raises(ParameterError, match=message):
        dataset.subset(indices)


def test_dataset_negatives_have_no_box_at_all():
    ignored = a_picture(1, boxes=BOXES[:1], labels=["face"], ignore=[True], crowd=[False])
    empty = Picture(2, "2.png", pixels=GREY)
    negatives = Dataset("d", (a_picture(), ignored, empty), some_crops()).negatives()
    assert negatives.pictures == (empty,)
    assert negatives.crops is None


def test_dataset_require_positives():
    Dataset("d", (a_picture(),)).require_positives()
    Dataset("d", crops=some_crops()).require_positives()
    ignored = a_picture(ignore=[True] * 3)
    message = r"'d' holds no object to train on \(1 pictures, 3 ignored boxes, nothing was sk.*Give"
    with pytest.raises(DataError, match=message):
        Dataset("d", (ignored,)).require_positives()


def test_dataset_require_negatives():
    Dataset("d", (a_picture(),)).require_negatives()
    message = r"'d' holds no picture to take negatives from \(1 items were skipped.*a\.png: bad"
    with pytest.raises(DataError, match=message):
        Dataset("d", skipped=(Skipped("a.png", "a.png: bad"),)).require_negatives()


def test_dataset_digest_depends_on_all_content():
    pictures = [
        a_picture(),
        a_picture(name="other"),
        a_picture(boxes=BOXES + 1e-9),
        a_picture(labels=["face", "face", "sign"]),
        a_picture(ignore=[True, False, False]),
        a_picture(crowd=[False, True, False]),
        a_picture(pixels=GREY[::-1]),
        a_picture(pixels=None, path="0.png", size=(3, 4)),
        a_picture(pixels=None, path="0.png", size=(4, 3)),
        a_picture(pixels=None, path="0.png"),
    ]
    datasets = [Dataset("d", (picture,)) for picture in pictures]
    datasets += [Dataset("d"), Dataset("d", (a_picture(0), a_picture(1)))]
    datasets += [Dataset("d", (a_picture(1), a_picture(0)))]
    crops = [some_crops(), some_crops(3), some_crops(label="b")]
    crops.append(some_crops(object_box=(0, 0, 1, 1)))
    datasets += [Dataset("d", crops=crop) for crop in crops]
    digests = [dataset.digest() for dataset in datasets]
    assert len(set(digests)) == len(digests)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_dataset_digest_does_not_depend_on_places_or_memory_layout():
    def digest(folder, pixels):
        on_disk = a_picture(0, pixels=None, path=f"{folder}/0.png", size=(3, 4))
        return Dataset(folder, (on_disk, a_picture(1, pixels=pixels))).digest()

    assert digest("/a", GREY) == digest("/b", np.asfortranarray(GREY))


def test_dataset_digest_stays_the_same_between_versions():
    # Model files and checkpoints store it: a change makes every older run look like other data.
    expected = "e30f738e18d1aa4c2a07148e87067779f5580134093e58d69553691c40e8ac91"
    assert Dataset("d", (a_picture(),), some_crops()).digest() == expected


def test_merge_renumbers_and_keeps_everything():
    first = Dataset("a", (a_picture(7),), skipped=(Skipped("x", "y"),), notes=("one",))
    second = Dataset("b", (a_picture(7), a_picture(9)), some_crops(), ("sign", "car", "face"))
    merged = merge(first, second, "c")
    assert [picture.image_id for picture in merged.pictures] == [0, 1, 2]
    assert [picture.name for picture in merged.pictures] == ["7.png", "7.png", "9.png"]
    assert merged.categories == ("face", "sign", "car")
    assert (merged.name, merged.crops) == ("c", second.crops)
    assert (merged.skipped, merged.notes) == (first.skipped, first.notes)


def test_merge_crops():
    one, other = Dataset("a", crops=some_crops(2)), Dataset("b", crops=some_crops(3))
    assert len(merge(one, other, "c").crops) == 5
    other = Dataset("b", crops=some_crops(3, label="car"))
    with pytest.raises(DataError, match=r"crops of 'a' .* of 'b' .* cannot be merged\. Bring"):
        merge(one, other, "c")


def a_folder(tmp_path):
    folder = tmp_path / "scenes"
    (folder / "in").mkdir(parents=True)
    Image.fromarray(GREY).save(folder / "b.png")
    Image.fromarray(GREY).save(folder / "in" / "a.png")
    return folder


def test_read_negatives(tmp_path):
    dataset = read_negatives(a_folder(tmp_path))
    assert dataset.name == "scenes"
    assert [picture.name for picture in dataset.pictures] == ["b.png", "in/a.png"]
    assert [picture.size for picture in dataset.pictures] == [(3, 4)] * 2
    assert dataset.n_objects == dataset.n_ignored == 0
    np.testing.assert_array_equal(dataset.pictures[1].load(), GREY)
    assert read_negatives(tmp_path, name="n").name == "n"


def test_read_negatives_with_a_bad_picture(tmp_path):
    folder = a_folder(tmp_path)
    (folder / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.jpg: is empty"):
        read_negatives(folder)
    dataset = read_negatives(folder, skip_bad=True)
    assert [picture.image_id for picture in dataset.pictures] == [0, 1]
    (skipped,) = dataset.skipped
    assert skipped.file == str(folder / "a.jpg")
    assert "is empty" in skipped.reason
    with pytest.raises(DataError, match="no such folder"):
        read_negatives(tmp_path / "none")
    with pytest.raises(ParameterError, match="'skip_bad' parameter of read_negatives"):
        read_negatives(folder, skip_bad=1)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 6, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_read_crops_of_a_file(tmp_path, shape, order, save):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    save(tmp_path / "c.npz", crops=np.asarray(pixels, order=order), other=np.ones(3))
    dataset = read_crops(tmp_path / "c.npz", label="face", object_box=[1, 1, 4, 4])
    np.testing.assert_array_equal(dataset.crops.pixels, pixels)
    assert dataset.name == "c"
    assert dataset.crops.object_box == (1, 1, 4, 4)
    assert dataset.categories == ("face",)
    assert dataset.n_objects == 2


def test_read_crops_of_a_folder(tmp_path):
    folder = a_folder(tmp_path)
    dataset = read_crops(folder)
    np.testing.assert_array_equal(dataset.crops.pixels, [GREY, GREY])
    red = np.zeros((3, 4, 3), np.uint8)
    red[..., 0] = 255
    Image.fromarray(red).save(folder / "c.png")
    assert read_crops(folder).crops.pixels.shape == (3, 3, 4, 3)
    Image.fromarray(GREY.T.copy()).save(folder / "d.png")
    with pytest.raises(DataError, match=r"d\.png: is 3 x 4 .*before it are 4 x 3\. Bring all"):
        read_crops(folder)


def npz(path, header, content=b""):
    """Write an .npz whose ``crops`` have any header and any content."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("crops.npy", header + content)
    return path


def npy_header(shape, descr="|u1"):
    stream = io.BytesIO()
    fields = {"shape": shape, "descr": descr, "fortran_order": False}
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


def test_read_crops_errors(tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(DataError, match=r"c\.npz: no such file\. Give an \.npz"):
        read_crops(path)
    path.write_text("no")
    with pytest.raises(DataError, match=r"c\.npz: cannot be read as an \.npz file: .*Copy or"):
        read_crops(path)
    np.savez(path, faces=np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(DataError, match=r"holds no array 'crops'\. Write it with `numpy\.savez"):
        read_crops(path)
    for bad in (np.zeros((1, 2, 2)), np.zeros((2, 2), np.uint8), np.zeros((0, 2, 2), np.uint8)):
        np.savez(path, crops=bad)
        with pytest.raises(DataError, match=r"'crops' is .* of shape .*Give uint8"):
            read_crops(path)
    np.savez(path, crops=np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(ParameterError, match="boxes of Crops"):
        read_crops(path, object_box=3)


def test_read_crops_never_unpickles(tmp_path):
    np.savez(tmp_path / "c.npz", crops=np.array([object()], dtype=object))
    with pytest.raises(DataError, match="'crops' is object"):
        read_crops(tmp_path / "c.npz")


def test_read_crops_believes_no_header(tmp_path):
    path = npz(tmp_path / "c.npz", npy_header((1 << 20, 1 << 10, 1 << 10)))
    with pytest.raises(DataError, match=r"exceed the limit of 1,073,741,824 bytes\. Split"):
        read_crops(path)
    npz(path, npy_header((2, 3, 3)), b"x" * 17)
    with pytest.raises(DataError, match=r"need 18 bytes, which are not what is there"):
        read_crops(path)
    npz(path, npy_header((2, 3, 3)), b"x" * 19)
    with pytest.raises(DataError, match=r"need 18 bytes, which are not what is there"):
        read_crops(path)
    npz(path, b"\x93NUMPY\x03\x00")
    with pytest.raises(DataError, match=r"has \.npy version \(3, 0\)"):
        read_crops(path)
    npz(path, b"\x93NUMPY\x01\x00\xff")
    with pytest.raises(DataError, match=r"cannot be read as an \.npz file"):
        read_crops(path)


def test_write_crops_round_trip(tmp_path, rng):
    for shape in ((3, 5, 7), (2, 5, 7, 3)):
        crops = Crops(rng.integers(0, 255, shape, np.uint8))
        write_crops(Dataset("c", crops=crops), tmp_path / "c.npz")
        got = read_crops(tmp_path / "c.npz").crops
        np.testing.assert_array_equal(got.pixels, crops.pixels)


def test_write_crops_errors(tmp_path):
    crops = Dataset("c", crops=Crops(np.zeros((1, 2, 2), np.uint8)))
    with pytest.raises(DataError, match=r"the data set 'd' has no crops\. Give one that has"):
        write_crops(Dataset("d"), tmp_path / "c.npz")
    with pytest.raises(DataError, match=r"c\.zip: crops are written as \.npz\. End the name"):
        write_crops(crops, tmp_path / "c.zip")
    with pytest.raises(DataError, match=r"c\.npz: cannot be written"):
        write_crops(crops, tmp_path / "none" / "c.npz")
