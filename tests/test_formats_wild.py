"""Annotation files as other tools write them, what is refused, and that nothing else escapes."""

import random
import re

import numpy as np
import pytest
from PIL import Image

from bootstrap_det.data import read_annotations
from bootstrap_det.data.formats import listing, opencv, safe_xml
from bootstrap_det.exceptions import DataError

SIZE = (48, 64)  # height, width


@pytest.fixture
def folder(tmp_path):
    """A folder with two pictures in ``images``."""
    for name in ("a.jpg", "b.jpg"):
        add_picture(tmp_path / "images" / name)
    return tmp_path


def add_picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(path)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def facts(dataset):
    """Return name, boxes, labels and flags of each picture."""
    return [
        (p.name, p.boxes.tolist(), p.labels.tolist(), p.ignore.tolist()) for p in dataset.pictures
    ]


LABEL_IMG = """<annotation>
\t<folder>photos</folder>
\t<filename>a.jpg</filename>
\t<path>C:\\Users\\me\\photos\\a.jpg</path>
\t<source><database>Unknown</database></source>
\t<size><width>64</width><height>48</height><depth>3</depth></size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>stop sign</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>1</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox><xmin>1</xmin><ymin>3</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>
\t</object>
\t<object>
\t\t<name>give way</name><occluded>1</occluded><difficult>1</difficult>
\t\t<bndbox><xmax>30.5</xmax><xmin>21.25</xmin><ymax>9</ymax><ymin>2</ymin></bndbox>
\t\t<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>
\t</object>
</annotation>
"""


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
    assert "1 XML files name no picture that is there" in dataset.notes[0]


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


CSV_ROWS = "images/a.jpg,1,2,11.5,22,cat,1\nimages/b.jpg,,,,,,\nimages/a.jpg,0,0,5,5,dog,0\n"
CSV_FACTS = [
    ("a.jpg", [[1, 2, 11.5, 22], [0, 0, 5, 5]], ["cat", "dog"], [True, False]),
    ("b.jpg", [], [], []),
]


