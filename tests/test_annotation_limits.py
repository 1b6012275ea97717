"""Annotations that are wrong on purpose: names that lead out, labels and files without an end."""

import json
import os

import pytest
from format_files import add_picture, with_pictures, write
from hostile_annotations import COCO, DOCTYPES, RESULTS

from bootstrap_det.data import read_annotations
from bootstrap_det.data.collect import named, read_bounded
from bootstrap_det.data.formats import opencv, safe_xml
from bootstrap_det.evaluation.results import read_results
from bootstrap_det.exceptions import DataError


@pytest.fixture
def folder(tmp_path):
    """Return a data set with a link to another folder, and pictures that no name may reach."""
    home = with_pictures(tmp_path / "set")
    for name in ("outside/secret.jpg", "secret.jpg"):
        add_picture(tmp_path / name)
    os.symlink(tmp_path / "outside", home / "images" / "link")
    return home


LEADING_OUT = [
    "../secret.jpg", "images/../../secret.jpg", "../../secret.jpg", "link/../secret.jpg",
    "link/../../secret.jpg", "./../secret.jpg", "..\\secret.jpg", "{top}/secret.jpg",
]  # fmt: skip


def coco(name):
    image = {"id": 1, "file_name": name, "width": 64, "height": 48}
    return json.dumps({"images": [image], "annotations": [], "categories": []})


def voc(name):
    return f"<annotation><filename>{name}</filename></annotation>"


FILES = {
    "coco": ("a.json", coco),
    "voc": ("Annotations/x.xml", voc),
    "yolo": ("list.txt", lambda name: f"{name}\n"),
    "csv": ("a.csv", lambda name: f"file,x1,y1,x2,y2,label\n{name},1,1,9,9,a\n"),
    "imglab": (
        "a.xml",
        lambda name: f"<dataset><images><image file='{name}'/></images></dataset>",
    ),
    "opencv": ("info.dat", lambda name: f"{name} 1 1 1 9 9\n"),
}


@pytest.mark.parametrize("name", LEADING_OUT)
@pytest.mark.parametrize("form", FILES)
def test_no_name_leads_out_of_the_folder(form, name, folder):
    where, content = FILES[form]
    path = write(folder / where, content(name.format(top=folder.parent)))
    write(folder / "classes.txt", "a\n")
    source = folder if form == "voc" else path
    with pytest.raises(DataError, match=r"leads out of|not a file in|it must be relative"):
        read_annotations(source, folder / "images", format=form)


@pytest.mark.parametrize("form", ["coco", "csv", "imglab"])
def test_links_inside_the_folder_are_its_owners_and_followed(form, folder):
    where, content = FILES[form]
    path = write(folder / where, content("link/secret.jpg"))
    (picture,) = read_annotations(path, folder / "images", format=form).pictures
    assert picture.load().shape == (48, 64)


@pytest.mark.parametrize("form", ["csv", "imglab", "opencv", "yolo"])
def test_absolute_names_inside_the_folder_are_fine(form, folder):
    where, content = FILES[form]
    path = write(folder / where, content(f"{folder}/images/a.jpg"))
    write(folder / "classes.txt", "a\n")
    assert len(read_annotations(path, format=form)) == 1


def hostile_coco(**changes):
    return json.dumps({**COCO, **changes}).replace("inner/", "")


@pytest.mark.parametrize("length", [128, 129])
def test_a_label_is_bounded(length, folder):
    """An array of labels takes the room of the longest for each of its boxes."""
    label = "a" * length
    categories = [{"id": 1, "name": label}, {"id": 2, "name": "b", "supercategory": label}]
    texts = {
        "coco": hostile_coco(categories=categories),
        "csv": f"file,x1,y1,x2,y2,label\nimages/a.jpg,1,1,9,9,{label}\n",
    }
    for form, text in texts.items():
        path = write(folder / FILES[form][0], text)
        if length == 128:
            assert label in read_annotations(path, format=form).categories
            continue
        with pytest.raises(DataError, match=r"at most 128 characters|129 characters"):
            read_annotations(path, format=form)


def test_a_class_of_yolo_is_bounded(folder):
    path = write(folder / "data.yaml", f"train: images\nnames: [{'a' * 129}]\n")
    with pytest.raises(DataError, match="Give it a name of at most 128 characters"):
        read_annotations(path)


