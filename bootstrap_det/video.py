"""Frames of video files and cameras, one at a time.

A frame in memory is a picture like any other: uint8, shape (height, width, 3), RGB. Nothing is
ever shown in a window. Every video that cannot be used ends in a DataError that names it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bootstrap_det._validation import check_float, check_int
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import MAX_PIXELS

VIDEO_SUFFIXES = (
    ".3gp", ".asf", ".avi", ".flv", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg",
    ".mpg", ".ogv", ".webm", ".wmv",
)  # fmt: skip
"""Endings, in lower case, of the files of a folder that are taken for videos."""

# A container is told by its first bytes, as pictures are: what decodes video also opens
# playlists, which name other files. MP4 and QuickTime name their first part after its length.
_STARTS = {
    b"\x1aE\xdf\xa3": "mkv",
    b"OggS": "ogg",
    b"FLV\x01": "flv",
    b"0&\xb2u\x8ef\xcf\x11": "asf",
    b"\x00\x00\x01\xba": "mpeg",
    b"\x00\x00\x01\xb3": "mpeg",
}
_FIRST_PARTS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1")
_RAW_JPEGS = (".mjpeg", ".mjpg")
_JPEG_START = b"\xff\xd8\xff"
_COUNTED = ("avi", "mp4")  # containers that state how many frames there are; others how long
_USUAL_RATE = 25.0  # frames per second where a source states none that is credible
_MAX_RATE = 1000.0
_MAX_CAMERA = 2**31 - 1
_SILENT = 0  # OpenCV's level of logging
_SIDES = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
_NO_CAMERA = (
    "cannot be opened, or gives no picture. Check that it is connected, that no other program "
    "uses it, and its number, counted from 0."
)
_NO_FRAME = (
    "no frame can be read: it is empty, truncated or damaged, or of an unknown codec. Copy it "
    "again, or convert it to MP4."
)


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes
    ----------
    number : int
        Its place in the source, from 0; of every frame, not only those that are taken.
    time_s : float
        Seconds after the first one: as the file says, or by the clock for a camera.
    pixels : ndarray of shape (height, width, 3), uint8
        RGB.
    """

    number: int
    time_s: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Span:
    """Which frames of a video to take.

    Attributes
    ----------
    every : int, default=1
        Every which frame, from the first one on.
    start : float, default=0.0
        Seconds to pass over. Frames are counted off, not sought, so numbers are exact.
    seconds : float or None, default=None
        How long to go on from there; by default to the end.
    max_frames : int or None, default=None
        Most frames to take.

    Raises
    ------
    ParameterError
        When one of them is out of range.
    """

    every: int = 1
    start: float = 0.0
    seconds: float | None = None
    max_frames: int | None = None

    def __post_init__(self) -> None:
        check_int(self.every, "every", "Span", low=1)
        check_float(self.start, "start", "Span", low=0.0)
        if self.seconds is not None:
            check_float(self.seconds, "seconds", "Span", low=0.0)
        if self.max_frames is not None:
            check_int(self.max_frames, "max_frames", "Span", low=1)

    @property
    def end(self) -> float:
        """Seconds after the first frame at which to stop, infinity where there is no end."""
        return np.inf if self.seconds is None else self.start + self.seconds

    def n_expected(self, n_frames: int | None, rate: float) -> int | None:
        """Return about how many frames are taken of so many, None where nothing limits them."""
        limits = [] if n_frames is None else [n_frames - self.start * rate]
        limits += [] if self.seconds is None else [self.seconds * rate]
        taken = [max(-(-limit // self.every), 0.0) for limit in limits]
        taken += [] if self.max_frames is None else [self.max_frames]
        return int(min(taken)) if taken else None


class Video:
    """A video file or a camera whose first frame could be read; its frames are read once.

    Parameters
    ----------
    source : path, or int
        A video file, recognised by its content, or the number of a camera, from 0.

    Attributes
    ----------
    name : str
        The file as it was given, or "camera 0".
    is_camera : bool
        Whether it is one.
    rate : float
        Frames per second as the source says, 25 where it says nothing credible.
    n_stated : int or None
        Frames that the file says it holds, None where it does not.
    n_read : int
        Frames read so far, those passed over among them.
    n_taken, n_lost : int
        Frames that were given out so far, and those that could not be decoded.
    ended : bool
        Whether the last frame was read.

    Raises
    ------
    DataError
        When the file is missing, empty, damaged, no video or without any frame, or there is no
        such camera.
    """

    def __init__(self, source: str | os.PathLike[str] | int) -> None:
        self.is_camera = isinstance(source, int)
        self.name = f"camera {source}" if self.is_camera else str(source)
        if isinstance(source, int):
            check_int(source, "source", "Video", low=0, high=_MAX_CAMERA)
        self._kind = "camera" if isinstance(source, int) else _kind(source)
        with quiet():
            self._capture = open_capture(source if isinstance(source, int) else os.fspath(source))
            self._waiting = self._has_frame()
        if not self._waiting:
            self.close()
            raise DataError(f"{self.name}: {_NO_CAMERA if self.is_camera else _NO_FRAME}")
        self.rate = self._stated_rate()
        self.n_stated = self._stated_count()
        self.n_read = self.n_taken = self.n_lost = 0
        self.ended = False
        self._first, self._last = time.perf_counter(), 0.0

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file or the camera free."""
        self._capture.release()

    def frames(self, span: Span = Span()) -> Iterator[Frame]:
        """Yield the frames of a span; memory holds one of them.

        A camera has no end but that of the span.
        """
        n_after_start = 0
        while span.max_frames is None or self.n_taken < span.max_frames:
            if not self._next():
                self.ended = True
                return
            number, time_s = self.n_read - 1, self._time()
            if time_s < span.start:
                continue
            if time_s >= span.end:
                return
            n_after_start += 1
            if (n_after_start - 1) % span.every:
                continue
            decoded, pixels = self._capture.retrieve()
            if not decoded:
                self.n_lost += 1
                continue
            self.n_taken += 1
            yield Frame(number, time_s, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))

    @property
    def note(self) -> str:
        """What is missing at the end, a sentence; empty where nothing is."""
        if self.n_lost:
            return f"{self.name}: {self.n_lost} of {self.n_read} frames could not be decoded."
        if not self.ended or self.n_stated is None:
            return ""
        # Where the count follows from how long it lasts, it is off by the last sounds.
        slack = 0 if self._kind in _COUNTED else max(1, self.n_stated // 50)
        if self.n_read >= self.n_stated - slack:
            return ""
        return (
            f"{self.name} breaks off after {self.n_read} of the {self.n_stated} frames that it "
            "states: it was cut off, or frames are damaged."
        )

    def _has_frame(self) -> bool:
        """Return whether there is a first frame, of a size that may be decoded."""
        if not self._capture.isOpened():
            return False
        sides = [self._capture.get(side) for side in _SIDES]
        if sides[0] * sides[1] > MAX_PIXELS:
            self.close()
            raise DataError(
                f"{self.name}: frames of {sides[0]:.0f} x {sides[1]:.0f} pixels exceed the limit "
                f"of {MAX_PIXELS:,}. Scale it down."
            )
        return bool(self._capture.grab())

    def _next(self) -> bool:
        """Move on to the next frame; the first one was read when the video was opened."""
        there, self._waiting = self._waiting or bool(self._capture.grab()), False
        self.n_read += there
        return there

    def _time(self) -> float:
        """Return the present frame's time; where the file's do not rise, by its rate."""
        if self.is_camera:
            return time.perf_counter() - self._first
        stated = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        counted = (self.n_read - 1) / self.rate
        self._last = stated if self.n_read == 1 or stated > self._last else counted
        return float(self._last)

    def _stated_rate(self) -> float:
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        return rate if 0.0 < rate <= _MAX_RATE else _USUAL_RATE

    def _stated_count(self) -> int | None:
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if not self.is_camera and count >= 1 else None


def is_video(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a video: by its content, or its ending where that says nothing.

    A missing or unreadable file is told by its ending. JPEG pictures one after another begin as
    one picture does: they are a video when the name ends in ``.mjpeg`` or ``.mjpg``.
    """
    try:
        with open(path, "rb") as stream:
            start = stream.read(512)
    except (OSError, ValueError):
        start = b""
    suffix = Path(path).suffix.lower()
    if container(start, suffix):
        return True
    known_picture = start.startswith((_JPEG_START, b"\x89PNG", b"GIF8", b"BM", b"RIFF", b"II*"))
    return suffix in VIDEO_SUFFIXES and not known_picture


def open_capture(source: str | int) -> Any:
    """Return OpenCV's capture of a video file or of a camera."""
    if isinstance(source, int):
        capture = cv2.VideoCapture(source)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the present frame, not one that waited
        return capture
    # An absolute path: a relative one may look like an address.
    return cv2.VideoCapture(os.path.abspath(source), cv2.CAP_FFMPEG)


def container(start: bytes, suffix: str = "") -> str:
    """Return the kind of video that a file's first 512 bytes tell, empty where they tell none."""
    if start[:4] == b"RIFF" and start[8:11] == b"AVI":
        return "avi"
    if start[4:8] in _FIRST_PARTS and start[8:12] not in _PICTURE_BRANDS:
        return "mp4"
    if {start[at : at + 1] for at in (0, 188, 376)} == {b"G"}:  # packets of 188 bytes
        return "mpeg"
    if start.startswith(_JPEG_START) and suffix in _RAW_JPEGS:
        return "mjpeg"
    return next((kind for first, kind in _STARTS.items() if start.startswith(first)), "")


def _kind(path: str | os.PathLike[str]) -> str:
    """Return a video file's container, or raise DataError."""
    with _opened(path) as stream:
        start = stream.read(512)
    if not start:
        raise DataError(f"{path}: is empty (0 bytes). Copy it again, or remove it.")
    if kind := container(start, Path(path).suffix.lower()):
        return kind
    raise DataError(
        f"{path}: is not a video. Give an MP4, MOV, AVI, MKV, WebM, MPEG, WMV, FLV, Ogg or MJPEG "
        "file."
    )


def _opened(path: str | os.PathLike[str]) -> IO[bytes]:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}). Check the file.") from None
    except ValueError:
        raise DataError(f"{str(path)!r}: is not a file name. Check the path.") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the decoders from writing to stderr: what they find is said in one sentence.

    FFmpeg's level is read once, when the first video is opened, from the environment; one that
    is set already is left alone.
    """
    variable = "OPENCV_FFMPEG_LOGLEVEL"
    own = variable not in os.environ
    set_level = _log_setter()
    level = set_level(_SILENT)
    if own:
        os.environ[variable] = "-8"
    try:
        yield
    finally:
        set_level(level)
        if own:
            os.environ.pop(variable, None)


def _log_setter() -> Any:
    """Return what sets OpenCV's level and gives the one before; OpenCV 5 moved it."""
    here = getattr(cv2, "setLogLevel", None)
    return cv2.utils.logging.setLogLevel if here is None else here
