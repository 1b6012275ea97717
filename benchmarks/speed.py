"""Time and memory of one picture: our models and the rivals, side by side.

Run: ``python benchmarks/speed.py --model NAME=FILE`` (one ``--model`` each). A picture of 640x480
and one of 1920x1080, grey; one and two threads for ours, one for the rivals; smallest object 80,
40 and 24 px. After a warm-up, ours and the rivals take turns; medians over the turns are shown,
and the median of the ratios within a turn. Memory is that of a fresh process, less that of one
that has imported the package and read the picture.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import models
import numpy as np
import report
import rivals
import usage
from numpy.typing import NDArray
from rivals import Rival
from skimage import data
from threadpoolctl import threadpool_limits

from bootstrap_det import Detector, read_image, write_image
from bootstrap_det.profiling import profile

SIZES = ((480, 640), (1080, 1920))  # height, width
SMALLEST = (80, 40, 24)
THREADS = (1, 2)
SHARED_FACTS = ("windows", "trees_per_window")
Image = NDArray[np.uint8]


@dataclass
class Contestant:
    """One detector at one setting, and the milliseconds of its turns."""

    name: str
    n_threads: int
    work: Callable[[], float]
    n_windows: int | None = None
    turns: list[float] = field(default_factory=list)


@dataclass
class Running:
    """The rivals that can run here, and why the others cannot."""

    rivals: list[Rival] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def main() -> None:
    """Measure, print, and write when asked."""
    options = parse()
    detectors = {name: Detector.load(file) for name, file in options.model}
    with TemporaryDirectory() as folder, threadpool_limits(1):
        pictures = [resized(source_picture(options.picture), size) for size in SIZES]
        files = [write_picture(image, Path(folder)) for image in pictures]
        running = who_runs(rivals.all_rivals(options, Path(folder)), files[0], options.peer_python)
        tables = [
            times(options, detectors, running.rivals, image, file)
            for image, file in zip(pictures, files, strict=True)
        ]
        tables += stages(detectors, pictures)
        tables.append(memory(options.model, files))
    report.publish(
        "speed", "Speed", tables, notes=[*NOTES, *running.notes], rivals=running.versions,
        write=options.write,
    )  # fmt: skip


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models.add_option(parser)
    parser.add_argument("--picture", type=Path, help="Instead of the photograph astronaut.")
    parser.add_argument("--turns", type=int, default=5, help="Of each contestant.")
    parser.add_argument("--repeat", type=int, default=3, help="Scans a turn.")
    rivals.add_options(parser)
    report.add_options(parser)
    return parser.parse_args()


def source_picture(path: Path | None) -> Image:
    """Return the picture to scan, grey."""
    if path:
        return read_image(path, color="grey")
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2GRAY)


def resized(image: Image, size: tuple[int, int]) -> Image:
    """Return a picture of ``size``: as high as that, continued sideways by its mirror images."""
    height, width = size
    scale = height / image.shape[0]
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)[:height]
    tiles = [scaled, scaled[:, ::-1]] * (width // scaled.shape[1] + 1)
    return np.ascontiguousarray(np.concatenate(tiles, axis=1)[:, :width])


def write_picture(image: Image, folder: Path) -> Path:
    """Write a picture without loss, for other processes."""
    path = folder / f"{image.shape[1]}x{image.shape[0]}.png"
    write_image(path, image)
    return path


def who_runs(others: list[Rival], file: Path, python: Path) -> Running:
    """Try all rivals once, and return those that run."""
    running = Running()
    for rival in others:
        probe = rivals.run(rival, {0: file}, python, smallest=SMALLEST[0], repeat=1)
        running.versions.update(probe.versions)
        if probe.skipped:
            running.notes.append(f"{rival.name}: not run; {probe.skipped}.")
        else:
            running.rivals.append(rival)
    return running


def times(
    options: argparse.Namespace,
    detectors: dict[str, Detector],
    others: list[Rival],
    image: Image,
    file: Path,
) -> report.Table:
    """Return the table of one picture, all smallest objects."""
    rows: list[list[object]] = []
    for smallest in SMALLEST:
        ours = list(our_contestants(detectors, image, smallest, options.repeat))
        theirs = [_rival_contestant(rival, file, smallest, options) for rival in others]
        take_turns([*ours, *theirs], options.turns)
        for one in ours:
            rows.append([*_facts(smallest, one), *(_ratio(one, other) for other in theirs)])
        rows += [[*_facts(smallest, one), *(None for _ in theirs)] for one in theirs]
    faster = [f"times as fast as {rival.name}" for rival in others]
    columns = ("smallest, px", "detector", "threads", "windows", "median ms", *faster)
    return report.Table(f"{file.stem} pixels", columns, rows)


def our_contestants(
    detectors: dict[str, Detector], image: Image, smallest: int, repeat: int
) -> Iterator[Contestant]:
    """Yield our models with one and two threads."""
    for name, detector in detectors.items():
        scanned = detector.replace(min_object_size=smallest)
        n_windows = scanned.scan(image).n_windows
        for n_threads in THREADS:
            yield Contestant(
                name, n_threads, _scanning(scanned, image, n_threads, repeat), n_windows
            )


def _scanning(detector: Detector, image: Image, n_threads: int, repeat: int) -> Callable[[], float]:
    def work() -> float:
        cv2.setNumThreads(n_threads)
        return median_ms(lambda: detector.scan(image, n_threads=n_threads), repeat)

    return work


def _rival_contestant(
    rival: Rival, file: Path, smallest: int, options: argparse.Namespace
) -> Contestant:
    def work() -> float:
        timed = rivals.run(
            rival, {0: file}, options.peer_python, smallest=smallest, repeat=options.repeat
        )
        return timed.median_ms

    return Contestant(rival.name, 1, work)


def take_turns(contestants: list[Contestant], n_turns: int) -> None:
    """Let all contestants run one after the other, again and again."""
    for _ in range(n_turns):
        for contestant in contestants:
            contestant.turns.append(contestant.work())


def median_ms(work: Callable[[], object], repeat: int) -> float:
    """Return the median milliseconds of some calls, after one to warm up."""
    work()
    runs = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        runs.append((time.perf_counter() - start) * 1e3)
    return statistics.median(runs)


def stages(detectors: dict[str, Detector], pictures: list[Image]) -> list[report.Table]:
    """Return where the time goes, of the detectors that can tell."""
    rows: list[list[object]] = []
    names: list[str] = []
    for name, detector in detectors.items():
        for image in pictures:
            for smallest in SMALLEST:
                facts = profile(detector.replace(min_object_size=smallest), image)
                total = sum(facts["seconds"].values())
                names = list(facts["seconds"])
                shares = [f"{part / total:.0%}" for part in facts["seconds"].values()]
                size = f"{image.shape[1]}x{image.shape[0]}"
                rows.append([name, size, smallest, *(facts[key] for key in SHARED_FACTS), *shares])
    columns = ("detector", "picture", "smallest, px", "windows", "trees a window", *names)
    return [report.Table("Where the time goes, one thread", columns, rows)] if rows else []


def memory(files: list[tuple[str, str]], pictures: list[Path]) -> report.Table:
    """Return the peak memory of a scan in a fresh process, with and without the scan."""
    rows: list[list[object]] = []
    for name, model in files:
        for picture in pictures:
            idle, scan = (
                usage.measured([sys.executable, "-c", PROGRAM, what, model, str(picture)]).peak_mb
                for what in ("idle", "scan")
            )
            rows.append([name, picture.stem, round(idle, 1), round(scan, 1), round(scan - idle, 1)])
    columns = ("detector", "picture", "idle, MiB", "scanning, MiB", "difference, MiB")
    return report.Table(f"Peak memory, smallest object {SMALLEST[-1]} px", columns, rows)


def _facts(smallest: int, one: Contestant) -> list[object]:
    return [smallest, one.name, one.n_threads, one.n_windows, statistics.median(one.turns)]


def _ratio(ours: Contestant, other: Contestant) -> float:
    """Return how many times as fast ours is, the median of the ratios within the turns."""
    return statistics.median(b / a for a, b in zip(ours.turns, other.turns, strict=True))


PROGRAM = f"""
import sys
import bootstrap_det as bd
what, model, picture = sys.argv[1:]
image = bd.read_image(picture, color="grey")
detector = bd.Detector.load(model).replace(min_object_size={SMALLEST[-1]})
if what == "scan":
    detector.scan(image)
"""
NOTES = (
    "Ours: `Detector.scan`, all windows scored, before suppression; rivals with their own joining "
    "of detections. A ratio above 1 means that ours is the faster one.",
    "The smallest object is the height of the window for ours, the side of the window for the "
    "cascades; dlib, whose window has 80 px, enlarges the picture 0, 1 or 2 times, YuNet reduces "
    "it so that its smallest face of about 10 px is the one asked for.",
)


if __name__ == "__main__":
    main()
