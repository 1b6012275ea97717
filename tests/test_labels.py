"""Several labels: a template each over one pyramid, their measures, and who is taken for whom."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import noise

from bootstrap_det import Detector, evaluate_detector, train
from bootstrap_det.boxes import overlap
from bootstrap_det.channels import default_channels
from bootstrap_det.classifiers import LinearLearner
from bootstrap_det.cli import main
from bootstrap_det.data import Dataset, Picture, write_coco
from bootstrap_det.detections import Candidates
from bootstrap_det.evaluation import (
    GroundTruth,
    Predictions,
    confusion,
    evaluate_labels,
    mean_precisions,
    overlaps_entry,
)
from bootstrap_det.exceptions import ParameterError
from bootstrap_det.images import write_image
from bootstrap_det.mining import BootstrapParams
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.samples import Jitter

SIDE = 24


def draw(image, label, x, y):
    """Draw a lying or a standing bar into a square of 24 pixels."""
    if label == "lying":
        image[y + 8 : y + 16, x + 2 : x + 22] = 240
    else:
        image[y + 2 : y + 22, x + 8 : x + 16] = 240


def scenes(rng, n=16):
    """Return pictures with one bar of each kind."""
    pictures = []
    for index in range(n):
        image = noise(rng, (80, 112))
        places = {"lying": (rng.integers(4, 26), rng.integers(4, 50)),
                  "standing": (rng.integers(60, 84), rng.integers(4, 50))}  # fmt: skip
        for label, (x, y) in places.items():
            draw(image, label, x, y)
        boxes = [[x, y, x + SIDE, y + SIDE] for x, y in places.values()]
        pictures.append(
            Picture(index, f"{index:02}.png", boxes, list(places), [False] * 2, [False] * 2,
                    pixels=image)
        )  # fmt: skip
    return Dataset("bars", tuple(pictures))


QUICK = {
    "channels": default_channels("hog"),
    "pyramid": Pyramid(scales_per_octave=3, max_object_size=30),
    "learner": LinearLearner(C=0.1),
    "jitter": Jitter(n_copies=2),
    "params": BootstrapParams(n_rounds=1, n_random_negatives=200, n_negatives_per_round=100),
}


@pytest.fixture(scope="module")
def bars():
    rng = np.random.default_rng(3)
    dataset = scenes(rng)
    return dataset, train(dataset, **QUICK), scenes(rng, 6)


def test_every_label_gets_a_template(bars):
    _, result, test = bars
    assert result.detector.labels == ("lying", "standing")
    assert [record.label for record in result.records] == ["lying"] * 2 + ["standing"] * 2
    assert set(result.positives) == {"lying", "standing"}
    for picture in test.pictures:
        found = result.detector.detect(picture.load())
        for box, label in zip(picture.boxes, picture.labels, strict=True):
            best = overlap([box], found.boxes)[0].argmax()
            assert found.labels[best] == label


def test_measures_of_several_labels_are_each_and_their_means(bars):
    _, result, test = bars
    scan = evaluate_detector(result.detector, test)
    measures = scan.to_dict()
    assert set(measures["labels"]) == {"lying", "standing"}
    own = [each["ap"] for each in measures["labels"].values()]
    assert measures["ap"] == pytest.approx(np.mean(own))
    assert min(own) > 0.8
    assert measures["n_objects"] == 12
    assert json.loads(json.dumps(measures)) == measures
    with pytest.raises(ParameterError, match=r"measures of 2 labels\. Take one of 'by_label'"):
        _ = scan.evaluation
    one = evaluate_detector(result.detector, test, labels="lying")
    assert one.to_dict()["ap"] == measures["labels"]["lying"]["ap"]


def test_a_detector_of_one_label_finds_what_the_whole_one_finds_of_it(bars):
    _, result, test = bars
    image = test.pictures[0].load()
    whole = result.detector.detect(image)
    alone = result.detector.of_label("standing").detect(image)
    np.testing.assert_array_equal(alone.boxes, whole.boxes[whole.labels == "standing"])
    with pytest.raises(ParameterError, match="needs at least one template"):
        result.detector.of_label("round")


def test_labels_can_be_chosen(bars):
    dataset, _, _ = bars
    quick = {**QUICK, "params": replace(QUICK["params"], n_rounds=0)}
    assert train(dataset, labels="standing", **quick).detector.labels == ("standing",)
    with pytest.raises(ParameterError, match=r"of 'bars': 'lying', 'standing'. Got 'round'"):
        train(dataset, labels=["standing", "round"], **quick)


def two_labels(bars, across_labels):
    _, result, _ = bars
    detector = result.detector.replace(across_labels=across_labels)
    boxes = np.array([[0, 0, 24, 24], [2, 0, 26, 24], [50, 50, 74, 74.0]])
    windows = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [0, 25, 25, 0]])
    found = detector.suppress(Candidates(boxes, np.array([3.0, 2.0, 1.0]), windows, 3))
    return list(zip(found.labels.tolist(), found.scores.tolist(), strict=True))


def test_labels_suppress_each_other_when_asked(bars, tmp_path):
    assert two_labels(bars, False) == [("lying", 3.0), ("standing", 2.0), ("lying", 1.0)]
    assert two_labels(bars, True) == [("lying", 3.0), ("lying", 1.0)]
    bars[1].detector.replace(across_labels=True).save(tmp_path / "m.bdet")
    assert Detector.load(tmp_path / "m.bdet").across_labels
    with pytest.raises(ParameterError, match="'across_labels' parameter of Detector"):
        bars[1].detector.replace(across_labels="yes")


def test_confusion_counts_by_hand():
    truth = GroundTruth(
        [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]],
        ["a", "b", "a", "c"], [False, False, False, True], [False] * 4,
    )  # fmt: skip
    found = Predictions(
        [[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [80, 0, 90, 10], [60, 0, 70, 10],
         [40, 0, 50, 10]],
        [5.0, 4.0, 3.0, 2.0, 1.0, -1.0], ["a", "b", "a", "b", "b", "a"],
    )  # fmt: skip
    table = confusion([truth], [found], ["a", "b"])
    # a as a; b as a; a second find of the first a and one of nothing; the third object missed
    # below the threshold; the find on the ignored object counts neither way.
    np.testing.assert_array_equal(table.counts, [[1, 0, 1], [1, 0, 0], [0, 2, 0]])
    lower = confusion([truth], [found], ["a", "b"], threshold=-2.0)
    np.testing.assert_array_equal(lower.counts, [[2, 0, 0], [1, 0, 0], [0, 2, 0]])


def test_labels_without_objects_are_left_out_of_the_means(bars):
    _, _, test = bars
    nothing = Predictions(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.str_))
    measures = evaluate_labels(test.pictures, [nothing] * 6, ["lying", "unseen"]).to_dict()
    assert measures["ap"] == 0.0
    assert measures["labels"]["unseen"]["ap"] is None


@pytest.fixture(scope="module")
def annotated(bars, tmp_path_factory):
    """Return a folder with the pictures and annotations of bars."""
    folder = tmp_path_factory.mktemp("bars")
    dataset, _, test = bars
    for name, part in (("train", dataset), ("test", test)):
        for picture in part.pictures:
            (folder / name).mkdir(exist_ok=True)
            write_image(folder / name / picture.name, picture.pixels)
        write_coco(part, folder / name / "annotations.json")
    return folder


def arguments(annotated, out, *more):
    return [str(each) for each in (
        "train", "--data", annotated / "train/annotations.json", "--out", out, "--jobs", "1",
        "--test-data", annotated / "test/annotations.json", "--features", "hog", "--classifier",
        "svm", "--C", "0.1", "--rounds", "1", "--n-random-negatives", "200",
        "--n-negatives-per-round", "100", "--scales-per-octave", "3", *more,
    )]  # fmt: skip


def test_the_command_line_trains_measures_and_resumes_several_labels(annotated, tmp_path):
    done = CliRunner().invoke(main, arguments(annotated, tmp_path / "run", "--json"))
    assert done.exit_code == 0, done.output
    assert "32 objects of 2 labels" in done.stderr
    assert "is \\ found as" in done.stderr
    assert max(len(line) for line in done.stderr.splitlines()) <= 80
    summary = json.loads(done.stdout)
    assert set(summary["windows"]) == set(summary["final"]["labels"]) == {"lying", "standing"}
    assert summary["final"]["ap50"] > 0.8
    assert [entry["label"] for entry in summary["rounds"]] == ["lying"] * 2 + ["standing"] * 2
    half = CliRunner().invoke(main, arguments(annotated, tmp_path / "half", "--rounds", "0"))
    assert half.exit_code == 0, half.output
    more = CliRunner().invoke(main, arguments(annotated, tmp_path / "half", "--resume"))
    assert more.exit_code == 0, more.output
    models = [(tmp_path / run / "model.bdet").read_bytes() for run in ("run", "half")]
    assert models[0] == models[1]
    test = ["--test-data", str(annotated / "test/annotations.json")]
    model = ["evaluate", "--model", str(tmp_path / "run/model.bdet"), *test]
    shown = CliRunner().invoke(main, model)
    assert "all: sums and means" in shown.stdout
    own = json.loads(CliRunner().invoke(main, [*model, "--json"]).stdout)
    results = ["evaluate", "--results", str(tmp_path / "run/detections.json"), *test, "--json"]
    theirs = json.loads(CliRunner().invoke(main, results).stdout)
    assert theirs["ap"] == pytest.approx(own["ap"], abs=1e-6)
    assert theirs["confusion"] == own["confusion"]


def test_precision_by_overlap_is_that_of_each_overlap(rng):
    truth = [[10, 10, 50, 50], [60, 10, 100, 50]]
    # Half, three quarters and nine tenths of an object each; the third label is never annotated.
    boxes = [[10, 10, 50, 46], [60, 10, 100, 40], [0, 60, 20, 80]]
    picture = Picture(0, "a.png", truth, ["one", "two"], [False] * 2, [False] * 2,
                      pixels=noise(rng))  # fmt: skip
    found = Predictions(np.array(boxes), np.array([3.0, 2.0, 1.0]), np.array(["one", "two", "two"]))
    got = mean_precisions([picture], [found], ("one", "two", "three"))
    assert list(got) == [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert [got[iou] for iou in (0.75, 0.8, 0.9, 0.95)] == [1.0, 0.5, 0.5, 0.0]
    entry = overlaps_entry(got)
    assert entry["ap_by_iou"]["0.75"] == 1.0
    assert entry["ap_50_95"] == pytest.approx((6 + 3 * 0.5) / 10)
    nothing = mean_precisions([picture], [found], ("three",))
    assert overlaps_entry(nothing) == {
        "ap_by_iou": {f"{iou:g}": None for iou in got},
        "ap_50_95": None,
    }
