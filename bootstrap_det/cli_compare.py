"""The verb ``compare``: strategies side by side, over several seeds."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det._cli_common import JSON, PATH, one_sentence, workers_of, workers_option
from bootstrap_det._cli_options import FEATURES, LOOP, SCALES, SKIP_BAD, TRAIN_DATA
from bootstrap_det._terminal import echo, make_console
from bootstrap_det.exceptions import DataError, ParameterError

if TYPE_CHECKING:
    from rich.table import Table

    from bootstrap_det.comparison import Outcome, Row
    from bootstrap_det.runs import Job

# Everything that imports numba is imported inside the command: --help answers at once.


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det compare --strategies bootstrap,random,hard-negative:ratio=5\n"
    "bootstrap-det compare --all --seeds 5 --dataset signs\n"
    "bootstrap-det compare --list\n"
)
@click.option(
    "--strategies",
    metavar="NAME,...",
    help="What to compare, the first one with all others; as train's --strategy takes them.",
)
@click.option("--all", "take_all", is_flag=True, help="All that fit the classifier.")
@click.option("--list", "list_all", is_flag=True, help="Say what there is, and stop.")
@click.option(
    "--seeds", "n_seeds", type=click.IntRange(1, 1000), default=1, show_default=True,
    help="Runs of each strategy.",
)  # fmt: skip
@click.option(
    "--classifier", type=click.Choice(["svm", "boosted"]), default="svm", show_default=True,
    help="What they are tried on.",
)  # fmt: skip
@TRAIN_DATA
@FEATURES
@SCALES
@LOOP
@click.option("--out", type=PATH, help="Folder to write; by default runs/compare-NAME.")
@click.option("--overwrite", is_flag=True, help="Measure anew what is there.")
@workers_option("processes")
@SKIP_BAD
@JSON
def compare(**options: Any) -> None:
    """Train with one strategy after another, measure each, and say what is noise.

    A comparison that was cut off goes on where it stopped when it is called again.
    """
    with one_sentence():
        if options["list_all"]:
            _list()
            return
        with workers_of(options):
            _compare(options)


def split_specs(text: str) -> list[str]:
    """Return the strategies of a list with commas between them, some before parameters.

    A piece that gives a parameter belongs to the strategy before it: ``a:x=1,y=2,b`` is
    ``a:x=1,y=2`` and ``b``.
    """
    specs: list[str] = []
    for piece in text.split(","):
        if "=" in piece and ":" not in piece.partition("=")[0] and specs:
            specs[-1] += f",{piece.strip()}"
        else:
            specs.append(piece.strip())
    return [spec for spec in specs if spec]


def _list() -> None:
    from bootstrap_det.imbalance import available, strategy_class

    for name in available():
        kind = strategy_class(name)
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        borrowed = getattr(kind, "named", {}).get(name)  # the class of imbalanced-learn
        echo(f"{name}{f' ({borrowed})' if borrowed else ''}\n    {summary}")


def _compare(options: dict[str, Any]) -> None:

    from bootstrap_det import comparison_report
    from bootstrap_det.comparison import JobTrial, compare_strategies, summarise

    console = make_console()
    job = _base_job(options)
    specs = _specs(options, job, console)
    seeds = range(options["n_seeds"])
    out = options["out"] or Path("runs") / f"compare-{job.name}"
    _make_room(out, options["overwrite"])
    n_trials = len(specs) * len(seeds)
    console.print(f"{job.headline()}\n{len(specs)} strategies, {n_trials} trials", highlight=False)
    n_done = 0

    def say(outcome: Outcome, was_there: bool) -> None:
        nonlocal n_done
        n_done += 1
        spent = "was there" if was_there else f"{outcome.seconds:4.0f} s"
        console.print(
            f"{n_done:>3}/{n_trials}  {outcome.strategy:<34.34} seed {outcome.seed}  "
            f"AP {outcome.ap:.3f}  {spent}",
            highlight=False,
        )

    outcomes = compare_strategies(
        JobTrial(job), specs, seeds, out / "trials", n_jobs=options["jobs"], on_outcome=say
    )
    command = shlex.join(["bootstrap-det", *sys.argv[1:]])
    title = f"{job.name}: {options['classifier']}, {job.params.n_rounds} rounds"
    comparison_report.write_comparison(outcomes, out, title=title, command=command)
    rows = summarise(outcomes)
    console.print()
    console.print(table(rows))
    console.print(f"\nThe files are in {out}: {', '.join(comparison_report.FILES)}")
    if options["as_json"]:
        echo((out / "comparison.json").read_text())


def _base_job(options: dict[str, Any]) -> Job:
    """Return the run that all trials vary; what is not said is the embedded faces, two rounds."""
    from bootstrap_det import jobs

    if not any(options[name] for name in ("dataset", "data", "crops")):
        options["dataset"] = "faces"
    if options["rounds"] is None and options["budget"] is None:
        options["rounds"] = 2
    fixed = {"strategy": None, "seed": 0, "resume": False, "overwrite": True, "backend": "threads"}
    return jobs.make_job({**options, **fixed})


def _specs(options: dict[str, Any], job: Job, console: Any) -> list[str]:
    """Return what is compared, and say what does not fit."""
    from bootstrap_det.comparison import JobTrial
    from bootstrap_det.imbalance import available

    if bool(options["strategies"]) == options["take_all"]:
        raise ParameterError("Give --strategies or --all, one of them; --list says what there is.")
    if options["strategies"]:
        return split_specs(options["strategies"])
    fitting = []
    for name in available():
        try:
            JobTrial(job).job(name, 0)
        except ParameterError as error:
            console.print(f"left out: {error}", style="dim", highlight=False)
        else:
            fitting.append(name)
    return fitting


def _make_room(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise DataError(f"{out}: is a file, not a folder. Give another --out.")
    if overwrite:
        shutil.rmtree(out / "trials", ignore_errors=True)


def table(rows: list[Row]) -> Table:
    """Return the comparison as a table of at most 80 columns."""
    from rich.table import Table

    shown = Table(title=None, box=None, header_style="bold", pad_edge=False)
    shown.add_column("strategy", overflow="fold")
    for heading in ("AP@0.5", "negatives", "seconds", "against the first"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        mean, spread = row.mean, row.deviation["ap"]
        ap = f"{mean['ap']:.3f}" + ("" if spread != spread else f" ± {spread:.3f}")
        against = "" if row.verdict == "baseline" else f"{row.difference:+.3f} {row.verdict}"
        shown.add_row(
            row.strategy, ap, f"{mean['n_negatives']:,.0f}", f"{mean['seconds']:.0f}", against
        )
    return shown
