"""Small model files of every kind, and hostile changes of them."""

import io
import json
import math
import random
import struct
import zipfile
import zlib
from functools import cache

import numpy as np
from mutations import blind, mutated_json
from numpy.lib import format as npy

from bootstrap_det.channels import ACF, HOG
from bootstrap_det.classifiers import LinearModel, TreeModel
from bootstrap_det.classifiers.class_model import ClassModel, ClassView
from bootstrap_det.detector import Detector, Template
from bootstrap_det.exceptions import BootstrapDetError
from bootstrap_det.location import LocationPrior
from bootstrap_det.persistence import read_arrays
from bootstrap_det.pyramid import Pyramid
from bootstrap_det.refinement import make_loss
from bootstrap_det.refinement.regressors import LinearRegressor, TreeRegressor
from bootstrap_det.refinement.stages import QualityModel, Refinement, Stage
from bootstrap_det.windows import Window

SIDE = 16
BOMB = 1 << 30  # bytes of zeros that deflate to a megabyte
LOSSES = ("l2", "smooth-l1", "kl", "giou", "dfl")


def make_models(folder):
    """Write a model file of each kind; return their bytes by name."""
    rng = np.random.default_rng(440)
    models = {
        "linear": _detector(rng, HOG(cell_size=4, n_orientations=4)),
        "trees-window": _detector(rng, ACF()),
        "trees-local": _detector(rng, ACF(normalise="local", coarser=True, color="rgb")),
        "classes": _with_classes(rng, HOG(cell_size=4, n_orientations=4)),
        "location": _with_location(rng, ACF(normalise="none")),
        "approximate": _detector(
            rng, ACF(n_orientations=2), pyramid=Pyramid(exponents=(0.1,) * 4, scales_per_octave=4)
        ),
    }
    for index, loss in enumerate(LOSSES):
        channels = ACF(n_orientations=2) if index % 2 else HOG(cell_size=8, n_orientations=4)
        kind = "trees" if index % 3 else "linear"
        models[f"refined-{kind}-{loss}"] = _refined(rng, channels, kind, loss)
    found = {}
    for name, detector in models.items():
        detector.save(folder / f"{name}.bdet")
        found[name] = (folder / f"{name}.bdet").read_bytes()
    return found


def _detector(rng, channels, refinement=None, **options):
    window = Window((SIDE, SIDE), (1.0, 1.0, 15.0, 15.0))
    template = Template(window, _model(rng, channels, window), "thing", refinement)
    options = {"pyramid": Pyramid(scales_per_octave=2), **options}
    return Detector([template], channels, **options)


def _shape(channels, window):
    return (channels.n_window_channels, *channels.grid_shape(window.size))


def _model(rng, channels, window):
    shape = _shape(channels, window)
    if isinstance(channels, HOG):
        return LinearModel(rng.normal(size=shape), 0.1)
    features = rng.integers(0, math.prod(shape), (12, 3))
    thresholds = rng.integers(1, 255, (12, 3))
    leaves = rng.integers(-900, 1000, (12, 4))
    return TreeModel(features, thresholds, leaves, 0.25, shape, np.full(12, -3000))


def _with_classes(rng, channels):
    view = ClassView(Window((SIDE, SIDE)), HOG(cell_size=4, n_orientations=2))
    weights = rng.normal(size=(3, view.n_features))
    model = ClassModel(("a", "b", "c"), weights, np.zeros(3), view=view)
    return _detector(rng, channels, classes={"thing": model}, suppression="vote")


def _with_location(rng, channels):
    prior = LocationPrior(rng.normal(size=(4, 6)), (0.01, 0.9), -9.0, 0.0, 1.0, "both")
    return _detector(rng, channels, location=prior, suppression="soft-nms")


def _refined(rng, channels, kind, name):
    n_inputs = math.prod(_shape(channels, Window((SIDE, SIDE)))) + 4
    loss = make_loss(name, **({"n_bins": 3} if name == "dfl" else {}))
    stages = tuple(_stage(rng, kind, loss, n_inputs, number) for number in range(2))
    return _detector(rng, channels, Refinement(stages), suppression="fusion")


