"""COCO JSON: what is read, what is refused and in which words, and that nothing else escapes."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bootstrap_det.data import Crops, Dataset, Picture, read_coco, write_coco
from bootstrap_det.exceptions import DataError, ParameterError

QUICK = settings(derandomize=True, deadline=None, max_examples=100)
NAMES = ["a.png", "b.png", "sub/c.png"]


def a_document():
    return {
        "images": [
            {"id": 5 + i, "file_name": name, "width": 40, "height": 30}
            for i, name in enumerate(NAMES)
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, "bbox": [1, 2, 10, 20], "iscrowd": 0},
            {"id": 2, "image_id": 5, "category_id": 4, "bbox": [0.5, 0, 5, 5.5], "ignore": 1},
            {"id": 3, "image_id": 6, "category_id": 3, "bbox": [5, 5, 9, 9], "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "face"}, {"id": 4, "name": "sign"}],
    }


def make_images(folder):
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((30, 40), np.uint8)).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with the pictures in ``images``, shared by tests that only write JSON into it."""
    folder = tmp_path_factory.mktemp("coco")
    make_images(folder / "images")
    return folder


def read(root, document, **options):
    path = root / "annotations.json"
    path.write_text(json.dumps(document))
    return read_coco(path, **options)


def changed(*keys, to):
    """Return the document with one value replaced, or removed where ``to`` is ``del``."""
    document = a_document()
    inner = document
    for key in keys[:-1]:
        inner = inner[key]
    if to is del_:
        del inner[keys[-1]]
    else:
        inner[keys[-1]] = to
    return document


del_ = object()


def test_read_coco(root):
    dataset = read(root, a_document())
    assert dataset.name == "annotations"
    assert [(p.image_id, p.name, p.size) for p in dataset.pictures] == [
        (5, "a.png", (30, 40)),
        (6, "b.png", (30, 40)),
        (7, "sub/c.png", (30, 40)),
    ]
    first, second, third = dataset.pictures
    np.testing.assert_array_equal(first.boxes, [[1, 2, 11, 22], [0.5, 0, 5.5, 5.5]])
    assert first.labels.tolist() == ["face", "sign"]
    assert first.ignore.tolist() == [False, True]
    assert second.crowd.tolist() == [True]
    assert second.targets.tolist() == [False]
    assert len(third.boxes) == 0
    assert dataset.categories == ("face", "sign")
    assert (dataset.n_objects, dataset.n_ignored) == (1, 2)
    assert dataset.skipped == dataset.notes == ()
    assert third.load().shape == (30, 40)


def test_read_coco_finds_the_pictures(tmp_path):
    document = a_document()
    make_images(tmp_path)
    assert read(tmp_path, document).pictures[0].path == tmp_path / "a.png"
    make_images(tmp_path / "images")
    assert read(tmp_path, document).pictures[0].path == tmp_path / "images" / "a.png"
    make_images(tmp_path / "other")
    dataset = read(tmp_path, document, images_dir=str(tmp_path / "other"), name="mine")
    assert dataset.pictures[0].path == tmp_path / "other" / "a.png"
    assert dataset.name == "mine"
    with pytest.raises(DataError, match=r"none: no such folder\. Give the folder of the pictures"):
        read(tmp_path, document, images_dir=tmp_path / "none")


def test_read_coco_other_box_key(root):
    document = changed("annotations", 0, "bbox_square", to=[1, 1, 4, 4])
    document["annotations"] = document["annotations"][:1]
    dataset = read(root, document, box_key="bbox_square")
    assert dataset.pictures[0].boxes.tolist() == [[1, 1, 5, 5]]
    message = r"annotation 1 has no 'tight'\. .*chosen by `box_key`"
    for skip_bad in (False, True):
        with pytest.raises(DataError, match=message):
            read(root, document, box_key="tight", skip_bad=skip_bad)


@pytest.mark.parametrize("key", ["width", "height"])
@pytest.mark.parametrize("value", [del_, None])
def test_read_coco_takes_a_missing_size_from_the_file(root, key, value):
    dataset = read(root, changed("images", 0, key, to=value))
    assert dataset.pictures[0].size == (30, 40)


