"""Tar shards: nothing is lost on the way in and out, and every verb takes them."""

import dataclasses
import json
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_files import BOX, HEIGHT, PNG, SIZE, WIDTH, encoded, pixels, sample, write_tar

from bootstrap_det import jobs
from bootstrap_det.cli import main
from bootstrap_det.data import (
    Dataset,
    Picture,
    read_annotations,
    read_negatives,
    without_annotated,
    write_annotations,
)
from bootstrap_det.data.formats.links import link_images
from bootstrap_det.exceptions import DataError, ParameterError

QUICK = settings(derandomize=True, deadline=None, max_examples=15)


# Negatives.


def test_negatives_from_shards(tmp_path):
    (tmp_path / "n").mkdir()
    write_tar(tmp_path / "n/a.tar", [("x.png", PNG)])
    write_tar(tmp_path / "n/b.tar", [("x.png", encoded(pixels(1)))])
    data = read_negatives(tmp_path / "n")
    assert [p.name for p in data.pictures] == ["a/x.png", "b/x.png"]
    assert len(read_negatives(tmp_path / "n/{a,b}.tar")) == 2
    (tmp_path / "n/loose.png").write_bytes(PNG)
    assert [p.name for p in read_negatives(tmp_path / "n").pictures] == ["loose.png"]


def test_annotated_shards_are_no_negatives(tmp_path):
    path = write_tar(tmp_path / "s.tar", [*sample("a", BOX), ("b.png", PNG)])
    with pytest.raises(DataError, match=r"s\.tar!a\.png: is given as a negative, but annotated wi"):
        read_negatives(path)
    data = read_negatives(path, skip_bad=True)
    assert [p.name for p in data.pictures] == ["s/b.png"]
    assert "annotated with 1 boxes" in data.skipped[0].reason


def test_negatives_that_are_annotated_elsewhere(tmp_path):
    annotated = read_annotations(write_tar(tmp_path / "s.tar", sample("a", BOX)))
    (tmp_path / "n").mkdir()
    (tmp_path / "n/same.png").write_bytes(PNG)
    with pytest.raises(DataError, match=r"same\.png: is given as a negative, but annotated"):
        without_annotated(read_negatives(tmp_path / "n"), annotated)
    packed = read_negatives(write_tar(tmp_path / "t.tar", [("b.png", PNG)]))
    with pytest.raises(DataError, match=r"t\.tar!b\.png: is given as a negative, but annotated"):
        without_annotated(packed, annotated)
    other = read_negatives(write_tar(tmp_path / "u.tar", [("b.png", encoded(pixels(1)))]))
    assert len(without_annotated(other, annotated)) == 1


# Writing.


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for index, ending in enumerate(["png", "JPG", "jpg", "png"]):
        form = "PNG" if ending == "png" else "JPEG"
        (folder / f"{index}.{ending}").write_bytes(encoded(pixels(index, (3,)), form))
    return sorted(folder.iterdir())


@st.composite
def datasets(draw, photos):
    known = draw(st.lists(st.text("ab \u00e4", min_size=1).map(lambda t: f"x{t}x"), min_size=1))
    pictures = []
    for index, path in enumerate(photos):
        n = draw(st.integers(0, 3))
        corners = [(draw(st.floats(0, 40)), draw(st.floats(0, 40))) for _ in range(n)]
        boxes = [(x, y, draw(st.floats(41, 99)), draw(st.floats(41, 99))) for x, y in corners]
        labels = [draw(st.sampled_from(known)) for _ in range(n)]
        flags = [[draw(st.booleans()) for _ in range(n)] for _ in range(2)]
        size = draw(st.sampled_from([(HEIGHT, WIDTH), None]))
        made = Picture(index, path.name, boxes, labels, *flags, path=path, size=size)
        pictures.append(made)
    used = {label for picture in pictures for label in picture.labels.tolist()}
    groups = {label: draw(st.sampled_from(["g", "h"])) for label in sorted(used)}
    return Dataset("things", tuple(pictures), groups=groups)


def measured(dataset):
    """Return the data set with all sizes filled in."""
    known = [dataclasses.replace(p, size=p.measure()) for p in dataset.pictures]
    return dataclasses.replace(dataset, pictures=tuple(known))