@pytest.mark.parametrize(
    "header",
    [
        "file,x1,y1,x2,y2,label,ignore",
        "filename,xmin,ymin,xmax,ymax,class,difficult",
        "\ufeffImage, XMin, YMin, XMax, YMax, Name, Ignore",
        "path,left,top,right,bottom,category,ignore",
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_headers(folder, header, delimiter):
    text = f"{header}\n{CSV_ROWS}".replace(",", delimiter)
    path = write(folder / "table.csv", text)
    assert facts(read_annotations(path)) == CSV_FACTS
    write(path, text.replace("\n", "\r\n"))
    assert facts(read_annotations(path)) == CSV_FACTS


def test_csv_of_other_tools(folder):
    tensorflow = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,64,48,cat,1,2,3,4\n"
    got = facts(read_annotations(write(folder / "t.csv", tensorflow)))
    assert got == [("a.jpg", [[1, 2, 3, 4]], ["cat"], [False])]
    absolute = folder / "images" / "a.jpg"
    retinanet = f"{absolute},1,2,3,4,cat\n{folder}/images/b.jpg,,,,,\n"
    path = write(folder / "r.csv", retinanet)
    expected = [("a.jpg", [[1, 2, 3, 4]], ["cat"], [False]), ("b.jpg", [], [], [])]
    assert facts(read_annotations(path)) == expected
    assert facts(read_annotations(path, folder / "images")) == expected
    first_empty = write(folder / "e.csv", "a.jpg,,,,,\nb.jpg,1,2,3,4,cat\n")
    assert len(read_annotations(first_empty)) == 2


CSV_REFUSED = [
    ("a.jpg,1,2,3", "line 3 has 4 cells, too few for the columns"),
    ("a.jpg,1,2,x,4,cat", "line 3 has the box .*x1, y1, x2, y2.*not 4 finite numbers"),
    ("a.jpg,1,2,inf,4,cat", "not 4 finite numbers"),
    ("a.jpg,,2,3,4,cat", "not 4 finite numbers"),
    ("a.jpg,,,,,cat", "not 4 finite numbers"),
    ("a.jpg,3,2,1,4,cat", "not both positive"),
    ("a.jpg,1,2,3,4,", "has a box without a label"),
    ("a.jpg,1,2,3,4,cat,maybe", "has the ignore 'maybe', which is neither 0 nor 1"),
    ("a.jpg,900,2,903,4,cat", "entirely outside"),
    (",1,2,3,4,cat", "names no picture"),
    ("c.jpg,1,2,3,4,cat", r"line 3 names the picture 'c\.jpg', which is not a file in"),
    ("/etc/passwd,1,2,3,4,cat", "which is not a file inside .*give the folder .*--images"),
    ("C:\\a.jpg,1,2,3,4,cat", "--images"),
    ("../a.jpg,1,2,3,4,cat", "which is not a file inside"),
    ("table.csv,1,2,3,4,cat", "which gives no size: .*is not a picture"),
]


@pytest.mark.parametrize(("row", "message"), CSV_REFUSED)
def test_csv_refuses_rows(folder, row, message):
    text = f"file,x1,y1,x2,y2,label,ignore\nb.jpg,1,2,3,4,cat\n{row}\n"
    path = write(folder / "table.csv", text)
    with pytest.raises(DataError, match=rf"table\.csv: .*{message}"):
        read_annotations(path)
    dataset = read_annotations(path, skip_bad=True)
    assert facts(dataset)[-1] == ("b.jpg", [[1, 2, 3, 4]], ["cat"], [False])
    assert len(dataset.skipped) == 1


def test_csv_refuses_two_pictures_of_one_name(folder):
    add_picture(folder / "a.jpg")
    rows = f"a.jpg,1,2,3,4,cat\n{folder}/a.jpg,1,2,3,4,cat\n"
    path = write(folder / "table.csv", f"file,x1,y1,x2,y2,label\n{rows}")
    with pytest.raises(DataError, match=r"line 3 names .*but .*images/a\.jpg is called 'a\.jpg'"):
        read_annotations(path)


def test_csv_counts_the_boxes_of_a_picture_that_was_left_out(folder):
    rows = "none.jpg,1,2,3,4,cat\n" * 3
    path = write(folder / "table.csv", f"file,x1,y1,x2,y2,label\n{rows}")
    reasons = [each.reason for each in read_annotations(path, skip_bad=True).skipped]
    assert len(reasons) == 2
    assert reasons[1] == "2 boxes of picture none.jpg, which was left out."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is empty\. Give a table with the columns file, x1"),
        ("file,x1,y1,x2\n", r"the first row, .* has no column 'y2'\. Begin with the header"),
        ("a.jpg,1,2,3,4\n", "has no column 'file'"),
        ('file,x1,y1,x2,y2,label\n"a', "is not CSV"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        ("file,x1,y1,x2,y2,label\n" + "x" * 200_000, "is not CSV .field larger"),
    ],
)
def test_csv_refuses_files(folder, text, message):
    path = write(folder / "table.csv", text)
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=message):
            read_annotations(path, skip_bad=skip_bad)


IMGLAB = """<?xml version='1.0' encoding='ISO-8859-1'?>
<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>
<dataset>
<name>imglab dataset</name>
<comment>Created by imglab tool.</comment>
<images>
  <image file='images/b.jpg'>
    <box top='3' left='2' width='10' height='20' pose='1'><label>dog</label></box>
    <box top='-2' left='0' width='5' height='5' ignore='1'/>
  </image>
  <image file='images/a.jpg' width='64' height='48'>
  </image>
</images>
</dataset>
"""


def test_imglab(folder):
    path = write(folder / "faces.xml", IMGLAB)
    dataset = read_annotations(path, label="face")
    boxes = [[2, 3, 12, 23], [0, -2, 5, 3]]
    assert facts(dataset) == [("a.jpg", [], [], []), ("b.jpg", boxes, ["dog", "face"], [0, 1])]
    assert dataset.notes == (
        "faces.xml: 1 box runs past the border of its picture and is kept as annotated.",
    )


