"""The verbs ``mine`` and ``dataset ignore``, as a user calls them."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from bootstrap_det.cli import main
from bootstrap_det.data import Dataset, Picture, read_coco, write_coco
from bootstrap_det.images import write_image


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path, rng):
    """Two annotated pictures, and results with a hit, a false alarm and an object unannotated."""
    (tmp_path / "images").mkdir()
    pictures = []
    for index in range(2):
        pixels = rng.integers(0, 256, (100, 140, 3)).astype(np.uint8)
        write_image(tmp_path / f"images/{index}.png", pixels)
        boxes, flags = [[10, 10, 30, 30]][: 1 - index], [False][: 1 - index]
        pictures.append(
            Picture(index + 5, f"{index}.png", boxes, ["face"][: 1 - index], flags, flags,
                    pixels=pixels)
        )  # fmt: skip
    write_coco(Dataset("two", tuple(pictures), categories=("face",)), tmp_path / "annotations.json")
    results = [
        {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
        for image_id, box, score in ((5, [10, 10, 20, 20], 0.9), (5, [60, 50, 30, 30], 0.8),
                                     (6, [40, 40, 20, 20], 0.7))
    ]  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_mine_from_results_then_ignore_what_is_an_object(data):
    out = data / "mined"
    done = invoke("mine", "--results", data / "results.json", "--data", data / "annotations.json",
                  "--out", out, "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"n_false_alarms": 2, "n_over_limit": 0}
    assert "2 false alarms in 2 pictures" in done.stderr
    assert (out / "contact_sheet.png").is_file()
    mended = data / "mended.json"
    moved = invoke("dataset", "ignore", data / "annotations.json", "--suspects",
                   out / "false_alarms.csv", "--numbers", "1", "--label", "face",
                   "--out", mended)  # fmt: skip
    assert moved.exit_code == 0, moved.output
    assert "1 more ignored boxes" in moved.stderr
    first = read_coco(mended, data / "images").pictures[0]
    assert first.boxes.tolist() == [[10, 10, 30, 30], [60, 50, 90, 80]]
    assert first.ignore.tolist() == [False, True]


def test_mine_from_a_folder_without_objects(data):
    results = [{"image_id": 1, "category_id": 1, "bbox": [3, 3, 9, 9], "score": 1.0}]
    (data / "results.json").write_text(json.dumps(results))
    done = invoke("mine", "--results", data / "results.json", "--negatives", data / "images",
                  "--out", data / "mined")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert len(list((data / "mined/crops").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--data", "annotations.json"], "Give a --model or the --results", 2),
        (["--results", "results.json"], "with --data or with --negatives, one of them", 2),
        (["--results", "no.json", "--data", "annotations.json"], "no such file", 1),
    ],
)
def test_mine_says_what_is_missing(data, monkeypatch, arguments, message, code):
    monkeypatch.chdir(data)
    done = invoke("mine", *arguments, "--out", "mined")
    assert done.exit_code == code
    assert message in done.output


def test_ignore_refuses_numbers_that_are_none(data):
    invoke("mine", "--results", data / "results.json", "--data", data / "annotations.json",
           "--out", data / "mined")  # fmt: skip
    for numbers, message in (("one", "--numbers must be numbers"), ("9", "no suspect number 9")):
        done = invoke("dataset", "ignore", data / "annotations.json", "--suspects",
                      data / "mined/false_alarms.csv", "--numbers", numbers, "--label", "face",
                      "--out", data / "mended.json")  # fmt: skip
        assert done.exit_code in (1, 2)
        assert message in done.output
