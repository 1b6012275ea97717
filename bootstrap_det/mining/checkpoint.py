"""What a training goes on from after it was cut off: a round that ended, a pass that was begun.

Features are not stored: a window's identity says where to compute them again, bit for bit. A
checkpoint of 20,000 windows takes a megabyte instead of hundreds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.files import pack_model, unpack_model
from bootstrap_det.data import Dataset, Picture, Skipped
from bootstrap_det.exceptions import DataError
from bootstrap_det.mining.features import cut_windows
from bootstrap_det.mining.loop import BootstrapParams, Recipe, TrainingState
from bootstrap_det.mining.pool import Begun, Pool
from bootstrap_det.mining.records import Callback, RoundRecord
from bootstrap_det.persistence import read_arrays, write_arrays

FORMAT = "bootstrap_det.checkpoint"
PASS_FORMAT = "bootstrap_det.pass"
START_FORMAT = "bootstrap_det.start"
FORMAT_VERSION = 3


def save_checkpoint(
    path: str | os.PathLike[str], state: TrainingState, fingerprint: dict[str, Any]
) -> None:
    """Write a training state atomically, with what it depends on."""
    assert state.detector is not None  # written at the end of a round
    model, model_arrays = pack_model(state.detector.templates[0].model, 0)
    header = {
        **_header(FORMAT, fingerprint),
        "records": [record.to_dict() for record in state.records],
        "memory": state.memory,
        "model": model,
    }
    arrays: dict[str, NDArray[Any]] = {
        "identities": state.cache.identities,
        "scores": state.cache.scores,
        **model_arrays,
    }
    write_arrays(path, header, arrays)


def load_checkpoint(
    path: str | os.PathLike[str],
    fingerprint: dict[str, Any],
    negatives: Dataset,
    recipe: Recipe,
    params: BootstrapParams,
    callbacks: Sequence[Callback] = (),
) -> TrainingState:
    """Return the training state of a checkpoint, its features computed again.

    Raises
    ------
    DataError
        When it was written with other data or parameters; the message names them. When a picture
        that windows were mined in cannot be read and ``skip_bad`` is off.
    ModelFormatError
        When the file is missing or damaged.
    """
    header, arrays = _read_own(path, FORMAT, fingerprint)
    detector = recipe.detector([recipe.template(unpack_model(header["model"], arrays, 0))])
    identities, scores = arrays["identities"], arrays["scores"]
    cut = cut_windows(identities, negatives, recipe, params, callbacks)
    features = cut.features
    if cut.skipped:
        features, identities, scores = (each[cut.there] for each in (features, identities, scores))
    cache = recipe.cache(params.max_cache_bytes)
    cache.add(features, identities, scores)
    records = [RoundRecord.from_dict(values) for values in header["records"]]
    return TrainingState(cache, records, detector, header["memory"])


def save_pass(path: str | os.PathLike[str], begun: Begun, fingerprint: dict[str, Any]) -> None:
    """Write what the first pictures of a mining pass gave, atomically."""
    identities, scores = begun.pool.hardest()
    header = {
        **_header(PASS_FORMAT, fingerprint),
        "round": begun.round,
        "n_done": begun.n_done,
        "counts": begun.pool.counts(),
        "skipped": [skipped.to_dict() for skipped in begun.pool.skipped],
    }
    write_arrays(path, header, {"identities": identities, "scores": scores})


def load_pass(
    path: str | os.PathLike[str], fingerprint: dict[str, Any], params: BootstrapParams
) -> Begun:
    """Return what :func:`save_pass` wrote.

    Raises
    ------
    DataError
        When it was written with other data or parameters; the message names them.
    ModelFormatError
        When the file is missing or damaged.
    """
    header, arrays = _read_own(path, PASS_FORMAT, fingerprint)
    skipped = [Skipped(**values) for values in header["skipped"]]
    pool = Pool.restored(
        params.most_negatives(header["round"]), arrays["identities"], arrays["scores"],
        header["counts"], skipped,
    )  # fmt: skip
    return Begun(header["round"], header["n_done"], pool)


def files_of(data: Mapping[str, Dataset]) -> dict[str, NDArray[Any]]:
    """Return names, as bytes with a 0 after each, and sizes of the pictures of each data set.

    The size is that of the file, or of the member of an archive; -1 for what is neither.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for kind, dataset in data.items():
        names = "".join(f"{picture.name}\0" for picture in dataset.pictures)
        arrays[f"{kind}_names"] = np.frombuffer(names.encode("utf-8", "replace"), np.uint8)
        sizes = [_file_size(picture) for picture in dataset.pictures]
        arrays[f"{kind}_sizes"] = np.array(sizes, np.int64)
    return arrays


