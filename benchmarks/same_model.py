"""Train the main job with every kind of worker, and after a resume, and compare the models.

Run: ``python benchmarks/same_model.py`` (some minutes). Ray takes part where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

RUNS = (
    ("1 thread", ("--jobs", "1")),
    ("2 threads", ("--jobs", "2")),
    ("2 processes", ("--jobs", "2", "--backend", "processes")),
    ("Dask, 3 processes", ("--jobs", "3", "--backend", "dask")),
    ("Ray, 2 processes", ("--jobs", "2", "--backend", "ray")),
    ("2 threads, features in files", ("--jobs", "2", "--max-memory-bytes", "0")),
)


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2)
    rounds = parser.parse_args().rounds
    digests = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in RUNS:
            if "ray" in options and importlib.util.find_spec("ray") is None:
                continue
            out = Path(folder) / name
            train(out, "--rounds", str(rounds), *options)
            digests[name] = digest(out)
        out = Path(folder) / "resumed"
        train(out, "--rounds", str(rounds - 1), "--jobs", "1")
        train(out, "--rounds", str(rounds), "--jobs", "2", "--resume")
        digests["resumed after the last round but one"] = digest(out)
    print("| Workers | SHA-256 of the model |\n| --- | --- |")
    for name, value in digests.items():
        print(f"| {name} | `{value[:16]}` |")
    sys.exit(len(set(digests.values())) != 1)


def train(out: Path, *options: str) -> None:
    """Run the main job."""
    command = [sys.executable, "-m", "bootstrap_det", "train", "--dataset", "faces"]
    subprocess.run([*command, "--out", str(out), *options], check=True, capture_output=True)


def digest(out: Path) -> str:
    """Return the SHA-256 of the model."""
    return sha256((out / "model.bdet").read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
