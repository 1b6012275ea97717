"""CSV, imglab and OpenCV files as other tools write them, and what is refused."""

import pytest
from format_files import CSV_ROWS, IMGLAB, add_picture, facts, with_pictures, write

from bootstrap_det.data import read_annotations
from bootstrap_det.data.formats import listing
from bootstrap_det.exceptions import DataError


@pytest.fixture
def folder(tmp_path):
    return with_pictures(tmp_path)


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
