"""What an inspection measures, against boxes whose numbers are worked out by hand or naively."""

import json

import numpy as np
import pytest

from bootstrap_det import boxes as box_ops
from bootstrap_det.channels import HOG
from bootstrap_det.data import Crops, Dataset, Picture
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.inspection import figures as figure_module
from bootstrap_det.inspection import inspect_dataset, outlier_sheet, report_lines, write_figures
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.windows import window_positions, windows_to_boxes

CELLS = HOG(cell_size=4)
ONE_SCALE = Pyramid(min_object_size=24, max_object_size=24, padding=0)


def picture(index, boxes, labels=None, size=(100, 200), ignore=None):
    n = len(boxes)
    flags = [False] * n
    pixels = np.random.default_rng(index).integers(0, 255, (*size, 3)).astype(np.uint8)
    return Picture(index, f"{index}.png", boxes, labels or ["a"] * n, ignore or flags, flags,
                   pixels=pixels)  # fmt: skip


def dataset(*pictures, **more):
    return Dataset("set", pictures, **more)


def inspect(data, window=(24, 24), pyramid=ONE_SCALE, **options):
    return inspect_dataset(data, window=window, channels=CELLS, pyramid=pyramid, **options)


# Classes


def test_classes_by_hand():
    data = dataset(
        picture(0, [[0, 0, 24, 24], [30, 0, 54, 24], [60, 0, 84, 24]], ["a", "a", "b"]),
        picture(1, [[0, 0, 24, 24], [30, 0, 54, 24]], ["a", "b"], ignore=[False, True]),
        picture(2, []),
        categories=("c", "b", "a"),
    )
    got = inspect(data)
    assert got.classes.objects == {"a": 3, "b": 1, "c": 0}
    assert got.classes.pictures == {"a": 2, "b": 1, "c": 0}
    assert (got.classes.ratio, got.classes.n_ignored) == (3.0, 1)
    assert (got.n_pictures, got.n_empty, got.n_objects) == (3, 1, 4)


def test_crops_count_in_the_classes_alone():
    crops = Crops(np.zeros((5, 24, 24), np.uint8), label="b")
    got = inspect(dataset(picture(0, [[0, 0, 24, 24]]), crops=crops))
    assert got.classes.objects == {"b": 5, "a": 1}
    assert len(got.sizes.width) == 1
    assert "5 crops count in the classes alone" in got.notes[0]


# Background against foreground


def test_windows_of_one_scale_by_hand():
    """A grid of 20 x 45 windows; foreground overlaps the object on it by 24 * (24 - 8) or more.

    Shifted by (dx, dy) cells of 4 px: (24 - 4|dx|)(24 - 4|dy|) over 2 * 576 less that is at least
    a half where (6 - |dx|)(6 - |dy|) >= 24, which is 0,0 to 2,0 and 0,1 to 1,1: 5 + 4 * 2 windows.
    """
    got = inspect(dataset(picture(0, [[40, 40, 64, 64]])))
    assert got.census.n_windows == 20 * 45
    shifts = [(x, y) for x in range(-5, 6) for y in range(-5, 6)]
    n_foreground = sum((6 - abs(x)) * (6 - abs(y)) >= 24 for x, y in shifts)
    assert n_foreground == 13
    assert got.census.n_foreground == 13
    assert got.census.ratio == pytest.approx((900 - 13) / 13)
    # 1; 30/42 = 0.71 four times; 25/47 = 0.53 and 24/48 = 0.5 four times each.
    assert got.census.overlap_counts == (8, 0, 4, 0, 1)


def naive_foreground(data, scan):
    """Return the windows of all pictures, and the best overlaps of those that hit an object."""
    total, overlaps = 0, []
    for each in data.pictures:
        plans = scan.plan(each.size)
        for label, window in scan.windows.items():
            own = each.boxes[each.targets & (each.labels == label)]
            for plan in plans:
                if not scan.pyramid.covers(window.object_size[0] / plan.nominal_scale):
                    continue
                shape = window_positions(plan, window, scan.channels)
                rows, columns = (axis.ravel() for axis in np.indices(shape))
                total += rows.size
                found = box_ops.overlap(windows_to_boxes(plan, window, rows, columns), own)
                best = found.max(axis=1, initial=0.0)
                overlaps += best[best >= 0.5].tolist()
    return total, overlaps


