"""What a training goes on from after it was cut off: a round that ended, a pass that was begun.

Features are not stored: a window's identity says where to compute them again, bit for bit. A
checkpoint of 20,000 windows takes a megabyte instead of hundreds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.classifiers.files import pack_model, unpack_model
from bootstrap_det.data import Dataset, Skipped
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
    header, arrays = _read(path, FORMAT, fingerprint)
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
    header, arrays = _read(path, PASS_FORMAT, fingerprint)
    skipped = [Skipped(**values) for values in header["skipped"]]
    pool = Pool.restored(
        params.most_negatives(header["round"]), arrays["identities"], arrays["scores"],
        header["counts"], skipped,
    )  # fmt: skip
    return Begun(header["round"], header["n_done"], pool)


def file_sizes(data: Mapping[str, Dataset]) -> dict[str, NDArray[np.int64]]:
    """Return the bytes of each picture's file, -1 for what is none, of each data set."""
    return {
        name: np.array([_file_size(picture.path) for picture in dataset.pictures], np.int64)
        for name, dataset in data.items()
    }


def save_start(
    path: str | os.PathLike[str],
    fingerprint: dict[str, Any],
    sizes: Mapping[str, NDArray[np.int64]],
) -> None:
    """Write what a run was started with: parameters, and the sizes of its pictures' files."""
    write_arrays(path, _header(START_FORMAT, fingerprint), dict(sizes))


def check_start(
    path: str | os.PathLike[str], fingerprint: dict[str, Any], data: Mapping[str, Dataset]
) -> None:
    """Raise DataError where a run was started with other data, files or parameters.

    Files that are missing, then or now, are not compared: whoever reads them says so.
    """
    _, then = _read(path, START_FORMAT, fingerprint)
    for name, now in file_sizes(data).items():
        changed = np.flatnonzero((then[name] != now) & (then[name] >= 0) & (now >= 0))
        if len(changed):
            first = changed[0]
            raise DataError(
                f"{data[name].pictures[first].path}: has {now[first]:,} bytes, and had "
                f"{then[name][first]:,} when the run was started, so that cannot be resumed "
                f"({len(changed)} of the {name} changed). Put the old files back, or train anew "
                "with --overwrite."
            )


def _file_size(path: Path | None) -> int:
    try:
        return -1 if path is None else path.stat().st_size
    except OSError:
        return -1


def _header(form: str, fingerprint: dict[str, Any]) -> dict[str, Any]:
    return {"format": form, "format_version": FORMAT_VERSION, "fingerprint": fingerprint}


def _read(
    path: str | os.PathLike[str], form: str, fingerprint: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return header and arrays of a file of a form, if it is of this run."""
    header, arrays = read_arrays(path)
    if (header.get("format"), header.get("format_version")) != (form, FORMAT_VERSION):
        raise DataError(f"{path}: is not a checkpoint of this version. Train with --overwrite.")
    _check_fingerprint(path, header["fingerprint"], fingerprint)
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
