"""Scan 20,000 pictures, or for an hour, by the command ``detect``, and watch its memory.

Run: ``python benchmarks/endurance.py --model model.bdet``. The pictures are cuts of those that come
with scikit-image, of many sizes, in four formats; the process is looked at every second.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

N_PICTURES = 20_000
MOST_SECONDS = 3600
FORMATS = ("jpg", "png", "webp", "ppm")
SCENES = ("astronaut", "coffee", "chelsea", "rocket", "camera", "brick", "gravel", "grass")


def main() -> None:
    """Write the pictures, scan them, and print memory by tenths of the way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=N_PICTURES)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        write_pictures(top / "pictures", options.pictures)
        lines = top / "found.jsonl"
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "bootstrap_det", "detect", str(top / "pictures"), "--model",
             str(options.model), "--jsonl", str(lines), "--jobs", str(options.jobs)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        seen = np.array(list(watched(process, lines, start)))
        seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"detect ended with {process.returncode}")
    print(f"{options.pictures:,} pictures in {seconds:.0f} s, {options.jobs} jobs\n")
    print("| Pictures done | Anonymous memory, MB: median | most |\n| --- | --- | --- |")
    for rows in np.array_split(seen, 10):
        print(f"| {rows[-1, 0]:,.0f} | {np.median(rows[:, 1]):.0f} | {rows[:, 1].max():.0f} |")
    half = seen[len(seen) // 10 :]
    slope = np.polyfit(half[:, 0], half[:, 1], 1)[0] * 1e3
    print(f"\nslope after the first tenth: {slope:+.2f} MB for 1,000 pictures")


def watched(process: subprocess.Popen[bytes], lines: Path, start: float) -> list[tuple[int, float]]:
    """Return, for every second, how many pictures were done, and the megabytes in use."""
    seen: list[tuple[int, float]] = []
    n_done, at = 0, 0
    while process.poll() is None and time.perf_counter() - start < MOST_SECONDS:
        time.sleep(1.0)
        used = anonymous(process.pid)
        if lines.is_file():
            with lines.open("rb") as stream:
                stream.seek(at)
                new = stream.read()
            n_done, at = n_done + new.count(b"\n"), at + len(new)
        if used and n_done:
            seen.append((n_done, used))
    process.wait()
    return seen


def anonymous(pid: int) -> float:
    """Return the megabytes that a process has for itself, 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next((line for line in status.splitlines() if line.startswith("RssAnon")), "0 0")
    return int(line.split()[1]) / 1024


def write_pictures(folder: Path, n_pictures: int) -> None:
    """Write cuts of many sizes."""
    rng = np.random.default_rng(0)
    scenes: list[NDArray[np.uint8]] = [getattr(skimage.data, name)() for name in SCENES]
    for index in range(n_pictures):
        folder_of = folder / f"{index // 1000:02d}"
        folder_of.mkdir(parents=True, exist_ok=True)
        scene = scenes[int(rng.integers(len(scenes)))]
        height, width = (int(rng.integers(120, side)) for side in scene.shape[:2])
        y, x = (
            int(rng.integers(0, s - n))
            for s, n in zip(scene.shape[:2], (height, width), strict=True)
        )
        cut = Image.fromarray(scene[y : y + height, x : x + width])
        cut.save(folder_of / f"{index:05d}.{FORMATS[index % len(FORMATS)]}")


if __name__ == "__main__":
    main()