def test_windows_are_those_of_counting_every_one(rng):
    pictures = []
    for index in range(4):
        x, y = rng.uniform(-10, 150, 6), rng.uniform(-10, 70, 6)
        width, height = rng.uniform(12, 60, 6), rng.uniform(12, 60, 6)
        boxes = np.stack([x, y, x + width, y + height], axis=1)
        pictures.append(picture(index, boxes, list(rng.choice(["a", "b"], 6))))
    data = dataset(*pictures)
    pyramid = Pyramid(scales_per_octave=3, min_object_size=16, max_object_size=60, padding=6)
    got = inspect(data, window=(24, 20), pyramid=pyramid)
    total, overlaps = naive_foreground(data, got.scan)
    assert (got.census.n_windows, got.census.n_foreground) == (total, len(overlaps))
    assert len(overlaps) > 200
    edges = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert got.census.overlap_counts == tuple(np.histogram(overlaps, edges)[0])


def test_only_a_sample_of_many_pictures_is_counted_and_that_is_said():
    data = dataset(*(picture(index, [[40, 40, 64, 64]]) for index in range(9)))
    got = inspect(data, max_pictures=4, seed=3)
    assert (got.census.n_pictures, got.census.n_windows) == (4, 4 * 900)
    assert got.notes == ("Windows are those of 4 of 9 pictures, drawn with seed 3.",)
    assert len(got.sizes.width) == 9
    assert inspect(data, max_pictures=4, seed=3).to_dict() == got.to_dict()


# Fit


def test_why_windows_do_not_fit():
    pyramid = Pyramid(min_object_size=24, max_object_size=48, scales_per_octave=1, padding=0)
    boxes = [
        [40, 40, 64, 64],  # on the grid
        [41, 20, 45, 24],  # small
        [0, 0, 100, 100],  # large
        [100, 10, 110, 60],  # narrow
        [100, 60, 134, 94],  # between two sizes, neither of which overlaps it by half: 24 and 48
    ]
    got = inspect(dataset(picture(0, boxes)), pyramid=pyramid).fit
    assert got.causes.tolist()[:4] == ["", "small", "large", "aspect"]
    assert got.overlap[0] == pytest.approx(1.0)
    assert got.overlap[1] == pytest.approx(16 / 576)
    assert got.n_unreachable == int((got.overlap < 0.5).sum())
    listed = got.to_dict()["unreachable_objects"]
    assert [entry["box"] for entry in listed] == np.flatnonzero(got.overlap < 0.5).tolist()
    assert listed[0] == {"file": "0.png", "box": 1, "cause": "small", "iou": round(16 / 576, 4)}


def test_an_object_past_the_border_is_out_of_reach_of_the_grid():
    got = inspect(dataset(picture(0, [[-14, 40, 10, 64]]))).fit
    assert got.causes.tolist() == ["grid"]


# Sizes and places


def test_sizes_by_hand():
    data = dataset(picture(0, [[0, 0, 10, 20], [0, 0, 40, 20], [0, 0, 160, 80]]))
    sizes = inspect(data, pyramid=Pyramid(min_object_size=4)).sizes
    assert sizes.area.tolist() == [200, 800, 12800]
    assert sizes.aspect.tolist() == [0.5, 2, 2]
    assert sizes.shares == pytest.approx({"small": 2 / 3, "medium": 0, "large": 1 / 3})
    low, high = np.percentile(np.sqrt([200, 800, 12800]), [5, 95])
    assert sizes.octaves == pytest.approx(np.log2(high / low))
    assert sizes.to_dict()["height"]["median"] == 20


