"""What to detect in, as it is named on the command line: pictures, videos, cameras, stdin."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.images import list_images, read_image
from bootstrap_det.video import VIDEO_SUFFIXES, container, is_video

STDIN = "-"
STDIN_HOLDS = ("picture", "names")


@dataclass(frozen=True)
class Source:
    """One thing to detect in.

    Attributes
    ----------
    name : str
        The file as it was given, "-" for stdin, "camera 0".
    target : Path or int
        The file, or the number of a camera.
    moves : bool
        Whether it is a video or a camera.
    data : bytes or None, default=None
        The content of a picture that came by stdin.
    """

    name: str
    target: Path | int
    moves: bool = False
    data: bytes | None = None

    @classmethod
    def of_file(cls, path: Path) -> Source:
        """Return a file as a picture or a video."""
        return cls(str(path), path, is_video(path))

    @property
    def stem(self) -> str:
        """What a drawn file is called, but for its ending."""
        if isinstance(self.target, int):
            return f"camera_{self.target}"
        return "stdin" if self.name == STDIN else self.target.stem

    def read(self, color: str) -> NDArray[np.uint8]:
        """Return the pixels of a picture, see :func:`bootstrap_det.images.read_image`."""
        return read_image(self.name, color=color, data=self.data)


def find_sources(
    texts: Sequence[str], *, stdin: IO[bytes] | None = None, stdin_holds: str | None = None
) -> list[Source]:
    """Return what some texts name, in the order given, each once.

    Parameters
    ----------
    texts : sequence of str
        Files, folders (their pictures and videos, sorted by path), glob patterns, numbers of
        cameras, and ``-`` for stdin. A file or folder that is called like a number is that file.
    stdin : binary stream or None, default=None
        Where to read ``-`` from.
    stdin_holds : {"picture", "names"} or None, default=None
        What stdin holds: the bytes of one picture, the default; or names of files and folders,
        one a line, taken literally.

    Raises
    ------
    DataError
        When a text names nothing, or stdin is empty or a video.
    ParameterError
        When ``stdin_holds`` is given and stdin is not among the sources.
    """
    if stdin_holds is not None and STDIN not in texts:
        raise ParameterError(
            f"--stdin {stdin_holds} has no effect without stdin. Give the source - for it."
        )
    found: list[Source] = []
    for text in dict.fromkeys(texts):
        if text == STDIN and stdin is not None:
            found += _from_stdin(stdin, stdin_holds == "names")
        elif text.isascii() and text.isdigit() and not os.path.exists(text):
            found.append(Source(f"camera {int(text)}", int(text), moves=True))
        else:
            found += [Source.of_file(path) for path in _files(text)]
    return list(dict.fromkeys(found))


def drawn_names(sources: Sequence[Source], folder: Path) -> list[str]:
    """Return a distinct file name for each source as it is drawn, its own where possible.

    Pictures end in ``.png``, videos in ``.mp4``.

    Raises
    ------
    ParameterError
        When a drawn file would replace one of the sources.
    """
    taken: set[str] = set()
    names = []
    for source in sources:
        suffix = ".mp4" if source.moves else ".png"
        name, copy = source.stem + suffix, 1
        while name in taken:
            copy += 1
            name = f"{source.stem}_{copy}{suffix}"
        taken.add(name)
        names.append(name)
    _check_not_replaced(sources, folder, names)
    return names


def _check_not_replaced(sources: Iterable[Source], folder: Path, names: Sequence[str]) -> None:
    read = {_real(s.target): s.name for s in sources if isinstance(s.target, Path)}
    others = [Path(name).with_suffix(".avi").name for name in names if name.endswith(".mp4")]
    for name in (*names, *others):  # AVI where there is no encoder for MP4
        if replaced := read.get(_real(folder / name)):
            raise ParameterError(
                f"{replaced} would be replaced by what is drawn from it or its like. Give a "
                "--save-dir that holds none of the sources."
            )


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _files(text: str) -> list[Path]:
    """Return the files of a file, a folder or a glob pattern."""
    if os.path.exists(text):
        return _files_at(text)
    matches = [match for match in sorted(_matches(text)) if not os.path.isdir(match)]
    if not matches:
        raise DataError(
            f"{text}: no such file. Give a file, a folder, a glob or the number of a camera."
        )
    return [Path(match) for match in matches]


def _files_at(name: str) -> list[Path]:
    if os.path.isdir(name):
        return list_images(name, others=VIDEO_SUFFIXES)
    return [Path(name)]


def _matches(pattern: str) -> list[str]:
    try:
        return glob.glob(pattern, recursive=True)
    except ValueError:  # a null character
        return []


def _from_stdin(stdin: IO[bytes], holds_names: bool) -> list[Source]:
    content = stdin.read()
    if not content:
        what = "names of files, one a line" if holds_names else "a picture"
        raise DataError(f"-: stdin is empty. Pipe {what} into it.")
    if holds_names:
        names = [os.fsdecode(line) for line in content.splitlines() if line.strip()]
        return [Source.of_file(path) for name in names for path in _files_at(name)]
    if container(content[:512]):
        raise DataError("-: stdin holds a video, which is read from files only. Save it as one.")
    return [Source(STDIN, Path(STDIN), data=content)]
