"""Two levels: groups found by templates, and the class inside the group told by the window."""

import csv
import json
from dataclasses import replace

import conftest
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import Detector, detect_tiled, evaluate_detector, load_dataset, train
from bootstrap_det.boxes import overlap
from bootstrap_det.channels import default_channels
from bootstrap_det.classifiers import LinearLearner
from bootstrap_det.classifiers.class_fitting import fit_classes
from bootstrap_det.classifiers.class_model import ClassModel
from bootstrap_det.classifiers.platt import calibrate
from bootstrap_det.cli import main
from bootstrap_det.comparison import JobTrial
from bootstrap_det.data import (
    Dataset,
    Picture,
    by_group,
    gtsdb,
    merge,
    merge_labels,
    named,
    read_coco,
    synth_signs,
    write_annotations,
    write_coco,
)
from bootstrap_det.detections import Detections
from bootstrap_det.evaluation import evaluate_classes
from bootstrap_det.exceptions import DataError, ModelFormatError, ParameterError
from bootstrap_det.hierarchy import box_features
from bootstrap_det.images import write_image
from bootstrap_det.imbalance import make_strategy
from bootstrap_det.imbalance.classes import Hierarchical
from bootstrap_det.mining import BootstrapParams
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.samples import Jitter, object_features
from bootstrap_det.windows import Window

SIDE = 24
GROUPS = {f"{group}_{i}": group for group in ("lying", "standing") for i in (1, 2)}


def draw(image, label, x, y):
    """Draw a lying or a standing bar into a square of 24 pixels, whole or with a gap."""
    square = np.zeros((SIDE, SIDE), bool)
    square[8:16, 2:22] = True
    if label.endswith("2"):
        square[10:14, 5:19] = False
    square = square if label.startswith("lying") else square.T
    image[y : y + SIDE, x : x + SIDE][square] = 240