def _stage(rng, kind, loss, n_inputs, number):
    n_outputs = loss.n_outputs
    if kind == "linear":
        regressor = LinearRegressor(rng.normal(0, 1e-3, (n_outputs, n_inputs)), np.zeros(n_outputs))
    else:
        regressor = TreeRegressor(
            rng.integers(0, n_inputs, (3, 3)), rng.normal(size=(3, 3)),
            rng.normal(0, 0.1, (3, 4, n_outputs)), np.zeros(n_outputs), n_inputs,
        )  # fmt: skip
    quality = QualityModel(rng.normal(0, 1e-3, n_inputs), 0.0)
    return Stage(regressor, loss, quality, classify_after=bool(number))


def mutate_model(models, rng, scratch, *, bombs=True):
    """Return the name of a model and a hostile file made of it.

    ``scratch`` is a free file name; ``bombs`` are slow to make.
    """
    name = rng.choice(sorted(models))
    kind = rng.choice(_KINDS if bombs else _KINDS[:-1])
    if kind is _blind:
        return f"{name} blind", blind(models[name], rng, models[rng.choice(sorted(models))])
    scratch.write_bytes(models[name])
    header, arrays = read_arrays(scratch)
    return f"{name} {kind.__name__[1:]}", kind(header, arrays, rng)


def _blind(header, arrays, rng):
    raise NotImplementedError  # a mark: it needs the bytes


def _changed_header(header, arrays, rng):
    return packed(mutated_json(header, rng), arrays)


def _changed_arrays(header, arrays, rng):
    for _ in range(rng.choice((1, 1, 2, 3))):
        name = rng.choice(sorted(arrays))
        arrays[name] = _odd_array(arrays[name], rng, arrays)
    return packed(header, arrays)


def _changed_both(header, arrays, rng):
    name = rng.choice(sorted(arrays))
    arrays[name] = _odd_array(arrays[name], rng, arrays)
    return packed(mutated_json(header, rng), arrays)


def _odd_array(array, rng, arrays):
    """Return an array of another shape, type or content."""
    if array.dtype.kind not in "fiu":  # changed before
        return array
    array = np.atleast_1d(array)
    changes = (
        lambda: array[:-1], lambda: array[None], lambda: array.ravel(), lambda: array.T,
        lambda: np.zeros(0, array.dtype), lambda: np.resize(array, ()),
        lambda: np.concatenate([array, array]), lambda: arrays[rng.choice(sorted(arrays))],
        lambda: np.full_like(array, _extreme(array.dtype, rng)),
        lambda: _with_one(array, rng), lambda: _with_one(array, rng), lambda: _with_one(array, rng),
        lambda: array.astype(rng.choice(("f4", "f8", "i2", "i4", "i8", "u1"))),
        lambda: array.astype(rng.choice(("f2", "c8", "u2", "?", ">f4", ">i4", "M8[s]", "S3"))),
    )  # fmt: skip
    with np.errstate(all="ignore"):
        return rng.choice(changes)()


def _extreme(dtype, rng):
    if dtype.kind == "f":
        return rng.choice((np.nan, np.inf, -np.inf, np.finfo(dtype).max, -np.finfo(dtype).max, 0.0))
    limits = np.iinfo(dtype)
    return rng.choice((limits.min, limits.max, 0, max(limits.min, -1)))


def _with_one(array, rng):
    """Return an array with one entry at an extreme: an index just or far out of range."""
    if not array.size:
        return array
    copy = np.array(array, order="C")
    near = int(copy.max()) + 1 if copy.dtype.kind in "iu" else 1e30
    value = rng.choice((_extreme(array.dtype, rng), near))
    with np.errstate(all="ignore"):
        copy.flat[rng.randrange(copy.size)] = np.array(value).astype(array.dtype)
    return copy


