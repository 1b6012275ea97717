"""Thousands of hostile model files, annotations and pictures: what becomes of each.

    python benchmarks/fuzz.py [--models N] [--annotations N] [--pictures N] [--seed S]

Each case is a small good file with changes, blind ones or such that know the format; the files
and the changes are those of the tests. A child process reads one case after another, under a
limit of 1 GB of address space beyond what it has when warm. A case loads, or ends in one of the
package's own errors; anything else is a failure: another exception, a crash, more than 1 s of
processor time, more memory. A model that loads must also scan a small picture. Nothing is
downloaded. Exit code 1 where there are failures.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))  # the files and their changes are those of the tests

import hostile_annotations  # noqa: E402
import hostile_models  # noqa: E402
import hostile_pictures  # noqa: E402

from bootstrap_det.detector import Detector  # noqa: E402
from bootstrap_det.exceptions import BootstrapDetError  # noqa: E402
from bootstrap_det.images import image_size, read_image  # noqa: E402

MEMORY = 1 << 30  # bytes of address space beyond those of a warm process
SECONDS = 1.0  # of processor time to load a file
SCAN_SECONDS = 20.0  # of processor time to scan a small picture with a model that loads
PATIENCE = 120.0  # seconds without a word before a child is ended
LOADED, REFUSED = "loaded", "refused"
GOOD = (LOADED, REFUSED)


@dataclass
class Outcome:
    """What became of one case.

    Attributes
    ----------
    index : int
        Number of the case.
    what : str
        Which file was changed, and how.
    verdict : str
        "loaded", "refused" or what went wrong.
    detail : str
        The error.
    seconds, scan_seconds : float
        Of the processor, to load the file and to use it.
    megabytes : float
        By how much the memory in use grew at most.
    """

    index: int
    what: str = ""
    verdict: str = LOADED
    detail: str = ""
    seconds: float = 0.0
    scan_seconds: float = 0.0
    megabytes: float = 0.0


class Models:
    """Model files: each that loads must scan a picture."""

    suffix = "bdet"

    def __init__(self, folder: Path) -> None:
        self.path, self.scratch = folder / "case.bdet", folder / "scratch.bdet"
        self.seeds = hostile_models.make_models(folder)
        self.image = hostile_models.scene()

    def make(self, rng: Any) -> tuple[str, bytes]:
        """Return what is changed, and how, and the bytes of the file."""
        return hostile_models.mutate_model(self.seeds, rng, self.scratch)

    def load(self, content: bytes) -> Any:
        """Write the file and read it."""
        self.path.write_bytes(content)
        return Detector.load(self.path)

    def use(self, detector: Detector) -> None:
        """Use what was read, and check it."""
        hostile_models.check(detector.detect(self.image))


class Annotations:
    """Annotation files: no picture outside their folder may come of them."""

    suffix = "txt"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "set"
        self.seeds = hostile_annotations.make_folder(self.folder)
        self.name, self.skip_bad = "", False

    def make(self, rng: Any) -> tuple[str, bytes]:
        """Return what is changed, and how, and the bytes of the file."""
        self.name, how, content = hostile_annotations.mutate_annotation(self.seeds, rng)
        self.skip_bad = rng.random() < 0.5
        return f"{self.name} {how}", content

    def load(self, content: bytes) -> Any:
        """Write the file and read it."""
        path = self.folder / hostile_annotations.SEEDS[self.name][0]
        path.write_bytes(content)
        try:
            return hostile_annotations.read(self.folder, self.name, self.skip_bad)
        finally:
            path.write_bytes(self.seeds[self.name])

    def use(self, found: Any) -> None:
        """Use what was read, and check it."""
        hostile_annotations.check(found, self.folder)


class Pictures:
    """Pictures: those that decode have the size that their header states."""

    suffix = "img"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "case"
        self.seeds = hostile_pictures.make_pictures()

    def make(self, rng: Any) -> tuple[str, bytes]:
        """Return what is changed, and how, and the bytes of the file."""
        name, how, content = hostile_pictures.mutate_picture(self.seeds, rng)
        return f"{name} {how}", content

    def load(self, content: bytes) -> Any:
        """Write the file and read it."""
        self.path.write_bytes(content)
        size = image_size(self.path)
        return size, read_image(self.path, max_pixels=hostile_pictures.MAX_PIXELS)

    def use(self, found: Any) -> None:
        """Use what was read, and check it."""
        size, pixels = found
        assert pixels.shape[:2] == size, f"{pixels.shape} is not the stated {size}"


KINDS: dict[str, Callable[[Path], Any]] = {
    "models": Models,
    "annotations": Annotations,
    "pictures": Pictures,
}


def run_case(kind: Any, content: bytes, outcome: Outcome) -> None:
    """Load a file and use what it holds, and note what became of it."""
    _reset_peak()
    before, start = _memory("VmRSS"), time.process_time()
    found, phase = None, "load"
    try:
        found = kind.load(content)
        outcome.seconds, start, phase = time.process_time() - start, time.process_time(), "use"
        kind.use(found)
        outcome.scan_seconds = time.process_time() - start
    except BootstrapDetError as error:
        outcome.verdict, outcome.detail = REFUSED, str(error)[:300]
        if phase == "load":
            outcome.seconds = time.process_time() - start
        if len(str(error)) > 2000 or "\n" in str(error):
            outcome.verdict = "no short sentence"
    except BaseException as error:
        outcome.verdict = f"{phase}: {type(error).__name__}"
        outcome.detail = "".join(traceback.format_exception(error))[-1500:]
    outcome.megabytes = max(0.0, _memory("VmHWM") - before)
    if outcome.verdict in GOOD:
        patience = 10 if os.environ.get("NUMBA_BOUNDSCHECK") else 1
        slow = outcome.seconds > SECONDS, outcome.scan_seconds > SCAN_SECONDS * patience
        outcome.verdict = (
            "slow to load" if slow[0] else "slow to use" if slow[1] else outcome.verdict
        )


def _memory(field_name: str) -> float:
    """Return a line of /proc/self/status in megabytes; 0 where there is none."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field_name):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def _reset_peak() -> None:
    with suppress(OSError):  # the peak is then that of all cases so far
        Path("/proc/self/clear_refs").write_text("5")


