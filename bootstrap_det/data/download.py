"""Named data sets fetched from their makers' archives, where the card lists them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bootstrap_det._files import writing
from bootstrap_det.data import named
from bootstrap_det.data.fetching import PAUSES, Download, Progress, difference, fetch
from bootstrap_det.data.unpacking import move_into, unpack
from bootstrap_det.exceptions import DataError

FOLDER = ".downloads"  # below the data root; what is not finished lies there


@dataclass(frozen=True)
class Downloaded:
    """What a download did.

    Attributes
    ----------
    name : str
        Of the data set.
    data_root : Path
        Where it is.
    fetched : tuple of str
        Names of the files that were fetched, or unpacked from what an earlier call fetched.
    present : tuple of str
        Names of those whose content was there.
    """

    name: str
    data_root: Path
    fetched: tuple[str, ...] = ()
    present: tuple[str, ...] = ()


def download_dataset(
    name: str, data_root: str | os.PathLike[str], *, progress: Progress | None = None
) -> Downloaded:
    """Fetch a data set by its name, so that ``load_dataset`` finds it.

    Archives are checked and unpacked, and removed when their content is in place. What is there
    is not fetched again, and a call that was stopped goes on where it was. Read the card's
    licence first.

    Parameters
    ----------
    name : str
        One of ``bootstrap-det dataset list``.
    data_root : str or path-like
        Folder that holds the files of all data sets; it is made if need be.
    progress : callable, optional
        Called with what is done, the bytes so far and the bytes in all, 0 when unknown.

    Returns
    -------
    Downloaded
        What was fetched, and what was there.

    Raises
    ------
    ParameterError
        When the name is unknown.
    DataError
        When the card lists no download, the server fails, a file is not the expected one, or
        the folder cannot be written.

    See Also
    --------
    load_dataset : Read it.

    Examples
    --------
    >>> download_dataset("faces", "data").fetched  # comes with the packages
    ()
    """
    return download(named.card(name), data_root, progress=progress)


def download(
    about: named.Card,
    data_root: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    pauses: Sequence[float] = PAUSES,
) -> Downloaded:
    """Fetch what a card lists; see :func:`download_dataset`.

    Parameters
    ----------
    about : Card
        What is known of the data set.
    data_root : str or path-like
        Folder that holds the files of all data sets.
    progress : callable, optional
        Called with what is done, the bytes so far and the bytes in all, 0 when unknown.
    pauses : sequence of float, default=PAUSES
        Seconds to wait before each further try after a passing error.

    Raises
    ------
    DataError
        As :func:`download_dataset`.
    """
    root = Path(data_root)
    if not about.needs_data_root:
        return Downloaded(about.name, root)
    if not about.download:
        _refuse_unless_there(about, root)
        return Downloaded(about.name, root)
    with writing(root):
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
    done = [_bring(entry, root, progress, pauses) for entry in about.download]
    with suppress(OSError):  # another data set's half may lie there
        (root / FOLDER).rmdir()
    missing = named.missing_files(about, root)
    if missing:
        raise DataError(
            f"{root}: lacks {missing[0]} after the download of {about.name!r}, so its archives "
            f"have changed. Put the files there by hand: {named.layout(about)}."
        )
    names = [entry.file_name for entry in about.download]
    return Downloaded(
        about.name,
        root,
        tuple(name for name, is_new in zip(names, done, strict=True) if is_new),
        tuple(name for name, is_new in zip(names, done, strict=True) if not is_new),
    )


def _refuse_unless_there(about: named.Card, root: Path) -> None:
    if named.missing_files(about, root):
        layout = " and ".join(about.original or about.files)  # as its makers pack it
        raise DataError(
            f"The data set {about.name!r} is to be fetched by hand, and put below {root} as "
            f"{layout}. {named.where_from(about, root)}"
        )


def _bring(entry: Download, root: Path, progress: Progress | None, pauses: Sequence[float]) -> bool:
    """Bring a file to where it belongs; return whether there was anything to do.

    NAME.part becomes NAME becomes NAME.unpacked becomes the content, each by a rename, so each
    step that was stopped can be told and done again.
    """
    archive = root / FOLDER / entry.file_name
    unpacked = archive.with_name(f"{archive.name}.unpacked")
    if not unpacked.exists():
        if _is_there(entry, root):
            return False
        _fetch_unless_there(entry, archive, progress, pauses)
    if entry.unpack_to is None:
        with writing(root):
            os.replace(archive, root / entry.file_name)
        return True
    if not unpacked.exists():
        unpack(archive, unpacked, max_bytes=entry.unpacked_size, progress=progress)
    with writing(root / entry.unpack_to):
        archive.unlink(missing_ok=True)
        move_into(unpacked, root / entry.unpack_to)
    return True


def _is_there(entry: Download, root: Path) -> bool:
    """Tell whether a file, or all that it holds, is in the data root."""
    if entry.unpack_to is not None:
        return all((root / name).exists() for name in entry.holds)
    place = root / entry.file_name
    if not place.exists():
        return False
    with writing(place):
        wrong = difference(place, entry)
    if wrong:
        raise DataError(
            f"{place}: is not the file of the card: {wrong}. Remove or rename it, and run the "
            "same command again."
        )
    return True


def _fetch_unless_there(
    entry: Download, archive: Path, progress: Progress | None, pauses: Sequence[float]
) -> None:
    """Fetch an archive, unless an earlier call, or the user, has put the right one there."""
    with writing(archive):
        if archive.exists() and not difference(archive, entry):
            return
    fetch(entry, archive, progress=progress, pauses=pauses)
