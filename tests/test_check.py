"""Checking, mending and splitting data sets, and telling pictures that are the same."""

import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from bootstrap_det.data import Crops, Dataset, Picture, Skipped
from bootstrap_det.data.check import Change, check_dataset, mended, write_changes
from bootstrap_det.data.fingerprints import fingerprint, matches_between, matches_within
from bootstrap_det.data.split import split
from bootstrap_det.data.summary import summary
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.reach import unreachable_objects
from bootstrap_det.windows import Window


def scene(seed, size=(60, 80)):
    """Return a picture of smooth blotches, unlike those of other seeds."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8), np.uint8)
    return np.array(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def picture(index, boxes=(), labels=None, *, seed=None, name=None, pixels=None):
    n = len(boxes)
    return Picture(
        index, name or f"{index}.png", boxes, labels or ["cat"] * n, [False] * n, [False] * n,
        pixels=scene(index if seed is None else seed) if pixels is None else pixels,
    )  # fmt: skip


def kinds(findings):
    return [(each.severity, each.kind, each.file) for each in findings]


def test_a_good_data_set_has_no_findings():
    data = Dataset("d", tuple(picture(i, [[1, 2, 30, 40], [40, 2, 70, 40]]) for i in range(8)))
    assert check_dataset(data, n_jobs=2) == ()
    assert mended(data, ())[0].digest() == data.digest()
    assert mended(data, ())[1] == ()


def test_boxes_past_the_border_and_boxes_twice():
    boxes = [
        [-3, 2, 30, 40],
        [50, 2, 80.005, 40],
        [50, 2, 80, 40],
        [51, 2, 80, 40],
        [50, 2, 80, 40],
    ]
    data = Dataset("d", (picture(0, boxes, ["cat"] * 4 + ["dog"]),))
    findings = check_dataset(data)
    assert [(f.severity, f.kind, f.box) for f in findings] == [
        ("warning", "box past the border", 0),
        ("error", "box twice", 2),
        ("warning", "box twice", 3),
    ]
    assert findings[0].what == "Box 0 runs 3.00 px past the border of the picture."
    assert findings[0].mend == "Draw the visible part only, or let --fix cut it off."
    assert findings[1].what == "Box 2 (cat) covers box 1 (overlap 1.00)."
    assert findings[1].to_dict()["mend"] == "Remove one of the two, as --fix does."
    copy, changes = mended(data, findings)
    assert copy.pictures[0].boxes.tolist() == [[0, 2, 30, 40], *boxes[1:2], *boxes[3:]]
    assert copy.pictures[0].labels.tolist() == ["cat", "cat", "cat", "dog"]
    assert changes == (
        Change("0.png", "box 0 cut", "-3 2 30 40", "0 2 30 40"),
        Change("0.png", "box 2 left out", "50 2 80 40"),
    )
    assert [f.kind for f in check_dataset(copy)] == ["box twice"]


def test_pictures_that_cannot_be_used(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Image.fromarray(scene(1)).save(tmp_path / "small.png")
    broken = Picture(0, "broken.png", path=tmp_path / "broken.png", size=(60, 80))
    small = Picture(1, "small.png", path=tmp_path / "small.png", size=(80, 60))
    skipped = Skipped("a.json", "image 3 has the file_name 'x.png', which is not a file.")
    data = Dataset("d", (broken, small, picture(2)), skipped=(skipped,))
    findings = check_dataset(data)
    assert kinds(findings) == [
        ("error", "unusable item", "a.json"),
        ("error", "unreadable picture", "broken.png"),
        ("error", "wrong size", "small.png"),
    ]
    assert "EXIF" in findings[2].what
    assert "--fix leaves" in findings[1].mend
    copy, changes = mended(data, findings)
    assert [p.name for p in copy.pictures] == ["2.png"]
    assert copy.skipped == ()
    assert [change.file for change in changes] == ["a.json", "broken.png", "small.png"]
    assert changes[1].change.startswith("left out with its 0 boxes: ")
    write_changes(changes, tmp_path / "changes.csv")
    with (tmp_path / "changes.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["file", "change", "before", "after"]
    assert len(rows) == 4


def test_pictures_that_are_there_twice():
    jpeg = np.clip(
        scene(0).astype(int) + np.random.default_rng(0).integers(-3, 4, (60, 80)), 0, 255
    )
    data = Dataset(
        "d",
        (
            picture(0),
            picture(1),
            picture(2, [[1, 2, 30, 40]], seed=0, name="copy.png"),
            picture(3, pixels=jpeg.astype(np.uint8), name="alike.png"),
        ),
    )
    findings = check_dataset(data)
    assert kinds(findings) == [
        ("warning", "picture alike", "alike.png"),
        ("error", "picture twice", "0.png"),
    ]
    assert findings[1].what == (
        "The picture has the same pixels as copy.png but is annotated differently."
    )
    assert [p.name for p in mended(data, findings)[0].pictures] == [
        "1.png",
        "copy.png",
        "alike.png",
    ]


def test_leakage_between_two_sets(tmp_path):
    bright = np.clip(scene(1) * 0.9 + 20, 0, 255).astype(np.uint8)
    test = Dataset("test", (picture(0, seed=5), picture(1, pixels=bright, name="b.png")))
    (tmp_path / "0.png").write_bytes(b"")
    unreadable = Picture(7, "0.png", path=tmp_path / "0.png", size=(60, 80))
    test = dataclasses.replace(test, pictures=(*test.pictures, unreadable))
    train = Dataset("train", (picture(0), picture(1), picture(2, seed=5)))
    findings = check_dataset(train, against=test)
    assert kinds(findings) == [
        ("error", "unreadable picture", "test: 0.png"),
        ("warning", "leakage alike", "1.png"),
        ("error", "leakage", "2.png"),
    ]
    assert findings[2].what == "The picture has the same pixels as 0.png of test."
    assert [p.name for p in mended(train, findings)[0].pictures] == ["0.png", "1.png"]


def test_fingerprints_find_copies_and_nothing_else():
    originals = [scene(seed, (120, 160)) for seed in range(40)]
    prints = [fingerprint(pixels) for pixels in originals]
    assert matches_within(prints) == ()
    changed = []
    for pixels in originals:
        image = Image.fromarray(pixels).resize((120, 90), Image.Resampling.LANCZOS)
        changed.append(np.array(ImageEnhance.Contrast(image).enhance(0.8)))
    found = matches_between(prints, [fingerprint(pixels) for pixels in changed])
    assert [(m.first, m.second) for m in found] == [(i, i) for i in range(40)]
    assert not any(match.identical for match in found)
    same = matches_between(prints, [fingerprint(np.stack([originals[3]] * 3, axis=-1))])
    assert [(m.first, m.second, m.identical) for m in same] == [(3, 0, True)]


def test_fingerprints_of_flat_pictures_and_other_shapes():
    black, grey = np.zeros((40, 40), np.uint8), np.full((40, 40), 99, np.uint8)
    black_again = black.copy()
    black_again[0, 0] = 1
    prints = [
        fingerprint(each) for each in (black, grey, black_again, np.zeros((20, 60), np.uint8))
    ]
    assert [(m.first, m.second) for m in matches_within(prints)] == [(0, 2)]


def test_objects_out_of_reach():
    boxes = [[10, 10, 34, 34], [1, 1, 9, 9], [10, 2, 70, 12]]
    unknown = Picture(9, "x.png", [[0, 0, 5, 5]], ["cat"], [False], [False], path="x.png")
    data = Dataset("d", (picture(0, boxes), picture(1), unknown))
    findings = unreachable_objects(data, (24, 24))
    assert [(f.kind, f.box) for f in findings] == [("out of reach", 1), ("out of reach", 2)]
    assert "8x8 px is below the smallest window" in findings[0].what
    assert "lower min_object_size" in findings[0].what
    assert unreachable_objects(data, Window((24, 24))) == findings
    with pytest.raises(ParameterError, match="'size' parameter of Window"):
        unreachable_objects(data, (1, 1))
    assert [p.name for p in mended(data, findings)[0].pictures] == ["0.png", "1.png", "x.png"]


def labelled(n_cats, n_owls, n_empty):
    """Return a data set whose owls are rare."""
    kinds = ["cat"] * n_cats + ["owl"] * n_owls + [None] * n_empty
    tiny = np.zeros((9, 9), np.uint8)
    pictures = [
        picture(
            100 + i,
            [[0, 0, 5, 5]] * bool(label),
            [label] if label else [],
            pixels=tiny,
            name=f"cam{i % 7}_{i:03d}.png",
        )
        for i, label in enumerate(kinds)
    ]
    return Dataset("d", tuple(pictures), categories=("cat", "owl"))


def test_split_spreads_each_label():
    data = labelled(80, 10, 30)
    parts = split(data, {"train": 0.7, "val": 0.1, "test": 0.2}, seed=3)
    count = {
        name: [sum((p.labels == x).sum() for p in part.pictures) for x in ("cat", "owl")]
        for name, part in parts.items()
    }
    assert count == {"train": [56, 7], "val": [8, 1], "test": [16, 2]}
    assert {name: len(part.negatives()) for name, part in parts.items()} == {
        "train": 21, "val": 3, "test": 6,
    }  # fmt: skip
    ids = [p.image_id for part in parts.values() for p in part.pictures]
    assert sorted(ids) == [p.image_id for p in data.pictures]
    assert all(part.categories == data.categories for part in parts.values())
    for part in parts.values():
        assert [p.image_id for p in part.pictures] == sorted(p.image_id for p in part.pictures)


def test_split_is_seeded():
    data = labelled(30, 0, 0)
    digests = [split(data, {"a": 0.5, "b": 0.5}, seed=seed)["a"].digest() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_split_keeps_groups_together():
    parts = split(labelled(50, 13, 7), {"a": 0.6, "b": 0.4}, by_group="^(cam[0-9])_")
    groups = [{p.name[:4] for p in part.pictures} for part in parts.values()]
    assert not groups[0] & groups[1]
    assert len(groups[0] | groups[1]) == 7
    assert 30 <= len(parts["a"]) <= 50


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ({"a": 1.0}, {}, "two or more names with positive shares that add up to 1"),
        ({"a": 0.5, "b": 0.4}, {}, r"Got \{'a': 0\.5, 'b': 0\.4\} instead"),
        ({"a": 1.5, "b": -0.5}, {}, "positive shares"),
        ({"a": float("nan"), "b": 0.5}, {}, "positive shares"),
        ({"a": 0.5, "b": 0.5}, {"seed": -1}, "'seed' parameter of split"),
        ({"a": 0.5, "b": 0.5}, {"by_group": "("}, "must be a regular expression"),
        ({"a": 0.5, "b": 0.5}, {"by_group": "x"}, "needs a group in brackets"),
        ({"a": 0.5, "b": 0.5}, {"by_group": "^(cam)"}, "has 1 groups, too few for 2 parts"),
        ({"a": 0.999, "b": 0.001}, {}, r"The part 'b' of 0\.001 would be empty\. Give it a larger"),
    ],
)
def test_split_parameters(parts, options, message):
    with pytest.raises(ParameterError, match=message):
        split(labelled(5, 0, 0), parts, **options)


def test_split_data_errors():
    halves = {"a": 0.5, "b": 0.5}
    with pytest.raises(DataError, match=r"cam0_000\.png: has no group, because '\^\(dog\)' does"):
        split(labelled(5, 0, 0), halves, by_group="^(dog)")
    crops = Dataset("c", crops=Crops(np.zeros((1, 2, 2), np.uint8)))
    with pytest.raises(DataError, match="crops of 'c' cannot be split"):
        split(crops, halves)


def test_summary():
    data = Dataset(
        "d",
        (picture(0, [[0, 0, 5, 10], [0, 0, 5, 20], [0, 0, 9, 60]], ["a", "a", "b"]), picture(1)),
        categories=("a", "b", "c"),
    )
    facts = summary(data)
    assert (facts["pictures"], facts["pictures_without_objects"], facts["objects"]) == (2, 1, 3)
    assert facts["labels"]["a"] == {
        "objects": 2, "ignored": 0, "height": {"min": 10.0, "median": 15.0, "max": 20.0},
    }  # fmt: skip
    assert facts["labels"]["c"] == {"objects": 0, "ignored": 0, "height": None}