def _extreme_parameters(header, arrays, rng):
    """Return a consistent model whose parameters are at the ends of their ranges."""
    channels = _extreme_channels(rng)
    window = Window((rng.choice((4, 8, 16, 96, 512)), rng.choice((4, 8, 16, 96, 512))))
    shape = _shape(channels, window)
    if 0 in shape or math.prod(shape) > 2_000_000:
        return packed(header, arrays)
    trees = isinstance(channels, ACF)
    low, high = rng.choice(((None, None), (1.0, None), (1.0, 1e5), (None, 1e5)))
    pyramid = {
        "scales_per_octave": rng.choice((1, 8, 64)), "min_object_size": low,
        "max_object_size": high, "padding": rng.choice((0, 8, 64, 1024)), "exponents": None,
    }  # fmt: skip
    entry, arrays = {"kind": "linear", "bias": rng.choice((-1.0, 0.0, 1e30))}, {}
    arrays["weights_0"] = np.full(shape, rng.choice((0.0, 1e-3, 1e30)), np.float32)
    if trees:
        entry = {
            "kind": "trees", "unit": rng.choice((1.0, 2.0**-1000, 2.0**1000)),
            "value_scale": 1.0, "window_shape": list(shape),
        }  # fmt: skip
        n_trees = rng.choice((1, 64, 3000))
        arrays = {
            "features_0": np.full((n_trees, 31), math.prod(shape) - 1, np.int32),
            "thresholds_0": np.full((n_trees, 31), 9, np.uint8),
            "leaves_0": np.full((n_trees, 32), rng.choice((-32768, 0, 32767)), np.int16),
            "rejection_0": np.full(n_trees, rng.choice((-(1 << 30), 0, 1 << 30)), np.int32),
        }
    box = rng.choice(([0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 1e-3, 1e-3], [-1e308, -1e308, 1e308, 1e308]))
    template = {"window": {"size": list(window.size), "object_box": box}, "label": "x", **entry}
    header = {
        **header, "templates": [template] * 1, "pyramid": pyramid,
        "channels": {"name": type(channels).__name__, **channels.get_params()},
    }  # fmt: skip
    for part in ("classes", "location"):
        header.pop(part, None)
    how = {"suppression": rng.choice(("nms", "soft-nms", "vote", "fusion"))}
    how["nms_threshold"] = rng.choice((0.0, 0.3, 1.0))
    header["detector"] = {**header["detector"], **how}
    return packed(header, arrays)


def _extreme_channels(rng):
    if rng.random() < 0.5:
        return ACF(
            n_orientations=rng.choice((1, 16)), normalise=rng.choice(("window", "none")),
            cell_size=rng.choice((2, 4)), coarser=rng.random() < 0.5,
        )  # fmt: skip
    return HOG(
        cell_size=rng.choice((2, 8, 64)), block_size=rng.choice((1, 2, 8)),
        n_orientations=rng.choice((1, 9, 64)),
    )  # fmt: skip


def packed(header, arrays, method=zipfile.ZIP_DEFLATED):
    """Return the bytes of a model file, with correct checksums."""
    stream = io.BytesIO()
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, array in {"header": np.frombuffer(text, np.uint8), **arrays}.items():
            archive.writestr(f"{name}.npy", npy_bytes(array))
    return stream.getvalue()


def npy_bytes(array):
    """Return an array as an npy file."""
    stream = io.BytesIO()
    npy.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
    return stream.getvalue()


def _forged_member(header, arrays, rng):
    """Return a file in which one member's npy header lies."""
    name = rng.choice([*sorted(arrays), "header"])
    shapes = ((10**12,), (2**62, 4), (2**32, 2**32), (-1,), (-1, -1), (0,), (1,) * 40, (3,))
    descr = rng.choice(("<f4", "<i4", "|u1", "|O", "<U9", "<M8[s]", [("a", "<f4")], "x" * 500))
    text = repr({"descr": descr, "fortran_order": rng.random() < 0.5, "shape": rng.choice(shapes)})
    text = rng.choice((text, text, "[" * 3000, "{" * 99, text * 3, "__import__('os')")).encode()
    version = rng.choice(((1, 0), (1, 0), (2, 0), (3, 0), (9, 9)))
    width = 2 if version == (1, 0) else 4
    length = rng.choice((len(text), len(text), 65535, 0)).to_bytes(width, "little")
    data = npy.MAGIC_PREFIX + bytes(version) + length + text + bytes(rng.choice((0, 12, 64)))
    return _rezipped(packed(header, arrays), {f"{name}.npy": data})


def _rezipped(data, changes):
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, changes.pop(name, None) or old.read(name))
        for name, content in changes.items():
            new.writestr(name, content)
    return stream.getvalue()


def _odd_members(header, arrays, rng):
    """Return a file with members of other names, doubles, or very many."""
    stream = io.BytesIO(packed(header, arrays))
    names = rng.choice((["../../evil.npy"], ["/etc/passwd.npy"], ["header.npy"], ["a"], [".npy"],
                        ["weights_0.npy"], [f"m{i}.npy" for i in range(5000)],
                        ["x" * 60000]))  # fmt: skip
    with zipfile.ZipFile(stream, "a") as archive:
        for name in names:
            info = zipfile.ZipInfo(name.replace("\0", ""))
            archive.writestr(info, npy_bytes(np.zeros(1, np.float32)))
    return stream.getvalue()


