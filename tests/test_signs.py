"""Drawn traffic signs: what is annotated is what is rendered, and only when it is asked for."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from bootstrap_det import synth_signs
from bootstrap_det.boxes import overlap
from bootstrap_det.cli import main
from bootstrap_det.data import Picture, named, read_coco
from bootstrap_det.data.signs import CLASSES, GROUPS, SceneSource, frequencies
from bootstrap_det.data.signs import synth as synth_module
from bootstrap_det.data.signs.appearance import (
    MAX_COVERED,
    Look,
    draw_cover,
    draw_homography,
    extent,
    outline_in_picture,
    paint,
    scaled,
)
from bootstrap_det.data.signs.backgrounds import PICTURES
from bootstrap_det.data.signs.distractors import KINDS, Distractor
from bootstrap_det.data.signs.pen import REACH, SIDE
from bootstrap_det.data.signs.scenes import Camera, compose, photograph
from bootstrap_det.exceptions import ParameterError


@pytest.fixture(scope="module")
def many():
    """Return a set that is large enough to count in; nothing of it is rendered."""
    return synth_signs(400, seed=5, labels="class")


def extent_of(changed):
    """Return the box of the pixels that are marked, xyxy on pixel edges."""
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def plain(scene):
    """Return a scene whose signs are neither blurred nor covered, nor lit by what is near."""
    signs = tuple(dataclasses.replace(sign, look=Look(), cover=None) for sign in scene.signs)
    return dataclasses.replace(scene, signs=signs)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.name)
def test_sprite_is_opaque_inside_its_outline(kind):
    sprite = kind.sprite()
    assert sprite.shape == (SIDE, SIDE, 4)
    assert sprite.dtype == np.uint8
    # x1, y1, x2, y2 of the outline, from sign units to the sprite's pixels
    expected = (extent(np.eye(3), kind.outline) + REACH) * SIDE / (2 * REACH)
    np.testing.assert_allclose(extent_of(sprite[..., 3] > 127), expected, atol=0.6)
    assert (sprite[..., :3] <= sprite[..., 3:]).all()  # colours are multiplied by alpha


def test_sprites_of_one_shape_coincide_and_all_differ_at_24_pixels():
    sprites = {kind.name: kind.sprite().astype(int) for kind in CLASSES}
    for kind in CLASSES:
        for other in CLASSES:
            same_shape = (kind.group == "danger") == (other.group == "danger")
            alpha = [sprites[k.name][..., 3] for k in (kind, other)]
            assert (np.abs(alpha[0] - alpha[1]).mean() < 1) == same_shape
            if kind is not other:
                small = [cv2.resize(sprites[k.name].astype(np.uint8), (24, 24),
                                    interpolation=cv2.INTER_AREA).astype(int)
                         for k in (kind, other)]  # fmt: skip
                assert np.abs(small[0] - small[1]).max() > 60, (kind.name, other.name)


def opacity(sign, size):
    """Return how much of the ground a sign hides, shape (height, width), 0 to 1."""
    grounds = [np.full((*size, 3), level, np.float32) for level in (0, 255)]
    for ground in grounds:
        paint(ground, sign)
    return 1 - (grounds[1] - grounds[0]).mean(axis=-1) / 255


@pytest.mark.parametrize("index", range(12))
def test_boxes_are_those_of_the_rendered_pixels(index):
    scene = plain(SceneSource(7, index).scene())
    whole = compose(scene)
    for k, sign in enumerate(scene.signs):
        alpha = opacity(sign, scene.size)
        # Versions of OpenCV differ by some hundredths in how they smooth borders.
        np.testing.assert_allclose(extent_of(alpha > 0.1), sign.box, atol=1.05)
        np.testing.assert_allclose(extent_of(alpha > 0.5), sign.box, atol=1.0)
        outline = outline_in_picture(sign.homography, sign.figure.outline)
        assert alpha.sum() == pytest.approx(cv2.contourArea(outline.astype(np.float32)), rel=0.02)
        without = dataclasses.replace(scene, signs=scene.signs[:k] + scene.signs[k + 1 :])
        changed = np.abs(whole - compose(without)).max(axis=-1) > 1.0
        assert (alpha[changed] > 0).all()
        assert changed[alpha > 0.5].mean() > 0.9  # white on white does not change


def test_boxes_do_not_depend_on_what_covers_and_blurs():
    scenes = [SceneSource(3, index).scene() for index in range(40)]
    assert any(sign.cover for scene in scenes for sign in scene.signs)
    for scene in scenes:
        np.testing.assert_array_equal(plain(scene).boxes, scene.boxes)
        assert len(scene.classes) == len(scene.boxes)


def test_annotations_lie_inside_and_apart(many):
    for picture in many.pictures:
        height, width = picture.size
        assert (picture.boxes >= 1).all()
        assert (picture.boxes <= np.array([width, height, width, height]) - 1).all()
        shared = overlap(picture.boxes, picture.boxes)
        assert (shared[~np.eye(len(shared), dtype=bool)] == 0).all()


def test_sizes_are_log_uniform_and_within_limits(many):
    sides = np.concatenate([p.boxes[:, 2:] - p.boxes[:, :2] for p in many.pictures]).max(axis=1)
    assert sides.min() >= 16 - 1e-9
    assert sides.max() <= 128 + 1e-9
    assert np.median(sides) == pytest.approx(np.sqrt(16 * 128), rel=0.12)


def test_frequencies_are_long_tailed(many):
    shares = frequencies()
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares[0] / shares, np.arange(1, len(CLASSES) + 1))
    labels = np.concatenate([picture.labels for picture in many.pictures])
    counts = np.array([(labels == kind.name).sum() for kind in CLASSES])
    assert (counts > 0).all()  # every class is drawn
    deviations = np.sqrt(len(labels) * shares * (1 - shares))
    assert (np.abs(counts - len(labels) * shares) < 4 * deviations).all()


def test_numbers_of_signs_are_equally_likely(many):
    n_signs = np.bincount([len(picture.boxes) for picture in many.pictures], minlength=5)
    assert len(n_signs) == 5
    assert n_signs.min() > 50
    assert len(many.negatives()) == n_signs[0]


def test_same_seed_same_pictures():
    one, other = synth_signs(4, seed=9), synth_signs(4, seed=9)
    assert one.digest() == other.digest()
    for first, second in zip(one.pictures, other.pictures, strict=True):
        np.testing.assert_array_equal(first.load("rgb"), second.load("rgb"))
    assert synth_signs(4, seed=10).digest() != one.digest()
    assert synth_signs(6, seed=9).subset(range(4)).digest() == one.digest()


def test_digest_covers_what_only_the_pixels_show(monkeypatch):
    before = synth_signs(2, max_signs=0).digest()
    monkeypatch.setattr(synth_module, "VERSION", 999)
    assert synth_signs(2, max_signs=0).digest() != before


def test_pictures_differ():
    pictures = synth_signs(6, max_signs=0).pictures
    assert len({picture.load("rgb").tobytes() for picture in pictures}) == 6
    test = synth_signs(6, max_signs=0, part="test").pictures
    assert not {p.name for p in pictures} & {p.name for p in test}
    assert len({p.load("rgb").tobytes() for p in (*pictures, *test)}) == 12


def test_loading_renders_one_picture_and_keeps_nothing(monkeypatch):
    rendered = []
    render = synth_module.render
    monkeypatch.setattr(
        synth_module, "render", lambda scene: (rendered.append(scene), render(scene))[1]
    )
    data = synth_signs(60, seed=4)
    assert rendered == []
    last = data.pictures[59].load("rgb")
    assert len(rendered) == 1
    assert data.pictures[59].pixels is None
    data.pictures[0].load()
    np.testing.assert_array_equal(data.pictures[59].load("rgb"), last)
    assert len(rendered) == 3
    assert last.shape == (*data.pictures[59].size, 3)


def test_parts_have_different_backgrounds():
    assert not {n.split("_")[0] for n in PICTURES["train"]} & {
        n.split("_")[0] for n in PICTURES["test"]
    }
    for part, names in PICTURES.items():
        scenes = [SceneSource(0, index, part).scene() for index in range(60)]
        used = {layer.name for scene in scenes for layer in scene.layers}
        assert used <= set(names)
        assert len(used) > len(names) / 2


def test_labels_are_groups_or_classes():
    groups, classes = synth_signs(20, seed=2), synth_signs(20, seed=2, labels="class")
    assert groups.categories == GROUPS
    group_of = {kind.name: kind.group for kind in CLASSES}
    for one, other in zip(groups.pictures, classes.pictures, strict=True):
        assert one.labels.tolist() == [group_of[label] for label in other.labels]
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_covers_hide_no_more_than_stated(rng):
    outline = CLASSES[3].outline  # a triangle has the least area for its length
    shares = []
    while len(shares) < 40:
        view = scaled(draw_homography(rng), outline, 400.0)
        cover = draw_cover(rng, view, outline)
        if cover is None:
            continue
        sign, hidden = np.zeros((2, 420, 420), np.uint8)
        cv2.fillPoly(sign, [np.rint(outline_in_picture(view, outline)).astype(np.int32)], 1)
        cv2.fillPoly(hidden, [np.rint(cover.points).astype(np.int32)], 1)
        shares.append((sign & hidden).sum() / sign.sum())
    assert max(shares) <= MAX_COVERED + 0.01
    assert max(shares) > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_distractors_fill_their_outline(kind):
    for seed in range(5):
        distractor = Distractor(kind, seed)
        x1, y1, x2, y2 = extent(np.eye(3), distractor.outline)
        assert max(x2 - x1, y2 - y1) == pytest.approx(1.0, abs=0.05)
        expected = (np.array([x1, y1, x2, y2]) + REACH) * SIDE / (2 * REACH)
        np.testing.assert_allclose(extent_of(distractor.sprite()[..., 3] > 127), expected, atol=1.0)


def test_camera_without_effects_changes_nothing():
    canvas = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.float32)
    np.testing.assert_array_equal(photograph(canvas, Camera(), 0), canvas)
    noisy = photograph(canvas, Camera(noise=5.0, quality=60), 1)
    assert noisy.shape == canvas.shape
    assert (noisy != canvas).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_pictures": 0}, r"'n_pictures' parameter of synth_signs must be an int in \[1"),
        ({"seed": -1}, r"'seed' parameter of synth_signs .* Got -1"),
        ({"labels": "kind"}, "'labels' parameter of synth_signs must be one of 'group', 'class'"),
        ({"part": "val"}, "'part' parameter of synth_signs must be one of 'train', 'test'"),
        ({"max_signs": 9}, r"'max_signs' parameter of synth_signs must be an int in \[0, 8\]"),
        ({"sizes": (4, 64)}, r"'sizes' parameter of synth_signs must be .* \[8, 200\]\. Got 4"),
        ({"sizes": (16, 300)}, r"'sizes' parameter .* Got 300"),
        ({"sizes": (64, 16)}, r"the smallest size and the largest\. Got \(64, 16\).*exchange"),
        ({"sizes": 16}, "'sizes' parameter of synth_signs must be"),
    ],
)
def test_synth_signs_errors(changes, message):
    with pytest.raises(ParameterError, match=message):
        synth_signs(**{"n_pictures": 2, **changes})


class Grey:
    """A source of a picture of one grey."""

    key = "grey 7"

    def __init__(self, shape=(4, 6)):
        self.shape = shape

    def __call__(self):
        return np.full(self.shape, 7, np.uint8)


def test_picture_of_a_source():
    picture = Picture(0, "a", size=(4, 6), source=Grey())
    assert (picture.load() == 7).all()
    assert picture.load("rgb").shape == (4, 6, 3)
    assert picture.load().flags.writeable
    with pytest.raises(ParameterError, match=r"source of Picture 'a' must make .*\(4, 6\)\. Got"):
        Picture(0, "a", size=(4, 6), source=Grey((5, 6))).load()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": None}, r"has a source, so it needs a size, \(height, width\)"),
        ({"source": lambda: None}, "must be callable and have a `key`, a str"),
        ({"path": "a.png"}, "a path or pixels, and not both, or a source instead"),
        ({"pixels": np.zeros((4, 6), np.uint8)}, "or a source instead"),
    ],
)
def test_picture_of_a_source_errors(changes, message):
    with pytest.raises(ParameterError, match=message):
        Picture(**{"image_id": 0, "name": "a", "size": (4, 6), "source": Grey(), **changes})


def test_named_set_has_all_parts():
    splits = named.load("signs")
    assert (len(splits.train), len(splits.negatives), len(splits.test)) == (300, 150, 60)
    assert splits.negatives.n_objects == 0
    assert splits.train.categories == splits.test.categories == GROUPS
    for group in GROUPS:
        assert sum((p.labels == group).sum() for p in splits.test.pictures) >= 10
    assert "composites" in splits.test.notes[0]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_command_writes_what_can_be_read_back(tmp_path):
    out = tmp_path / "signs"
    result = run(
        "dataset", "synth", "--out", out, "--n-pictures", 5, "--seed", 3, "--labels", "class",
        "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["n_pictures"] == 5
    made = synth_signs(5, seed=3, labels="class")
    read = read_coco(out / "annotations.json")
    assert read.categories == made.categories
    for one, other in zip(read.pictures, made.pictures, strict=True):
        assert (one.name, one.labels.tolist()) == (other.name, other.labels.tolist())
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-9)
        np.testing.assert_array_equal(one.load("rgb"), other.load("rgb"))
    categories = json.loads((out / "annotations.json").read_text())["categories"]
    assert categories[0] == {"id": 1, "name": "speed_50", "supercategory": "prohibitory"}


def test_command_refuses_a_folder_in_use(tmp_path):
    (tmp_path / "annotations.json").write_text("{}")
    command = ("dataset", "synth", "--out", tmp_path, "--n-pictures", 1, "--format", "jpg")
    refused = run(*command)
    assert refused.exit_code == 1
    assert "has an annotations.json already. Give another folder, or --overwrite" in refused.stderr
    done = run(*command, "--overwrite")
    assert done.exit_code == 0
    assert "1 pictures" in done.stdout
    assert len(list((tmp_path / "images").glob("*.jpg"))) == 1
    (tmp_path / "images" / "own.png").write_bytes(b"not of the set")
    png = ("dataset", "synth", "--out", tmp_path, "--n-pictures", 2, "--overwrite")
    assert run(*png).exit_code == 0
    left = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert [name[-4:] for name in left] == [".png"] * 3
    assert "own.png" in left
    (tmp_path / "file").write_text("")
    blocked = run("dataset", "synth", "--out", tmp_path / "file" / "inner", "--n-pictures", 1)
    assert blocked.exit_code == 1
    assert "cannot be made" in blocked.stderr


def test_a_quick_detector_finds_signs_of_a_group():
    from bootstrap_det import ACF, BoostedLearner, BootstrapParams, Pyramid, train
    from bootstrap_det.evaluation import evaluate_detector

    small = {"sizes": (24.0, 64.0)}
    result = train(
        synth_signs(50, seed=1, **small),
        labels="prohibitory",
        window=(24, 24),
        channels=ACF(normalise="window", color="rgb"),
        pyramid=Pyramid(min_object_size=20, max_object_size=70, scales_per_octave=5),
        learner=BoostedLearner(n_trees=96, n_trees_first=32),
        params=BootstrapParams(n_rounds=1, n_jobs=2, n_random_negatives=1500, seed=1),
    )
    test = synth_signs(25, seed=2, part="test", **small)
    measured = evaluate_detector(result.detector, test, labels="prohibitory", n_jobs=2)
    assert measured.evaluation.ap > 0.5
