"""What a run says when the world fails it: its sentence, its exit code, and whether it goes on.

Run: ``python benchmarks/failures.py``, as root on Linux: disks are mounted in memory to fill them.
Each case is a process of its own that trains on drawn signs; something happens to it when it has
kept its first state, and ``--resume`` must then make the model of an undisturbed run.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

N_PICTURES = 60
OPTIONS = (
    "--rounds", "2", "--n-trees", "64", "--n-random-negatives", "2000", "--checkpoint-every", "10",
)  # fmt: skip
Moment = Callable[[subprocess.Popen[str], Path], None]


def main() -> None:
    """Print a row for each case."""
    with tempfile.TemporaryDirectory() as folder, disk(Path(folder) / "disk", "300m") as place:
        data = Path(folder) / "signs"
        tool("dataset", "synth", "--out", data, "--n-pictures", N_PICTURES, check=True)
        cases = Cases(data, place)
        rows = [cases.row(name) for name in CASES]
    print("| What happens | Exit code | What it says | `--resume` makes the same model |")
    print("| --- | --- | --- | --- |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.exit(any(row[-1] != "yes" for row in rows))


class Cases:
    """Runs on one set of pictures, each with its mishap."""

    def __init__(self, data: Path, place: Path) -> None:
        self.data, self.place = data, place
        whole = place / "whole"
        tool(*self.train(whole), check=True)
        self.wanted = digest(whole)

    def row(self, name: str) -> tuple[str, str, str, str]:
        """Return the row of a case."""
        out = self.place / name.replace(" ", "_").replace(",", "")
        happens, mend = CASES[name]
        process = subprocess.Popen(command(*self.train(out)), stderr=subprocess.PIPE, text=True)
        wait_for(out / "checkpoint/view_0.npz", process)
        happens(process, self.data if "picture" in name else self.place)
        said = process.communicate()[1].strip().split("\n")
        error = " ".join(said[next(i for i, s in enumerate(said) if s.startswith("Error")) :])
        mend(process, self.data if "picture" in name else self.place)
        again = tool(*self.train(out), "--resume")
        same = again.returncode == 0 and digest(out) == self.wanted
        shown = error.replace(str(self.place), "DISK").replace(str(self.data), "DATA")
        return name, str(process.returncode), shown, "yes" if same else again.stderr[-300:]

    def train(self, out: Path) -> tuple[str | Path, ...]:
        """Return the arguments of a run."""
        return ("train", "--data", self.data / "annotations.json", "--out", out, *OPTIONS)


def full(process: subprocess.Popen[str], place: Path) -> None:
    """Leave the disk no byte."""
    with (place / "filler").open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(bytes(1 << 16))
        except OSError:
            pass


def empty(process: subprocess.Popen[str], place: Path) -> None:
    """Give the room back."""
    (place / "filler").unlink()


def read_only(process: subprocess.Popen[str], place: Path) -> None:
    """Let nothing be written, as soon as no file is open for it."""
    while subprocess.run(["mount", "-o", "remount,ro", place], capture_output=True).returncode:
        time.sleep(0.001)


def writable(process: subprocess.Popen[str], place: Path) -> None:
    """Let files be written again."""
    subprocess.run(["mount", "-o", "remount,rw", place], check=True)


def delete(process: subprocess.Popen[str], data: Path) -> None:
    """Take the last picture away."""
    (data / "away").mkdir(exist_ok=True)
    last = max((data / "images").iterdir())
    last.rename(data / "away" / last.name)


def put_back(process: subprocess.Popen[str], data: Path) -> None:
    """Bring it back."""
    for picture in (data / "away").iterdir():
        picture.rename(data / "images" / picture.name)


def ctrl_c(process: subprocess.Popen[str], place: Path) -> None:
    """Interrupt the process."""
    process.send_signal(signal.SIGINT)


def nothing(process: subprocess.Popen[str], place: Path) -> None:
    """Change nothing."""


CASES: dict[str, tuple[Moment, Moment]] = {
    "the disk is full": (full, empty),
    "the folder becomes read-only": (read_only, writable),
    "a picture is deleted": (delete, put_back),
    "Ctrl-C": (ctrl_c, nothing),
}


@contextmanager
def disk(place: Path, size: str) -> Iterator[Path]:
    """Mount a disk in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a file is there."""
    while not path.is_file():
        if process.poll() is not None:
            raise SystemExit(f"the run ended too early:\n{process.communicate()[1]}")
        time.sleep(0.002)


def tool(*arguments: object, check: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, check=check)


def command(*arguments: object) -> list[str]:
    """Return a command of the package."""
    return [sys.executable, "-m", "bootstrap_det", *map(str, arguments)]


def digest(out: Path) -> str:
    """Return the SHA-256 of the model."""
    return hashlib.sha256((out / "model.bdet").read_bytes()).hexdigest()


if __name__ == "__main__":
    if os.geteuid():
        raise SystemExit("only root can mount the disks")
    main()
