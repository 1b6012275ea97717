"""The verbs on data sets, end to end, and training from every format."""

import csv
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import parts_of
from PIL import Image

from bootstrap_det import Detector, read_annotations
from bootstrap_det.cli import main
from bootstrap_det.data import FORMATS

SIDE = 24  # of a cross, pixels
QUICK = [
    "--rounds", "0", "--n-random-negatives", "100", "--n-trees", "8", "--n-trees-first", "8",
    "--depth", "1", "--n-copies", "4", "--holdout", "0.4", "--jobs", "1", "--window", "24x24",
]  # fmt: skip


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def scene(rng):
    coarse = rng.integers(40, 200, (6, 7)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((84, 72), Image.Resampling.BICUBIC))
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def crosses(tmp_path_factory):
    """A folder with COCO annotations of crosses in noise, and two pictures without."""
    folder = tmp_path_factory.mktemp("crosses")
    (folder / "images").mkdir()
    rng = np.random.default_rng(8)
    images, annotations = [], []
    for index in range(10):
        pixels = scene(rng)
        name = f"cam{index % 2}_{index:02d}.png"
        if index < 8:
            x, y = rng.integers(0, 84 - SIDE), rng.integers(0, 72 - SIDE)
            pixels[y + 8 : y + 16, x : x + SIDE] = pixels[y : y + SIDE, x + 8 : x + 16] = 250
            box = [int(x), int(y), SIDE, SIDE]
            annotations.append({"id": index, "image_id": index, "category_id": 1, "bbox": box})
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": index, "file_name": name, "width": 84, "height": 72})
    images.sort(key=lambda image: image["file_name"])
    renumber = {image["id"]: index for index, image in enumerate(images)}
    for image in images:
        image["id"] = renumber[image["id"]]
    for annotation in annotations:
        annotation["image_id"] = renumber[annotation["image_id"]]
    categories = [{"id": 1, "name": "cross"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "crosses.json").write_text(json.dumps(document))
    return folder


@pytest.fixture
def own(crosses, tmp_path):
    """A copy of the folder, to be changed."""
    shutil.copytree(crosses, tmp_path / "own")
    return tmp_path / "own"


def change(folder, edit):
    path = folder / "crosses.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    return path


def test_list():
    result = invoke("dataset", "list")
    assert "faces  (train, negatives, test; comes with the packages)" in result.stdout
    assert "needs --data-root" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    names = {card["name"] for card in json.loads(invoke("dataset", "list", "--json").stdout)}
    assert names >= {"faces", "mit-cmu"}


def test_info(crosses):
    text = invoke("dataset", "info", crosses / "crosses.json").stdout
    assert "crosses  (coco)" in text
    assert "pictures  10, of which 2 without objects" in text
    assert "24  24  24" in text
    facts = json.loads(invoke("dataset", "info", crosses / "crosses.json", "--json").stdout)
    assert facts["format"] == "coco"
    assert facts["labels"]["cross"]["height"] == {"min": 24.0, "median": 24.0, "max": 24.0}
    missing = invoke("dataset", "info", crosses / "none.json", code=1)
    assert "none.json: no such file or folder. Give the annotations." in missing.stderr


def test_info_lists_what_was_left_out(own):
    (own / "images/cam0_00.png").unlink()
    path = own / "crosses.json"
    assert "cam0_00.png" in invoke("dataset", "info", path, code=1).stderr
    result = invoke("dataset", "info", path, "--skip-bad")
    assert "pictures  9" in result.stdout
    assert "note: left out:" in result.stderr


@pytest.mark.parametrize("form", FORMATS)
def test_convert_and_train_to_the_same_model(crosses, tmp_path, form, request):
    source = crosses / "crosses.json"
    result = invoke("dataset", "convert", source, tmp_path / form, "--to", form, "--copy-images")
    assert f"coco -> {form}: " in result.stdout
    assert "10 pictures, 8 objects" in result.stdout
    written = result.stdout.splitlines()[0].removeprefix(f"coco -> {form}: ")
    label = ["--label", "cross"]
    data = read_annotations(written, label="cross")
    assert data.digest() == read_annotations(source).digest()
    out = tmp_path / "run"
    invoke("train", "--data", written, *label, *QUICK, "--out", out)
    expected = request.getfixturevalue("coco_model")
    models = [Detector.load(p).templates[0].model for p in (out / "model.bdet", expected)]
    assert parts_of(models[0]) == parts_of(models[1])


@pytest.fixture(scope="module")
def coco_model(crosses, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "run"
    invoke("train", "--data", crosses / "crosses.json", *QUICK, "--out", out)
    return out / "model.bdet"


def test_train_and_evaluate_on_other_formats(crosses, own, coco_model, tmp_path):
    yolo = tmp_path / "yolo"
    invoke("dataset", "convert", crosses / "crosses.json", yolo, "--to", "yolo", "--copy-images")
    results = [
        invoke("evaluate", "--model", coco_model, "--test-data", path, "--json", *options).stdout
        for path, options in (
            (crosses / "crosses.json", ()),
            (yolo, ()),
            (yolo / "data.yaml", ("--test-format", "yolo")),
        )
    ]
    assert len({json.loads(result)["ap"] for result in results}) == 1
    refused = invoke(
        "evaluate", "--model", coco_model, "--test-data", yolo, "--test-boxes", "tight", code=2
    )
    assert "(--test-boxes) is for COCO, and" in refused.stderr
    odd = shutil.copy(own / "crosses.json", own / "crosses.annotations")
    unknown = invoke("train", "--data", odd, code=1).stderr
    assert "is of no known annotation format. Name it with `format` (--data-format" in unknown
    out = tmp_path / "forced"
    invoke("train", "--data", odd, "--data-format", "coco", *QUICK, "--out", out)


def test_convert_notes(own, tmp_path):
    path = change(own, lambda document: document["annotations"][0].update(ignore=1))
    result = invoke("dataset", "convert", path, tmp_path / "out", "--to", "yolo")
    assert "note: 1 ignored box was left out" in result.stderr
    assert "note: The pictures were not copied." in result.stderr
    again = invoke("dataset", "convert", path, tmp_path / "out", "--to", "yolo", code=1)
    assert "labels: exists already. Remove it, or write elsewhere." in again.stderr
    read = ("dataset", "info", tmp_path / "out", "--images", own / "images", "--json")
    assert json.loads(invoke(*read).stdout)["objects"] == 7


def test_check_of_good_data(crosses):
    result = invoke("dataset", "check", crosses / "crosses.json", "--window", "24x24")
    assert result.stdout == "10 pictures, 0 errors, 0 warnings\n"


def spoil(folder):
    """Put one of each fault into the folder."""

    def edit(document):
        document["images"].append({"id": 98, "file_name": "gone.png", "width": 84, "height": 72})
        twin = {"id": 99, "file_name": "twin.png", "width": 84, "height": 72}
        document["images"].append(twin)
        first, second, third = document["annotations"][:3]
        first["bbox"] = [-5, 0, 30, 30]
        document["annotations"].append({**second, "id": 50})
        third["bbox"] = [500, 500, 5, 5]

    shutil.copy(folder / "images/cam1_09.png", folder / "images/twin.png")
    return change(folder, edit)


def test_check_and_fix(own, tmp_path):
    path = spoil(own)
    result = invoke("dataset", "check", path, "--window", "8x32", "--jobs", "1", code=1)
    for said in (
        "error: unusable item: ",
        "warning: box past the border: cam0_00.png",
        "error: box twice: ",
        "error: picture twice: twin.png",
        "warning: out of reach: ",
        "-> Draw the visible part only, or let --fix cut it off.",
        "11 pictures, 4 errors, ",
    ):
        assert said in result.stdout
    assert max(len(line) for line in result.stdout.splitlines() if "/" not in line) <= 80
    out = tmp_path / "mended"
    fixed = invoke("dataset", "check", path, "--fix", out, "--json", code=1)
    report = json.loads(fixed.stdout)
    assert (report["pictures"], report["errors"], report["warnings"]) == (11, 4, 1)
    assert {"severity", "kind", "file", "what", "mend", "box"} == set(report["findings"][0])
    with (out / "changes.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 5
    assert invoke("dataset", "check", out / "annotations.json").stdout.startswith("10 pictures, 0")
    again = invoke("dataset", "check", path, "--fix", out, code=1)
    assert "annotations.json: exists already" in again.stderr


def test_check_against_another_set(own, crosses):
    arguments = ("dataset", "check", own / "crosses.json", "--against", crosses / "crosses.json")
    result = invoke(*arguments, code=1)
    assert result.stdout.count("error: leakage: ") == 10
    assert "same pixels as cam0_00.png of crosses." in result.stdout
    same = invoke(*arguments, "--against-from", "coco", code=1)
    assert same.stdout == result.stdout
    assert invoke(*arguments, "--against-from", "voc", code=1).stderr
    images = invoke(*arguments, "--against-images", own / "none", code=1)
    assert "none: no such folder. Give the folder of the pictures of" in images.stderr


def test_split(crosses, tmp_path):
    out = tmp_path / "parts"
    arguments = ("dataset", "split", crosses / "crosses.json", "--parts", "train=0.5,test=0.5")
    result = invoke(*arguments, "--out", out)
    assert "train.json: 5 pictures, 4 objects" in result.stdout
    assert "is a link to" in result.stderr.replace("\n", " ")
    parts = [read_annotations(out / f"{name}.json") for name in ("train", "test")]
    assert not {p.name for p in parts[0].pictures} & {p.name for p in parts[1].pictures}
    assert all(len(p.load()) for part in parts for p in part.pictures)
    refused = invoke(*arguments, "--out", out, code=1)
    assert "train.json: exists already. Remove it" in refused.stderr
    copied = invoke(*arguments, "--out", tmp_path / "two", "--copy-images", "--json", "--seed", "1")
    assert [entry["pictures"] for entry in json.loads(copied.stdout)] == [5, 5]
    assert not (tmp_path / "two/images").is_symlink()
    grouped = invoke(*arguments, "--out", tmp_path / "three", "--by-group", "^(cam[0-9])", "--json")
    assert [entry["objects"] for entry in json.loads(grouped.stdout)] == [4, 4]


def test_split_beside_the_pictures_links_nothing(own):
    invoke("dataset", "split", own / "crosses.json", "--parts", "a=0.8,b=0.2", "--out", own)
    assert len(read_annotations(own / "a.json")) == 8
    assert sorted(path.name for path in own.iterdir()) == [
        "a.json", "b.json", "crosses.json", "images",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ("train", "is no list of names and shares like"),
        ("a=0.5,a=0.5", "is no list of names and shares like"),
        ("../a=0.5,b=0.5", "is no list of names and shares like"),
        ("a=x,b=0.5", "is no list of names and shares like"),
        ("a=0.5,b=0.2", "with positive shares that add up to 1"),
        ("a=0.999,b=0.001", "The part 'b' of 0.001 would be empty"),
    ],
)
def test_split_usage_errors(crosses, tmp_path, parts, said):
    arguments = ("dataset", "split", crosses / "crosses.json", "--parts", parts)
    assert said in invoke(*arguments, "--out", tmp_path, code=2).stderr.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["list", "info", "convert", "check", "split"])
def test_help_has_an_example(verb):
    result = invoke("dataset", verb, "--help")
    assert f"bootstrap-det dataset {verb}" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