def test_read_coco_missing_size_of_an_unreadable_file(tmp_path):
    make_images(tmp_path)
    (tmp_path / "b.png").write_bytes(b"")
    document = changed("images", 1, "width", to=del_)
    message = r"image 6 has no width or height, and its file gives none: .*b\.png: is empty"
    with pytest.raises(DataError, match=message):
        read(tmp_path, document)
    dataset = read(tmp_path, document, skip_bad=True)
    assert len(dataset) == 2
    assert [skipped.reason[-40:] for skipped in dataset.skipped][1] == (
        "1 box of image 6, which was left out."
    )


def test_read_coco_counts_boxes_past_the_border_and_keeps_them(root):
    document = changed("annotations", 0, "bbox", to=[-3, 2, 10, 40])
    dataset = read(root, document)
    assert dataset.pictures[0].boxes[0].tolist() == [-3, 2, 7, 42]
    assert dataset.notes == (
        "annotations.json: 1 box runs past the border of its picture and is kept as annotated.",
    )
    document["annotations"][1]["bbox"] = [-1, 0, 5, 5]
    (note,) = read(root, document).notes
    assert "2 boxes run past the border of their pictures and are kept" in note


UNUSABLE = [
    (("images", 1, "id"), 5, r"image 5 \('b\.png'\) has an id that occurs twice"),
    (("images", 1, "file_name"), "a.png", r"image 6 has the file_name 'a\.png', which occ"),
    (("images", 1, "file_name"), "./a.png", r"'\./a\.png', which occurs twice"),
    (("images", 1, "file_name"), "x.png", r"'x\.png', which is not a file in .*images"),
    (("images", 1, "file_name"), "sub", r"'sub', which is not a file in"),
    (("images", 1, "file_name"), "x" * 999, r"which is not a file in"),
    (("images", 1, "file_name"), "\ud800.png", r"which is not a file in"),
    (("images", 1, "file_name"), "/etc/a.png", r"absolute file_name '/etc/a\.png'; it must be rel"),
    (("images", 1, "file_name"), "C:\\a.png", "absolute file_name"),
    (("images", 1, "file_name"), "C:a.png", "absolute file_name"),
    (("images", 1, "file_name"), "\\\\host\\a\\a.png", "absolute file_name"),
    (("images", 1, "file_name"), "../a.png", r"'\.\./a\.png', which leads out of .*images"),
    (("images", 1, "file_name"), "sub/../../a.png", "which leads out of"),
    (("images", 1, "file_name"), "..\\a.png", "which leads out of"),
    (("annotations", 1, "id"), 1, "annotation 1 has an id that occurs twice"),
    (("annotations", 1, "image_id"), 99, "annotation 2 has the image_id 99, which no image has"),
    (("annotations", 1, "category_id"), 99, "annotation 2 has the category_id 99, which no cat"),
    (("annotations", 1, "bbox"), [1, 2, 3], r"bbox \[1, 2, 3\] .*which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), None, "which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), {"x": 1}, "which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), [1, 2, 3, "4"], "which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), [1, 2, 3, True], "which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), [1, 2, 3, math.nan], "which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), [math.inf, 2, 3, 4], "which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), [10**400, 2, 3, 4], "which is not 4 finite numbers"),
    (("annotations", 1, "bbox"), [1, 2, 0, 4], "width and height are not both positive"),
    (("annotations", 1, "bbox"), [1, 2, 3, -4], "width and height are not both positive"),
    (("annotations", 1, "bbox"), [1e308, 2, 1e308, 4], "not both positive and finite"),
    (("annotations", 1, "bbox"), [1, 2, 1e-30, 4], "not both positive"),
    (("annotations", 1, "bbox"), [40, 2, 3, 4], r"outside its picture 'a\.png' of 40 x 30 pixels"),
    (("annotations", 1, "bbox"), [2, -4, 3, 4], "lies entirely outside"),
]


