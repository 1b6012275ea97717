"""Annotation formats: what survives a round trip, and that all of them give one data set."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bootstrap_det._cli_common import FORMAT
from bootstrap_det.data import (
    FORMATS,
    Crops,
    Dataset,
    Picture,
    read_annotations,
    write_annotations,
)
from bootstrap_det.data.formats import recognise
from bootstrap_det.data.formats.links import link_images
from bootstrap_det.exceptions import DataError, ParameterError

QUICK = settings(derandomize=True, deadline=None, max_examples=25)
NAMES = ["a.png", "b c.png", "sub/d 2 1.png", "sub/deep/e.png"]
WIDTH, HEIGHT = 61, 47
OTHERS = [name for name in FORMATS if name != "coco"]
LABELLED = [name for name in FORMATS if name != "opencv"]
every_format = pytest.mark.parametrize("form", FORMATS)


def make_pictures(folder):
    for index, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
        Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_pictures(folder)
    return folder


def picture(photos, index, boxes=(), labels=(), ignore=None, **fields):
    n = len(boxes)
    flags = [False] * n if ignore is None else ignore
    name = NAMES[index]
    return Picture(
        index, name, boxes, labels, flags, [False] * n, path=photos / name, size=(HEIGHT, WIDTH),
        **fields,
    )  # fmt: skip


@pytest.fixture
def dataset(photos):
    return Dataset(
        "things",
        (
            picture(photos, 0, [[0, 0, 10, 12], [5, 6, 61, 47]], ["cat", "dog"]),
            picture(photos, 1),
            picture(photos, 2, [[1, 2, 3, 4]], ["cat"]),
            picture(photos, 3),
        ),
    )


def where(photos, form):
    """Return the ``images_dir`` of annotations that were written without copies."""
    return None if form == "shards" else photos


def clear(folder):
    shutil.rmtree(folder, ignore_errors=True)
    return folder


labels = st.text(min_size=1, max_size=8).filter(
    lambda text: (
        text == text.strip()
        and text.isprintable()
        and not any(char in "\ufffe\uffff" for char in text)
    )
)


@st.composite
def datasets(draw, photos, form):
    known = draw(st.lists(labels, min_size=1, max_size=3, unique=True))
    if form == "opencv":
        known = ["object"]
    pictures = []
    for index in range(len(NAMES)):
        n = draw(st.integers(0, 3))
        boxes = []
        for _ in range(n):
            x, y = draw(st.floats(-5, WIDTH - 1)), draw(st.floats(-5, HEIGHT - 1))
            boxes.append([x, y, x + draw(st.floats(5.1, 90)), y + draw(st.floats(5.1, 90))])
        names = [draw(st.sampled_from(known)) for _ in range(n)]
        keeps_ignored = form not in ("yolo", "opencv")
        ignore = [keeps_ignored and draw(st.booleans()) for _ in range(n)]
        pictures.append(picture(photos, index, boxes, names, ignore))
    return Dataset("things", tuple(pictures))


@every_format
def test_round_trip_keeps_boxes_labels_and_empty_pictures(photos, tmp_path, form):
    @QUICK
    @given(data=st.data())
    def check(data):
        dataset = data.draw(datasets(photos, form))
        out = clear(tmp_path / "out")
        written = write_annotations(dataset, out, format=form)
        again = read_annotations(written.path, where(photos, form))
        assert written.n_pictures == len(again) == len(NAMES)
        assert again.skipped == ()
        for one, other in zip(again.pictures, dataset.pictures, strict=True):
            assert (one.image_id, one.name, one.size) == (other.image_id, other.name, other.size)
            np.testing.assert_allclose(one.boxes, other.boxes, rtol=0, atol=0.01)
            assert one.labels.tolist() == other.labels.tolist()
            assert one.ignore.tolist() == other.ignore.tolist()

    check()


@pytest.mark.parametrize("copy_images", [False, True])
def test_all_formats_of_the_same_pictures_are_one_data_set(photos, dataset, tmp_path, copy_images):
    digests = {}
    for form in FORMATS:
        options = {"format": form, "copy_images": copy_images}
        if form == "opencv":
            one_label = [
                dataclasses.replace(p, labels=np.full(len(p.boxes), "cat"))
                for p in dataset.pictures
            ]
            before = Dataset("things", tuple(one_label))
            path = write_annotations(before, tmp_path / form, **options).path
            got = read_annotations(path, None if copy_images else photos, label="cat")
            assert got.digest() == before.digest()
            continue
        path = write_annotations(dataset, tmp_path / form, **options).path
        got = read_annotations(path, None if copy_images else where(photos, form))
        digests[form] = got.digest()
        assert [p.image_id for p in got.pictures] == [0, 1, 2, 3]
        if copy_images:
            files = [p.path or Path(p.member.archive) for p in got.pictures]
            assert all(tmp_path / form in file.parents for file in files)
            assert got.pictures[0].load().tobytes() == dataset.pictures[0].load().tobytes()
    assert set(digests.values()) == {dataset.digest()}


def test_the_order_of_boxes_is_kept_and_fractions_are_alike(photos, tmp_path):
    boxes = [[30.1, 2.7, 40.3, 9.9], [0.25, 0.5, 10.75, 20], [3.3, 3.3, 4.4, 4.4]]
    dataset = Dataset("d", (picture(photos, 0, boxes, ["b", "a", "b"]),))
    digests = set()
    for form in LABELLED:
        written = write_annotations(dataset, tmp_path / form, format=form)
        got = read_annotations(written.path, where(photos, form))
        if form != "coco":
            digests.add(got.digest())
        np.testing.assert_allclose(got.pictures[0].boxes, boxes, atol=1e-9)
    assert digests == {dataset.digest()}


def test_formats_are_recognised_from_their_paths(dataset, tmp_path):
    for form in FORMATS:
        written = write_annotations(dataset, tmp_path / form, format=form, copy_images=True)
        assert recognise(written.path) == form
        assert written.format == form
    assert recognise(tmp_path / "voc" / "Annotations") == "voc"
    assert recognise(tmp_path / "yolo" / "data.yaml") == "yolo"
    assert recognise(tmp_path / "yolo" / "data.yaml:val") == "yolo"
    assert recognise(tmp_path / "yolo" / "images") == "yolo"
    assert recognise(tmp_path / "opencv" / "bg.txt") == "opencv"


def test_recognise_errors(tmp_path):
    with pytest.raises(DataError, match=r"none: no such file or folder\. Give the annotations"):
        recognise(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"folder without Annotations, \.xml files, .*--from"):
        recognise(tmp_path / "empty")
    (tmp_path / "a.doc").write_text("")
    with pytest.raises(DataError, match=r"of no known annotation format\. Name it with `format`"):
        recognise(tmp_path / "a.doc")
    (tmp_path / "a.xml").write_text("<annotation/>")
    with pytest.raises(DataError, match=r"annotation of one picture\. Give the folder"):
        recognise(tmp_path / "a.xml")
    (tmp_path / "b.xml").write_text("<svg/>")
    with pytest.raises(DataError, match="XML with the root <svg>, no known format"):
        recognise(tmp_path / "b.xml")


@pytest.mark.parametrize("form", [None, *FORMATS])
@pytest.mark.parametrize("path", ["", ".", "x" * 999, "a\0b", "none.xml", "data.yaml:val"])
def test_paths_that_are_no_annotations(tmp_path, monkeypatch, form, path):
    monkeypatch.chdir(tmp_path)
    for images in (None, "x" * 999, "a\0b"):
        with pytest.raises(DataError):
            read_annotations(path, images, format=form)


def test_parameters(dataset, tmp_path):
    with pytest.raises(ParameterError, match=r"'format' parameter of read_annotations.*'imglab'"):
        read_annotations(tmp_path, format="kitti")
    with pytest.raises(ParameterError, match="'format' parameter of write_annotations"):
        write_annotations(dataset, tmp_path, format="kitti")
    with pytest.raises(ParameterError, match="'copy_images' parameter of write_annotations"):
        write_annotations(dataset, tmp_path, format="csv", copy_images=1)
    with pytest.raises(ParameterError, match=r"'box_key'.*is for COCO, and .* is csv"):
        read_annotations(tmp_path, format="csv", box_key="tight")
    with pytest.raises(ParameterError, match="'skip_bad' parameter of read_annotations"):
        read_annotations(tmp_path, format="csv", skip_bad="yes")
    assert tuple(FORMAT.choices) == FORMATS


def flagged(photos):
    first = picture(photos, 0, [[0, 0, 10, 12], [1, 1, 9, 9]], ["cat", "dog"], [False, True])
    crowd = dataclasses.replace(
        picture(photos, 1, [[0, 0, 10, 12]], ["cat"]), crowd=np.array([True])
    )
    return Dataset("things", (first, crowd), categories=("cat", "dog", "owl"))


def test_what_a_format_cannot_hold_is_noted(photos, tmp_path):
    notes = {
        form: " ".join(write_annotations(flagged(photos), tmp_path / form, format=form).notes)
        for form in FORMATS
    }
    assert notes["coco"] == ""
    assert "1 crowd was written as difficult objects" in notes["voc"]
    assert "1 category without boxes was lost: 'owl'" in notes["voc"]
    assert notes["yolo"] == (
        "2 ignored boxes and crowds were left out: the format has no place for them. 1 picture "
        "with ignored boxes alone passes for a picture without objects now."
    )
    assert "1 crowd was written as ignored boxes" in notes["csv"]
    assert "1 crowd was written as ignored boxes" in notes["imglab"]
    assert "The label was lost: 'cat'; give it anew" in notes["opencv"]
    assert "1 picture with ignored boxes alone passes for" in notes["opencv"]


def test_labels_and_fractions_that_opencv_and_dlib_cannot_hold_are_noted(photos, tmp_path):
    dataset = Dataset("d", (picture(photos, 0, [[0, 0.5, 9, 9], [0, 0, 5, 5]], ["a", "b"]),))
    (labels, fractions) = write_annotations(dataset, tmp_path, format="opencv").notes
    assert labels == "The labels were lost: a, b."
    assert fractions == "1 box has fractions of pixels, which are read back here but not by OpenCV."
    (note,) = write_annotations(dataset, tmp_path, format="imglab").notes
    assert note.endswith("not by dlib.")


def test_pictures_in_memory_are_written_as_png(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    one = Picture(0, "a.jpg", [[0, 0, 2, 2]], ["x"], [False], [False], pixels=pixels)
    for form in LABELLED:
        dataset = Dataset("d", (one,))
        written = write_annotations(dataset, tmp_path / form, format=form, copy_images=True)
        got = read_annotations(written.path)
        assert got.pictures[0].name == "a.jpg.png"
        np.testing.assert_array_equal(got.pictures[0].load(), pixels)


def test_write_errors(photos, dataset, tmp_path):
    crops = Dataset("c", crops=Crops(np.zeros((1, 2, 2), np.uint8)))
    twice = Dataset("t", (picture(photos, 0), dataclasses.replace(picture(photos, 0), image_id=9)))
    for form in FORMATS:
        with pytest.raises(DataError, match=r"cannot hold the crops of 'c'\. Write the pictures"):
            write_annotations(crops, tmp_path / "c", format=form)
        with pytest.raises(DataError, match=r"2 pictures of 't' are called 'a\.png'\. Give each"):
            write_annotations(twice, tmp_path / "c", format=form)
        written = write_annotations(dataset, tmp_path / form, format=form)
        assert written.path.exists()
        with pytest.raises(DataError, match=r"exists already\. Remove it, or write elsewhere"):
            write_annotations(dataset, tmp_path / form, format=form)


@every_format
def test_folders_that_cannot_be_made(dataset, tmp_path, form):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot be made \(.*Check the folder above it"):
        write_annotations(dataset, tmp_path / "file" / "out", format=form)
    with pytest.raises(DataError, match=r"is not a folder name\. Check the path"):
        write_annotations(dataset, tmp_path / "a\0b" / "out", format=form)


@pytest.mark.parametrize("form", ["voc", "yolo"])
def test_write_refuses_pictures_that_share_an_annotation_file(photos, tmp_path, form):
    one = picture(photos, 0)
    other = dataclasses.replace(one, name="a.jpg", image_id=5)
    with pytest.raises(DataError, match=r"2 pictures would share the file a\.(xml|txt)\. Give"):
        write_annotations(Dataset("d", (one, other)), tmp_path / "out", format=form)


@pytest.mark.parametrize("form", OTHERS)
@pytest.mark.parametrize("text", [" a", "a\n", "a\tb", "\ud800", "\uffff"])
def test_write_refuses_names_that_text_cannot_hold(photos, tmp_path, form, text):
    labelled = picture(photos, 0, [[0, 0, 5, 5]], [text])
    named = dataclasses.replace(picture(photos, 0), name=text)
    for bad, what in ((labelled, "label"), (named, "picture name")):
        with pytest.raises(DataError, match=rf"the {what} .*control characters.* or write COCO"):
            write_annotations(Dataset("d", (bad,)), tmp_path / "out", format=form)


@pytest.mark.parametrize("form", OTHERS)
@pytest.mark.parametrize("name", ["../a.png", "/a.png", "sub/../../a.png", "C:\\a.png"])
def test_write_refuses_names_that_lead_out(photos, tmp_path, form, name):
    named = dataclasses.replace(picture(photos, 0), name=name)
    for copy_images in (False, True):
        with pytest.raises(DataError, match="name that is no relative path inside a folder"):
            write_annotations(
                Dataset("d", (named,)), tmp_path / "out", format=form, copy_images=copy_images
            )
    assert not (tmp_path / "a.png").exists()


def test_copies_do_not_replace_files(photos, dataset, tmp_path):
    (tmp_path / "out/images").mkdir(parents=True)
    (tmp_path / "out/images/a.png").write_text("another")
    with pytest.raises(DataError, match=r"a\.png: exists already\. Give an empty folder"):
        write_annotations(dataset, tmp_path / "out", format="csv", copy_images=True)
    missing = dataclasses.replace(picture(photos, 0), path=photos / "none.png")
    with pytest.raises(DataError, match=r"none\.png: cannot be copied"):
        write_annotations(
            Dataset("d", (missing,)), tmp_path / "two", format="csv", copy_images=True
        )


def test_lists_beside_their_pictures_name_them_from_their_own_folder(photos, dataset, tmp_path):
    shutil.copytree(photos, tmp_path / "images")
    moved = [dataclasses.replace(p, path=tmp_path / "images" / p.name) for p in dataset.pictures]
    beside = Dataset("things", tuple(moved))
    path = write_annotations(beside, tmp_path / "list.csv", format="csv").path
    assert "images/a.png" in path.read_text()
    assert read_annotations(path).digest() == dataset.digest()


def test_link_images(photos, dataset, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    assert link_images(Dataset("empty"), out) is None
    assert link_images(dataset, photos) is None
    assert link_images(dataset, out) == (
        f"{out}/images is a link to {photos}, where the pictures stay."
    )
    assert (out / "images/a.png").samefile(photos / "a.png")
    assert link_images(dataset, out) is None
    (tmp_path / "taken/images").mkdir(parents=True)
    said = f"The pictures stay in {photos}; give --images {photos} to read the annotations."
    assert link_images(dataset, tmp_path / "taken") == said
    moved = dataclasses.replace(dataset.pictures[0], path=tmp_path / "a.png", image_id=9)
    scattered = dataclasses.replace(dataset, pictures=(*dataset.pictures, moved))
    assert "lie in several folders; give --copy-images" in link_images(scattered, out)

    def refuse(*arguments):
        raise OSError

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    (tmp_path / "other").mkdir()
    assert link_images(dataset, tmp_path / "other") == said
