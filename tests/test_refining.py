"""Refining a detector end to end: boxes learnt from what it finds in annotated pictures."""

import json

import conftest
import numpy as np
import pytest
from click.testing import CliRunner

from bootstrap_det import Detector, RefineParams, refine
from bootstrap_det.boxes import overlap
from bootstrap_det.cli import main
from bootstrap_det.data import Crops, Dataset, Picture, write_annotations
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.gathering import gather
from bootstrap_det.images import write_image
from bootstrap_det.persistence import read_arrays, write_arrays
from bootstrap_det.refinement import available_losses, decode
from bootstrap_det.refining import remapped
from bootstrap_det.tiling import detect_tiled
from bootstrap_det.windows import window_features

LABEL = "cross"


def annotated(rng, n, first=0):
    """Return scenes of crosses of many sizes, their boxes in a convention of its own.

    Boxes reach half a side lower than the crosses that the detector was trained on.
    """
    pictures = []
    for index in range(first, first + n):
        image, boxes = conftest.noise(rng, (110, 130)), []
        for left in (0, 65):
            side = int(rng.integers(24, 48))
            x, y = left + int(rng.integers(0, 65 - side)), int(rng.integers(0, 85 - side))
            conftest.draw_cross(image, x, y, side)
            boxes.append([x, y, x + side, y + 1.3 * side])
        none = [False, False]
        pictures.append(
            Picture(index, f"{index}.png", boxes, [LABEL, LABEL], none, none, pixels=image)
        )
    return Dataset("crosses", tuple(pictures))


@pytest.fixture(scope="module")
def scenes():
    """Return pictures to learn from, and others to measure on."""
    rng = np.random.default_rng(5)
    return annotated(rng, 24), annotated(rng, 8, 100)


@pytest.fixture(scope="module")
def refined(toy, scenes):
    """Return the detector of crosses with boxes in the scenes' convention."""
    return refine(toy.detector, scenes[0], RefineParams(seed=1))


def mean_overlap(detector, dataset):
    """Return the mean of the best overlap of each object with any detection."""
    best = []
    for picture in dataset.pictures:
        found = detector.detect(picture.pixels, threshold=detector.lowest_score)
        best += overlap(picture.boxes, found.boxes).max(axis=1, initial=0.0).tolist()
    return float(np.mean(best))


def test_boxes_come_to_lie_where_the_annotations_say(toy, scenes, refined):
    detector, told = refined
    before, after = (mean_overlap(each, scenes[1]) for each in (toy.detector, detector))
    assert before < 0.75
    assert after > before + 0.1
    (entry,) = told["boxes"]
    assert entry["label"] == LABEL
    assert entry["iou_after"] > entry["iou_before"] + 0.1


def test_scores_of_windows_stay(toy, scenes, refined):
    image = scenes[1].pictures[0].pixels
    ref, got = toy.detector.scan(image), refined[0].scan(image)
    np.testing.assert_array_equal(got.scores, ref.scores)
    np.testing.assert_array_equal(got.windows, ref.windows)
    assert not np.array_equal(got.boxes, ref.boxes)


def test_a_refined_scan_is_its_parts_put_together(toy, scenes, refined):
    """Features of each window, the regressor, the offsets decoded: no channel is another's."""
    image = scenes[1].pictures[1].pixels
    ref, got = toy.detector.scan(image), refined[0].scan(image)
    assert len(ref.scores) > 3
    detector = toy.detector
    (features,) = window_features(
        detector.prepare(image),
        detector.pyramid,
        [template.window for template in detector.templates],
        detector.channels,
        ref.windows,
    )
    (stage,) = refined[0].templates[0].refinement.stages
    inputs = np.concatenate([features, np.zeros((len(features), 4))], axis=1).astype(np.float32)
    offsets = stage.loss.offsets(stage.regressor.outputs(inputs))
    # window_features goes level by level, as the scan does.
    order = np.argsort(ref.windows[:, 0], kind="stable")
    np.testing.assert_array_equal(order, np.arange(len(order)))
    np.testing.assert_allclose(got.boxes, decode(offsets, ref.boxes), atol=1e-3)


METHODS = {
    **{name: {"loss": name} for name in available_losses()},
    "dfl": {"loss": "dfl", "loss_params": {"n_bins": 5}},
    "trees": {"regressor": "trees", "loss": "giou"},
    "two stages": {"n_stages": 2},
    "rescore": {"rescore": True},
    "guided": {"rescore": True, "guided": True},
    "regress, then classify": {"rescore": True, "order": "regress-then-classify"},
    "cascade": {"n_stages": 2, "rescore": True},
    "carl": {"weights": "carl"},
    "iou-uniform": {"sampling": "iou-uniform"},
}