IMGLAB_REFUSED = [
    ("width='10'", "width='ten'", r"box 0 of 'images/b\.jpg' has .*not 4 finite numbers"),
    ("width='10'", "", "not 4 finite numbers"),
    ("width='10'", "width='0'", "not both positive"),
    ("ignore='1'", "ignore='yes'", r"box 1 .* has the ignore 'yes', which is neither"),
    ("<label>dog</label>", "<label/>", "has a box without a label"),
    ("file='images/a.jpg'", "file='images/b.jpg'", "image 1 of the list names .* occurs twice"),
    ("file='images/a.jpg'", "file='../x.jpg'", "which is not a file inside"),
    ("file='images/a.jpg'", "", "image 1 of the list names no picture"),
]


@pytest.mark.parametrize(("old", "new", "message"), IMGLAB_REFUSED)
def test_imglab_refuses(folder, old, new, message):
    path = write(folder / "faces.xml", IMGLAB.replace(old, new))
    with pytest.raises(DataError, match=message):
        read_annotations(path)
    assert len(read_annotations(path, skip_bad=True).skipped) == 1


def test_imglab_refuses_files(folder):
    path = write(folder / "faces.xml", "<dataset/>")
    with pytest.raises(DataError, match=r"is XML, but without <dataset><images>\. Give the XML"):
        read_annotations(path)


def test_opencv(folder):
    add_picture(folder / "neg/night 3 1.jpg")
    path = write(folder / "info.dat", "images/a.jpg  2  1 2 10 20   5 5 9 9\r\n\n")
    write(folder / "bg.txt", "neg/night 3 1.jpg\nimages\\b.jpg\n")
    dataset = read_annotations(path, label="plate")
    assert facts(dataset) == [
        ("a.jpg", [[1, 2, 11, 22], [5, 5, 14, 14]], ["plate", "plate"], [False, False]),
        ("b.jpg", [], [], []),
        ("neg/night 3 1.jpg", [], [], []),
    ]
    assert len(read_annotations(folder / "bg.txt")) == 2
    assert read_annotations(path).categories == ("object",)