def save_start(
    path: str | os.PathLike[str], fingerprint: dict[str, Any], files: Mapping[str, NDArray[Any]]
) -> None:
    """Write what a run was started with: its parameters and :func:`files_of` its data."""
    write_arrays(path, _header(START_FORMAT, fingerprint), dict(files))


def check_start(
    path: str | os.PathLike[str], fingerprint: dict[str, Any], data: Mapping[str, Dataset]
) -> None:
    """Raise DataError where a run was started with other pictures or parameters.

    Sizes of files that are missing, then or now, are not compared: whoever reads them says so.
    """
    header, then = _read(path, START_FORMAT)
    now = files_of(data)
    for kind in data:
        _check_names(kind, _names(then[f"{kind}_names"]), _names(now[f"{kind}_names"]))
    _check_fingerprint(path, header["fingerprint"], fingerprint)
    for kind, dataset in data.items():
        _check_sizes(kind, dataset, then[f"{kind}_sizes"], now[f"{kind}_sizes"])


def _check_names(kind: str, then: list[str], now: list[str]) -> None:
    missing, new = set(then) - set(now), set(now) - set(then)
    if missing or new:
        first = f"{min(missing)!r} is missing" if missing else f"{min(new)!r} is new"
        raise DataError(
            f"The {kind} are other pictures than when the run was started, so that cannot be "
            f"resumed: {first} ({len(missing)} missing, {len(new)} new). Put back what was there, "
            "or train anew with --overwrite."
        )


def _check_sizes(
    kind: str, dataset: Dataset, then: NDArray[np.int64], now: NDArray[np.int64]
) -> None:
    changed = np.flatnonzero((then != now) & (then >= 0) & (now >= 0))
    if len(changed):
        first = changed[0]
        raise DataError(
            f"{dataset.pictures[first].name}: has {now[first]:,} bytes, and had {then[first]:,} "
            f"when the run was started, so that cannot be resumed ({len(changed)} of the {kind} "
            "changed). Put back what was there, or train anew with --overwrite."
        )


def _names(array: NDArray[np.uint8]) -> list[str]:
    return array.tobytes().decode("utf-8", "replace").split("\0")[:-1]


def _file_size(picture: Picture) -> int:
    if picture.member is not None:
        return picture.member.n_bytes
    try:
        return -1 if picture.path is None else picture.path.stat().st_size
    except OSError:
        return -1


def _header(form: str, fingerprint: dict[str, Any]) -> dict[str, Any]:
    return {"format": form, "format_version": FORMAT_VERSION, "fingerprint": fingerprint}


def _read_own(
    path: str | os.PathLike[str], form: str, fingerprint: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a file of a form, if it is of this run."""
    header, arrays = _read(path, form)
    _check_fingerprint(path, header["fingerprint"], fingerprint)
    return header, arrays


def _read(
    path: str | os.PathLike[str], form: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    header, arrays = read_arrays(path)
    if (header.get("format"), header.get("format_version")) != (form, FORMAT_VERSION):
        raise DataError(f"{path}: is not a checkpoint of this version. Train with --overwrite.")
    return header, arrays


def _check_fingerprint(
    path: str | os.PathLike[str], saved: dict[str, Any], current: dict[str, Any]
) -> None:
    current = json.loads(json.dumps(current))  # as it was saved: tuples became lists
    differing = sorted(name for name in {*saved, *current} if saved.get(name) != current.get(name))
    if differing:
        raise DataError(
            f"{path}: cannot be resumed, because {', '.join(differing)} changed since it was "
            "written. Give the same data and parameters, or train anew with --overwrite."
        )