def scenes(rng, n=16, labels=tuple(GROUPS)):
    """Return pictures with one bar of each group, each class in turn."""
    pictures = []
    for index in range(n):
        image = conftest.noise(rng, (80, 112))
        places = {
            labels[index % 2]: (rng.integers(4, 26), rng.integers(4, 50)),
            labels[2 + index // 2 % 2]: (rng.integers(60, 84), rng.integers(4, 50)),
        }
        for label, (x, y) in places.items():
            draw(image, label, x, y)
        boxes = [[x, y, x + SIDE, y + SIDE] for x, y in places.values()]
        flags = [False] * 2
        pictures.append(Picture(index, f"{index:02}.png", boxes, list(places), flags, flags,
                                pixels=image))  # fmt: skip
    return Dataset("bars", tuple(pictures), categories=tuple(GROUPS), groups=GROUPS)


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
    return dataset, train(dataset, strategy="hierarchical", **QUICK), scenes(rng, 8)


# Data sets that know groups


def test_groups_are_checked_and_change_the_digest(rng):
    dataset = scenes(rng, 2)
    assert dataset.members("lying") == ("lying_1", "lying_2")
    without = replace(dataset, groups={})
    assert without.digest() != dataset.digest()
    assert without.members("lying_1") == ("lying_1",)
    with pytest.raises(ParameterError, match=r"'groups' of data set 'bars'.*'round': 'lying'"):
        replace(dataset, groups={"round": "lying"})


def test_groups_become_labels_and_go_with_merged_ones(rng):
    dataset = scenes(rng, 4)
    grouped = by_group(dataset)
    assert grouped.categories == ("lying", "standing")
    assert not grouped.groups
    assert {str(name) for p in grouped.pictures for name in p.labels} == {"lying", "standing"}
    assert merge_labels(dataset, {"lying_1": "bar", "lying_2": "bar"}).groups["bar"] == "lying"
    across = merge_labels(dataset, {"lying_1": "bar", "standing_1": "bar"})
    assert set(across.groups) == {"lying_2", "standing_2"}
    other = replace(dataset, groups={**GROUPS, "lying_1": "standing"})
    with pytest.raises(DataError, match=r"'lying_1' is of the group 'lying' in .*two names"):
        merge(dataset, other, "both")
    assert merge(dataset, replace(dataset, groups={}), "both").groups == GROUPS


def test_coco_keeps_groups_and_other_formats_say_that_they_do_not(rng, tmp_path):
    dataset = scenes(rng, 2)
    for picture in dataset.pictures:
        write_image(tmp_path / picture.name, picture.pixels)
    write_coco(dataset, tmp_path / "a.json")
    back = read_coco(tmp_path / "a.json")
    assert back.groups == GROUPS
    named_alike = merge_labels(dataset, {"lying_1": "lying"})
    write_coco(named_alike, tmp_path / "b.json")
    entries = json.loads((tmp_path / "b.json").read_text())["categories"]
    assert [each["supercategory"] for each in entries][:2] == ["lying", "lying"]
    again = read_coco(tmp_path / "b.json")
    assert again.members("lying") == ("lying", "lying_2")
    written = write_annotations(back, tmp_path / "c.csv", format="csv")
    assert "groups of the labels were lost" in written.notes[-1]


def test_named_sets_with_classes(monkeypatch):
    monkeypatch.setattr(named, "synth_signs", lambda n, **parts: synth_signs(n // 30, **parts))
    plain, fine = (load_dataset("signs", classes=classes) for classes in (False, True))
    for one, other in zip(by_group(fine.train).pictures, plain.train.pictures, strict=True):
        assert one.labels.tolist() == other.labels.tolist()
    assert len(fine.test.categories) == len(fine.test.groups) == 14
    with pytest.raises(ParameterError, match=r"'faces' has no classes .* 'gtsdb' or 'signs'"):
        load_dataset("faces", classes=True)


def test_gtsdb_with_classes_in_its_original_layout(tmp_path, monkeypatch):
    monkeypatch.setattr(gtsdb, "N_TRAIN", 1)
    (tmp_path / "00000.ppm").write_text("P6")
    (tmp_path / "gt.txt").write_text("00000.ppm;774;411;815;446;18\n00000.ppm;10;20;50;60;12\n")
    fine = gtsdb.read_gtsdb(tmp_path, "train", classes=True)
    assert fine.pictures[0].labels.tolist() == ["danger", "priority road"]
    assert fine.pictures[0].ignore.tolist() == [False, True]
    assert len(fine.members("danger")) == 15
    write_coco(fine, tmp_path / "fine.json")
    (tmp_path / "fine.json").write_text(  # the size of a picture that is none
        (tmp_path / "fine.json").read_text()
    )
    same = gtsdb.read_gtsdb_coco(tmp_path / "fine.json", tmp_path, classes=True)
    assert same.groups == fine.groups
    plain = gtsdb.read_gtsdb_coco(tmp_path / "fine.json", tmp_path)
    assert plain.pictures[0].labels.tolist() == ["danger", "other"]


# The model of the classes


def blobs(rng, sizes, n_features=6, n_rows=3, dtype=np.float32):
    """Return rows of objects of classes that lie apart."""
    centres = rng.normal(0, 2, (len(sizes), n_features))
    labels = np.repeat([f"c{i}" for i in range(len(sizes))], sizes)
    at = np.repeat(centres, sizes, axis=0)
    features = np.repeat(at, n_rows, axis=0) + rng.normal(0, 0.3, (len(at) * n_rows, n_features))
    if dtype == np.uint8:
        features = np.clip(128 + 16 * features, 0, 255)
    objects = np.repeat(np.arange(len(at)), n_rows)
    return features.astype(dtype), labels[objects], objects


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_classes_are_learnt_with_a_temperature_of_held_out_objects(rng, dtype, n_classes):
    features, labels, objects = blobs(rng, [12, 7, 5, 4][:n_classes], dtype=dtype)
    model, fit = fit_classes(features, labels, objects)
    assert (np.array(model.labels)[model.probabilities(features).argmax(axis=1)] == labels).all()
    assert fit.accuracy > 0.9
    sure = model.probabilities(features).max(axis=1)
    assert 0.8 < sure.mean() < 0.999  # however far apart, some doubt stays
    again, _ = fit_classes(features, labels, objects)
    np.testing.assert_array_equal(again.weights, model.weights)


def test_a_class_of_one_object_is_learnt_all_the_same(rng):
    features, labels, objects = blobs(rng, [9, 6, 1])
    model, fit = fit_classes(features, labels, objects)
    assert fit.n_objects == {"c0": 9, "c1": 6, "c2": 1}
    assert model.labels[model.probabilities(features[-1:]).argmax()] == "c2"
    _, nothing_held_out = fit_classes(*blobs(rng, [1, 1]))
    assert nothing_held_out.accuracy is None
    alone, _ = fit_classes(*blobs(rng, [3]))
    np.testing.assert_array_equal(alone.probabilities(features), 1.0)


def test_balanced_classes_favour_the_rare(rng):
    features = rng.normal(0, 1, (300, 2)).astype(np.float32)
    labels = np.repeat(["often", "rare"], [280, 20])
    objects = np.arange(300)
    shares = [
        fit_classes(features, labels, objects, balanced=even)[0].probabilities(features).mean(0)[1]
        for even in (True, False)
    ]
    assert shares[0] > 0.3 > 0.15 > shares[1]


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_probabilities_of_classes_sum_to_one(n_classes, seed):
    rng = np.random.default_rng(seed)
    names = tuple(f"c{i}" for i in range(n_classes))
    scale = 10.0 ** rng.uniform(-3, 3)
    model = ClassModel(names, rng.normal(0, scale, (n_classes, 4)), rng.normal(0, 1, n_classes))
    shares = model.probabilities(rng.normal(0, 1, (7, 4)))
    assert shares.shape == (7, n_classes)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)


def test_models_of_classes_are_checked(rng):
    with pytest.raises(ParameterError, match=r"'labels' of ClassModel .* sorted.*\('b', 'a'\)"):
        ClassModel(("b", "a"), np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(ParameterError, match=r"2 classes needs a row.*shape \(1, 3\)"):
        ClassModel(("a", "b"), np.zeros((1, 3)), np.zeros(2))
    with pytest.raises(ParameterError, match="must be finite"):
        ClassModel(("a",), np.full((1, 3), np.nan), np.zeros(1))
    with pytest.raises(ParameterError, match=r"needs 3 features a window\. Got 4"):
        ClassModel(("a",), np.zeros((1, 3)), np.zeros(1)).probabilities(np.zeros((2, 4)))
    with pytest.raises(DataError, match="no window of any object"):
        fit_classes(np.zeros((0, 3), np.float32), np.zeros(0, str), np.zeros(0, int))


def test_scores_of_detections_become_probabilities(rng):
    scores = rng.normal(0, 2, 4000)
    hits = rng.uniform(size=4000) < 1 / (1 + np.exp(-(1.5 * scores - 1.0)))
    assert calibrate(scores, hits) == pytest.approx((1.5, -1.0), abs=0.2)
    factor, offset = calibrate(np.array([-1.0, -2.0, 1.0, 2.0]), np.array([False] * 2 + [True] * 2))
    assert 0.5 < 1 / (1 + np.exp(-(factor * 2.0 + offset))) < 0.9  # few outcomes, never sure
    assert calibrate(np.zeros(0), np.zeros(0, bool)) == (1.0, 0.0)


# Training and detection


def test_groups_get_templates_and_a_model_of_their_classes(bars):
    _, result, _ = bars
    detector = result.detector
    assert detector.labels == ("lying", "standing")
    assert detector.names == tuple(sorted(GROUPS))
    assert detector.classes["lying"].labels == ("lying_1", "lying_2")
    assert result.classes["lying"]["n_objects"] == {"lying_1": 8, "lying_2": 8}
    assert result.classes["lying"]["rare"] == []
    assert json.loads(json.dumps(result.classes)) == result.classes


def test_templates_are_those_of_a_flat_detector(bars):
    dataset, result, _ = bars
    flat = train(by_group(dataset), **QUICK).detector
    assert not flat.classes
    for one, other in zip(flat.templates, result.detector.templates, strict=True):
        assert conftest.parts_of(one.model) == conftest.parts_of(other.model)


def test_detections_are_the_flat_ones_with_the_class_of_their_boxes(bars):
    _, result, test = bars
    detector = result.detector
    flat = detector.replace(classes={})
    for picture in test.pictures:
        image = picture.load()
        found, plain = detector.detect(image), flat.detect(image)
        assert plain.classes is plain.probabilities is None
        for name in ("boxes", "scores", "labels", "sources"):
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name))
        for label, model in detector.classes.items():
            own = found[found.labels == label]
            if not len(own):
                continue
            shares = model.probabilities(box_features(image, own.boxes, model.view))
            assert own.classes.tolist() == [model.labels[i] for i in shares.argmax(axis=1)]
            np.testing.assert_array_equal(own.class_probabilities, shares.max(axis=1))
            np.testing.assert_allclose(own.probabilities, model.group_probabilities(own.scores))


def test_a_box_is_seen_as_an_object_in_training(rng):
    """The same box of the same picture, whether it was annotated or found."""
    image = conftest.noise(rng, (90, 120))
    draw(image, "lying_1", 30, 20)
    box = np.array([[30.0, 20.0, 54.0, 44.0]])
    view = Hierarchical(side=48).class_view(Window((24, 32)))
    assert view.window.size == (40, 56)  # of the template's aspect, in whole cells
    seen = box_features(image, box, view)
    assert seen.shape == (1, view.n_features)
    still = Jitter(n_copies=0, mirror=False)
    ref = object_features(image, box[0], view.window, view.channels, still, rng)
    np.testing.assert_array_equal(seen, ref.features)


def test_colours_are_told_by_grey_histograms_too(rng):
    image = np.repeat(conftest.noise(rng, (60, 60))[..., None], 3, axis=2)
    view = Hierarchical().class_view(Window((24, 24)))
    boxes = np.array([[5.0, 5.0, 30.0, 30.0]])
    np.testing.assert_array_equal(
        box_features(image, boxes, view), box_features(image[..., 0], boxes, view)
    )


def test_a_saved_detector_gives_the_same_classes(bars, tmp_path):
    _, result, test = bars
    result.detector.save(tmp_path / "m.bdet")
    loaded = Detector.load(tmp_path / "m.bdet")
    image = test.pictures[0].load()
    one, other = result.detector.detect(image), loaded.detect(image)
    assert len(one)
    for name in ("scores", "classes", "class_probabilities", "probabilities"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_model_file_whose_classes_are_damaged_is_refused(bars, tmp_path):
    from bootstrap_det.persistence import read_arrays, write_arrays

    bars[1].detector.save(tmp_path / "m.bdet")
    header, arrays = read_arrays(tmp_path / "m.bdet")
    del arrays["class_bias_0"]
    write_arrays(tmp_path / "bad.bdet", header, arrays)
    with pytest.raises(ModelFormatError, match="class_bias_0"):
        Detector.load(tmp_path / "bad.bdet")
    del header["classes"]
    header["format_version"] = 2  # as written before there were classes
    write_arrays(tmp_path / "old.bdet", header, arrays)
    assert not Detector.load(tmp_path / "old.bdet").classes


def test_classes_must_fit_the_detector(bars):
    detector = bars[1].detector
    model = detector.classes["lying"]
    with pytest.raises(ParameterError, match=r"'classes' of a Detector .*of none. Got 'lying'\."):
        detector.replace(classes={"lying": model})
    small = ClassModel(("a",), np.zeros((1, 3)), np.zeros(1))
    with pytest.raises(ParameterError, match=r"classes of 'lying' do not say what they look at"):
        detector.replace(classes={**detector.classes, "lying": small})
    with pytest.raises(ParameterError, match=r"weights of 3 features, but its view of \(40, 40\)"):
        ClassModel(("a",), np.zeros((1, 3)), np.zeros(1), view=model.view)
    alone = detector.of_label("standing")
    assert set(alone.classes) == {"standing"}


def test_tiles_find_the_classes_of_the_whole(bars):
    _, result, test = bars
    image = np.concatenate([p.load() for p in test.pictures[:3]], axis=1)
    detector = result.detector
    whole, tiled = detector.detect(image), detect_tiled(detector, image, tile=(80, 112), overlap=60)
    shared = overlap(whole.boxes, tiled.boxes)
    same = shared.max(axis=1) > 0.8
    assert same.sum() >= 4
    assert tiled.classes[shared.argmax(axis=1)][same].tolist() == whole.classes[same].tolist()
    assert len(detect_tiled(detector, image, tile=(80, 112), overlap=60, threshold=99.0)) == 0


def test_detections_carry_their_columns(bars):
    found = Detections(
        [[0, 0, 4, 4], [8, 8, 12, 12]], np.array([2.0, 1.0]), np.array(["a", "b"]), 7,
        np.array(["x", "y"]), np.array([0.5, 1.0]), np.array([0.9, 0.8]),
    )  # fmt: skip
    assert found[1].classes.tolist() == ["y"]
    assert found.mapped((0, 0, 1, 2)).class_probabilities.tolist() == [0.5, 1.0]
    np.testing.assert_allclose(found.class_scores, np.log([0.45 / 0.55, 0.8 / 0.2]))
    sure = replace(found, class_probabilities=np.ones(2), probabilities=np.ones(2))
    assert np.isfinite(sure.class_scores).all()
    entry = found.to_coco({"x": 1, "y": 2})[0]
    assert (entry["category_id"], entry["group"], entry["group_score"]) == (1, "a", 2.0)
    assert (entry["class_probability"], entry["probability"]) == (0.5, 0.9)
    with pytest.raises(ParameterError, match=r"'classes' of Detections .* 1 boxes\. Got 2"):
        Detections([[0, 0, 4, 4]], np.ones(1), np.array(["a"]), classes=np.array(["x", "y"]))
    with pytest.raises(ParameterError, match="'probabilities', or none"):
        replace(found, class_probabilities=None)


def test_strategies_join(bars):
    dataset, _, _ = bars
    joined = make_strategy("hierarchical:min_objects=9,balance=false+hard-negative")
    assert joined.by_group
    assert joined.spec == "hierarchical:balance=False,min_objects=9+hard-negative"
    quick = {**QUICK, "params": replace(QUICK["params"], n_rounds=0)}
    result = train(dataset, labels="lying", strategy=joined, mirror_pairs=True, **quick)
    assert result.classes["lying"]["rare"] == ["lying_1", "lying_2"]
    assert len(result.detector.templates) == 2  # and the mirror image
    assert set(result.detector.detect(dataset.pictures[0].load()).classes) <= set(GROUPS)


def test_what_cannot_be_trained_by_group_is_refused(bars, rng):
    dataset, _, _ = bars
    with pytest.raises(DataError, match=r"'hierarchical' needs the group .*'supercategory'"):
        train(replace(dataset, groups={}), strategy="hierarchical", **QUICK)
    with pytest.raises(ParameterError, match=r"of 'bars': 'lying', 'standing'. Got 'lying_1'"):
        train(dataset, labels="lying_1", strategy="hierarchical", **QUICK)
    with pytest.raises(ParameterError, match="'min_objects' parameter of hierarchical"):
        make_strategy("hierarchical:min_objects=-1")
    with pytest.raises(ParameterError, match=r"'hierarchical' trains other labels.*Leave it out"):
        JobTrial(None).job("hierarchical", 0)


def test_a_class_without_objects_is_reported(bars):
    dataset, _, _ = bars
    more = replace(dataset, categories=(*GROUPS, "lying_3"), groups={**GROUPS, "lying_3": "lying"})
    quick = {**QUICK, "params": replace(QUICK["params"], n_rounds=0)}
    result = train(more, labels="lying", strategy="hierarchical", **quick)
    assert result.classes["lying"]["n_objects"]["lying_3"] == 0
    assert result.classes["lying"]["rare"] == ["lying_3"]
    assert "lying_3" not in result.detector.names


# Measures


def test_the_levels_are_measured_apart(bars):
    _, result, test = bars
    measures = evaluate_detector(result.detector, test).to_dict()
    assert set(measures["labels"]) == {"lying", "standing"}
    flat = evaluate_detector(result.detector.replace(classes={}), by_group(test)).to_dict()
    assert "classes" not in flat
    assert flat["labels"] == measures["labels"]
    level = measures["classes"]
    assert level["accuracy"] > 0.8
    assert level["n_found"] == sum(each["n_found"] for each in level["groups"].values())
    assert set(level["ap"]) == set(GROUPS)
    assert level["mean_ap"] == pytest.approx(np.mean(list(level["ap"].values())))
    assert json.loads(json.dumps(measures)) == measures


def test_classes_are_counted_inside_what_was_found():
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10.0]])
    labels = ["lying_1", "lying_2", "standing_1"]
    picture = Picture(0, "a", boxes, labels, [False] * 3, [False] * 3,
                      pixels=np.zeros((20, 60), np.uint8))  # fmt: skip
    truth = Dataset("a", (picture,), categories=tuple(GROUPS), groups=GROUPS)
    # Of lying: one right, one of the wrong class, one where a standing object is.
    found = Detections(
        boxes, np.array([3.0, 2.0, 1.0]), np.array(["lying"] * 3), 0,
        np.array(["lying_1"] * 3), np.array([0.9, 0.6, 0.5]), np.ones(3),
    )  # fmt: skip
    level = evaluate_classes(truth, [found], ["lying", "standing"])
    assert (level.accuracy, level.n_found) == (0.5, 2)
    tables = {group: table.counts.tolist() for group, table in level.confusion.items()}
    assert tables["lying"] == [[1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert tables["standing"][0] == [0, 0, 1]
    aps = {name: each.ap for name, each in level.by_class.items()}
    assert (aps["lying_1"], aps["lying_2"], aps["standing_1"]) == (1.0, 0.0, 0.0)
    assert level.to_dict()["ap"]["standing_2"] is None
    assert level.mean_ap == pytest.approx(1 / 3)
    nothing = evaluate_classes(truth, [found[:0]], ["lying"])
    assert nothing.to_dict()["accuracy"] is None


# The command line


@pytest.fixture(scope="module")
def annotated(bars, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bars")
    for name, part in (("train", bars[0]), ("test", bars[2])):
        (folder / name).mkdir()
        for picture in part.pictures:
            write_image(folder / name / picture.name, picture.pixels)
        write_coco(part, folder / name / "annotations.json")
    return folder


def run(*arguments):
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    return done


def test_the_command_line_trains_detects_and_measures_two_levels(annotated, tmp_path):
    test = ("--test-data", annotated / "test/annotations.json")
    done = run(
        "train", "--data", annotated / "train/annotations.json", "--out", tmp_path / "run", *test,
        "--jobs", "1", "--features", "hog", "--classifier", "svm", "--C", "0.1", "--rounds", "1",
        "--n-random-negatives", "200", "--n-negatives-per-round", "100", "--json",
        "--strategy", "hierarchical:min_objects=9", "--scales-per-octave", "3",
    )  # fmt: skip
    assert "classes inside" in done.stderr
    assert "2 rare classes of lying" in done.stderr
    assert max(len(line) for line in done.stderr.splitlines()) <= 80
    summary = json.loads(done.stdout)
    assert set(summary["windows"]) == {"lying", "standing"}
    assert summary["test"]["n_objects"] == 16
    assert summary["final"]["classes"]["accuracy"] > 0.8
    assert summary["classes"]["lying"]["n_objects"]["lying_1"] == 8

    model = ("--model", tmp_path / "run/model.bdet")
    own = json.loads(run("evaluate", *model, *test, "--json").stdout)
    assert own["classes"] == summary["final"]["classes"]
    assert "right class" in run("evaluate", *model, *test).stdout
    results = json.loads(
        run("evaluate", "--results", tmp_path / "run/detections.json", *test, "--json").stdout
    )
    assert results["ap"] == pytest.approx(own["classes"]["mean_ap"], abs=1e-6)

    picture = annotated / "test/00.png"
    out = ("--csv", tmp_path / "found.csv", "--save-dir", tmp_path / "drawn")
    found = json.loads(run("detect", picture, *model, *out, "--json").stdout)
    assert [each["name"] for each in found["categories"]] == sorted(GROUPS)
    rows = list(csv.DictReader((tmp_path / "found.csv").read_text().splitlines()))
    assert {row["class"] for row in rows} <= set(GROUPS)
    assert len(rows) == len(found["results"]) > 0
    assert rows[0]["class"] in run("detect", picture, *model).stdout
    assert "lying_1" in run("info", tmp_path / "run/model.bdet").stdout
