"""The command line, end to end, on a small set of drawn crosses in noise."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from crosses import (
    FAST,
    LINEAR,
    draw_cross,
    invoke,
    noise_picture,
    train_arguments,
    write_crosses,
)
from PIL import Image

from bootstrap_det import Detector
from bootstrap_det.boxes import overlap
from bootstrap_det.false_alarms import read_suspects
from bootstrap_det.images import read_image
from bootstrap_det.suppression import SUPPRESSIONS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with train/, test/ and background/."""
    return write_crosses(tmp_path_factory.mktemp("crosses"))


@pytest.fixture(scope="module")
def run_folder(data, tmp_path_factory):
    """A finished run of two rounds."""
    out = tmp_path_factory.mktemp("runs") / "crosses"
    result = invoke(*train_arguments(data, out), "--json")
    assert result.exit_code == 0, result.output
    (out / "stdout.json").write_text(result.stdout)
    return out


def test_hard_negatives_are_listed_where_they_lie(run_folder, data):
    suspects = read_suspects(run_folder / "hard_negatives/round_1.csv")
    assert [suspect["number"] for suspect in suspects] == list(range(1, len(suspects) + 1))
    names = {path.name for folder in ("background", "train/images")
             for path in (data / folder).iterdir()}  # fmt: skip
    assert {suspect["file"].rpartition("/")[2] for suspect in suspects} <= names
    for suspect in suspects:
        x1, y1, x2, y2 = suspect["box"]
        assert x2 - x1 == pytest.approx(y2 - y1, rel=0.1)


