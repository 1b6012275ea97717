"""Pascal VOC and YOLO as other tools write them, and what is refused."""

import re

import pytest
from format_files import LABEL_IMG, SIZE, add_picture, facts, with_pictures, write

from bootstrap_det.data import read_annotations
from bootstrap_det.data.formats import opencv, safe_xml
from bootstrap_det.exceptions import DataError


@pytest.fixture
def folder(tmp_path):
    return with_pictures(tmp_path)


def test_voc_as_label_img_writes_it(folder):
    write(folder / "Annotations/a.xml", LABEL_IMG)
    (folder / "images").rename(folder / "JPEGImages")
    boxes = [[0, 2, 10, 20], [20.25, 1, 30.5, 9]]
    expected = [("a.jpg", boxes, ["stop sign", "give way"], [False, True])]
    for path in (folder, folder / "Annotations"):
        dataset = read_annotations(path)
        assert facts(dataset) == expected
        assert dataset.pictures[0].size == SIZE
        assert (dataset.categories, dataset.notes) == (("give way", "stop sign"), ())
    assert read_annotations(folder).name == folder.name


@pytest.mark.parametrize("where", ["annotations/a.xml", "images/a.xml", "images/sub/a.xml"])
def test_voc_in_other_folders(folder, where):
    path = write(folder / where, LABEL_IMG)
    if "sub" in where:
        add_picture(folder / "images/sub/a.jpg")
    given = folder if "annotations" in where else folder / "images"
    (picture,) = read_annotations(given).pictures
    assert picture.name == str(path.relative_to(folder))[len(where.split("/")[0]) + 1 : -3] + "jpg"


def test_voc_takes_the_picture_of_the_own_name_and_says_so(folder):
    write(folder / "Annotations/b.xml", LABEL_IMG.replace("a.jpg", "IMG_0042"))
    dataset = read_annotations(folder)
    assert dataset.pictures[0].name == "b.jpg"
    assert "1 XML file names no picture that is there" in dataset.notes[0]


@pytest.mark.parametrize("size", ["", "<size/>", "<size><width>0</width><height>0</height></size>"])
def test_voc_without_a_size_takes_that_of_the_file(folder, size):
    text = re.sub(r"<size>.*</size>", size, LABEL_IMG)
    write(folder / "Annotations/a.xml", text)
    assert read_annotations(folder).pictures[0].size == SIZE