def child(name: str, seed: int, numbers: range, pipe: Any) -> None:
    """Run the cases of a range, and send what became of each."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        kind = KINDS[name](Path(folder))
        _warm_up(kind)
        limit = int(_memory("VmSize") * (1 << 20)) + MEMORY
        for index in numbers:
            outcome = Outcome(index)
            resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
            outcome.what, content = kind.make(hostile_models.seeded(seed, name, index))
            pipe.send(asdict(outcome))
            resource.setrlimit(resource.RLIMIT_AS, (limit, -1))
            run_case(kind, content, outcome)
            pipe.send(asdict(outcome))


def _warm_up(kind: Any) -> None:
    """Load and use each good file once: what is imported and compiled then is no case's fault."""
    for name, content in kind.seeds.items():
        kind.name, kind.skip_bad = name, False
        kind.use(kind.load(content))


@dataclass
class Tally:
    """What became of the cases of one kind."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """Return the cases that neither loaded nor were refused as they should be."""
        return [each for each in self.outcomes if each.verdict not in GOOD]

    def row(self, name: str) -> str:
        """Return a line of the table."""
        count = Counter(each.verdict for each in self.outcomes)
        most = {key: max((getattr(o, key) for o in self.outcomes), default=0.0)
                for key in ("seconds", "scan_seconds", "megabytes")}  # fmt: skip
        return (
            f"| {name} | {len(self.outcomes):,} | {count[LOADED]:,} | {count[REFUSED]:,} | "
            f"{len(self.failures)} | {most['seconds'] * 1e3:.0f} | "
            f"{most['scan_seconds'] * 1e3:.0f} | {most['megabytes']:.0f} |"
        )


def outcomes_of(name: str, seed: int, numbers: range) -> Iterator[Outcome]:
    """Yield what becomes of each case; a child that dies or hangs is followed by another."""
    context = multiprocessing.get_context("spawn")
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=child, args=(name, seed, numbers, theirs))
        process.start()
        theirs.close()
        last, done = None, numbers.start - 1
        while True:
            if not ours.poll(PATIENCE if last else 600.0):
                process.kill()
            try:
                said = Outcome(**ours.recv())
            except EOFError:
                break
            if last is not None and last.index == said.index:
                yield said
                done, last = said.index, None
            else:
                last = said
        process.join()
        if last is not None:
            why = "hang" if process.exitcode == -signal.SIGKILL else f"exit {process.exitcode}"
            last.verdict, done = f"crash: {why}", last.index
            yield last
        elif process.exitcode:
            raise SystemExit(f"The child of {name} ended with {process.exitcode}.")
        numbers = numbers[done + 1 - numbers.start :]


def keep(folder: Path, name: str, seed: int, outcomes: list[Outcome]) -> None:
    """Write the bytes of each failing case, and what was said of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        kind = KINDS[name](Path(scratch))
        for each in outcomes:
            content = kind.make(hostile_models.seeded(seed, name, each.index))[1]
            (folder / f"{name}-{each.index}.{kind.suffix}").write_bytes(content)
            said = json.dumps(asdict(each), indent=2)
            (folder / f"{name}-{each.index}.json").write_text(said)


def main() -> None:
    """Run all kinds and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--annotations", type=int, default=10_000)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, help="folder for failing cases")
    parser.add_argument("--bounds-check", action="store_true",
                        help="kernels that check every index, slow")  # fmt: skip
    options = parser.parse_args()
    if options.bounds_check:  # read when numba is imported, so by the children
        cache = Path(tempfile.gettempdir()) / "bootstrap_det-bounds-check"
        os.environ.update(NUMBA_BOUNDSCHECK="1", NUMBA_CACHE_DIR=str(cache))
    rows, failed = [], 0
    for name in KINDS:
        numbers = range(options.first, options.first + getattr(options, name))
        tally = Tally(list(outcomes_of(name, options.seed, numbers)))
        rows.append(tally.row(name))
        failed += len(tally.failures)
        for each in tally.failures[:200]:
            print(f"{name} {each.index}: {each.verdict} ({each.what}, {each.seconds:.2f} s, "
                  f"{each.scan_seconds:.2f} s): {each.detail[-400:]}", file=sys.stderr)  # fmt: skip
        if options.keep and tally.failures:
            keep(options.keep, name, options.seed, tally.failures)
    print("| kind | cases | loaded | refused | failures | slowest load, ms | slowest use, ms | "
          "most memory, MB |\n|---|--:|--:|--:|--:|--:|--:|--:|", *rows, sep="\n")  # fmt: skip
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
