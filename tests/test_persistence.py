"""The model file: round trips, and hostile bytes that end in one kind of error."""

import io
import itertools
import json
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy

from bootstrap_det._files import atomic_write, write_json
from bootstrap_det.channels import HOG
from bootstrap_det.classifiers import LinearModel, TreeModel
from bootstrap_det.classifiers.class_model import ClassModel, ClassView
from bootstrap_det.detector import Detector, Template
from bootstrap_det.exceptions import DataError, ModelFormatError
from bootstrap_det.location import LocationPrior
from bootstrap_det.persistence import MODEL_FORMAT_VERSION, check_format, read_arrays, write_arrays
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.refinement import make_loss
from bootstrap_det.refinement.regressors import LinearRegressor, TreeRegressor
from bootstrap_det.refinement.stages import QualityModel, Refinement, Stage
from bootstrap_det.windows import Window

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array([], dtype=np.int64),
    "c": np.array(3.5),
    "d": np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::-1],
}


def small_detector():
    channels = HOG(cell_size=4, n_orientations=4)
    rng = np.random.default_rng(440)
    models = [LinearModel(rng.normal(size=(16, 2, width)), 0.1) for width in (2, 3)]
    windows = [Window((12, 12)), Window((12, 16), (1, 2, 14, 10))]
    features, leaves = rng.integers(0, 64, (5, 3)), rng.integers(-9, 10, (5, 4))
    models.append(
        TreeModel(
            features, features + 9, leaves, 0.25, (16, 2, 2), np.full(5, -12), value_scale=300
        )
    )
    windows.append(Window((12, 12)))
    labels = ("one", "ä", "three")
    refinements = (linear_refinement(rng, 16 * 4 + 4), None, tree_refinement(rng, 16 * 4 + 4))
    parts = zip(windows, models, labels, refinements, strict=True)
    view = ClassView(Window((12, 12)), HOG(cell_size=4, n_orientations=2))
    classes = {
        label: ClassModel(("a", "b"), rng.normal(size=(2, view.n_features)), np.zeros(2), view=view)
        for label in labels
    }
    return Detector(
        [Template(*each) for each in parts],
        channels,
        pyramid=Pyramid(scales_per_octave=3, min_object_size=10),
        classes=classes,
        location=LocationPrior(rng.normal(size=(3, 4)), (0.01, 0.9), -9.0, 0.0, 1.0, "both"),
        provenance={"seed": 1},
    )


def linear_refinement(rng, n_inputs):
    """Return two stages, the first with a quality."""
    regressor = LinearRegressor(rng.normal(0, 1e-3, (4, n_inputs)), np.zeros(4))
    quality = QualityModel(rng.normal(0, 1e-3, n_inputs), 0.0)
    return Refinement((Stage(regressor, make_loss("giou"), quality),
                       Stage(regressor, make_loss("smooth-l1"))))  # fmt: skip


