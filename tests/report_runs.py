"""Small runs for the tests of their pages, and what their files say, counted in plain Python."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
from click.testing import CliRunner
from PIL import Image

from bootstrap_det.cli import main

SIDE = 28
N_TEST = 26  # more pictures than a page shows
NASTY = "cross\"><script>document.title='taken'</script><img src=x onerror=alert(1)>&amp;'{{7*7}}"
NASTY_FILE = "a </script><img src=x onerror=alert(1)>&\"bold' <b>picture.png"
FAST = [
    "--n-random-negatives", "200", "--n-negatives-per-round", "200", "--seed", "3", "--n-trees",
    "48", "--n-trees-first", "1", "--depth", "1", "--holdout", "0.4", "--n-copies", "4",
]  # fmt: skip
LINEAR = [
    "--n-random-negatives", "200", "--n-negatives-per-round", "200", "--seed", "3", "--features",
    "hog", "--classifier", "svm", "--C", "1", "--window", "28x28",
]  # fmt: skip


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.output}{result.exception!r}"
    assert "Traceback" not in result.output
    return result


def scene(rng):
    coarse = rng.integers(40, 200, (13, 15)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((112, 96), Image.BICUBIC))
    return np.clip(smooth + rng.normal(0, 6, (96, 112)), 0, 255).astype(np.uint8)


def draw(picture, x, y, *, level=250, cross=True):
    third = SIDE // 3
    picture[y + third : y + 2 * third, x : x + SIDE] = level
    if cross:
        picture[y : y + SIDE, x + third : x + 2 * third] = level


def write_set(folder, rng, n_pictures, labels, names=None):
    """Write pictures with a cross and, of two labels, a bar, and their COCO file."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for index in range(n_pictures):
        picture = scene(rng)
        if len(labels) == 1:
            draw(picture, 39, int(rng.integers(4, 60)), cross=False)  # to be taken for a cross
        for category, x in enumerate((8, 70)[: 1 + index % 2], start=1):
            y = int(rng.integers(4, 60))
            level = 170 + 20 * (index % 5)  # some are hard to see
            draw(picture, x, y, level=level, cross=category == 1 or len(labels) == 1)
            annotations.append({
                "id": len(annotations) + 1, "image_id": index + 1, "bbox": [x, y, SIDE, SIDE],
                "category_id": min(category, len(labels)), "iscrowd": 0,
            })  # fmt: skip
        name = (names or {}).get(index, f"{index:02d}.png")
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / "images" / name)
        images.append({"id": index + 1, "file_name": name, "width": 112, "height": 96})
    categories = [{"id": i + 1, "name": label} for i, label in enumerate(labels)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(document))


def train_boosted(top, out, *more, rounds=1):
    invoke("train", "--data", top / "train/annotations.json", "--negatives", top / "background",
           "--jobs", "1", *FAST, "--rounds", str(rounds), "--out", out, *more)  # fmt: skip


def make_runs(top):
    """Train three runs: boosted trees, two linear templates, and one without a test set."""
    rng = np.random.default_rng(5)
    write_set(top / "train", rng, 10, ["cross"])
    write_set(top / "test", rng, N_TEST, ["cross"])
    write_set(top / "train2", rng, 10, [NASTY, "bar"])
    write_set(top / "test2", rng, 8, [NASTY, "bar"], names={0: NASTY_FILE})
    (top / "background").mkdir()
    for index in range(3):
        picture = scene(rng)
        picture[10:20, 10:40] = picture[40:70, 50:60] = 250  # halves of a cross, to be mined
        Image.fromarray(picture).save(top / "background" / f"{index}.png")
    one, two, none = (top / "runs" / name for name in ("boosted", "linear", "untested"))
    train_boosted(top, one, "--test-data", top / "test/annotations.json")
    train_boosted(top, none)
    invoke("train", "--data", top / "train2/annotations.json", "--negatives", top / "background",
           "--jobs", "1", *LINEAR, "--rounds", "1", "--test-data", top / "test2/annotations.json",
           "--out", two)  # fmt: skip
    return SimpleNamespace(top=top, boosted=one, linear=two, untested=none)


def page_data(page):
    """Return what the script of a page reads."""
    text = page.read_text()
    start = text.index('<script type="application/json" id="data">')
    return json.loads(text[text.index(">", start) + 1 : text.index("</script>", start)])


def naive_totals(run, stage_file, threshold):
    """Return hits, misses and false alarms by greedy matching, from the run's files alone."""
    test = json.loads((run / "test_set.json").read_text())
    stage = json.loads((run / "rounds_detections" / stage_file).read_text())
    hits = false = 0
    n_objects = 0
    for picture in test["pictures"]:
        for number, label in enumerate(stage["labels"]):
            objects = [b for b, name in zip(picture["boxes"], picture["labels"], strict=True)
                       if name == label]  # fmt: skip
            n_objects += len(objects)
            rows = [row for row in stage["rows"]
                    if row[0] == picture["image_id"] and row[1] == number]  # fmt: skip
            free = list(range(len(objects)))
            for row in sorted(rows, key=lambda each: -each[2]):
                if row[2] < threshold:
                    continue
                best = max(free, key=lambda i: naive_iou(row[3:], objects[i]), default=None)
                if best is not None and naive_iou(row[3:], objects[best]) >= 0.5:
                    free.remove(best)
                    hits += 1
                else:
                    false += 1
    return hits, n_objects - hits, false


def naive_iou(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return width * height / (areas - width * height)
