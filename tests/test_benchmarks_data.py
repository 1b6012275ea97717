"""Benchmarks in the layouts that their makers distribute, each made small here."""

import numpy as np
import pytest

from bootstrap_det import load_dataset
from bootstrap_det.data import benchmarks, gtsdb
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import write_image

GREY = np.full((60, 80, 3), 90, np.uint8)


def put(root, name, content=None):
    """Write a text file, or a grey picture, with its folders."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        write_image(path, GREY)
    else:
        path.write_text(content)
    return path


@pytest.fixture
def wider(tmp_path):
    put(tmp_path, "WIDER_val/images/0--Parade/one.png")
    put(tmp_path, "WIDER_val/images/1--Riot/none.png")
    put(tmp_path, "wider_face_split/wider_face_val_bbx_gt.txt",
        "0--Parade/one.png\n3\n1 2 10 12 0 0 0 0 0 0\n30 5 20 25 0 0 0 1 0 0\n"
        "5 5 0 9 0 0 0 0 0 0\n1--Riot/none.png\n0\n0 0 0 0 0 0 0 0 0 0\n")  # fmt: skip
    return tmp_path


def test_wider_face(wider):
    found = benchmarks.read_wider(wider, "val")
    one, none = found.pictures
    assert one.name == "0--Parade/one.png"
    assert one.boxes.tolist() == [[1, 2, 11, 14], [30, 5, 50, 30]]
    assert one.ignore.tolist() == [False, True]  # the second is marked as invalid
    assert len(none.boxes) == 0
    assert "1 boxes without area were left out" in found.notes[0]


def test_wider_face_counts_the_official_choice(wider):
    savemat = pytest.importorskip("scipy.io").savemat
    cell = np.empty((1, 1), dtype=object)

    def nested(value):
        outer, inner = cell.copy(), cell.copy()
        inner[0, 0] = value
        outer[0, 0] = inner
        return outer

    path = put(wider, "eval_tools/ground_truth/wider_hard_val.mat", "")
    savemat(path, {"file_list": nested("one"), "gt_list": nested(np.array([[2]]))})
    found = benchmarks.read_wider(wider, "val", subset="hard")
    assert found.pictures[0].ignore.tolist() == [True, False]
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"wider_hard_val\.mat: cannot be read"):
        benchmarks.read_wider(wider, "val", subset="hard")


def test_fddb(tmp_path):
    for fold in range(1, 11):
        text = ""
        if fold == 3:
            put(tmp_path, "originalPics/2002/a/img_1.jpg")
            text = "2002/a/img_1\n1\n20 10 1.5707963 40 30 1\n"
        put(tmp_path, f"FDDB-folds/FDDB-fold-{fold:02}-ellipseList.txt", text)
    (picture,) = benchmarks.read_fddb(tmp_path).pictures
    # The long axis stands upright.
    np.testing.assert_allclose(picture.boxes, [[30, 10, 50, 50]], atol=1e-4)


def test_box_about_an_ellipse_touches_it():
    x1, y1, x2, y2 = benchmarks._about_ellipse(20.0, 8.0, 0.6, 100.0, 50.0)
    turn = np.linspace(0, 2 * np.pi, 10_000)
    x = 100 + 20 * np.cos(turn) * np.cos(0.6) - 8 * np.sin(turn) * np.sin(0.6)
    y = 50 + 20 * np.cos(turn) * np.sin(0.6) + 8 * np.sin(turn) * np.cos(0.6)
    np.testing.assert_allclose([x1, y1, x2, y2], [x.min(), y.min(), x.max(), y.max()], atol=1e-3)


def test_gtsrb(tmp_path):
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    for class_id in (1, 12):
        folder = f"GTSRB/Final_Training/Images/{class_id:05}"
        put(tmp_path, f"{folder}/00000_00000.png")
        put(tmp_path, f"{folder}/GT-{class_id:05}.csv",
            f"{head}00000_00000.png;80;60;5;6;74;53;{class_id}\n")  # fmt: skip
    found = benchmarks.read_gtsrb(tmp_path, "train")
    assert [picture.labels.tolist() for picture in found.pictures] == [["prohibitory"], ["other"]]
    assert found.pictures[0].boxes.tolist() == [[5, 6, 75, 54]]
    assert found.n_objects == 1


def test_inria_person(tmp_path):
    put(tmp_path, "INRIAPerson/Train/pos/crop_1.png")
    put(tmp_path, "INRIAPerson/Train/annotations/crop_1.txt",
        '# Details for object 1 ("PASperson")\n'
        'Bounding box for object 1 "PASperson" (Xmin, Ymin) - (Xmax, Ymax) : '
        "(11, 6) - (30, 55)\n")  # fmt: skip
    (picture,) = benchmarks.read_inria(tmp_path, "Train").pictures
    assert picture.boxes.tolist() == [[10, 5, 30, 55]]
    assert picture.labels.tolist() == ["person"]


def test_gtsdb_in_its_original_layout(tmp_path, monkeypatch):
    monkeypatch.setattr(gtsdb, "N_TRAIN", 2)
    monkeypatch.setattr(gtsdb, "N_PICTURES", 3)
    for number in range(3):
        put(tmp_path, f"{number:05}.ppm", "P6")
    put(tmp_path, "gt.txt", "00000.ppm;774;411;815;446;11\n00000.ppm;10;20;50;60;12\n"
                            "00000.ppm;10;20;50;60;12\n00002.ppm;1;2;30;40;38\n")  # fmt: skip
    train, test = (gtsdb.read_gtsdb(tmp_path, part) for part in ("train", "test"))
    assert (len(train), len(test)) == (2, 1)
    first = train.pictures[0]
    assert first.boxes.tolist() == [[774, 411, 815, 446], [10, 20, 50, 60]]
    assert first.labels.tolist() == ["danger", "other"]
    assert first.ignore.tolist() == [False, True]
    assert test.pictures[0].labels.tolist() == ["mandatory"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("00000.ppm;1;2;x;4;5", "line 1 is .* not file;left;top"),
        ("00000.ppm;1;2;3", "line 1 is"),
        ("00000.ppm;9;2;3;4;5", "line 1 has the box .* no finite area"),
        ("00000.ppm;1;2;inf;4;5", "no finite area"),
    ],
)
def test_gtsdb_refuses_damaged_lines(tmp_path, line, message):
    put(tmp_path, "gt.txt", line + "\n")
    with pytest.raises(DataError, match=message):
        gtsdb.read_gtsdb(tmp_path, "train")


def test_missing_and_foreign_pictures_are_refused(wider):
    (wider / "WIDER_val/images/1--Riot/none.png").unlink()
    with pytest.raises(DataError, match=r"none\.png: is no file below .*, but wider-face lists it"):
        benchmarks.read_wider(wider, "val")
    listed = wider / "wider_face_split/wider_face_val_bbx_gt.txt"
    put(wider.parent, "outside.png")
    listed.write_text("../../../outside.png\n1\n1 2 3 4\n")
    with pytest.raises(DataError, match="is no file below"):
        benchmarks.read_wider(wider, "val")
    with pytest.raises(DataError, match=r"bbx_gt\.txt: cannot be read"):
        benchmarks.read_wider(wider, "train")


@pytest.mark.parametrize("text", ["a.png\n2\n1 2 3 4\n", "a.png\nmany\n", "a.png\n", "a\n-1\n",
                                  "a.png\n1\n1 2 3\n"])  # fmt: skip
def test_damaged_lists_are_refused(wider, text):
    listed = wider / "wider_face_split/wider_face_val_bbx_gt.txt"
    listed.write_text(text)
    with pytest.raises(DataError, match=r"does not list 'a.* as a count and as many rows"):
        benchmarks.read_wider(wider, "val")


def test_uiuc_windows(tmp_path):
    with pytest.raises(DataError, match=r"holds no train_pos_\* pictures"):
        benchmarks.read_uiuc_windows(tmp_path)
    for name in ("train_pos_000.png", "train_pos_001.png", "train_neg_000.png"):
        put(tmp_path, name)
    cars, others = benchmarks.read_uiuc_windows(tmp_path)
    assert cars.crops.pixels.shape == (2, 60, 80)
    assert (len(others), others.n_objects) == (1, 0)


LAYOUTS = {
    "fddb": lambda root: [put(root, f"FDDB-folds/FDDB-fold-{n:02}-ellipseList.txt", "")
                          for n in range(1, 11)] + [put(root, "originalPics/a.jpg")],
    "wider-face": lambda root: [
        put(root, "wider_face_split/wider_face_train_bbx_gt.txt", "a/b.png\n1\n1 2 9 9\n"),
        put(root, "WIDER_train/images/a/b.png"),
    ],
    "inria-person": lambda root: [
        put(root, f"INRIAPerson/{part}/{folder}/a.{kind}", text)
        for part in ("Train", "Test")
        for folder, kind, text in (("pos", "png", None), ("neg", "png", None),
                                   ("annotations", "txt", ""))
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_benchmarks_load_by_name_or_say_what_is_missing(name, tmp_path):
    with pytest.raises(DataError, match=r"lacks .* It comes from: .* Licence: "):
        load_dataset(name, data_root=tmp_path)
    LAYOUTS[name](tmp_path)
    splits = load_dataset(name, data_root=tmp_path)
    assert splits.name == name
    assert splits.train is not None or splits.test is not None