def _lying_directory(header, arrays, rng):
    """Return a file whose directory lies about a member's sizes, place, method or checksum."""
    data = bytearray(packed(header, arrays))
    entries = [i for i in range(len(data)) if data[i : i + 4] == b"PK\x01\x02"]
    at = rng.choice(entries)
    offset, form = rng.choice(((10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (42, "<I"),
                               (8, "<H"), (28, "<H"), (30, "<H")))  # fmt: skip
    old = struct.unpack_from(form, data, at + offset)[0]
    limit = 1 << (8 * struct.calcsize(form))
    new = rng.choice((0, 1, old + 1, old - 1, old * 2, 12, 14, 93, 2**30, 2**31, 2**32 - 1)) % limit
    struct.pack_into(form, data, at + offset, new)
    return bytes(data)


def _other_method(header, arrays, rng):
    return packed(header, arrays, rng.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))


def _bomb(header, arrays, rng):
    """Return a file with a member of a gigabyte, or of hundreds of megabytes, of zeros."""
    size = rng.choice((BOMB, BOMB, 300 << 20, 100 << 20))
    method = rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    name = rng.choice((*sorted(arrays), "header", "other"))
    stated = rng.choice((size, 1000, 100 << 20))
    return with_zeros(packed(header, arrays), f"{name}.npy", size, method=method, stated=stated)


@cache
def _zeros_packed(size, method, shape):
    """Return zeros behind an npy header, compressed, and their checksum."""
    if method == zipfile.ZIP_BZIP2:
        import bz2

        compressor, size = bz2.BZ2Compressor(), min(size, 300 << 20)
    else:
        compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    head = npy_bytes(np.zeros(1, np.uint8))[:-1].replace(b"(1,), ", f"{shape}, ".encode())
    block, crc = bytes(1 << 20), zlib.crc32(head)
    parts = [compressor.compress(head)]
    for _ in range(size >> 20):
        parts.append(compressor.compress(block))
        crc = zlib.crc32(block, crc)
    return b"".join([*parts, compressor.flush()]), crc


def with_zeros(data, name, size, *, method=zipfile.ZIP_DEFLATED, stated=None, shape=None):
    """Return an archive with one more member of very many zeros, of any stated size."""
    content, crc = _zeros_packed(size, method, shape or (size,))
    stated = size if stated is None else stated
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", 8) as new:
        for each in old.namelist():
            if each != name:
                new.writestr(each, old.read(each))
        at = stream.tell()
        info = zipfile.ZipInfo(name)
        info.compress_type, info.CRC = method, crc
        info.compress_size, info.file_size, info.header_offset = len(content), stated, at
        stream.write(info.FileHeader() + content)
        new.filelist.append(info)
        new.NameToInfo[name] = info
        new.start_dir, new._didModify = stream.tell(), True
    return stream.getvalue()


def seeded(*parts):
    """Return a generator of its own for each case."""
    return random.Random("/".join(map(str, parts)))


_KINDS = (
    *[_blind] * 4, *[_changed_header] * 6, *[_changed_arrays] * 5, *[_changed_both] * 2,
    *[_extreme_parameters] * 2, _forged_member, _forged_member, _odd_members, _lying_directory,
    _lying_directory, _other_method, _bomb,
)  # fmt: skip


def scene():
    """Return the small picture that every model that loads must scan."""
    coarse = np.random.default_rng(7).integers(0, 256, (12, 12, 3))
    return np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)


def is_quick(detector, picture):
    """Return whether a scan has few enough windows for a test."""
    try:
        plans = detector.plan(picture.shape[:2])
    except BootstrapDetError:
        return True  # the scan refuses, too
    return sum(plan.padded_size[0] * plan.padded_size[1] for plan in plans) < 300_000


def check(found):
    """Assert that detections are ordinary ones."""
    assert len(found.boxes) == len(found.scores) == len(found.labels)
    assert np.isfinite(found.boxes).all(), "a box is not finite"
    assert np.isfinite(found.scores).all(), "a score is not finite"