def test_a_round_trip_keeps_everything(photos, tmp_path_factory):
    @QUICK
    @given(dataset=datasets(photos), shard_bytes=st.sampled_from([1, 30_000, None]))
    def check(dataset, shard_bytes):
        out = tmp_path_factory.mktemp("out")
        written = write_annotations(dataset, out, format="shards", shard_bytes=shard_bytes)
        assert (written.path, written.notes) == (out, ())
        assert len(list(out.iterdir())) == {1: 4, None: 1}.get(shard_bytes, 2)
        again = read_annotations(out)
        assert again.digest() == measured(dataset).digest()  # boxes to the last bit
        for one, other in zip(again.pictures, dataset.pictures, strict=True):
            assert one.encoded() == other.path.read_bytes()
            np.testing.assert_array_equal(one.load("rgb"), other.load("rgb"))

    check()


def of_photos(photos):
    return Dataset("my things!", tuple(Picture(i, p.name, path=p) for i, p in enumerate(photos)))


def test_equal_input_gives_equal_bytes(photos, tmp_path):
    for out in ("one", "two"):
        write_annotations(of_photos(photos), tmp_path / out, format="shards", shard_bytes=30_000)
    files = [sorted((tmp_path / out).iterdir()) for out in ("one", "two")]
    names = ["my_things-000000.tar", "my_things-000001.tar"]
    assert [f.name for f in files[0]] == [f.name for f in files[1]] == names
    assert [f.read_bytes() for f in files[0]] == [f.read_bytes() for f in files[1]]
    with tarfile.open(files[0][0]) as tar:  # as other tools see it
        wanted = ["00000000.png", "00000000.json", "00000001.jpg", "00000001.json"]
        assert tar.getnames()[:4] == wanted
        assert {(m.mtime, m.uid, m.uname, m.mode) for m in tar} == {(0, 0, "", 0o644)}


def test_shards_are_no_longer_than_asked(photos, tmp_path):
    write_annotations(of_photos(photos), tmp_path, format="shards", shard_bytes=30_720)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert max(f.stat().st_size for f in files) <= 30_720
    assert [f.name for f in files] == [f"my_things-{i:06}.tar" for i in range(len(files))]


def test_pictures_that_are_no_files_become_png(tmp_path):
    pictures = (
        Picture(0, "a.jpg", pixels=pixels()),
        Picture(1, "b.png", pixels=pixels(1, (3,))),
    )
    write_annotations(Dataset("d", pictures), tmp_path, format="shards")
    first, second = read_annotations(tmp_path).pictures
    assert (first.name, second.name) == ("a.jpg.png", "b.png")
    np.testing.assert_array_equal(first.load(), pixels())
    np.testing.assert_array_equal(second.load("rgb"), pixels(1, (3,)))


def test_shards_are_written_as_folders_and_as_shards_again(photos, tmp_path):
    data = measured(of_photos(photos))
    write_annotations(data, tmp_path / "s", format="shards", shard_bytes=1)
    packed = read_annotations(tmp_path / "s")
    for form in ("coco", "voc", "yolo", "csv"):
        written = write_annotations(packed, tmp_path / form, format=form, copy_images=True)
        again = read_annotations(written.path)
        assert again.digest() == data.digest()
        assert [p.encoded() for p in again.pictures] == [p.encoded() for p in data.pictures]
    write_annotations(packed, tmp_path / "t", format="shards")
    assert read_annotations(tmp_path / "t").digest() == data.digest()
    assert link_images(packed, tmp_path) == (
        "The pictures lie inside archives; give --copy-images to take them out."
    )