def test_opencv_names_with_blanks_and_numbers(folder):
    add_picture(folder / "x 1 0 0 5.jpg")
    (folder / "x 1 0 0 5.jpg").with_name("y 1 0 0 5 5").write_bytes(
        (folder / "images/a.jpg").read_bytes()
    )
    path = write(folder / "info.dat", "x 1 0 0 5.jpg 1 0 0 4 4\ny 1 0 0 5 5 0\n")
    boxes = {p.name: p.boxes.tolist() for p in read_annotations(path).pictures}
    assert boxes == {"x 1 0 0 5.jpg": [[0, 0, 4, 4]], "y 1 0 0 5 5": []}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/a.jpg", "line 2 is 'images/a.jpg', which is not a picture, the number"),
        ("images/a.jpg 2 1 2 3 4", "which is not a picture, the number of its objects, and four"),
        ("images/a.jpg -1 1 2 3 4", "which is not a picture"),
        ("images/a.jpg 1 1 2 x 4", r"object 0 of 'images/a\.jpg' has .*not 4 finite numbers"),
        ("images/a.jpg 1 1 2 0 4", "not both positive"),
        ("images/b.jpg 1 1 2 3 4", r"line 2 names the picture 'images/b\.jpg', which occurs twice"),
        ("/etc/hosts 1 1 2 3 4", "which is not a file inside"),
        ("images/a.jpg 99999999999999999999 1", "which is not a picture"),
    ],
)
def test_opencv_refuses(folder, line, message):
    path = write(folder / "info.dat", f"images/b.jpg 1 1 2 3 4\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_annotations(path)
    dataset = read_annotations(path, skip_bad=True)
    assert facts(dataset)[-1][0] == "b.jpg"
    assert len(dataset.skipped) == 1


def test_opencv_backgrounds_must_not_show_objects(folder):
    path = write(folder / "info.dat", "images/a.jpg 1 1 2 3 4\n")
    write(folder / "bg.txt", "images/a.jpg\n")
    with pytest.raises(DataError, match=r"bg\.txt: line 1 names .*, which occurs twice"):
        read_annotations(path)


def test_pictures_may_be_linked_into_their_folder(folder):
    add_picture(folder / "elsewhere/c.jpg")
    (folder / "images/c.jpg").symlink_to(folder / "elsewhere/c.jpg")
    path = write(folder / "t.csv", "file,x1,y1,x2,y2,label\nc.jpg,1,2,3,4,cat\n")
    assert read_annotations(path, folder / "images").pictures[0].name == "c.jpg"


def test_snapped_has_no_negative_zero():
    assert str(listing.snapped((-1e-9, 0.00004, 3.99999999, 5))) == "(0.0, 0.0, 4.0, 5.0)"


VALID = {
    "voc": ("Annotations/a.xml", LABEL_IMG),
    "yolo": ("labels/a.txt", "1 0.3 0.5 0.2 0.5\n0 0.25 0.5 0.5 0.25 0.75 0.5\n"),
    "yolo-yaml": ("data.yaml", "path: .\ntrain: images\nnames:\n  0: car\n  1: 'no'\n"),
    "csv": ("table.csv", f"file,x1,y1,x2,y2,label,ignore\n{CSV_ROWS}"),
    "imglab": ("faces.xml", IMGLAB),
    "opencv": ("info.dat", "images/a.jpg 2 1 2 10 20 5 5 9 9\nimages/b.jpg 1 1 2 3 4\n"),
    "opencv-background": ("bg.txt", "images/a.jpg\nimages/b.jpg\n"),
}
TOKENS = [
    b"nan", b"inf", b"-1", b"1e999", b"9" * 400, b"", b"\xff\xfe", b"\x00", b"\xc3", b"1_0", b"../",
    b"/etc/passwd", b"&x;", b"<!DOCTYPE a>", b"&a [*a]", b'"', b"\n", b"\xed\xa0\x80", b"x" * 300,
    b"\xd9\xa3", b"{", b"'", b":", b"\r", b"C:\\", b"-0", b"!!python/object:os.system",
]  # fmt: skip


def mutated(content, rng):
    """Return the bytes with one to three changes: a byte, a cut, a token, a piece repeated."""
    for _ in range(rng.randint(1, 3)):
        kind = rng.randrange(5)
        at = rng.randrange(len(content) + 1)
        if kind == 0 and at < len(content):
            content = content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
        elif kind == 1:
            content = content[:at] if rng.random() < 0.3 else content[:at] + content[at + 5 :]
        elif kind == 2:
            content = content[:at] + content[at - 9 : at] * 3 + content[at:]
        else:
            tokens = list(re.finditer(rb"[\w./-]+", content))
            if tokens:
                token = rng.choice(tokens)
                new = rng.choice(TOKENS)
                content = content[: token.start()] + new + content[token.end() :]
    return content


@pytest.mark.parametrize("case", VALID)
def test_mutated_files_load_or_raise_data_error(folder, case):
    where, text = VALID[case]
    form = case.split("-")[0]
    if form == "yolo":
        write(folder / "data.yaml", "train: images\nnames: [car, bus]")
        write(folder / "labels/b.txt", "")
    path = write(folder / where, text)
    source = {"voc": folder, "yolo": folder / "data.yaml"}.get(form, path)
    rng = random.Random(case)
    outcomes = {True: 0, False: 0}
    for index in range(1000):
        path.write_bytes(mutated(text.encode(), rng))
        try:
            dataset = read_annotations(source, format=form, skip_bad=bool(index % 2))
        except DataError:
            outcomes[False] += 1
            continue
        dataset.digest()
        assert index % 2 or not dataset.skipped
        outcomes[True] += 1
    assert min(outcomes.values()) > 20