VOC_REFUSED = [
    ("<xmin>1<", "<xmin>nan<", r"object 0 has the bndbox .*which is not 4 finite numbers"),
    ("<xmin>1<", "<xmin><", "not 4 finite numbers"),
    ("<xmin>1<", "<xmin>1_0<", "not 4 finite numbers"),
    ("<xmin>1<", "<xmin>900<", "whose width and height are not both positive"),
    ("<xmin>1<", "<xmin>11<", "whose width and height are not both positive"),
    ("<xmin>1</xmin>", "", "not 4 finite numbers"),
    ("<xmin>1</xmin><ymin>3</ymin><xmax>10", "<xmin>99</xmin><ymin>3</ymin><xmax>100", "entirely"),
    ("<name>stop sign</name>", "<name> </name>", "object 0 has a box without a label"),
    ("<difficult>0", "<difficult>2", "object 0 has the <difficult> '2', which is neither 0 nor 1"),
    ("<bndbox><xmin>1", "<box><bndbox/></box><x><xmin>1", None),
    ("<width>64", "<width>-64", "has the size .* which is not two positive ints"),
    ("<width>64", "<width>6.5", "which is not two positive ints"),
    ("<width>64", "<width>wide", "has the size .*not 2 finite numbers"),
    ("<filename>a.jpg", "<filename>../a.jpg", r"names the picture '\.\./a\.jpg', which is not"),
    ("<filename>a.jpg", "<filename>/etc/passwd", "not a file inside .*--images"),
    ("<filename>a.jpg", "<filename>c.jpg", r"'c\.jpg', which is not a file in .*--images"),
    ("<filename>a.jpg", "<filename>", "names no picture"),
    ("annotation>", "notes>", "has the root <notes>, not <annotation>"),
    ("</annotation>", "", r"is not XML \(no element found"),
    ("<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>', "declares a document type or"),
]


@pytest.mark.parametrize(("old", "new", "message"), VOC_REFUSED)
def test_voc_refuses(folder, old, new, message):
    write(folder / "Annotations/other.xml", LABEL_IMG.replace("a.jpg", "b.jpg"))
    text = LABEL_IMG.replace(old, new)
    assert text != LABEL_IMG
    write(folder / "Annotations/z.xml", text)
    with pytest.raises(DataError, match=message or r"z\.xml: is not XML") as caught:
        read_annotations(folder)
    assert "z.xml" in str(caught.value)
    dataset = read_annotations(folder, skip_bad=True)
    assert len(dataset.skipped) == 1
    assert dataset.skipped[0].file.endswith("z.xml")
    assert facts(dataset)[-1][0] == "b.jpg"


def test_voc_pictures_that_occur_twice(folder):
    write(folder / "Annotations/a.xml", LABEL_IMG)
    write(folder / "Annotations/z.xml", LABEL_IMG)
    with pytest.raises(DataError, match=r"z\.xml: the file names the picture 'a\.jpg', which occ"):
        read_annotations(folder)


def test_voc_folders(folder):
    with pytest.raises(DataError, match=r"none: no such folder\. Give the folder of the Pascal"):
        read_annotations(folder / "none", format="voc")
    with pytest.raises(DataError, match=r"holds no \.xml file"):
        read_annotations(folder, format="voc")
    write(folder / "Annotations/a.xml", LABEL_IMG)
    with pytest.raises(DataError, match=r"x: no such folder\. Give the folder of the pictures of"):
        read_annotations(folder, folder / "x")


LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><annotation>&c;</annotation>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_xml_with_entities_is_refused(folder, encoding):
    content = LAUGHS.decode().replace('"1.0"?', f'"1.0" encoding="{encoding[:6]}"?')
    write(folder / "Annotations/a.xml", content.encode(encoding))
    with pytest.raises(DataError, match=r"a\.xml: (declares a document type|is not XML)"):
        read_annotations(folder)
    write(folder / "list.xml", content.replace("annotation", "dataset").encode(encoding))
    with pytest.raises(DataError, match=r"list\.xml: (declares a document type|is not XML)"):
        read_annotations(folder / "list.xml")


def test_files_that_are_too_large_are_refused(folder, monkeypatch):
    monkeypatch.setattr(safe_xml, "MAX_XML_BYTES", 100)
    write(folder / "Annotations/a.xml", LABEL_IMG)
    with pytest.raises(DataError, match=r"a\.xml: exceeds the limit of 100 bytes\. Split it"):
        read_annotations(folder)
    monkeypatch.setattr(opencv, "MAX_TEXT_BYTES", 3)
    write(folder / "info.dat", "images/a.jpg 0\n")
    with pytest.raises(DataError, match=r"info\.dat: exceeds the limit of 3 bytes"):
        read_annotations(folder / "info.dat")


YOLO_BOX = [[12.8, 12, 25.6, 36]]


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("data.yaml", "names: [car, 'no']"),
        ("data.yaml", "nc: 2\nnames:\n  0: car\n  1: no\n"),
        ("data.yaml", "train: images\nval: images\nnames:\n- car\n- no\n"),
        ("data.yaml", "path: /elsewhere/data\ntrain: ../images\nnames: {'0': car, '1': no}"),
        ("classes.txt", "car\nno\n\n"),
        ("labels/classes.txt", "\ufeffcar\r\nno\r\n"),
        ("obj.names", "car\nno"),
    ],
)
def test_yolo_folders(folder, name, names):
    write(folder / name, names)
    write(folder / "labels/a.txt", "1 0.3 0.5 0.2 0.5\n\n")
    expected = [("a.jpg", YOLO_BOX, ["no"], [False]), ("b.jpg", [], [], [])]
    dataset = read_annotations(folder, format="yolo")
    assert facts(dataset) == expected
    assert dataset.categories == ("car", "no")
    assert facts(read_annotations(folder / "images")) == expected
    if name.endswith("yaml"):
        assert facts(read_annotations(folder / name)) == expected
    assert facts(read_annotations(folder, folder / "images", format="yolo")) == expected