def tree_refinement(rng, n_inputs):
    """Return a stage of two trees."""
    loss = make_loss("dfl", n_bins=2)
    trees = TreeRegressor(
        rng.integers(0, n_inputs, (2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(2, 4, 8)),
        np.zeros(8), n_inputs,
    )  # fmt: skip
    return Refinement((Stage(trees, loss),))


@pytest.fixture(scope="module")
def model_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.bdet"
    small_detector().save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "file.bdet"


def npy_bytes(header, data=b""):
    """Return an npy member with any header at all."""
    stream = io.BytesIO()
    text = str(header).encode() + b"\n"
    stream.write(npy.magic(1, 0) + len(text).to_bytes(2, "little") + text + data)
    return stream.getvalue()


def write_members(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def members_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def loads_or_refuses(path, load):
    """Load a file that may be damaged; only ModelFormatError may come out, and little memory."""
    tracemalloc.start()
    try:
        load(path)
    except ModelFormatError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 20e6


def test_arrays_round_trip(tmp_path):
    header = {"x": [1, 2.5, None], "name": "ä"}
    write_arrays(tmp_path / "f", header, ARRAYS)
    got_header, got = read_arrays(tmp_path / "f")
    assert got_header == header
    assert set(got) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


def test_write_arrays_equal_input_gives_equal_bytes(tmp_path):
    write_arrays(tmp_path / "f", {"a": 1, "b": 2}, ARRAYS)
    write_arrays(tmp_path / "g", {"b": 2, "a": 1}, dict(reversed(ARRAYS.items())))
    assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes()


def test_write_arrays_is_an_ordinary_npz(tmp_path):
    write_arrays(tmp_path / "f.npz", {"a": 1}, ARRAYS)
    with np.load(tmp_path / "f.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["d"], ARRAYS["d"])
        assert json.loads(archive["header"].tobytes()) == {"a": 1}


def test_detector_round_trip_bit_for_bit(tmp_path, rng):
    detector = small_detector()
    detector.save(tmp_path / "m.bdet")
    loaded = Detector.load(tmp_path / "m.bdet")
    image = rng.integers(0, 256, (60, 70)).astype(np.uint8)
    one, other = detector.detect(image), loaded.detect(image)
    assert len(one) > 0
    for name in ("boxes", "scores", "labels"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert loaded.provenance == {"seed": 1}
    assert loaded.pyramid.get_params() == detector.pyramid.get_params()
    assert loaded.channels.get_params() == detector.channels.get_params()
    assert [t.window for t in loaded.templates] == [t.window for t in detector.templates]


def test_detector_saved_again_has_the_same_bytes(tmp_path, model_bytes):
    (tmp_path / "a").write_bytes(model_bytes)
    Detector.load(tmp_path / "a").save(tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == model_bytes


@settings(max_examples=50)
@given(st.data())
def test_load_survives_changed_bytes(model_bytes, scratch, data):
    changed = bytearray(model_bytes)
    position = st.integers(0, len(changed) - 1)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(position)] = data.draw(st.integers(0, 255))
    scratch.write_bytes(changed)
    loads_or_refuses(scratch, Detector.load)


def test_load_survives_each_directory_byte(model_bytes, scratch):
    directory = model_bytes.rindex(b"PK\x01\x02", 0, model_bytes.index(b"PK\x05\x06"))
    for position in range(directory, len(model_bytes)):
        for value in (0, 255, model_bytes[position] ^ 1):
            changed = bytearray(model_bytes)
            changed[position] = value
            scratch.write_bytes(changed)
            loads_or_refuses(scratch, Detector.load)


def test_load_refuses_every_truncation(model_bytes, scratch):
    for length in range(0, len(model_bytes), 37):
        scratch.write_bytes(model_bytes[:length])
        with pytest.raises(ModelFormatError, match="cannot be read as a model file"):
            Detector.load(scratch)


@settings(max_examples=50)
@given(st.data())
def test_load_survives_changed_members_with_a_correct_checksum(model_bytes, scratch, data):
    members = members_of(model_bytes)
    name = data.draw(st.sampled_from(sorted(members)))
    content = bytearray(members[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    write_members(scratch, {**members, name: bytes(content)})
    loads_or_refuses(scratch, Detector.load)


def all_paths(value, path=()):
    """Return the path of every value in a JSON document, leaves and branches."""
    children = []
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    return [path, *(p for key, child in children for p in all_paths(child, (*path, key)))]


def replaced(value, path, new):
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


ODD_VALUES = [None, -1, 0, 1e308, "", "x", [], {}, [[1]], True, float("nan"), float("inf"), 10**18]


def test_load_survives_odd_values_anywhere_in_the_header(model_bytes, scratch, rng):
    scratch.write_bytes(model_bytes)
    header, _ = read_arrays(scratch)
    members = members_of(model_bytes)
    pairs = list(itertools.product(all_paths(header), ODD_VALUES))
    for index in rng.permutation(len(pairs))[:250]:
        text = json.dumps(replaced(header, *pairs[index])).encode()
        stream = io.BytesIO()
        npy.write_array(stream, np.frombuffer(text, np.uint8))
        write_members(scratch, {**members, "header.npy": stream.getvalue()})
        loads_or_refuses(scratch, Detector.load)


@pytest.mark.parametrize("path", [("detector", "threshold"), ("templates", 0, "bias")])
def test_load_refuses_huge_whole_numbers(model_bytes, tmp_path, path):
    (tmp_path / "m").write_bytes(model_bytes)
    header, arrays = read_arrays(tmp_path / "m")
    write_arrays(tmp_path / "m", replaced(header, path, 10**400), arrays)
    with pytest.raises(ModelFormatError):
        Detector.load(tmp_path / "m")


FORGED = {
    "far too large": ("<f4", (10**12,), b""),
    "overflowing": ("<f4", (2**62, 4), b""),
    "overflowing to 0": ("<f4", (2**32, 2**32), b""),
    "negative": ("<f4", (-1,), b"1234"),
    "two negatives": ("<f4", (-1, -1), b"1234"),
    "too few bytes": ("<f4", (3,), b"12345678"),
    "too many bytes": ("<f4", (1,), b"12345678"),
    "objects": ("|O", (1,), pickle.dumps([1])),
    "text": ("<U1", (1,), b"1234"),
    "a record": ([("a", "<f4")], (1,), b"1234"),
    "complex": ("<c8", (1,), b"12345678"),
}


@pytest.mark.parametrize(("descr", "shape", "data"), FORGED.values(), ids=FORGED)
def test_read_arrays_refuses_forged_array_headers(scratch, descr, shape, data):
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    write_members(scratch, {"header.npy": npy_bytes(header, data)})
    loads_or_refuses(scratch, read_arrays)
    with pytest.raises(ModelFormatError, match="cannot be read as a model file"):
        read_arrays(scratch)


class Trap:
    """Something that says so when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def test_read_arrays_never_unpickles(scratch):
    np.savez(scratch.with_suffix(".npz"), header=np.array([Trap()], dtype=object))
    for path, content in (
        (scratch.with_suffix(".npz"), None),
        (scratch, pickle.dumps(Trap())),
        (scratch, npy_bytes({"descr": "|O", "fortran_order": False, "shape": ()}, b"x")),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ModelFormatError):
            read_arrays(path)


def test_write_arrays_refuses_objects(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_arrays(tmp_path / "f", {}, {"a": np.array([None])})
    assert list(tmp_path.iterdir()) == []


def test_read_arrays_limits_what_it_unpacks(tmp_path):
    write_arrays(tmp_path / "f", {}, {"a": np.zeros(1_000_000, np.uint8)})
    assert (tmp_path / "f").stat().st_size < 10_000
    with pytest.raises(ModelFormatError, match="exceed 1000 bytes"):
        read_arrays(tmp_path / "f", max_bytes=1000)


def test_read_arrays_limits_the_number_of_members(tmp_path):
    write_members(tmp_path / "f", {f"{i}.npy": b"" for i in range(4097)})
    with pytest.raises(ModelFormatError, match="4097 members"):
        read_arrays(tmp_path / "f")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "it has no header"),
        ({"header.txt": b""}, "unexpected member 'header.txt'"),
        ({"header.npy": b""}, "cannot be read"),
    ],
)
def test_read_arrays_refuses_other_archives(tmp_path, members, message):
    write_members(tmp_path / "f", members)
    with pytest.raises(ModelFormatError, match=message):
        read_arrays(tmp_path / "f")


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[1]", b"[" * 100_000])
def test_read_arrays_refuses_a_header_that_is_no_json_object(tmp_path, text):
    stream = io.BytesIO()
    npy.write_array(stream, np.frombuffer(text, np.uint8))
    write_members(tmp_path / "f", {"header.npy": stream.getvalue()})
    with pytest.raises(ModelFormatError, match="its header is not"):
        read_arrays(tmp_path / "f")


def test_load_missing_file_folder_or_text(tmp_path):
    (tmp_path / "text").write_text("hello")
    for name in ("missing", "", "text"):
        with pytest.raises(ModelFormatError):
            Detector.load(tmp_path / name)


def test_load_refuses_a_newer_version_by_number(tmp_path, model_bytes):
    (tmp_path / "m").write_bytes(model_bytes)
    header, arrays = read_arrays(tmp_path / "m")
    newer = MODEL_FORMAT_VERSION + 1
    write_arrays(tmp_path / "m", {**header, "format_version": newer}, arrays)
    message = rf"model format {newer} is newer than {MODEL_FORMAT_VERSION}.*Update the package"
    with pytest.raises(ModelFormatError, match=message):
        Detector.load(tmp_path / "m")


@pytest.mark.parametrize("version", [0, -1, "1", None, True, 1.0])
def test_check_format_refuses_odd_versions(version):
    with pytest.raises(ModelFormatError, match="its format_version is"):
        check_format({"format": "bootstrap_det.model", "format_version": version}, "m")


def test_check_format_refuses_other_formats():
    with pytest.raises(ModelFormatError, match=r"m: not a model file \(format 'cake'"):
        check_format({"format": "cake", "format_version": 1}, "m")


def test_atomic_write_leaves_the_old_file_on_failure(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    for write in (
        lambda: write_json(path, {"a": float("nan")}),
        lambda: write_arrays(path, {"a": float("inf")}, {}),
        lambda: write_arrays(path, {}, {"a": np.array([None])}),
    ):
        with pytest.raises(ValueError, match=r"JSON compliant|Object arrays"):
            write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_leaves_the_old_file_when_interrupted(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_write(path) as stream:
            stream.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_replaces_and_others_may_read(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with atomic_write(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644


def test_atomic_write_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"missing.f: cannot be written \(No such file"):
        small_detector().save(tmp_path / "missing" / "f")
