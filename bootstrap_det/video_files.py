"""Video files, written frame by frame, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det.exceptions import DataError
from bootstrap_det.video import quiet

_CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))  # the second where the first is missing


class VideoFile:
    """A video file that is written frame by frame and gets its name when it is complete.

    Used as a context: where the block ends in an error, nothing is left of the file. Without any
    frame there is no file.

    Parameters
    ----------
    path : path-like
        Ends in ``.mp4``. Where there is no MPEG-4 encoder, the file is an AVI of JPEG pictures,
        named ``.avi``; ``note`` says so.
    rate : float
        Frames per second.
    live : bool, default=False
        The source ends when it is interrupted (a camera): what was written until then is kept.

    Raises
    ------
    DataError
        When the file cannot be written, or frames change their size.
    """

    def __init__(self, path: str | os.PathLike[str], rate: float, *, live: bool = False) -> None:
        self.path, self.rate, self.live = Path(path), rate, live
        self.note = ""
        self._writer: Any = None
        self._temporary = self.path
        self._size = (0, 0)
        self._n_written = 0

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt | GeneratorExit)
        if self._writer is None:
            return
        self._writer.release()
        try:
            if kind is None or (self.live and stopped):
                self._complete()
        finally:
            self._temporary.unlink(missing_ok=True)

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Add one RGB frame. Codecs want even sides: an odd one is continued by a pixel."""
        if self._writer is None:
            self._size = pixels.shape[:2]
            self._open()
        if pixels.shape[:2] != self._size:
            raise DataError(
                f"{self.path}: frames change from {_said(self._size)} to "
                f"{_said(pixels.shape[:2])} px, which no video file holds. Cut the source there."
            )
        frame = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        odd = [side % 2 for side in self._size]
        if any(odd):
            frame = cv2.copyMakeBorder(frame, 0, odd[0], 0, odd[1], cv2.BORDER_REPLICATE)
        self._writer.write(frame)
        self._n_written += 1

    def _open(self) -> None:
        size = tuple(side + side % 2 for side in reversed(self._size))
        for suffix, codec in _CODECS:
            path = self.path.with_suffix(suffix)
            temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{suffix}")
            with quiet():
                writer = cv2.VideoWriter(
                    str(temporary.absolute()), cv2.CAP_FFMPEG, _fourcc(codec), self.rate, size
                )
            if writer.isOpened():
                self.note = "" if path == self.path else _other_codec(path)
                self._writer, self.path, self._temporary = writer, path, temporary
                return
            temporary.unlink(missing_ok=True)
        raise DataError(_unwritable(self.path))

    def _complete(self) -> None:
        """Give the file its name, when all frames are in it: writing reports no errors itself."""
        with quiet():
            capture = cv2.VideoCapture(str(self._temporary.absolute()), cv2.CAP_FFMPEG)
        n_there = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        if n_there != self._n_written:
            raise DataError(_unwritable(self.path))
        os.replace(self._temporary, self.path)


def _fourcc(codec: str) -> int:
    return int(cv2.VideoWriter.fourcc(*codec))


def _said(size: tuple[int, ...]) -> str:
    return f"{size[1]} x {size[0]}"


def _other_codec(path: Path) -> str:
    return f"there is no MPEG-4 encoder here: written as {path.name}, an AVI of JPEG pictures."


def _unwritable(path: Path) -> str:
    return (
        f"{path}: cannot be written. Check the folder, its permissions and the space on the disk."
    )
