"""False alarms as material for the next training, and objects that nobody annotated."""

import numpy as np
import pytest

from bootstrap_det.data import Dataset, Picture, read_coco, read_negatives
from bootstrap_det.detections import Detections
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.false_alarms import (
    false_alarms,
    ignore_suspects,
    read_suspects,
    write_false_alarms,
)
from bootstrap_det.images import read_image


def found(*rows):
    """Return detections from (x, y, side, score)."""
    boxes = np.array([[x, y, x + side, y + side] for x, y, side, _ in rows], float).reshape(-1, 4)
    scores = np.array([row[3] for row in rows], float)
    return Detections(boxes, scores, np.full(len(rows), "face"))


@pytest.fixture
def dataset(rng):
    """Return one picture with an object and an ignored region, and one without anything."""
    pixels = [rng.integers(0, 256, (120, 160, 3)).astype(np.uint8) for _ in range(2)]
    boxes, flags = [[10, 10, 30, 30], [100, 60, 150, 110]], [False, True]
    one = Picture(0, "a.png", boxes, ["face"] * 2, flags, [False] * 2, pixels=pixels[0])
    return Dataset("two", (one, Picture(1, "b.png", pixels=pixels[1])))


PREDICTIONS = (
    # a hit, a window that touches it, one in the ignored region, a false alarm twice
    found((10, 10, 20, 9), (22, 10, 20, 8), (110, 70, 20, 7), (60, 20, 20, 3), (62, 20, 20, 2)),
    found((5, 5, 24, 5), (80, 80, 24, 1), (150, 110, 40, 0.5)),
)


def test_false_alarms_lie_on_nothing_and_come_once_each(dataset):
    alarms = false_alarms(dataset, PREDICTIONS)
    assert alarms.scores.tolist() == [8, 5, 3, 1, 0.5]
    assert [picture.name[0] for picture in alarms.pictures] == ["a", "b", "a", "b", "b"]
    assert alarms.n_over_limit == 0


def test_false_alarms_are_limited_by_picture_in_all_and_by_score(dataset):
    limited = false_alarms(dataset, PREDICTIONS, max_per_image=1)
    assert limited.scores.tolist() == [8, 5]
    assert limited.n_over_limit == 3
    assert false_alarms(dataset, PREDICTIONS, max_total=3).scores.tolist() == [8, 5, 3]
    assert false_alarms(dataset, PREDICTIONS, threshold=4).scores.tolist() == [8, 5]
    with pytest.raises(ParameterError, match="'max_total' parameter of false_alarms"):
        false_alarms(dataset, PREDICTIONS, max_total=0)


def test_written_false_alarms_are_ready_for_a_training(dataset, tmp_path):
    out = tmp_path / "mined"
    write_false_alarms(false_alarms(dataset, PREDICTIONS), out)
    crops = sorted((out / "crops").iterdir())
    assert [path.name for path in crops] == [f"0000{n}.png" for n in range(1, 6)]
    np.testing.assert_array_equal(
        read_image(crops[1], color="rgb"), dataset.pictures[1].pixels[5:29, 5:29]
    )
    background = read_coco(out / "background/annotations.json")
    assert (len(background), background.n_objects) == (5, 0)
    assert background.categories == ("face",)
    assert len(read_negatives(out / "background/images")) == 5
    labels = sorted((out / "background/labels").iterdir())
    assert [path.stem for path in labels] == [path.stem for path in crops]
    assert all(path.read_bytes() == b"" for path in labels)
    assert read_image(out / "contact_sheet.png").size
    with pytest.raises(DataError, match=r"exists already\. Give another --out"):
        write_false_alarms(false_alarms(dataset, PREDICTIONS), out)


def test_background_shows_no_object(dataset, tmp_path):
    """The first alarm touches the object: only the alarm itself is background."""
    write_false_alarms(false_alarms(dataset, PREDICTIONS), tmp_path / "mined")
    sizes = {p.name: p.size for p in read_negatives(tmp_path / "mined/background/images").pictures}
    assert sizes["00001.png"] == (20, 20)
    assert min(sizes["00002.png"]) > 24


def test_no_false_alarm_is_no_error(dataset, tmp_path):
    write_false_alarms(false_alarms(dataset, [found(), found()]), tmp_path / "mined")
    assert len((tmp_path / "mined/false_alarms.csv").read_text().splitlines()) == 1


def test_suspects_become_ignored_objects(dataset, tmp_path):
    write_false_alarms(false_alarms(dataset, PREDICTIONS), tmp_path / "mined")
    suspects = read_suspects(tmp_path / "mined/false_alarms.csv")
    mended = ignore_suspects(dataset, suspects, [3, 2], label="face")
    one, other = mended.pictures
    assert one.boxes.tolist()[2:] == [[60, 20, 80, 40]]
    assert other.boxes.tolist() == [[5, 5, 29, 29]]
    assert (one.ignore[2], other.ignore[0], mended.n_objects) == (True, True, 1)
    again = false_alarms(mended, PREDICTIONS)
    assert again.scores.tolist() == [8, 1, 0.5]
    twice = ignore_suspects(mended, suspects, [3], label="face")
    assert len(twice.pictures[0].boxes) == 3  # nothing comes twice


def test_suspects_that_do_not_fit_are_refused(dataset, tmp_path):
    path = tmp_path / "list.csv"
    head = "number,image_id,file,x1,y1,x2,y2,score,label\n"
    path.write_text(head + "1,0,c.png,1,2,3,4,9,face\n")
    suspects = read_suspects(path)
    with pytest.raises(DataError, match=r"no suspect number 7 in the list of 1"):
        ignore_suspects(dataset, suspects, [1, 7], label="face")
    with pytest.raises(DataError, match=r"has no picture 'c\.png', which the list names"):
        ignore_suspects(dataset, suspects, [1], label="face")
    for row, message in (
        ("1,0,c.png,1,2,x,4,9,face\n", "line 2 lacks one of number"),
        ("1,0,c.png,1,2,1,4,9,face\n", "line 2 has a box without area"),
        ("1\n", "line 2 lacks one of"),
    ):
        path.write_text(head + row)
        with pytest.raises(DataError, match=message):
            read_suspects(path)
    with pytest.raises(DataError, match="no such file"):
        read_suspects(tmp_path / "none.csv")