def test_train_writes_the_run_folder(run_folder):
    names = {path.name for path in run_folder.iterdir()} - {"stdout.json"}
    assert names == {
        "model.bdet", "rounds.jsonl", "summary.json", "detections.json", "hard_negatives",
        "checkpoint", "report.html", "test_set.json", "rounds_detections",
    }  # fmt: skip
    summary = json.loads((run_folder / "summary.json").read_text())
    assert json.loads((run_folder / "stdout.json").read_text()) == summary
    lines = (run_folder / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == [e["round"] for e in summary["rounds"]]
    assert len(lines) <= 3
    assert summary["format"] == 1
    assert summary["final"]["ap50"] > 0.95
    assert set(summary["final"]["recall_at_false_positives"]) >= {"10", "31", "95", "167"}
    assert set(summary["rounds"][0]["recall_at_fppi"]) == {"0.1", "1"}
    assert summary["skipped"] == []


def test_train_detects_through_the_installed_command(run_folder, data, tmp_path):
    program = shutil.which("bootstrap-det", path=os.path.dirname(sys.executable))
    assert program, "the package is not installed: pip install -e '.[test]'"
    done = subprocess.run(
        [program, "detect", data / "test/images", "--model", run_folder / "model.bdet",
         "--save-dir", tmp_path / "drawn", "--out", tmp_path / "found.json", "--csv",
         tmp_path / "found.csv"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    results = json.loads((tmp_path / "found.json").read_text())
    assert len(done.stdout.splitlines()) == len(results) > 5
    assert "detections in 6 pictures" in done.stderr
    assert len(list((tmp_path / "drawn").glob("*.png"))) == 6
    assert len((tmp_path / "found.csv").read_text().splitlines()) == len(results) + 1
    assert {"image_id", "category_id", "bbox", "score", "file_name"} == set(results[0])


def test_detect_json_goes_to_stdout_alone(run_folder, data):
    picture = data / "test/images/00.png"
    result = invoke("detect", picture, "--model", run_folder / "model.bdet", "--json")
    found = json.loads(result.stdout)
    assert found["categories"] == [{"id": 1, "name": "cross"}]
    assert found["results"][0]["score"] > 0
    none = invoke("detect", picture, "--model", run_folder / "model.bdet", "--threshold", "99")
    assert none.stdout == ""
    assert none.exit_code == 0


@pytest.mark.parametrize("kind", SUPPRESSIONS)
def test_suppression_is_chosen_on_the_command_line(run_folder, data, kind):
    picture, model = data / "test/images/00.png", run_folder / "model.bdet"
    chosen = ("--model", model, "--suppression", kind, "--json")
    found = json.loads(invoke("detect", picture, *chosen).stdout)["results"]
    expected = Detector.load(model).replace(suppression=kind).detect(read_image(picture))
    assert [each["score"] for each in found] == pytest.approx(expected.scores, abs=1e-5)
    test = ("--test-data", data / "test/annotations.json", "--test-images", data / "test/images")
    assert 0 <= json.loads(invoke("evaluate", *chosen, *test).stdout)["ap"] <= 1


@pytest.mark.parametrize("verb", ["detect", "evaluate"])
def test_unknown_suppressions_are_refused(verb):
    refused = invoke(verb, "--suppression", "soft")
    assert refused.exit_code == 2
    assert "'nms', 'vote', 'soft-nms', 'fusion'" in refused.output


def test_detect_says_when_a_threshold_is_below_the_cascade(run_folder, data):
    arguments = ("detect", data / "test/images/00.png", "--model", run_folder / "model.bdet")
    assert "note:" not in invoke(*arguments).stderr
    low = invoke(*arguments, "--threshold", "-1000")
    assert low.exit_code == 0
    assert "note: A threshold of -1000 is below" in low.stderr


def test_evaluate_agrees_for_model_and_results(run_folder, data):
    test = ["--test-data", data / "test/annotations.json", "--json"]
    of_model = json.loads(invoke("evaluate", "--model", run_folder / "model.bdet", *test).stdout)
    of_results = json.loads(
        invoke("evaluate", "--results", run_folder / "detections.json", *test).stdout
    )
    summary = json.loads((run_folder / "summary.json").read_text())
    assert of_model["ap"] == pytest.approx(of_results["ap"], abs=1e-6)
    assert of_model["ap"] == pytest.approx(summary["final"]["ap50"], abs=1e-12)
    assert of_model["recall_at_fppi"] == of_results["recall_at_fppi"]
    whole = ("evaluate", "--model", run_folder / "model.bdet", *test, "--box-map")
    assert json.loads(invoke(*whole, "0,0,1,1").stdout)["ap"] == of_model["ap"]
    assert json.loads(invoke(*whole, "-1,-1,2,2").stdout)["ap"] == 0.0
    stricter = invoke(
        "evaluate", "--model", run_folder / "model.bdet", *test, "--iou-threshold", "0.9"
    )
    assert json.loads(stricter.stdout)["ap"] <= of_model["ap"]


def test_info_prints_versions_and_models(run_folder):
    assert "scikit-learn" in invoke("info").stdout
    facts = json.loads(invoke("info", run_folder / "model.bdet", "--json").stdout)
    assert facts["format"] == "bootstrap_det.model"
    assert facts["provenance"]["dataset"] == "annotations"
    assert "ACF" in invoke("info", run_folder / "model.bdet").stdout


@pytest.mark.parametrize("verb", [[], ["train"], ["detect"], ["evaluate"], ["info"], ["report"]])
def test_help_has_an_example(verb):
    result = invoke(*verb, "--help")
    assert result.exit_code == 0
    assert not verb or f"bootstrap-det {verb[0]}" in result.stdout


def test_jobs_do_not_change_the_model(run_folder, data, tmp_path):
    invoke(*train_arguments(data, tmp_path / "two", "--jobs", "2"))
    ours, theirs = (p / "model.bdet" for p in (run_folder, tmp_path / "two"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_resume_completes_to_the_same_model(run_folder, data, tmp_path):
    out = tmp_path / "half"
    assert invoke(*train_arguments(data, out, "--rounds", "1")).exit_code == 0
    refused = invoke(*train_arguments(data, out))
    assert refused.exit_code == 1
    assert "exists already. Give --overwrite" in refused.output
    assert invoke(*train_arguments(data, out, "--resume")).exit_code == 0
    assert (out / "model.bdet").read_bytes() == (run_folder / "model.bdet").read_bytes()


def test_linear_detectors_are_trained_and_resumed_as_well(data, tmp_path):
    arguments = [
        "train", "--data", data / "train/annotations.json", "--jobs", "1", *LINEAR,
        "--test-data", data / "test/annotations.json",
    ]  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    result = invoke(*arguments, "--out", one, "--json")
    assert result.exit_code == 0, result.output
    assert "HOG + linear SVM" in result.stderr
    assert json.loads(result.stdout)["final"]["ap50"] > 0.95
    assert invoke(*arguments, "--out", two, "--rounds", "0").exit_code == 0
    assert invoke(*arguments, "--out", two, "--resume").exit_code == 0
    assert (one / "model.bdet").read_bytes() == (two / "model.bdet").read_bytes()


def test_linear_detectors_read_locally_normalised_channels(data, tmp_path):
    arguments = [
        "train", "--data", data / "train/annotations.json", "--out", tmp_path / "a", *LINEAR,
        "--rounds", "0", "--features", "acf", "--C", "0.1", "--radius", "3",
    ]  # fmt: skip
    assert invoke(*arguments).exit_code == 0
    facts = json.loads(invoke("info", tmp_path / "a/model.bdet", "--json").stdout)
    assert (facts["channels"]["normalise"], facts["channels"]["radius"]) == ("local", 3)
    result = invoke(*arguments, "--normalise", "window", "--overwrite")
    assert result.exit_code == 2
    assert "Take normalise='local', or boosted trees" in result.output


def test_resume_refuses_other_parameters(data, tmp_path):
    out = tmp_path / "run"
    assert invoke(*train_arguments(data, out, "--rounds", "0")).exit_code == 0
    result = invoke(*train_arguments(data, out, "--resume", "--seed", "4", "--cell-size", "4"))
    assert result.exit_code == 1
    assert "cannot be resumed, because" in result.output
    assert "features" in result.output
    assert "seed" in result.output
    result = invoke(*train_arguments(data, out, "--resume", "--keep", "0.9"))
    assert "cannot be resumed, because classifier changed" in result.output
    (tmp_path / "other").mkdir()
    (tmp_path / "other/holiday.txt").write_text("sun")
    nothing = invoke(*train_arguments(data, tmp_path / "other", "--resume"))
    assert "holds no checkpoint to resume" in nothing.output


def test_overwrite_leaves_foreign_files_alone(data, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    (out / "report.html").write_text("of an earlier run")
    assert invoke(*train_arguments(data, out, "--rounds", "0")).exit_code == 1
    assert invoke(*train_arguments(data, out, "--rounds", "0", "--overwrite")).exit_code == 0
    assert (out / "thesis.txt").read_text() == "years of work"
    assert "<h1>run</h1>" in (out / "report.html").read_text()


def copy_with(data, tmp_path, change):
    """Return a copy of the training set, its document changed in place by ``change``."""
    folder = tmp_path / "changed"
    shutil.copytree(data / "train", folder)
    document = json.loads((folder / "annotations.json").read_text())
    change(document, folder)
    (folder / "annotations.json").write_text(json.dumps(document))
    return folder / "annotations.json"


def set_box(*box):
    return lambda document, folder: document["annotations"][0].update(bbox=list(box))


def truncate(document, folder):
    path = folder / "images" / "03.png"
    path.write_bytes(path.read_bytes()[:400])


def empty(document, folder):
    (folder / "images" / "03.png").write_bytes(b"")


def remove(document, folder):
    (folder / "images" / "03.png").unlink()


def unknown_category(document, folder):
    document["annotations"][0]["category_id"] = 7


def duplicate_ids(document, folder):
    document["annotations"][1]["id"] = document["annotations"][0]["id"]


def give_all_boxes(aspect):
    def change(document, folder):
        for annotation in document["annotations"]:
            annotation["bbox"] = [0, 0, 10 * aspect, 10]

    return change


BAD_ANNOTATIONS = {
    "nan box": (set_box(float("nan"), 1, 9, 9), "annotation"),
    "negative box": (set_box(1, 1, -9, 9), "annotation"),
    "outside box": (set_box(500, 500, 9, 9), "outside|lies"),
    "zero-area box": (set_box(1, 1, 0, 9), "annotation"),
    "unknown category": (unknown_category, "category"),
    "duplicate ids": (duplicate_ids, "id"),
    "missing picture": (remove, "03.png"),
    "truncated picture": (truncate, "03.png"),
    "empty picture": (empty, "03.png"),
}


@pytest.mark.parametrize("case", BAD_ANNOTATIONS)
def test_train_bad_annotation_is_one_sentence_or_skipped(case, data, tmp_path):
    change, said = BAD_ANNOTATIONS[case]
    annotations = copy_with(data, tmp_path, change)
    out = tmp_path / "run"
    arguments = [
        "train", "--data", annotations, "--negatives", data / "background", "--rounds", "0",
        "--out", out, *FAST,
    ]  # fmt: skip
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    sentence = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(sentence) == 1
    assert __import__("re").search(said, sentence[0])
    assert not out.exists()
    skipping = invoke(*arguments, "--skip-bad")
    assert skipping.exit_code == 0, skipping.output
    skipped = json.loads((out / "summary.json").read_text())["skipped"]
    assert skipped
    assert all(entry["file"] and entry["reason"] for entry in skipped)


def test_train_without_positives_or_negatives_says_so(data, tmp_path):
    def no_boxes(document, folder):
        document["annotations"] = []

    annotations = copy_with(data, tmp_path, no_boxes)
    result = invoke("train", "--data", annotations, "--out", tmp_path / "a")
    assert result.exit_code == 1
    assert "holds no object to train on" in result.output
    crops = tmp_path / "crops.npz"
    np.savez(crops, crops=np.zeros((4, 24, 24), np.uint8))
    result = invoke("train", "--crops", crops, "--out", tmp_path / "b")
    assert result.exit_code == 1
    assert "no picture to take negatives from" in result.output
    (tmp_path / "nothing").mkdir()
    result = invoke("train", "--crops", crops, "--negatives", tmp_path / "nothing")
    assert result.exit_code == 1
    assert "holds no picture" in result.output
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()


def test_train_refuses_a_negative_that_is_annotated(data, tmp_path):
    folder = tmp_path / "background"
    shutil.copytree(data / "background", folder)
    shutil.copy(data / "train/images/01.png", folder / "copied.png")
    arguments = [
        "train", "--data", data / "train/annotations.json", "--negatives", folder,
        "--out", tmp_path / "run", "--rounds", "0", *FAST,
    ]  # fmt: skip
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert "copied.png: is given as a negative, but annotated with 2 objects" in result.output
    assert invoke(*arguments, "--skip-bad").exit_code == 0
    skipped = json.loads((tmp_path / "run/summary.json").read_text())["skipped"]
    assert [entry["file"] for entry in skipped] == ["copied.png"]


def test_train_says_why_no_window_can_match(data, tmp_path):
    annotations = copy_with(data, tmp_path, give_all_boxes(aspect=1))
    result = invoke("train", "--data", annotations, "--window", "24x24", "--out", tmp_path / "a")
    assert result.exit_code == 1
    assert "10x10 px is below the smallest window" in result.output
    assert "lower min_object_size" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "needs one of --dataset, --data and --crops"),
        (["train", "--dataset", "faces", "--crops", "x"], "--dataset and --crops"),
        (["train", "--dataset", "facs"], "faces"),
        (["train", "--dataset", "faces", "--cell-size", "1"], "'cell_size' parameter of ACF"),
        (["train", "--dataset", "faces", "--features", "lbp"], "'acf', 'hog'"),
        (["train", "--dataset", "faces", "--classifier", "forest"], "'boosted', 'svm'"),
        (["train", "--dataset", "faces", "--depth", "6"], "'depth' parameter of BoostedLearner"),
        (["train", "--dataset", "faces", "--keep", "0"], "'keep' parameter of BoostedLearner"),
        (["train", "--dataset", "faces", "--C", "1"], "--C cannot be used with --classifier boo"),
        (
            ["train", "--dataset", "faces", "--classifier", "svm", "--n-trees", "9"],
            "--n-trees cannot be used with --classifier svm",
        ),
        (
            ["train", "--dataset", "faces", "--features", "hog", "--radius", "3"],
            "--radius cannot be used with --features hog",
        ),
        (
            ["train", "--dataset", "faces", "--signed", "--epsilon", "3"],
            "--epsilon, --signed cannot be used with --features acf",
        ),
        (["train", "--dataset", "faces", "--window", "24"], "size like 24x24"),
        (["train", "--dataset", "faces", "--strategy", "magic"], "bootstrap"),
        (["train", "--dataset", "faces", "--rounds", "-1"], "--rounds"),
        (["evaluate", "--test-data", "x.json"], "one of them"),
        (["evaluate", "--model", "x"], "Give the test set"),
        (["evaluate", "--model", "x", "--box-map", "0,0,1"], "is not a part of a box like 0,0,1,1"),
        (["evaluate", "--model", "x", "--box-map", "1,0,0,1"], "is not a part of a box"),
        (["detect"], "SOURCES"),
        (["fly"], "No such command"),
    ],
)
def test_usage_errors_exit_with_2(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert list(tmp_path.iterdir()) == []


def test_detect_errors_name_the_file(run_folder, data, tmp_path):
    model = run_folder / "model.bdet"
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    result = invoke("detect", bad, "--model", model)
    assert result.exit_code == 1
    assert "bad.jpg" in result.output
    good = data / "test/images/00.png"
    result = invoke("detect", good, bad, "--model", model, "--skip-bad")
    assert result.exit_code == 0
    assert "skipped" in result.stderr
    assert "bad.jpg" in result.stderr
    assert "no such file" in invoke("detect", tmp_path / "none.png", "--model", model).output
    result = invoke("detect", good, "--model", bad)
    assert result.exit_code == 1
    assert "cannot be read as a model file" in result.output


def test_detect_small_and_odd_pictures_work(run_folder, tmp_path):
    Image.fromarray(np.full((5, 5), 90, np.uint8)).save(tmp_path / "small.png")
    Image.fromarray(np.full((60, 60, 4), 90, np.uint8)).save(tmp_path / "alpha.png")
    Image.fromarray(np.full((60, 60), 30000, np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(np.full((60, 60, 4), 90, np.uint8), "CMYK").save(tmp_path / "cmyk.jpg")
    result = invoke("detect", tmp_path, "--model", run_folder / "model.bdet")
    assert result.exit_code == 0, result.output
    assert "in 4 pictures" in result.stderr


def test_detector_of_the_run_finds_an_enlarged_cross(run_folder):
    rng = np.random.default_rng(9)
    picture = noise_picture(rng, (160, 200))
    draw_cross(picture, 40, 30, side=80)
    found = Detector.load(run_folder / "model.bdet").detect(picture)
    assert overlap(found.boxes, [[40, 30, 120, 110]]).max() > 0.5