@pytest.fixture(scope="module")
def windows(toy, scenes):
    return gather(toy.detector, scenes[0], RefineParams())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_brings_boxes_nearer(toy, scenes, windows, tmp_path, method):
    params = RefineParams(**METHODS[method])
    shared = windows if params.sampling == "survivors" else None
    detector, _ = refine(toy.detector, scenes[0], params, windows=shared)
    assert mean_overlap(detector, scenes[1]) > mean_overlap(toy.detector, scenes[1]) + 0.05
    image = scenes[1].pictures[0].pixels
    detector.save(tmp_path / "model")
    loaded = Detector.load(tmp_path / "model")
    for threads in (1, 3):
        ref, got = detector.detect(image), loaded.detect(image, n_threads=threads)
        assert len(ref) > 0
        np.testing.assert_array_equal(got.boxes, ref.boxes)
        np.testing.assert_array_equal(got.scores, ref.scores)
    # A higher threshold leaves the same detections, whatever scores became.
    above = detector.detect(image, threshold=float(ref.scores.max()) - 1e-9)
    np.testing.assert_array_equal(above.boxes, ref.boxes[: len(above)])


def test_stages_and_quality_are_there(toy, scenes, windows):
    params = RefineParams(n_stages=2, rescore=True, order="regress-then-classify")
    detector, told = refine(toy.detector, scenes[0], params, windows=windows)
    stages = detector.templates[0].refinement.stages
    assert [entry["stage"] for entry in told["boxes"]] == [0, 1]
    assert len(stages) == 2
    assert all(stage.quality is not None and stage.classify_after for stage in stages)
    assert detector.rescores
    # Windows that may still rise are candidates, whatever the threshold.
    assert detector.floor(100.0) == detector.lowest_score


@pytest.mark.parametrize("name", ["kl", "dfl"])
def test_losses_that_know_it_say_how_sure_a_box_is(toy, scenes, windows, name):
    detector, _ = refine(toy.detector, scenes[0], RefineParams(**METHODS[name]), windows=windows)
    found = detector.detect(scenes[1].pictures[0].pixels)
    assert found.deviations.shape == (len(found), 4)
    assert (found.deviations > 0).all()
    assert found.deviations.max() < 60  # pixels
    entry = found.to_coco({LABEL: 1})[0]
    assert entry["deviations"] == [round(float(v), 2) for v in found.deviations[0]]
    assert found[:1].deviations.shape == (1, 4)


def test_other_losses_do_not(refined, scenes):
    found = refined[0].detect(scenes[1].pictures[0].pixels)
    assert found.deviations is None
    assert "deviations" not in found.to_coco({LABEL: 1})[0]


def test_it_can_be_undone_and_done_anew(toy, scenes, refined):
    image = scenes[1].pictures[0].pixels
    ref = toy.detector.detect(image)
    np.testing.assert_array_equal(refined[0].unrefined().detect(image).boxes, ref.boxes)
    again, _ = refine(refined[0], scenes[0], RefineParams(seed=1))
    np.testing.assert_array_equal(again.detect(image).boxes, refined[0].detect(image).boxes)


def test_threads_over_pictures_change_nothing(toy, scenes, refined):
    other, told = refine(toy.detector, scenes[0], RefineParams(seed=1, n_jobs=3))
    assert told == refined[1]
    image = scenes[1].pictures[0].pixels
    np.testing.assert_array_equal(other.detect(image).boxes, refined[0].detect(image).boxes)


def test_windows_beside_objects_are_drawn_evenly(toy, scenes):
    params = RefineParams(sampling="iou-uniform", min_iou=0.5)
    (uniform,) = gather(toy.detector, scenes[0], params)
    (survivors,) = gather(toy.detector, scenes[0], RefineParams())
    counts = [
        np.histogram(each.ious[each.ious >= 0.5], bins=5, range=(0.5, 1.0))[0]
        for each in (uniform, survivors)
    ]
    spread = [count.max() / max(count[:3].min(), 1) for count in counts]
    assert counts[0].sum() > 100
    assert spread[0] < spread[1]


def test_windows_are_limited_by_object_and_in_all(toy, scenes, windows):
    (own,) = windows
    counts = np.unique(own.objects[own.objects >= 0], return_counts=True)[1]
    assert counts.max() <= 32
    (few,) = gather(toy.detector, scenes[0], RefineParams(max_windows=50))
    assert len(few) == 50


