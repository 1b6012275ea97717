"""Peak memory of a training whose features are larger than what they may take.

Run: ``python benchmarks/memory.py`` on pictures that come with the packages. The process is looked
at every 20 ms; anonymous memory is its own, mapped files are the system's to keep or drop.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from endurance import anonymous

from bootstrap_det import Detector

OPTIONS = (
    "train", "--dataset", "faces", "--rounds", "0", "--n-trees", "64", "--n-trees-first", "64",
    "--jobs", "2",
)  # fmt: skip


def main() -> None:
    """Print a row for each limit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--windows", type=int, default=150_000)
    windows = parser.parse_args().windows
    print("| `--max-memory-bytes` | Peak of anonymous memory, MB | Seconds | Model |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        peak(Path(folder) / "warm", 1000, None)
        for limit in (None, 1 << 30, 256 << 20, 0):
            out = Path(folder) / str(limit)
            most, seconds = peak(out, windows, limit)
            digest = sha256((out / "model.bdet").read_bytes()).hexdigest()[:12]
            shown = "no limit" if limit is None else f"{limit:,}"
            print(f"| {shown} | {most:.0f} | {seconds:.0f} | `{digest}` |", flush=True)
        template = Detector.load(out / "model.bdet").templates[0]
    n_features = template.model.window_shape[0] * template.model.window_shape[1]
    n_features *= template.model.window_shape[2]
    print(f"\n{windows:,} windows of {n_features:,} bytes: {windows * n_features / 1e6:,.0f} MB, ")
    print("three times that with the copies for the fit")


def peak(out: Path, windows: int, limit: int | None) -> tuple[float, float]:
    """Return the most megabytes of a training, and its seconds."""
    limited = ["--max-memory-bytes", str(limit if limit is not None else 1 << 40)]
    cache = ["--max-cache-bytes", str(1 << 34), "--n-random-negatives", str(windows)]
    start, most = time.perf_counter(), 0.0
    process = subprocess.Popen(
        [sys.executable, "-m", "bootstrap_det", *OPTIONS, *limited, *cache, "--out", str(out)],
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        most = max(most, anonymous(process.pid))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"the training ended with {process.returncode}")
    return most, time.perf_counter() - start


if __name__ == "__main__":
    main()
