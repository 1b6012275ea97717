"""The command line: parse, call, print.

Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 data or run error,
2 usage error. An error is one sentence with the way out, never a traceback.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from bootstrap_det import __version__
from bootstrap_det._cli_common import DATA_ROOT, JSON, PATH, WORKERS, one_sentence, workers_of
from bootstrap_det._cli_options import (
    BARE,
    CHOICES,
    DETECTOR,
    FEATURES,
    LOOP,
    RUN,
    SCALES,
    SKIP_BAD,
    TEST_DATA,
    TRAIN_DATA,
)
from bootstrap_det._terminal import echo, make_console
from bootstrap_det.cli_compare import compare
from bootstrap_det.cli_completion import completion
from bootstrap_det.cli_dataset import dataset
from bootstrap_det.cli_detect import detect
from bootstrap_det.cli_download import download
from bootstrap_det.cli_inspect import inspect
from bootstrap_det.cli_mend import balance, crops, merge, tile
from bootstrap_det.cli_mine import ignore, mine
from bootstrap_det.cli_refine import refine
from bootstrap_det.cli_report import report
from bootstrap_det.cli_synth import synth
from bootstrap_det.exceptions import BootstrapDetError, ParameterError

# Everything that imports numba is imported inside the commands: --help answers at once.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bootstrap-det")
def main() -> None:
    """Train and run fast rigid-object detectors on a CPU."""


@main.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det train --dataset faces\n"
    "bootstrap-det train --data cars.json --images photos --negatives background\n"
)
@TRAIN_DATA
@FEATURES
@SCALES
@CHOICES
@LOOP
@RUN
def train(**options: Any) -> None:
    """Train a detector by bootstrapping its negatives."""
    with one_sentence(), workers_of(options):
        _train(options)


@main.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det evaluate --model model.bdet --test-data test.json --test-images test\n"
    "bootstrap-det evaluate --results yolo.json --test-data test.json\n"
)
@click.option("--model", type=PATH, help="Model file to measure.")
@click.option("--results", type=PATH, help="COCO results of any detector, instead of a model.")
@TEST_DATA
@DATA_ROOT
@click.option("--label", multiple=True, help="The class; by default the model's, all of them.")
@click.option(
    "--iou-threshold",
    type=click.FloatRange(1e-6, 1.0),
    help="Least overlap of a hit; by default the test set's, 0.5 for your own.",
)
@click.option(
    "--agreement",
    type=click.Choice(["iou", "ellipse", "ellipsoid"]),
    help="What that threshold is compared with; the others are the rules of the UIUC cars.",
)
@click.option(
    "--score-floor",
    type=float,
    help="Detections below it are not listed; by default the model's lowest.",
)
@click.option(
    "--classes",
    is_flag=True,
    help="A named set by its classes instead of its groups; a model with a second level has them.",
)
@DETECTOR
@BARE
@WORKERS
@SKIP_BAD
@JSON
def evaluate(**options: Any) -> None:
    """Measure a model, or any detector's COCO results, on annotated pictures."""  # fmt: skip
    with one_sentence(), workers_of(options):
        measures = _evaluate(options)
    if options["as_json"]:
        echo(json.dumps(measures, indent=2))
    else:
        from bootstrap_det import _console

        echo(_console.measures_text(measures))
        if measures.get("labels"):
            _console.print_labels(measures)
        if measures.get("classes"):
            _console.print_classes(measures["classes"])


@main.command(
    epilog="Examples:\n\n\b\nbootstrap-det info\nbootstrap-det info runs/faces/model.bdet\n"
)
@click.argument("model", type=PATH, required=False)
@JSON
def info(model: Path | None, as_json: bool) -> None:
    """Print versions and machine, or what a model file holds."""
    from bootstrap_det import diagnostics

    with one_sentence():
        facts = diagnostics.model_facts(model) if model else diagnostics.environment()
    echo(json.dumps(facts, indent=2) if as_json else diagnostics.as_text(facts))


main.add_command(compare)
main.add_command(dataset)
main.add_command(detect)
main.add_command(inspect)
main.add_command(mine)
main.add_command(completion)
main.add_command(refine)
main.add_command(report)
dataset.add_command(download)
dataset.add_command(synth)
dataset.add_command(ignore)
for verb in (merge, balance, tile, crops):
    dataset.add_command(verb)


def run_bootstrap() -> None:
    """Run ``train`` on the embedded faces unless told otherwise: the program run_bootstrap.py."""
    arguments = sys.argv[1:]
    own_data = ("--dataset", "--data", "--crops")
    if not any(argument.split("=")[0] in own_data for argument in arguments):
        arguments = ["--dataset", "faces", *arguments]
    train.main(arguments, prog_name="run_bootstrap.py")


def _train(options: dict[str, Any]) -> None:

    from bootstrap_det import jobs, runs
    from bootstrap_det._console import RunDisplay, print_summary
    from bootstrap_det.report import write_report
    from bootstrap_det.run_folder import RunFolder

    console = make_console()
    job = jobs.make_job(options)
    if job.resume and not RunFolder(job.out, resume=True).begun:
        console.print(f"there is nothing to resume in {job.out}: beginning anew")
    display = RunDisplay(console, n_templates=len(job.recipes) * job.n_views)
    console.print(job.headline(), highlight=False)
    with display.progress:
        summary = runs.run_training(job, callbacks=[display])
    try:
        write_report(job.out)
    except BootstrapDetError as error:  # the run is complete without its page
        console.print(f"report.html was not written: {error}", style="yellow")
    print_summary(console, summary, job.out)
    if options["as_json"]:
        echo(json.dumps(summary))


def _evaluate(options: dict[str, Any]) -> dict[str, Any]:
    from bootstrap_det import jobs
    from bootstrap_det.evaluation import evaluate_detector, evaluate_results

    if bool(options["model"]) == bool(options["results"]):
        raise ParameterError("Give a --model or the --results of a detector, one of them.")
    if not options["test_dataset"] and not options["test_data"]:
        raise ParameterError("Give the test set with --test-dataset or --test-data.")
    detector = jobs.load_detector(options) if options["model"] else None
    by_class = options["classes"] or bool(detector and detector.classes)
    test = jobs.test_splits(options, by_class)
    assert test.test is not None  # it would have been refused
    if detector is None:
        evaluation = evaluate_results(
            options["results"],
            test.test,
            labels=options["label"] or None,
            iou_threshold=options["iou_threshold"] or test.iou_threshold,
            agreement=options["agreement"] or test.agreement,
        )
        return evaluation.to_dict()
    scan = evaluate_detector(
        detector,
        test.test,
        labels=options["label"] or None,
        iou_threshold=options["iou_threshold"] or test.iou_threshold,
        agreement=options["agreement"] or test.agreement,
        score_floor=options["score_floor"],
        detection_map=jobs.detection_map(options, test),
        n_jobs=options["jobs"],
        skip_bad=options["skip_bad"],
    )
    return scan.to_dict()