def test_what_is_ignored_is_not_learnt_from(toy, scenes):
    pictures = tuple(
        Picture(p.image_id, p.name, p.boxes, p.labels, [True, False], p.crowd, pixels=p.pixels)
        for p in scenes[0].pictures
    )
    (own,) = gather(toy.detector, Dataset("half", pictures), RefineParams())
    (whole,) = gather(toy.detector, scenes[0], RefineParams())
    assert own.n_objects <= 24 < whole.n_objects
    near = own.objects >= 0
    assert near.sum() < (whole.objects >= 0).sum()


def test_a_template_without_examples_is_left_alone(toy, scenes):
    few = Dataset("few", scenes[0].pictures[:1])
    detector, told = refine(toy.detector, few, RefineParams(n_stages=2))
    reasons = [entry["skipped"] for entry in told["boxes"]]
    assert len(reasons) == 2
    assert "fewer than 40" in reasons[0]
    assert detector.templates[0].refinement is None


def test_pictures_that_cannot_be_read(toy, scenes, tmp_path):
    bad = Picture(999, "gone.png", [[0, 0, 30, 30]], [LABEL], [False], [False],
                  path=tmp_path / "gone.png")  # fmt: skip
    broken = Dataset("broken", (*scenes[0].pictures, bad))
    with pytest.raises(DataError, match=r"gone\.png"):
        refine(toy.detector, broken)
    _, told = refine(toy.detector, broken, RefineParams(skip_bad=True))
    assert [entry["file"] for entry in told["skipped"]] == ["gone.png"]


def test_crops_and_foreign_labels_are_refused(toy, scenes):
    crops = Dataset("crops", crops=Crops(np.zeros((4, 24, 24), np.uint8), label=LABEL))
    with pytest.raises(DataError, match=r"'crops' has none with an object of 'cross'\. Crops are"):
        refine(toy.detector, crops)
    other = Dataset("other", (Picture(0, "a.png", [[0, 0, 9, 9]], ["dot"], [False], [False],
                                      pixels=np.zeros((40, 40), np.uint8)),))  # fmt: skip
    with pytest.raises(DataError, match="'other' has none"):
        refine(toy.detector, other)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss": "l3"}, "l3"),
        ({"loss": "l1", "loss_params": {"beta": 1.0}}, "beta"),
        ({"regressor": "forest"}, "'regressor' parameter of RefineParams must be one of 'linear'"),
        ({"n_stages": 0}, "'n_stages' parameter"),
        ({"order": "both"}, "'order' parameter"),
        ({"weights": "pisa"}, "'weights' parameter"),
        ({"sampling": "all"}, "'sampling' parameter"),
        ({"min_iou": 0.1}, "'min_iou' parameter"),
        ({"max_windows": 3}, "'max_windows' parameter"),
        ({"location": "crop"}, "'location' parameter"),
        ({"max_lost": 0.9}, "'max_lost' parameter"),
        ({"rescore": 1}, "'rescore' parameter of RefineParams must be True or False"),
    ],
)
def test_wrong_parameters_are_refused(params, message):
    with pytest.raises(ParameterError, match=message):
        RefineParams(**params)


def test_a_refined_template_has_no_mirror_image(refined):
    detector = refined[0]
    with pytest.raises(ParameterError, match="is refined already, so it has no mirror image"):
        detector.templates[0].mirrored(detector.channels)


def test_a_refinement_of_other_channels_is_refused(toy, linear_toy, refined):
    from dataclasses import replace

    template = replace(
        linear_toy.detector.templates[0], refinement=refined[0].templates[0].refinement
    )
    with pytest.raises(ParameterError, match=r"The refinement of template 0 has .* inputs, but"):
        linear_toy.detector.with_templates([template])


def test_linear_detectors_are_refined_too(linear_toy, scenes):
    detector, _ = refine(linear_toy.detector, scenes[0])
    after = mean_overlap(detector, scenes[1])
    assert after > mean_overlap(linear_toy.detector, scenes[1]) + 0.05


def test_boxes_are_brought_to_another_convention_first(toy, scenes):
    detector = remapped(toy.detector, (0.0, 0.0, 1.0, 1.3))
    assert mean_overlap(detector, scenes[1]) > mean_overlap(toy.detector, scenes[1]) + 0.05