def test_yolo_parts(folder):
    for part in ("train", "val"):
        (folder / "labels" / part).mkdir(parents=True)
        (folder / "images" / part).mkdir()
    (folder / "images/a.jpg").rename(folder / "images/train/a.jpg")
    (folder / "images/b.jpg").rename(folder / "images/val/b.jpg")
    write(folder / "labels/train/a.txt", "0 0.3 0.5 0.2 0.5")
    write(folder / "labels/val/b.txt", "")
    write(folder / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: [car]\n")
    train = read_annotations(folder / "data.yaml")
    assert facts(train) == [("a.jpg", YOLO_BOX, ["car"], [False])]
    assert train.notes == ("data.yaml: the part 'val' was not read; give data.yaml:val for it.",)
    for path in (folder / "data.yaml:val", folder / "images/val"):
        assert facts(read_annotations(path)) == [("b.jpg", [], [], [])]
    with pytest.raises(DataError, match="'test' is no such part; it must be one folder or list"):
        read_annotations(folder / "data.yaml:test")


def test_yolo_lists(folder):
    write(folder / "labels/a.txt", "0 0.3 0.5 0.2 0.5")
    write(folder / "data.yaml", "train: train.txt\nnames: [car]\n")
    absolute = folder / "images/a.jpg"
    for line in ("images/a.jpg", "./images/a.jpg", "images\\a.jpg", absolute, "a.jpg"):
        path = write(folder / "train.txt", f"{line}\n")
        expected = [("a.jpg", YOLO_BOX, ["car"], [False])]
        assert facts(read_annotations(folder / "data.yaml")) == expected
        assert facts(read_annotations(path, format="yolo")) == expected


def test_yolo_beside_the_pictures(folder):
    write(folder / "images/classes.txt", "car\n")
    write(folder / "images/a.txt", "0 0.3 0.5 0.2 0.5")
    dataset = read_annotations(folder / "images")
    assert facts(dataset) == [("a.jpg", YOLO_BOX, ["car"], [False]), ("b.jpg", [], [], [])]


def test_yolo_polygons_and_key_points(folder):
    write(folder / "data.yaml", "names: [car]")
    polygon = "0 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75"
    write(folder / "labels/a.txt", polygon)
    assert read_annotations(folder).pictures[0].boxes.tolist() == [[16, 12, 48, 36]]
    write(folder / "data.yaml", "names: [car]\nkpt_shape: [2, 2]")
    write(folder / "labels/a.txt", "0 0.3 0.5 0.2 0.5 0.1 0.1 0.2 0.2")
    assert read_annotations(folder).pictures[0].boxes.tolist() == YOLO_BOX


YOLO_REFUSED = [
    ("0 0.3 0.5 0.2", "has '0 0.3 0.5 0.2', which is neither a class with 4 numbers"),
    ("0 0.3 0.5 0.2 0.5 0.9", "which is neither a class with 4 numbers nor one with a polygon"),
    ("0 0.3 0.5 nan 0.5", "which is not 5 finite numbers"),
    ("car 0.3 0.5 0.2 0.5", "which is not 5 finite numbers"),
    ("2 0.3 0.5 0.2 0.5", "has the class 2, which is none of the 2 classes"),
    ("-1 0.3 0.5 0.2 0.5", "has the class -1, which is none"),
    ("0.5 0.3 0.5 0.2 0.5", "has the class 0.5, which is none"),
    ("0 0.3 0.5 0 0.5", "whose width and height are not both positive"),
    ("0 3 5 0.2 0.5", "which lies entirely outside its picture"),
    ("0 1e308 1e308 1e308 1e308", "not both positive and finite"),
]


@pytest.mark.parametrize(("line", "message"), YOLO_REFUSED)
def test_yolo_refuses_lines(folder, line, message):
    write(folder / "data.yaml", "names: [car, bus]")
    write(folder / "labels/a.txt", f"1 0.3 0.5 0.2 0.5\n{line}\n")
    with pytest.raises(DataError, match=rf"a\.txt: line 2 .*{re.escape(message)}"):
        read_annotations(folder)
    dataset = read_annotations(folder, skip_bad=True)
    assert facts(dataset)[0][2] == ["bus"]
    assert len(dataset.skipped) == 1


YAML_REFUSED = [
    ("nc: 2", "has no 'names'. Write the names of the classes"),
    ("[]", "has no 'names'"),
    ("names: 3", "'names' is '3'. Write the names"),
    ("names: {a: car}", "the class number 'a' is no int. Correct 'names'"),
    ("names: {'99999999999': car}", "is no int"),
    ("names: [car, car]", "two classes are of one name. Name the classes differently"),
    ("names: [car, [x]]", r"class 1 is called ['x']. Give it a name"),
    ("names: [car, '']", "class 1 is called ''. Give it a name"),
    ("names: [car", "is not YAML (while parsing"),
    ("names: &a [car]\nmore: *a", "is not YAML (it uses aliases"),
    ("[" * 20000, "data.yaml: is "),
    (b"names: [\xff]", "is not text in UTF-8 (byte 8)"),
    ("train: [a, b]\nnames: [car]", "'train' is ['a', 'b']; it must be one folder or list"),
    ("train: ../../etc\nnames: [car]", "the pictures '../../etc' are not inside"),
    ("train: none\nnames: [car]", "the pictures 'none' are not inside"),
]


@pytest.mark.parametrize(("text", "message"), YAML_REFUSED)
def test_yolo_refuses_data_yaml(folder, text, message):
    path = write(folder / "data.yaml", text)
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=re.escape(message)):
            read_annotations(path, skip_bad=skip_bad)


def test_yolo_refuses_layouts(folder):
    with pytest.raises(DataError, match=r"none: no such file or folder\. Give data\.yaml"):
        read_annotations(folder / "none", format="yolo")
    (folder / "labels").mkdir()
    with pytest.raises(DataError, match=r"has no class names\. Write the names of the classes"):
        read_annotations(folder)
    with pytest.raises(DataError, match=r"x: no such folder\. Give the folder of the pictures of"):
        read_annotations(folder, folder / "x")
    write(folder / "classes.txt", "car")
    write(folder / "labels/z.txt", "0 0.3 0.5 0.2 0.5")
    with pytest.raises(DataError, match=r"z\.txt: the label file has no picture of its name"):
        read_annotations(folder)
    assert len(read_annotations(folder, skip_bad=True).skipped) == 1


def test_yolo_pictures_whose_labels_cannot_be_read_are_no_negatives(folder):
    write(folder / "classes.txt", "car")
    write(folder / "labels/a.txt", b"\xff\xfe")
    with pytest.raises(DataError, match=r"has labels that cannot be read: .*not text in UTF-8"):
        read_annotations(folder)
    dataset = read_annotations(folder, skip_bad=True)
    assert [p.name for p in dataset.pictures] == ["b.jpg"]
    assert len(dataset.skipped) == 1
