"""Kill a training at random moments, resume it, and compare the model with an undisturbed one.

Run: ``python benchmarks/kills.py`` (50 kills, some 20 minutes) on pictures that come with the
packages. Each time a run of three rounds begins in a new folder, gets SIGKILL at a moment drawn
evenly from its usual duration, and is completed by ``--resume``. The table says how far it was.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

RUN = (
    "train", "--dataset", "faces", "--rounds", "3", "--n-trees", "128", "--n-random-negatives",
    "3000", "--n-negatives-per-round", "2000", "--checkpoint-every", "5", "--jobs", "1",
)  # fmt: skip


def main() -> None:
    """Kill and resume, print a line each and the sums."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        complete(top / "whole")  # compiles what is not compiled yet
        start = time.perf_counter()
        complete(top / "again")
        seconds = time.perf_counter() - start
        wanted = digest(top / "whole")
        assert digest(top / "again") == wanted
        outcomes = Counter(
            kill_once(top / f"run_{index}", float(rng.uniform(0, seconds)), wanted)
            for index in range(options.kills)
        )
    print(f"\nan undisturbed run takes {seconds:.1f} s")
    print("| Killed | Kills | The same model after `--resume` |\n| --- | --- | --- |")
    for reached in sorted({reached for reached, _ in outcomes}):
        same, other = outcomes[reached, True], outcomes[reached, False]
        print(f"| {reached} | {same + other} | {same} |")
    n_same = sum(n for (_, same), n in outcomes.items() if same)
    print(f"| all | {options.kills} | {n_same} |")
    sys.exit(n_same != options.kills)


def kill_once(out: Path, moment: float, wanted: str) -> tuple[str, bool]:
    """Return how far a run had come when it was killed, and whether the same model was made."""
    process = subprocess.Popen(
        command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    reached = state_of(out)
    said = complete(out, "--resume")
    same = digest(out) == wanted
    print(f"after {moment:5.1f} s, {reached}: {said or 'begun anew'}: {same}", flush=True)
    return reached, same


def state_of(out: Path) -> str:
    """Return what there was on the disk."""
    if (out / "summary.json").is_file():
        return "4 when it had ended"
    if not (out / "checkpoint/run.npz").is_file():
        return "0 before anything was kept"
    if not (out / "checkpoint/view_0.npz").is_file():
        return "1 in round 0"
    n_rounds = len((out / "rounds.jsonl").read_text().splitlines())
    return "2 in rounds 1 to 3" if n_rounds < 4 else "3 after the last round"


def complete(out: Path, *more: str) -> str:
    """Run to the end, and return the line that tells where it went on."""
    done = subprocess.run([*command(out), *more], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{out}: ended with {done.returncode}:\n{done.stderr}")
    return next((line for line in done.stderr.splitlines() if line.startswith("resumed")), "")


def command(out: Path) -> list[str]:
    """Return the command of the run."""
    return [sys.executable, "-m", "bootstrap_det", *RUN, "--out", str(out)]


def digest(out: Path) -> str:
    """Return the SHA-256 of the model."""
    return hashlib.sha256((out / "model.bdet").read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
