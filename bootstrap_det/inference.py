"""Detection on pictures, videos and cameras in any mix: one after another, drawn and counted."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bootstrap_det.data import Skipped
from bootstrap_det.detections import Detections
from bootstrap_det.detector import Detector
from bootstrap_det.exceptions import DataError
from bootstrap_det.images import write_image
from bootstrap_det.plots import draw_caption, draw_detections
from bootstrap_det.sources import Source, drawn_names
from bootstrap_det.streaming import FrameDetections, detect_video, picture_detector
from bootstrap_det.video import Span, Video
from bootstrap_det.video_files import VideoFile
from bootstrap_det.workers import in_parallel

_REMEMBERED = 10_000  # frames that the median time is of, the last ones
_RATE_OVER = 16  # frames that the drawn rate is of

Progress = Callable[[str, int, "int | None"], None]
"""Called with a name, how many of its frames or pictures are done, and of how many."""


@dataclass(frozen=True)
class DetectionOptions:
    """How to detect.

    Attributes
    ----------
    save_dir : Path or None, default=None
        Where to write pictures (PNG) and videos (MP4) with boxes drawn.
    n_jobs : int, default=1
        Pictures or frames at a time; frames of videos on threads, whoever works on pictures.
    skip_bad : bool, default=False
        Go on after a file that cannot be read, and list it.
    tile : (height, width) or None, default=None
        Scan pictures that are larger than this in tiles, see
        :func:`bootstrap_det.tiling.detect_tiled`.
    tile_overlap : int or None, default=None
        Pixels that neighbouring tiles share; by default
        :func:`bootstrap_det.tiling.default_overlap`.
    span : Span, default=Span()
        Which frames of each video.
    smooth : int, default=1
        How many frames have a say in the detections of the last of them, see
        :func:`bootstrap_det.smoothing.smooth`.
    show_rate : bool, default=False
        Draw the frames per second into the corner of videos.
    """

    save_dir: Path | None = None
    n_jobs: int = 1
    skip_bad: bool = False
    tile: tuple[int, int] | None = None
    tile_overlap: int | None = None
    span: Span = field(default_factory=Span)
    smooth: int = 1
    show_rate: bool = False


@dataclass
class Tally:
    """What a run has counted so far; it does not grow with the number of frames."""

    n_pictures: int = 0
    n_frames: int = 0
    n_detections: int = 0
    videos: list[str] = field(default_factory=list)
    picture_seconds: float = 0.0
    video_seconds: float = 0.0
    frame_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def add(self, found: FrameDetections) -> None:
        """Count one picture or frame."""
        self.n_detections += len(found.detections)
        if found.frame is None:
            self.n_pictures += 1
        else:
            self.n_frames += 1
            self.frame_seconds.append(found.seconds)

    def summary(self) -> str:
        """Return one line: how many detections in what, and how fast."""
        parts = [f"{_said(self.n_detections, 'detection')} in {self._looked_at()}"]
        if self.n_pictures or not self.videos:
            each = self.picture_seconds / max(self.n_pictures, 1)
            parts.append(f"{each * 1e3:.0f} ms a picture")
        if self.n_frames:
            parts.append(f"median {median(self.frame_seconds) * 1e3:.1f} ms a frame")
            rate = self.n_frames / max(self.video_seconds, 1e-9)
            parts.append(f"{rate:.1f} fps overall")
        return ", ".join(parts)

    def _looked_at(self) -> str:
        pictures, frames = _said(self.n_pictures, "picture"), _said(self.n_frames, "frame")
        if not self.videos:
            return pictures
        one = len(self.videos) == 1
        of = Path(self.videos[0]).name if one else _said(len(self.videos), "video")
        return f"{pictures} and {frames} of {of}" if self.n_pictures else f"{frames} of {of}"


class DetectionRun:
    """Detection on some sources, in their order.

    Parameters
    ----------
    detector : Detector
        What to look for.
    sources : sequence of Source
        What to look at. No picture or frame is held in memory longer than it is worked on.
    options : DetectionOptions
        How.
    on_progress : callable
        Called after each picture or frame.

    Attributes
    ----------
    tally : Tally
        What was counted so far.
    skipped : list of Skipped
        Files that could not be read.
    notes : list of str
        What else is to be said, a sentence each.
    live : bool
        Whether it is a camera's turn: then an interruption is the usual end, and the drawn video
        is kept.

    Raises
    ------
    DataError
        When the folder for drawn files cannot be made.
    ParameterError
        When tiles do not fit the detector, or a drawn file would replace a source.
    """

    def __init__(
        self,
        detector: Detector,
        sources: Sequence[Source],
        options: DetectionOptions,
        on_progress: Progress = lambda name, n_done, n_total: None,
    ) -> None:
        self.detector, self.options, self.on_progress = detector, options, on_progress
        self.tally, self.live = Tally(), False
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []
        self._detect = picture_detector(detector, options.tile, options.tile_overlap)
        self._paths: list[Path | None] = [None] * len(sources)
        if options.save_dir is not None:
            names = drawn_names(sources, options.save_dir)
            self._paths = [options.save_dir / name for name in names]
            _make_folder(options.save_dir)
        self._sources = sources
        self._next_id = 1

    def results(self) -> Generator[FrameDetections, None, None]:
        """Yield what is found, picture by picture and frame by frame; image ids count from 1.

        Raises
        ------
        DataError
            When a source cannot be read and ``skip_bad`` is off, or a drawn file cannot be
            written.
        """
        pairs = zip(self._sources, self._paths, strict=True)
        for moves, group in groupby(pairs, key=lambda pair: pair[0].moves):
            if not moves:
                yield from self._pictures(list(group))
                continue
            for source, path in group:
                yield from self._video(source, path)

    def _pictures(
        self, pairs: Sequence[tuple[Source, Path | None]]
    ) -> Generator[FrameDetections, None, None]:
        start = time.perf_counter()
        color, skip_bad = self.detector.channels.color, self.options.skip_bad
        work = partial(_of_picture, self._detect, color, skip_bad)
        results = in_parallel(work, pairs, n_jobs=self.options.n_jobs)
        for n_done, result in enumerate(results, start=1):
            self.tally.picture_seconds = time.perf_counter() - start
            self.on_progress("pictures", n_done, len(pairs))
            if isinstance(result, Skipped):
                self.skipped.append(result)
                self._next_id += 1  # ids tell the place in the list
            else:
                yield self._counted(result)

    def _video(self, source: Source, path: Path | None) -> Generator[FrameDetections, None, None]:
        try:
            video = Video(source.target)
        except DataError as error:
            if not self.options.skip_bad:
                raise
            self.skipped.append(Skipped(source.name, str(error)))
            self._next_id += 1
            return
        self.live = video.is_camera
        self.tally.videos.append(source.name)
        with video:
            if path is None:
                yield from self._frames(video)
            else:
                yield from self._drawn(video, path)
        self._note_end(video)
        self.live = False

    def _drawn(self, video: Video, path: Path) -> Generator[FrameDetections, None, None]:
        """Yield the detections of a video, each frame drawn and written before."""
        meter = RateMeter()
        rate = video.rate / self.options.span.every
        output = VideoFile(path, rate, live=video.is_camera)
        with output, closing(self._frames(video)) as frames:
            for found in frames:
                output.write(self._drawing(found, meter.tick()))
                yield found
        if output.note:
            self.notes.append(output.note)

    def _drawing(self, found: FrameDetections, rate: float) -> NDArray[np.uint8]:
        assert found.pixels is not None  # it is a frame
        canvas = draw_detections(found.pixels, found.detections)
        if self.options.show_rate:
            draw_caption(canvas, f"{rate:.1f} fps")
        return canvas

    def _frames(self, video: Video) -> Generator[FrameDetections, None, None]:
        options, span = self.options, self.options.span
        n_expected = span.n_expected(video.n_stated, video.rate)
        start, before = time.perf_counter(), self.tally.video_seconds
        frames = detect_video(
            self.detector, video, every=span.every, start=span.start, seconds=span.seconds,
            max_frames=span.max_frames, smooth=options.smooth, n_jobs=options.n_jobs,
            tile=options.tile, tile_overlap=options.tile_overlap,
        )  # fmt: skip
        with closing(frames):
            for n_done, found in enumerate(frames, start=1):
                self.tally.video_seconds = before + time.perf_counter() - start
                self.on_progress(Path(video.name).name, n_done, n_expected)
                yield self._counted(found)

    def _counted(self, found: FrameDetections) -> FrameDetections:
        numbered = replace(found.detections, image_id=self._next_id)
        self._next_id += 1
        self.tally.add(found)
        return replace(found, detections=numbered)

    def _note_end(self, video: Video) -> None:
        if video.note:
            self.notes.append(video.note)
        if video.ended and self.options.span.start and not video.n_taken:
            self.notes.append(
                f"{video.name} ends before the start at {self.options.span.start:g} s: no frame "
                "was taken."
            )


def _of_picture(
    detect: Callable[..., Detections], color: str, skip_bad: bool, source: Source, path: Path | None
) -> FrameDetections | Skipped:
    """Return the detections of one picture, after drawing them."""
    try:
        image = source.read(color if path is None else "rgb")
    except DataError as error:
        if not skip_bad:
            raise
        return Skipped(source.name, str(error))
    start = time.perf_counter()
    found = detect(image)
    spent = time.perf_counter() - start
    if path is not None:
        write_image(path, draw_detections(image, found))
    return FrameDetections(source.name, None, None, found, spent)


class RateMeter:
    """Frames per second, over the last frames."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_RATE_OVER + 1)

    def tick(self) -> float:
        """Return the rate now that one more frame is done, 0 for the first one."""
        self._times.append(time.perf_counter())
        passed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / passed if passed > 0 else 0.0


def _said(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}). Give another.") from None