@pytest.mark.parametrize(("keys", "value", "message"), UNUSABLE)
def test_read_coco_unusable_items(root, keys, value, message):
    document = changed(*keys, to=value)
    with pytest.raises(DataError, match=message) as caught:
        read(root, document)
    assert str(caught.value).startswith(str(root / "annotations.json"))
    assert str(caught.value).endswith("Correct it, or drop such items with `skip_bad=True`.")

    dataset = read(root, document, skip_bad=True)
    kind = keys[0]
    assert len(dataset) == (2 if kind == "images" else 3)
    assert sum(len(picture.boxes) for picture in dataset.pictures) == 2
    # A picture that is left out takes its box along, unless its id is that of another picture.
    n_skipped = 2 if kind == "images" else 1
    assert len(dataset.skipped) == n_skipped
    assert dataset.skipped[0].file == str(root / "annotations.json")
    assert dataset.skipped[0].reason in str(caught.value)


def test_read_coco_duplicates_keep_the_first(root):
    document = a_document()
    document["images"].append({"id": 5, "file_name": "never-looked-for.png"})
    document["annotations"].append({**document["annotations"][0], "bbox": [0, 0, 1, 1]})
    dataset = read(root, document, skip_bad=True)
    assert dataset.pictures[0].name == "a.png"
    assert dataset.pictures[0].boxes[0].tolist() == [1, 2, 11, 22]
    assert len(dataset.skipped) == 2


MALFORMED = [
    (("images",), del_, "the file has no 'images'"),
    (("annotations",), del_, "the file has no 'annotations'"),
    (("categories",), del_, "the file has no 'categories'"),
    (("images",), {}, r"'images' is \{\}; it must be a list\. Correct the file"),
    (("annotations",), None, "'annotations' is None; it must be a list"),
    (("categories",), "x", "'categories' is 'x'; it must be a list"),
    (("images", 0), 3, "image 0 of the list is 3; it must be an object"),
    (("images", 0, "id"), del_, "image 0 of the list has no 'id'"),
    (("images", 0, "id"), [1], r"image 0 of the list has the id \[1\]; it must be an int"),
    (("images", 0, "id"), 1.0, r"has the id 1\.0; it must be an int"),
    (("images", 0, "id"), True, "has the id True; it must be an int"),
    (("images", 0, "id"), 1 << 64, "must be an int of 64 bits"),
    (("images", 0, "file_name"), del_, "image 5 has no 'file_name'"),
    (("images", 0, "file_name"), 7, "image 5 has the file_name 7; it must be a text"),
    (("images", 0, "file_name"), "", "it must be a text, not empty"),
    (("images", 0, "file_name"), "a\0", "without null characters"),
    (("images", 0, "width"), "40", "image 5 has the width '40'; it must be a positive int"),
    (("images", 0, "height"), 0, "image 5 has the height 0; it must be a positive int"),
    (("images", 0, "height"), True, "it must be a positive int"),
    (("annotations", 0), [], r"annotation 0 of the list is \[\]; it must be an object"),
    (("annotations", 0, "id"), del_, "annotation 0 of the list has no 'id'"),
    (("annotations", 0, "image_id"), del_, "annotation 1 has no 'image_id'"),
    (("annotations", 0, "category_id"), del_, "annotation 1 has no 'category_id'"),
    (("annotations", 0, "category_id"), {}, r"has the category_id \{\}; it must be an int"),
    (("annotations", 0, "bbox"), del_, "annotation 1 has no 'bbox'"),
    (("annotations", 0, "ignore"), 2, "annotation 1 has the ignore 2; it must be 0 or 1"),
    (("annotations", 0, "iscrowd"), "1", "annotation 1 has the iscrowd '1'; it must be 0 or 1"),
    (("categories", 0, "name"), del_, "category 3 has no 'name'"),
    (("categories", 0, "name"), 1, "category 3 has the name 1; it must be a text"),
    (("categories", 0, "name"), "sign", r"category 4 \('sign'\) has an id or a name that"),
    (("categories", 0, "id"), 4, r"category 4 \('sign'\) has an id or a name that occurs twice"),
]


@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize(("keys", "value", "message"), MALFORMED)
def test_read_coco_malformed_is_always_an_error(root, keys, value, message, skip_bad):
    with pytest.raises(DataError, match=message):
        read(root, changed(*keys, to=value), skip_bad=skip_bad)