def test_tiles_find_refined_boxes(refined, rng):
    image = conftest.noise(rng, (150, 220))
    for x, y in ((20, 30), (100, 60), (170, 20)):
        conftest.draw_cross(image, x, y, 30)
    whole = refined[0].detect(image)
    tiled = detect_tiled(refined[0], image, tile=(110, 130), overlap=60)
    assert len(whole) >= 3
    best = overlap(whole.boxes[:3], tiled.boxes).max(axis=1)
    assert (best > 0.7).all()


def test_files_of_version_3_still_load(toy, tmp_path):
    toy.detector.save(tmp_path / "new")
    header, arrays = read_arrays(tmp_path / "new")
    write_arrays(tmp_path / "old", {**header, "format_version": 3}, arrays)
    loaded = Detector.load(tmp_path / "old")
    assert loaded.templates[0].refinement is None
    assert loaded.location is None


# The command line


@pytest.fixture(scope="module")
def files(toy, scenes, tmp_path_factory):
    """Return a folder with a model and annotated pictures."""
    folder = tmp_path_factory.mktemp("refine")
    (folder / "images").mkdir()
    pictures = []
    for picture in scenes[0].pictures:
        write_image(folder / "images" / picture.name, picture.pixels)
        pictures.append(
            Picture(picture.image_id, picture.name, picture.boxes, picture.labels, picture.ignore,
                    picture.crowd, path=folder / "images" / picture.name, size=picture.size)
        )  # fmt: skip
    write_annotations(Dataset("crosses", tuple(pictures)), folder / "train.json", format="coco")
    toy.detector.save(folder / "model.bdet")
    return folder


def run(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_verb_refine(files, scenes):
    data = ("--data", files / "train.json", "--images", files / "images")
    out = files / "refined.bdet"
    result = run("refine", files / "model.bdet", *data, "--out", out, "--location", "prune",
                 "--jobs", 1, "--json")  # fmt: skip
    told = json.loads(result.stdout)
    assert told["boxes"][0]["iou_after"] > told["boxes"][0]["iou_before"]
    assert "boxes of cross, template 0, stage 1: held-out overlap" in result.stderr
    assert "location:" in result.stderr
    assert max(map(len, result.stderr.splitlines())) <= 80
    detector = Detector.load(out)
    assert detector.location is not None
    photo = files / "images" / "0.png"
    plain = run("detect", photo, "--model", files / "model.bdet").stdout
    assert run("detect", photo, "--model", out).stdout != plain
    bare = run("detect", photo, "--model", out, "--no-refinement", "--no-location").stdout
    assert bare == plain
    facts = json.loads(run("info", out, "--json").stdout)
    assert facts["templates"][0]["refinement"][0]["loss"]["name"] == "smooth-l1"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "Give the annotations, or a named set with --dataset, one of them."),
        (("--dataset", "mit-cmu"), 1, "mit-cmu"),
        (("--data", "train.json", "--loss", "none"), 2, "There is nothing to learn"),
        (("--data", "train.json", "--loss", "gio"), 2, "giou"),
        (("--dataset", "faces"), 1, "Crops are not enough"),
    ],
)
def test_what_the_verb_refuses(files, monkeypatch, options, code, message):
    monkeypatch.chdir(files)
    result = run("refine", "model.bdet", *options, "--out", "never.bdet", code=code)
    assert message in " ".join(result.stderr.split())
    assert not (files / "never.bdet").exists()


def test_train_refines_at_the_end(files, tmp_path):
    arguments = (
        "train", "--data", files / "train.json", "--images", files / "images", "--window", "24x24",
        "--rounds", 0, "--n-trees", 32, "--keep", 1.0, "--jobs", 1, "--out", tmp_path / "run",
        "--refine", "l1", "--location", "prune", "--test-data", files / "train.json",
        "--test-images", files / "images",
    )  # fmt: skip
    result = run(*arguments)
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["refinement"]["boxes"][0]["n_objects"] > 0
    assert summary["refinement"]["location"]["use"] == "prune"
    assert "held-out overlap" in result.stderr
    detector = Detector.load(tmp_path / "run" / "model.bdet")
    assert detector.templates[0].refinement.stages[0].loss.name == "l1"
    assert detector.location is not None


def test_train_refuses_to_refine_without_pictures(tmp_path):
    result = run("train", "--dataset", "faces", "--refine", "giou", "--out", tmp_path / "r", code=1)
    assert "Crops are not enough" in " ".join(result.stderr.split())
    assert not (tmp_path / "r").exists()