def test_places_by_hand():
    """Pictures are 200 wide and 100 high, cells of the map 12.5 x 6.25 px."""
    data = dataset(picture(0, [[0, 40, 25, 65], [150, 50, 175, 62.5]]))
    places = inspect(data, pyramid=Pyramid(min_object_size=10)).places
    assert places.thirds == {"left_to_right": [0.5, 0, 0.5], "top_to_bottom": [0, 1, 0]}
    assert places.border_distance.tolist() == [0, 2]
    assert places.touches.tolist() == [True, False]
    assert places.shares == {"touch_border": 0.5, "near_border": 0.5}
    ref = np.zeros((16, 16))
    ref[8:10, 12:14] = 1  # exactly two rows and columns
    ref[6:10, :2] += np.array([0.6, 1, 1, 1])[:, None]  # from 6.4 to 10.4 rows
    ref[10, :2] += 0.4
    np.testing.assert_allclose(places.coverage, ref, atol=1e-12)


# Outliers


def ordinary(n=20):
    """Return a picture of objects that are nearly alike."""
    boxes = [[10 + 9 * i, 10, 34 + 9 * i + i % 3, 34 + i % 2] for i in range(n)]
    return picture(99, boxes, size=(120, 400))


@pytest.mark.parametrize(
    ("boxes", "kind", "what"),
    [
        ([[10, 10, 34, 34], [10, 10, 34, 35]], "duplicate", "IoU 0.96"),
        ([[-12, 40, 12, 64]], "outside", "50% out"),
        ([[10, 10, 16, 16]], "tiny", "6x6"),
        ([[10, 10, 34, 13]], "tiny", "24x3"),  # a side below 4 px
        ([[10, 10, 90, 90]], "huge", "80x80"),
        ([[10, 10, 22, 58]], "aspect", "12x48"),
    ],
)
def test_each_kind_of_outlier(boxes, kind, what):
    data = dataset(ordinary(), picture(1, boxes))
    got = inspect(data, pyramid=Pyramid()).outliers
    hits = [each for each in got if each.kind == kind]
    assert [(each.file, each.box, each.what) for each in hits] == [("1.png", len(boxes) - 1, what)]


def test_ordinary_objects_are_no_outliers():
    assert inspect(dataset(ordinary())).outliers == ()


def test_few_objects_have_no_fences_and_labels_their_own():
    few = dataset(picture(0, [[0, 0, 24, 24], [40, 0, 120, 80]]))
    assert inspect(few, pyramid=Pyramid()).outliers == ()
    large = [[20 * i, 5, 100 + 20 * i, 85] for i in range(10)]
    two = dataset(ordinary(), picture(1, large, ["b"] * 10, size=(120, 400)))
    assert inspect(two, pyramid=Pyramid()).outliers == ()


# Advice


def advice_of(data, measure, **options):
    return [each.command for each in inspect(data, **options).advice if each.measure == measure]


def test_uneven_classes_are_balanced_and_rare_ones_merged():
    boxes = [[24 * i, 0, 24 * i + 24, 24] for i in range(8)]
    data = dataset(picture(0, boxes, ["a"] * 5 + ["b", "b c", "c"]))
    assert advice_of(data, "classes") == [
        "bootstrap-det dataset balance DATA --how over --out balanced",
        "bootstrap-det dataset merge DATA --map 'b=other,b c=other,c=other' --out merged.json",
    ]
    assert advice_of(dataset(picture(0, boxes)), "classes") == []


def test_small_objects_ask_for_smaller_windows():
    boxes = [[24 * i, 0, 24 * i + 12, 12] for i in range(6)]
    commands = advice_of(dataset(picture(0, boxes)), "fit", pyramid=Pyramid())
    assert commands == ["bootstrap-det train --data DATA --min-object-size 12"]


def test_large_objects_ask_for_fewer_windows():
    boxes = [[60 * i, 0, 60 * i + 50, 50] for i in range(3)]
    commands = advice_of(dataset(picture(0, boxes)), "background", pyramid=Pyramid())
    assert commands == [
        "bootstrap-det train --data DATA --rounds 3",
        "bootstrap-det train --data DATA --min-object-size 50",
    ]


def test_large_pictures_ask_for_tiles():
    large = Picture(0, "0.png", [[0, 0, 30, 30]], ["a"], [False], [False], path="0.png",
                    size=(3000, 4000))  # fmt: skip
    assert advice_of(dataset(large), "sizes") == [
        "bootstrap-det dataset tile DATA --tile 1024x1024 --overlap 30 --out tiles"
    ]