def test_what_cannot_be_written(photos, tmp_path):
    data = of_photos(photos)
    with pytest.raises(DataError, match=r"there are no pictures to write"):
        write_annotations(Dataset("d"), tmp_path, format="shards")
    with pytest.raises(ParameterError, match=r"'shard_bytes'.*is for shards, and not for csv"):
        write_annotations(data, tmp_path, format="csv", shard_bytes=5)
    with pytest.raises(ParameterError, match=r"'shard_bytes' parameter of write_annotations"):
        write_annotations(data, tmp_path, format="shards", shard_bytes=0)
    odd = tmp_path / "a.dat"
    odd.write_bytes(PNG)
    one = Dataset("d", (Picture(0, "a.dat", path=odd),))
    with pytest.raises(DataError, match=r"a\.dat does not end in one of \.bmp.*Rename it"):
        write_annotations(one, tmp_path / "odd", format="shards")
    lost = Dataset("d", (*data.pictures, Picture(9, "none.png", path=tmp_path / "none.png")))
    with pytest.raises(DataError, match=r"none\.png: cannot be read"):
        write_annotations(lost, tmp_path / "lost", format="shards", shard_bytes=1)
    assert list((tmp_path / "lost").iterdir()) == []  # not the first four, either


# The command line.


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def shards(tmp_path):
    """A folder of two shards with two crosses, and a folder of what it was made of."""
    folder = tmp_path / "loose"
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for index in range(3):
        name = f"{index}.png"
        (folder / "images" / name).write_bytes(encoded(pixels(index)))
        images.append({"id": index, "file_name": name, **SIZE})
        if index < 2:
            box = {"id": index, "image_id": index, "category_id": 1, "bbox": [5, 6, 20, 20]}
            annotations.append(box)
    document = {"images": images, "annotations": annotations}
    document["categories"] = [{"id": 1, "name": "cross"}]
    (folder / "crosses.json").write_text(json.dumps(document))
    result = invoke(
        "dataset", "convert", folder / "crosses.json", tmp_path / "packed",
        "--to", "shards", "--shard-bytes", 20_000,
    )  # fmt: skip
    assert "coco -> shards: " in result.stdout
    assert "not copied" not in result.stderr
    return SimpleNamespace(loose=folder, packed=tmp_path / "packed")


def test_shards_on_the_command_line(shards, tmp_path):
    assert len(list(shards.packed.glob("crosses-00000?.tar"))) == 2
    result = invoke("dataset", "info", shards.packed)
    assert "packed  (shards)" in result.stdout
    assert "pictures  3, of which 1 without objects" in result.stdout
    invoke("dataset", "check", shards.packed, "--jobs", 1)
    back = tmp_path / "back"
    invoke("dataset", "convert", shards.packed, back, "--to", "coco", "--copy-images")
    loose = read_annotations(shards.loose / "crosses.json")
    assert read_annotations(back / "annotations.json").digest() == loose.digest()
    assert read_annotations(shards.packed).digest() == loose.digest()
    result = invoke(
        "dataset", "split", shards.packed, "--parts", "a=0.5,b=0.5", "--out", tmp_path / "parts",
        "--copy-images",
    )  # fmt: skip
    a, b = (len(read_annotations(tmp_path / f"parts/{name}.json")) for name in "ab")
    assert a + b == 3


def test_check_mends_shards_as_shards(shards, tmp_path):
    twice = sample("x", BOX, BOX, picture=encoded(pixels(8)))
    write_tar(shards.packed / "more.tar", twice)
    result = invoke(
        "dataset", "check", shards.packed, "--fix", tmp_path / "mended", "--jobs", 1, code=1
    )
    assert "box twice" in result.stdout
    mended = read_annotations(tmp_path / "mended")
    assert len(mended) == 4
    assert mended.n_objects == 3
    assert invoke("dataset", "check", tmp_path / "mended", "--jobs", 1)


def test_training_reads_shards(shards):
    options = {
        "dataset": None, "crops": None, "data": shards.packed, "images": None, "skip_bad": False,
        "negatives": [shards.packed.parent / "n.tar"],
    }  # fmt: skip
    write_tar(shards.packed.parent / "n.tar", [("a.png", encoded(pixels(9)))])
    train, negatives = jobs.training_data(options)
    assert train.n_objects == 2
    assert [p.name for p in negatives.pictures] == ["n/a.png", "0.png", "1.png", "2.png"]
    test = {"test_boxes": None, "test_dataset": None, "test_data": shards.packed}
    tested = jobs.test_splits({**test, "test_images": None, "skip_bad": False}, classes=False).test
    assert tested.digest() == train.digest()
