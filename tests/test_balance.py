"""Labels made one, balanced by pictures, and the command line of both."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_det import read_annotations
from bootstrap_det.cli import main
from bootstrap_det.data import Crops, Dataset, Picture, balance, merge_labels
from bootstrap_det.data.balancing import class_weights, count_labels, ratio, repeat_factors
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import write_image


def picture(index, labels, ignore=None, crowd=None):
    n = len(labels)
    boxes = [[4 * i, 2, 4 * i + 3, 6] for i in range(n)]
    flags = ([False] * n if flag is None else flag for flag in (ignore, crowd))
    return Picture(index, f"{index}.png", boxes, labels, *flags, pixels=np.zeros((40, 60), "u1"))


def dataset(*labels_of_pictures, **more):
    pictures = tuple(picture(index, labels) for index, labels in enumerate(labels_of_pictures))
    return Dataset("set", pictures, **more)


datasets = st.lists(st.lists(st.sampled_from("abcd"), max_size=5), min_size=2, max_size=25).map(
    lambda lists: dataset(*lists)
)


def has_two_labels(data):
    return len(count_labels(data)) > 1


# Merging


def test_labels_are_merged_all_at_once_and_stay_in_order():
    data = dataset(["a", "b"], ["c", "d"], categories=("d", "c", "b", "a"))
    got = merge_labels(data, {"a": "b", "b": "c"})
    assert [p.labels.tolist() for p in got.pictures] == [["b", "c"], ["c", "d"]]
    assert got.categories == ("d", "c", "b")
    assert got.pictures[0].boxes.tolist() == data.pictures[0].boxes.tolist()


def test_dropped_labels_are_ignored_and_nothing_else_changes():
    data = Dataset(
        "set", (picture(0, ["a", "b", "b"], [True, False, False], [False, False, True]),)
    )
    got = merge_labels(data, {}, drop=["b"]).pictures[0]
    assert got.labels.tolist() == ["a", "b", "b"]
    assert got.ignore.tolist() == [True, True, False]  # a crowd is left out as it is
    assert got.crowd.tolist() == [False, False, True]
    assert not got.targets.any()


def test_the_label_of_crops_is_renamed():
    data = Dataset("set", crops=Crops(np.zeros((2, 8, 8), "u1"), label="a"))
    assert merge_labels(data, {"a": "b"}).crops.label == "b"
    with pytest.raises(ParameterError, match="'a' cannot be dropped: crops of 'set' have it"):
        merge_labels(data, {}, drop=["a"])


@pytest.mark.parametrize(
    ("mapping", "drop", "message"),
    [
        ({"e": "x"}, [], r"has no label 'e'. Give one of its labels: 'a', 'b'\."),
        ({}, ["e"], "has no label 'e'"),
        ({"a": "x"}, ["a"], "'a' cannot be both renamed and dropped"),
        ({"a": " "}, [], "'a' must be renamed to a text that is not empty. Got ' '"),
    ],
)
def test_what_merging_refuses(mapping, drop, message):
    with pytest.raises(ParameterError, match=message):
        merge_labels(dataset(["a", "b"]), mapping, drop=drop)


@given(datasets, st.dictionaries(st.sampled_from("abcd"), st.sampled_from("abxy")))
def test_merging_keeps_every_object(data, mapping):
    mapping = {old: new for old, new in mapping.items() if old in data.categories}
    got = merge_labels(data, mapping)
    before, after = count_labels(data), count_labels(got)
    assert sum(after.values()) == sum(before.values())
    for label, number in after.items():
        assert number == sum(n for old, n in before.items() if mapping.get(old, old) == label)
    if before:
        assert max(after.values()) >= max(before.values())


# Balancing


def test_repeat_factors_by_hand():
    """Shares: a 16 of 21, b 4 of 21, c 1 of 21; roots of 16/4 and 16/1."""
    data = dataset(["a"] * 8, ["a"] * 8, ["b"] * 3, ["b", "c"], [])
    assert repeat_factors(data).tolist() == pytest.approx([1, 1, 2, 4, 1])
    # At a threshold of 4/21, b is frequent enough, and c has the root of 4.
    assert repeat_factors(data, threshold=4 / 21).tolist() == pytest.approx([1, 1, 1, 2, 1])


def test_whole_factors_are_exact_copies():
    data = dataset(["a"] * 8, ["a"] * 8, ["b"] * 3, ["b", "c"], [])
    got = balance(data)
    assert got.copies == (1, 1, 2, 4, 1)
    assert got.before == {"a": 16, "b": 4, "c": 1}
    assert got.after == {"a": 16, "b": 3 * 2 + 4, "c": 4}
    assert (got.n_added, got.n_left_out) == (4, 0)
    names = [p.name for p in got.dataset.pictures]
    assert names == ["0.png", "1.png", "2.png", "2_copy2.png", "3.png", "3_copy2.png",
                     "3_copy3.png", "3_copy4.png", "4.png"]  # fmt: skip
    assert [p.image_id for p in got.dataset.pictures] == list(range(9))


def test_fractions_of_factors_add_up():
    """b has the factor sqrt(18 / 8) = 1.5, so of its 8 pictures 4 are there twice."""
    got = balance(dataset(*[["a"]] * 18, *[["b"]] * 8), seed=7)
    assert got.after == {"a": 18, "b": 12}
    assert set(got.copies) == {1, 2}


def test_names_of_copies_are_free():
    pictures = [picture(i, [label]) for i, label in enumerate("aaaab")]
    pictures.append(Picture(9, "4_copy2.png", pixels=np.zeros((9, 9), "u1")))
    got = balance(Dataset("set", tuple(pictures)))  # b has the factor 2
    assert [p.name for p in got.dataset.pictures][4:] == ["4.png", "4_copy3.png", "4_copy2.png"]


def test_leaving_out_keeps_the_rarest_label_and_all_backgrounds():
    got = balance(dataset(*[["a"]] * 9, ["a", "b"], ["b"], []), how="under")
    assert got.after == {"a": 2, "b": 2}
    assert got.copies[9:] == (1, 1, 1)
    assert got.n_left_out == 8
    assert balance(dataset(*[["a"]] * 9, ["b"]), how="under", max_ratio=3).after == {"a": 3, "b": 1}


def test_weights_by_hand():
    weights = class_weights({"a": 6, "b": 2})
    assert weights == {"a": pytest.approx(8 / 12), "b": pytest.approx(2)}
    assert 6 * weights["a"] == pytest.approx(2 * weights["b"])


@given(datasets.filter(has_two_labels), st.integers(0, 9))
def test_under_never_widens_the_ratio_and_never_loses_a_label(data, seed):
    got = balance(data, how="under", seed=seed)
    assert ratio(got.after) <= ratio(got.before)
    assert min(got.after.values()) == min(got.before.values())
    assert got.after.keys() == got.before.keys()


@given(datasets.filter(has_two_labels))
def test_repeat_factors_never_widen_the_ratio(data):
    """In expectation, whatever labels share pictures."""
    factors = repeat_factors(data)
    sums = {label: 0.0 for label in count_labels(data)}
    for each, factor in zip(data.pictures, factors, strict=True):
        for label in each.labels:
            sums[label] += factor
    assert ratio(sums) <= ratio(count_labels(data)) * (1 + 1e-9)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=5), st.integers(0, 9))
def test_over_narrows_the_ratio_where_pictures_have_one_label(numbers, seed):
    data = dataset(*[[label] for label, n in zip("abcde", numbers, strict=False) for _ in range(n)])
    got = balance(data, seed=seed)
    assert ratio(got.after) <= ratio(got.before)
    for label, number in got.before.items():
        assert abs(got.after[label] - np.sqrt(max(numbers) * number)) < 1


@given(datasets.filter(has_two_labels), st.sampled_from(["over", "under"]), st.integers(0, 9))
def test_balancing_is_repeatable_and_changes_no_picture(data, how, seed):
    got = balance(data, how=how, seed=seed)
    assert got.dataset.digest() == balance(data, how=how, seed=seed).dataset.digest()
    made = iter(got.dataset.pictures)
    for each, number in zip(data.pictures, got.copies, strict=True):
        for copy in (next(made) for _ in range(number)):
            assert copy.labels.tolist() == each.labels.tolist()
            assert copy.boxes.tolist() == each.boxes.tolist()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"how": "both"}, ParameterError, "'how' parameter of balance must be one of 'over', "),
        ({"max_ratio": 2.0}, ParameterError, "'max_ratio'.* no effect with how='over'. Got 2;"),
        ({"how": "under", "threshold": 0.1}, ParameterError, "'threshold'.* no effect with how='u"),
        ({"how": "under", "max_ratio": 0.5}, ParameterError, r"a finite number in \[1, inf\)"),
        ({"threshold": 2.0}, ParameterError, r"in \[0, 1\]. Got 2.0"),
    ],
)
def test_what_balancing_refuses(options, error, message):
    with pytest.raises(error, match=message):
        balance(dataset(["a", "a"], ["b"]), **options)


def test_one_label_or_crops_cannot_be_balanced():
    with pytest.raises(DataError, match="has objects of 1 label, and balancing needs two"):
        balance(dataset(["a"], ["a"]))
    crops = Crops(np.zeros((2, 8, 8), "u1"))
    with pytest.raises(DataError, match="crops of 'set' cannot be balanced"):
        balance(Dataset("set", crops=crops))


# The command line


def invoke(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def folder(tmp_path):
    """Annotations of eight pictures with a, and two with b, and their files."""
    (tmp_path / "own/images").mkdir(parents=True)
    images, annotations = [], []
    for index in range(10):
        name = f"{index}.png"
        write_image(tmp_path / "own/images" / name, np.full((20, 30), 20 * index, np.uint8))
        images.append({"id": index, "file_name": name, "width": 30, "height": 20})
        annotations.append({"id": index, "image_id": index, "category_id": 1 + (index > 7),
                            "bbox": [2, 3, 8, 9]})  # fmt: skip
    categories = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "c"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "own/own.json").write_text(json.dumps(document))
    return tmp_path


def test_balance_writes_copies_that_can_be_read(folder):
    out = folder / "out"
    result = invoke("dataset", "balance", folder / "own/own.json", "--out", out)
    assert "pictures  10 -> 12: 2 copies added, 0 left out" in result.stdout
    assert "largest label over smallest  4 -> 2" in result.stdout
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()[-2:]}
    assert rows == {"a": ["8", "8", "0.625"], "b": ["2", "4", "2.5"]}
    assert "A copy in both parts" in result.stderr.replace("\n", " ").replace("a copy", "A copy")
    data = read_annotations(out / "annotations.json")
    assert count_labels(data) == {"a": 8, "b": 4}
    twins = [p.load() for p in data.pictures if p.name in ("9.png", "9_copy2.png")]
    np.testing.assert_array_equal(*twins)


def test_balance_by_leaving_out_needs_no_copies_of_pictures(folder):
    out = folder / "out"
    arguments = ("dataset", "balance", folder / "own/own.json", "--how", "under", "--out", out)
    facts = json.loads(invoke(*arguments, "--json").stdout)
    assert facts["labels"]["a"] == {"before": 8, "after": 2, "weight": 0.625}
    assert facts["ratio"] == {"before": 4.0, "after": 1.0}
    data = read_annotations(out / "annotations.json")
    assert data.pictures[0].load().shape == (20, 30)
    assert (
        "exists already. Write elsewhere, or give --overwrite" in invoke(*arguments, code=1).stderr
    )
    invoke(*arguments, "--overwrite")


def test_overwriting_replaces_copies_of_an_earlier_run(folder):
    arguments = ("dataset", "balance", folder / "own/own.json", "--out", folder / "out")
    invoke(*arguments)
    write_image(folder / "own/images/9.png", np.full((20, 30), 7, np.uint8))
    invoke(*arguments, "--overwrite")
    data = read_annotations(folder / "out/annotations.json")
    assert {p.load().mean() for p in data.pictures if p.name.startswith("9")} == {7.0}


def test_merge_writes_new_annotations(folder):
    out = folder / "merged/new.json"
    source = folder / "own/own.json"
    result = invoke("dataset", "merge", source, "--map", "a=x,b=x", "--out", out)
    assert "2 labels with objects -> 1" in result.stdout
    assert "from a, b" in result.stdout
    assert count_labels(read_annotations(out)) == {"x": 10}
    refused = invoke("dataset", "merge", source, "--drop", "b", "--out", out, code=1)
    assert "exists already" in refused.stderr
    options = ("--drop", "b", "--out", out, "--overwrite", "--json")
    facts = json.loads(invoke("dataset", "merge", source, *options).stdout)
    assert (facts["after"], facts["newly_ignored"]) == ({"a": 8}, 2)
    assert read_annotations(out).n_ignored == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "z=x"], "no label 'z'. Give one of its labels: 'a', 'b', 'c'"),
        (["--map", "ab"], "'ab' is no pair like old=new"),
        (["--map", "a=x", "--map", "a=y"], "'a=y' is no pair like old=new, or its label was given"),
        ([], "Give labels to rename with --map, or --drop one"),
    ],
)
def test_what_merge_refuses_on_the_command_line(folder, options, message):
    target = ("--out", folder / "m.json")
    result = invoke("dataset", "merge", folder / "own/own.json", *options, *target, code=2)
    assert message in result.stderr
    assert not (folder / "m.json").exists()