def test_objects_at_the_border_ask_for_padding():
    commands = advice_of(dataset(picture(0, [[0, 0, 24, 24]])), "places", pyramid=Pyramid())
    assert commands == ["bootstrap-det train --data DATA --padding 16"]


def test_commands_that_are_advised_exist():
    """Every verb and option that advice names is one of the command line's."""
    from bootstrap_det.cli import main

    boxes = [[0, 0, 12, 12], [0, 0, 12, 12], [-9, 30, 15, 54], [30, 5, 34, 60], [60, 5, 160, 99]]
    data = dataset(
        picture(0, boxes, ["a"] * 4 + ["b"]), ordinary(), picture(2, [], size=(3000, 2000))
    )
    limited = Pyramid(min_object_size=20, max_object_size=30, scales_per_octave=1, padding=0)
    advice = inspect(data, pyramid=limited).advice
    assert len({each.measure for each in advice}) > 3
    for each in advice:
        words = each.command.split()[1:]
        command = main
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, each.command


# What it refuses, what it writes


def test_what_an_inspection_refuses():
    with pytest.raises(DataError, match="'set' has no object with a box in a picture of known"):
        inspect(dataset(picture(0, [])))
    with pytest.raises(DataError, match="crops have no surroundings"):
        inspect(dataset(crops=Crops(np.zeros((3, 24, 24), np.uint8))))
    data = dataset(picture(0, [[0, 0, 24, 24]]))
    with pytest.raises(ParameterError, match="'max_pictures' parameter of inspect_dataset must be"):
        inspect(data, max_pictures=0)
    with pytest.raises(ParameterError, match=r"of the labels of .set.: .a.\. Got .z."):
        inspect(data, labels="z")


def everything():
    """Return a data set with something of each kind, and awkward labels."""
    odd = picture(1, [[10, 10, 34, 34], [10, 10, 34, 34], [-12, 40, 12, 64], [50, 10, 54, 70]],
                  ["a", "a", "$x^$", "日本"])  # fmt: skip
    return dataset(ordinary(), odd, picture(2, []))


def test_numbers_are_json_and_lines_fit_the_terminal():
    got = inspect(everything(), pyramid=Pyramid())
    document = json.loads(json.dumps(got.to_dict(), allow_nan=False))
    assert document["classes"]["objects"]["a"] == 22
    assert document["outliers"]["counts"]["duplicate"] == 1
    lines = report_lines(got, fill=lambda command: command.replace("DATA", "cars.json"))
    assert max(map(len, lines)) <= 79
    joined = " ".join(line.strip().removesuffix("\\").strip() for line in lines)
    assert "bootstrap-det dataset check cars.json --fix mended" in joined


def test_figures_are_written_for_every_measure(tmp_path):
    from PIL import Image

    data = everything()
    got = inspect(data, pyramid=Pyramid())
    paths = write_figures(got, tmp_path, dataset=data)
    names = ["classes", "background", "sizes", "fit", "places", "outliers"]
    assert [path.stem for path in paths] == names
    for path in paths:
        with Image.open(path) as image:
            assert min(image.size) > 100
            assert np.asarray(image.convert("L")).std() > 5
    assert "pyplot" not in vars(figure_module)


def test_figures_of_one_object(tmp_path):
    got = inspect(dataset(picture(0, [[0, 0, 24, 24]])))
    assert len(write_figures(got, tmp_path)) == 5


def test_the_sheet_shows_kinds_in_turn_and_leaves_out_what_cannot_be_read():
    data = everything()
    got = inspect(data, pyramid=Pyramid())
    two = outlier_sheet(got, data, max_shown=2)
    assert two.shape[1] < outlier_sheet(got, data).shape[1]
    lost = dataset(*(
        Picture(p.image_id, p.name, p.boxes, p.labels, p.ignore, p.crowd, path="gone.png",
                size=p.size) for p in data.pictures
    ))  # fmt: skip
    assert outlier_sheet(got, lost).shape[0] > 0