@pytest.mark.parametrize("form", FILES)
def test_messages_do_not_repeat_a_name_without_end(form, folder):
    where, content = FILES[form]
    path = write(folder / where, content("a" * 100_000))
    write(folder / "classes.txt", "a\n")
    with pytest.raises(DataError) as caught:
        read_annotations(folder if form == "voc" else path, format=form)
    assert len(str(caught.value)) < 1500


def test_names_in_messages_are_cut():
    assert named("a'b") == '"a\'b"'
    assert named("a" * 200) == f"'{'a' * 200}'"
    assert len(named("\x1b" * 1000)) < 220


def test_a_file_is_read_up_to_its_limit_and_no_more_is_set_aside(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    assert read_bounded(path, 100, "a file") == b"x" * 100
    with pytest.raises(DataError, match="exceeds the limit of 99 bytes"):
        read_bounded(path, 99, "a file")
    assert read_bounded(path, 1 << 60, "a file") == b"x" * 100


@pytest.mark.parametrize("form", ["coco", "csv", "imglab", "opencv", "yolo"])
def test_sparse_files_of_terabytes_are_refused(form, folder, monkeypatch):
    for module, name in (
        ("bootstrap_det.data.coco", "MAX_COCO_BYTES"),
        ("bootstrap_det.data.formats.table", "MAX_CSV_BYTES"),
        ("bootstrap_det.data.formats.safe_xml", "MAX_XML_BYTES"),
        ("bootstrap_det.data.formats.opencv", "MAX_TEXT_BYTES"),
        ("bootstrap_det.data.formats.yolo_layout", "MAX_LIST_BYTES"),
    ):
        monkeypatch.setattr(f"{module}.{name}", 1000)
    path = write(folder / FILES[form][0], "")
    os.truncate(path, 1 << 40)
    write(folder / "classes.txt", "a\n")
    with pytest.raises(DataError, match="exceeds the limit of 1,000 bytes"):
        read_annotations(path, format=form)


def test_the_tags_of_xml_are_bounded(folder, monkeypatch):
    monkeypatch.setattr(safe_xml, "MAX_XML_TAGS", 100)
    path = write(folder / "a.xml", "<dataset><images>" + "<a/>" * 200 + "</images></dataset>")
    with pytest.raises(DataError, match="has more than 100 tags"):
        read_annotations(path, format="imglab")


@pytest.mark.parametrize("content", DOCTYPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_entities_are_refused_in_every_encoding(content, encoding, folder):
    path = write(folder / "a.xml", content.decode().encode(encoding))
    with pytest.raises(DataError, match=r"declares a document type|is not XML"):
        read_annotations(path, format="imglab")


def test_elements_within_elements_without_end_are_read(folder):
    path = write(folder / "a.xml", "<a>" * 100_000 + "</a>" * 100_000)
    with pytest.raises(DataError, match="without <dataset><images>"):
        read_annotations(path, format="imglab")


def test_a_line_of_opencv_with_very_many_readings_takes_little(folder, monkeypatch):
    """Every fourth word says truly how many boxes follow it; each was a list of all the rest."""
    n_words = 40_000
    words = " ".join(str((n_words - i) // 4) for i in range(n_words))
    path = write(folder / "info.dat", f"a {words}\n")
    looked_for = []
    monkeypatch.setattr(opencv._Reader, "_exists", lambda self, name: bool(looked_for.append(name)))
    with pytest.raises(DataError, match="names the picture"):
        read_annotations(path)
    assert len(looked_for) <= 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bbox": [10**400, 0, 1, 1]}, "lacks or garbles int too large"),
        ({"score": 10**400}, "lacks or garbles int too large"),
        ({"bbox": [1e308, 0, 1e308, 1]}, "not a box and finite numbers"),
        ({"bbox": [0] * 9999}, "not a box and finite numbers"),
        ({"image_id": "a" * 9999}, "is of image_id"),
        ({"category_id": "a" * 9999}, "has category_id"),
    ],
)
def test_results_that_are_no_numbers_are_one_sentence(change, message, folder):
    dataset = read_annotations(write(folder / "a.json", hostile_coco()))
    path = write(folder / "results.json", json.dumps([{**RESULTS[0], **change}]))
    with pytest.raises(DataError, match=message) as caught:
        read_results(path, dataset)
    assert len(str(caught.value)) < 500
