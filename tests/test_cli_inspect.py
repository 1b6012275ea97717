"""The verb ``inspect``, end to end."""

import json
import shlex

import numpy as np
import pytest
from click.testing import CliRunner

from bootstrap_det.cli import main
from bootstrap_det.images import write_image


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    """A folder with annotations of six pictures."""
    folder = tmp_path_factory.mktemp("my cars")
    (folder / "images").mkdir()
    rng = np.random.default_rng(4)
    images, annotations = [], []
    for index in range(6):
        name = f"{index}.png"
        write_image(folder / "images" / name, rng.integers(0, 255, (80, 120)).astype(np.uint8))
        images.append({"id": index, "file_name": name, "width": 120, "height": 80})
        for x in (5, 45, 60)[: 1 + index % 3]:
            box = [x, 20, 30, 20] if index else [x, 20, 31, 3]
            annotations.append({"id": len(annotations), "image_id": index,
                                "category_id": 1 + (index == 5), "bbox": box})  # fmt: skip
    categories = [{"id": 1, "name": "car"}, {"id": 2, "name": "bus"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "cars.json").write_text(json.dumps(document))
    return folder


def test_inspect_prints_every_measure_and_says_that_no_figure_was_written(cars):
    result = invoke("inspect", cars / "cars.json")
    for heading in ("CLASSES", "BACKGROUND", "SIZES", "FIT OF", "PLACES", "OUTLIERS"):
        assert heading in result.stdout
    assert "cars: 6 pictures" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 79 + len(str(cars))
    assert "No figures were written; --out FOLDER" in result.stderr


def test_its_commands_can_be_copied(cars):
    """The shell sees one command; the folder's name has a blank."""
    lines = invoke("inspect", cars / "cars.json", "--images", cars / "images").stdout
    text = lines.replace("\\\n", " ")
    command = next(line for line in text.splitlines() if "bootstrap-det train" in line)
    words = shlex.split(command)
    assert words[:2] == ["bootstrap-det", "train"]
    assert words[words.index("--data") + 1] == str(cars / "cars.json")
    assert words[words.index("--images") + 1] == str(cars / "images")


def test_json_has_every_number_and_nothing_else_is_on_stdout(cars):
    options = ("--window", "20x30", "--scales-per-octave", "2", "--min-object-size", "16")
    got = json.loads(invoke("inspect", cars / "cars.json", *options, "--json").stdout)
    assert got["detector"]["windows"] == {"bus": [20, 30], "car": [20, 30]}
    assert got["detector"]["scales_per_octave"] == 2
    assert got["detector"]["min_object_size"] == 16.0
    assert got["classes"]["objects"] == {"car": 9, "bus": 3}
    assert got["background"]["pictures"] == 6
    assert got["outliers"]["counts"]["tiny"] == 1


def test_the_detector_is_that_of_train(cars):
    """Its default budget has 6 scales an octave; a coarser stride has fewer windows."""
    fine = json.loads(invoke("inspect", cars / "cars.json", "--json").stdout)
    assert (fine["detector"]["scales_per_octave"], fine["detector"]["cell_size"]) == (6, 2)
    options = ("--cell-size", "4", "--window", "20x28", "--json")
    coarse = json.loads(invoke("inspect", cars / "cars.json", *options).stdout)
    assert coarse["background"]["windows"] < fine["background"]["windows"] / 2
    one = json.loads(invoke("inspect", cars / "cars.json", "--label", "bus", "--json").stdout)
    assert list(one["detector"]["windows"]) == ["bus"]


def test_out_gets_figures_a_sheet_and_the_numbers(cars, tmp_path):
    out = tmp_path / "inspected"
    result = invoke("inspect", cars / "cars.json", "--out", out)
    names = {path.name for path in out.iterdir()}
    assert names == {"classes.png", "background.png", "sizes.png", "fit.png", "places.png",
                     "outliers.png", "inspection.json", "inspection.html"}  # fmt: skip
    assert "outliers.png, inspection.json and inspection.html" in " ".join(result.stderr.split())
    assert json.loads((out / "inspection.json").read_text())["objects"] == 12
    refused = invoke("inspect", cars / "cars.json", "--out", out, code=1)
    assert "of an earlier inspection. Give another folder, or --overwrite" in refused.stderr
    invoke("inspect", cars / "cars.json", "--out", out, "--overwrite", "--label", "bus")


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        ([], "Give the annotations, or a named set with --dataset, one of them", 2),
        (["x.json", "--dataset", "signs"], "one of them", 2),
        (["missing.json"], "missing.json: no such file", 1),
        (["--dataset", "nothing"], "The data set must be one of", 2),
        (["--dataset", "faces"], "has no object with a box", 1),
    ],
)
def test_what_inspect_refuses(arguments, message, code):
    assert message in invoke("inspect", *arguments, code=code).stderr


def test_a_set_for_testing_is_not_inspected(cars, monkeypatch):
    from bootstrap_det.data import named

    monkeypatch.setattr(named, "load", lambda *a, **k: named.Splits("held"))
    result = invoke("inspect", "--dataset", "mit-cmu", code=2)
    assert "for testing only: nothing may be chosen by its objects" in result.stderr


def test_commands_for_a_named_set_name_it(cars, monkeypatch):
    from bootstrap_det import read_annotations
    from bootstrap_det.data import named

    own = read_annotations(cars / "cars.json")
    monkeypatch.setattr(named, "load", lambda *a, **k: named.Splits("signs", own))
    result = invoke("inspect", "--dataset", "signs")
    assert "bootstrap-det train --dataset signs --rounds 3" in result.stdout
    assert "bootstrap-det inspect --dataset signs --out inspected" in result.stdout
    assert "DATA stands for the annotations" in result.stderr


def test_the_page_shows_hostile_names_as_text(tmp_path):
    nasty = "</script><img src=x onerror=alert(1)>"
    name = f"a{nasty}.png"  # a folder called a<
    (tmp_path / "images" / name).parent.mkdir(parents=True)
    rng = np.random.default_rng(4)
    write_image(tmp_path / "images" / name, rng.integers(0, 255, (80, 120)).astype(np.uint8))
    boxes = [[5, 20, 30, 20], [45, 20, 30, 20], [5, 50, 9, 29], [60, 50, 3, 20]]
    annotations = [
        {"id": i, "image_id": 0, "category_id": 1, "bbox": box} for i, box in enumerate(boxes)
    ]
    document = {
        "images": [{"id": 0, "file_name": name, "width": 120, "height": 80}],
        "annotations": [*annotations, {**annotations[0], "id": 9, "bbox": [0, 0, -1, 2]}],
        "categories": [{"id": 1, "name": nasty}],
    }
    (tmp_path / "cars.json").write_text(json.dumps(document))
    invoke("inspect", tmp_path / "cars.json", "--skip-bad", "--out", tmp_path / "out")
    text = (tmp_path / "out" / "inspection.html").read_text()
    assert "<img src=x" not in text
    assert "&lt;/script&gt;&lt;img src=x" in text
    assert "<script" not in text