@pytest.mark.parametrize("value", [0, 1, True, False, 1.0])
def test_read_coco_flags(root, value):
    dataset = read(root, changed("annotations", 0, "ignore", to=value))
    assert dataset.pictures[0].ignore[0] == bool(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is not JSON \(.*Give a COCO annotation file"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"images": [{"id": ' + b"9" * 5000 + b"}]}", "is not JSON"),
        (b"[]", r"is JSON, but \[\] and not an object with images, .*not results"),
    ],
)
def test_read_coco_not_json(tmp_path, content, message):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_coco(path, skip_bad=True)


def test_read_coco_byte_order_mark(root):
    path = root / "bom.json"
    path.write_text(json.dumps(a_document()), encoding="utf-8-sig")
    assert len(read_coco(path)) == 3


def test_read_coco_no_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.json: no such file\. Give the COCO annotation file"):
        read_coco(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"is a folder\. Give the COCO annotation file"):
        read_coco(tmp_path)
    with pytest.raises(DataError, match=r"cannot be read \("):
        read_coco(tmp_path / ("a" * 999))


def test_read_coco_parameters(root):
    with pytest.raises(ParameterError, match="'box_key' parameter of read_coco must be a str"):
        read(root, a_document(), box_key=3)
    with pytest.raises(ParameterError, match="'skip_bad' parameter of read_coco"):
        read(root, a_document(), skip_bad="yes")


def test_read_coco_empty(root):
    dataset = read(root, {"images": [], "annotations": [], "categories": []})
    assert len(dataset) == 0
    with pytest.raises(DataError, match="holds no object"):
        dataset.require_positives()


def test_write_coco_round_trip_of_a_file(root):
    dataset = read(root, a_document(), name="x")
    write_coco(dataset, root / "again.json")
    again = read_coco(root / "again.json", name="x")
    assert again.digest() == dataset.digest()
    assert [p.image_id for p in again.pictures] == [5, 6, 7]
    assert again.categories == dataset.categories
    document = json.loads((root / "again.json").read_text())
    assert document["annotations"][0] == {
        "id": 1,
        "image_id": 5,
        "category_id": 1,
        "bbox": [1.0, 2.0, 10.0, 20.0],
        "area": 200.0,
        "ignore": 0,
        "iscrowd": 0,
    }


def test_write_coco_sizes(root):
    path = root / "images" / "a.png"
    on_disk = Dataset("d", (Picture(0, "a.png", path=path),))
    in_memory = Dataset("d", (Picture(0, "a.png", pixels=np.zeros((30, 40, 3), np.uint8)),))
    for dataset in (on_disk, in_memory):
        write_coco(dataset, root / "sizes.json")
        assert read_coco(root / "sizes.json").pictures[0].size == (30, 40)


def test_write_coco_errors(root):
    picture = Picture(0, "a.png", path="none.png", size=(30, 40))
    crops = Dataset("d", crops=Crops(np.zeros((1, 2, 2), np.uint8)))
    with pytest.raises(DataError, match=r"e\.json: COCO JSON cannot hold the crops of 'd'\. Write"):
        write_coco(crops, root / "e.json")
    twice = Dataset("d", (picture, dataclasses.replace(picture, image_id=1)))
    with pytest.raises(DataError, match=r"2 pictures of 'd' are called 'a\.png'\. Give each"):
        write_coco(twice, root / "e.json")
    unknown = Dataset("d", (dataclasses.replace(picture, size=None),))
    with pytest.raises(DataError, match=r"none\.png: no such file"):
        write_coco(unknown, root / "e.json")
    with pytest.raises(DataError, match=r"e\.json: cannot be written"):
        write_coco(Dataset("d", (picture,)), root / "none" / "e.json")
    assert not (root / "e.json").exists()


