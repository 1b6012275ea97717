"""Seconds and peak memory of a command, measured from outside.

``python benchmarks/usage.py OUT COMMAND...`` runs a command and writes its usage to a JSON file.
The peak of a child includes that of the process that starts it, which is why :func:`measured`
puts this small program in between.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes
    ----------
    seconds : float
        Wall time, the interpreter's start included.
    cpu_seconds : float
        Time on a processor, of all its threads; it hardly depends on what else the machine does.
    peak_mb : float
        Largest resident memory in MiB.
    stdout : str
        What it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    stdout: str


def measured(command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Usage:
    """Run a command; raise with its messages when it fails."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "usage.json"
        call = [sys.executable, str(Path(__file__).resolve()), str(out), *command]
        done = subprocess.run(call, capture_output=True, text=True, env=env)
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stderr}")
        return Usage(**json.loads(out.read_text()), stdout=done.stdout)


def main() -> None:
    """Run the command given, write its usage, exit as it did."""
    out, *command = sys.argv[1:]
    start = time.perf_counter()
    code = subprocess.run(command).returncode
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = {
        "seconds": seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss * BYTES_PER_UNIT / 2**20,
    }
    Path(out).write_text(json.dumps(facts))
    sys.exit(code)


if __name__ == "__main__":
    main()