@st.composite
def datasets(draw):
    labels = draw(st.lists(st.text(min_size=1).filter(is_label), min_size=1, unique=True))
    pictures = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        n = draw(st.integers(0, 4))
        corner = st.tuples(st.floats(-5, 39), st.floats(-5, 29))
        sides = st.tuples(st.floats(5.01, 1e4), st.floats(5.01, 1e4))
        drawn = draw(fixed(st.tuples(corner, sides), n))
        boxes = [(x, y, x + width, y + height) for (x, y), (width, height) in drawn]
        picture = Picture(
            draw(st.integers(-(2**62), 2**62)),
            name,
            np.array(boxes),
            draw(fixed(st.sampled_from(labels), n)),
            draw(fixed(st.booleans(), n)),
            draw(fixed(st.booleans(), n)),
            path=name,
            size=(30, 40),
        )
        pictures.append(picture)
    ids = {picture.image_id for picture in pictures}
    if len(ids) < len(pictures):
        pictures = pictures[:1]
    return Dataset("d", tuple(pictures), categories=tuple(labels))


def fixed(element, n):
    return st.lists(element, min_size=n, max_size=n)


def is_label(text):
    return "\0" not in text


@QUICK
@given(dataset=datasets())
def test_write_coco_round_trip(root, dataset):
    write_coco(dataset, root / "round.json")
    got = read_coco(root / "round.json", name="d")
    assert got.categories == dataset.categories
    assert len(got) == len(dataset)
    for one, other in zip(got.pictures, dataset.pictures, strict=True):
        assert (one.image_id, one.name, one.size) == (other.image_id, other.name, other.size)
        np.testing.assert_allclose(one.boxes, other.boxes, rtol=0, atol=0.01)
        assert one.labels.tolist() == other.labels.tolist()
        assert one.ignore.tolist() == other.ignore.tolist()
        assert one.crowd.tolist() == other.crowd.tolist()


def places(value, keys=()):
    """Return the path of keys to every value inside a document."""
    found = [keys] if keys else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*keys, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += places(inner, (*keys, index))
    return found


PLACES = places(a_document())
VALUES = st.one_of(
    st.just(del_),
    st.none(),
    st.booleans(),
    st.integers(-3, 8),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["a.png", "../a.png", "a.png\0", "/", ".", "face", 10**400, -(2**63), 1e308]),
    st.lists(st.integers(-50, 50) | st.floats(), max_size=5),
    st.dictionaries(st.sampled_from(["id", "name", "bbox"]), st.integers(), max_size=2),
)


def mutate(document, keys, value):
    inner = document
    for key in keys[:-1]:
        try:
            inner = inner[key]
        except (KeyError, IndexError, TypeError):
            return  # an earlier mutation removed the place
    try:
        if value is del_:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = copy.deepcopy(value)
    except (KeyError, IndexError, TypeError):
        return


MUTATIONS = st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=2)


def read_or_none(path, document, skip_bad):
    """Return the data set, or None where a DataError names the file; nothing else may escape."""
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    path.write_bytes(content)
    try:
        return read_coco(path, skip_bad=skip_bad)
    except DataError as error:
        message = str(error)
    assert path.name in message
    return None


@pytest.mark.parametrize("skip_bad", [False, True])
def test_read_coco_mutations_load_or_raise_data_error(root, skip_bad):
    loaded = refused = 0

    @QUICK
    @given(mutations=st.lists(MUTATIONS, min_size=4, max_size=4))
    def check(mutations):
        nonlocal loaded, refused
        for group in mutations:
            document = a_document()
            for keys, value in group:
                mutate(document, keys, value)
            dataset = read_or_none(root / "annotations.json", document, skip_bad)
            if dataset is None:
                refused += 1
                continue
            dataset.digest()
            assert skip_bad or not dataset.skipped
            loaded += 1

    check()
    assert loaded > 10
    assert refused > 10


JSON = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["images", "annotations", "categories", "id"]), inner)
    ),
    max_leaves=8,
)


@QUICK
@given(content=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_read_coco_any_file_loads_or_raises_data_error(root, content):
    read_or_none(root / "any.json", content, skip_bad=False)


def test_read_coco_label_of_half_a_character(root):
    dataset = read(root, changed("categories", 0, "name", to="\ud800"))
    assert dataset.categories[0] == dataset.pictures[0].labels[0] == "\ud800"
    dataset.digest()
    write_coco(dataset, root / "half.json")
    assert read_coco(root / "half.json").categories == dataset.categories
