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
from bootstrap_det._cli_common import DATA_ROOT as _DATA_ROOT
from bootstrap_det._cli_common import (
    FORMAT,
    JOBS,
    JSON,
    PADDING,
    PATH,
    WINDOW,
    one_sentence,
    parse_size,
)
from bootstrap_det._cli_common import OBJECT_SIZES as _OBJECT_SIZES
from bootstrap_det._cli_common import options as _options
from bootstrap_det.cli_dataset import dataset
from bootstrap_det.cli_download import download
from bootstrap_det.cli_inspect import inspect
from bootstrap_det.cli_mend import balance, merge, tile
from bootstrap_det.cli_mine import ignore, mine
from bootstrap_det.cli_synth import synth
from bootstrap_det.exceptions import ParameterError

# Everything that imports numba is imported inside the commands: --help answers at once.


def _parse_part(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """Return ``X1,Y1,X2,Y2`` as four floats."""
    try:
        part = tuple(float(v) for v in value.split(",")) if value else None
    except ValueError:
        part = ()
    if part is not None and (len(part) != 4 or not (part[0] < part[2] and part[1] < part[3])):
        raise click.BadParameter(f"{value!r} is not a part of a box like 0,0,1,1 (x1,y1,x2,y2).")
    return part


_SKIP_BAD = click.option("--skip-bad", is_flag=True, help="Go on after unreadable data, list them.")
_TEST_DATA = _options(
    click.option("--test-dataset", metavar="NAME", help="Named test set."),
    click.option("--test-data", type=PATH, help="Annotations of the test set: COCO, VOC, YOLO, "
                 "CSV, imglab or OpenCV."),
    click.option("--test-format", type=FORMAT, help="Their format, where it cannot be told."),
    click.option("--test-images", type=PATH, help="Folder of its pictures."),
    click.option("--test-boxes", metavar="NAME", help="Its box convention: a field of the JSON."),
    click.option("--box-map", metavar="X1,Y1,X2,Y2", callback=_parse_part,
                 help="The part of a detected box to compare, in its sides; by default 0,0,1,1."),
)  # fmt: skip
_TRAIN_DATA = _options(
    click.option("--dataset", metavar="NAME", help="Named data set, such as faces."),
    click.option(
        "--data",
        type=PATH,
        help="Annotations of your own data: COCO JSON, "
        "a VOC or YOLO folder, CSV, imglab XML or OpenCV's info.dat.",
    ),
    click.option("--data-format", type=FORMAT, help="Their format, where it cannot be told."),
    click.option("--images", type=PATH, help="Folder of their pictures."),
    click.option("--crops", type=PATH, help="Positives as crops: an .npz file or a folder."),
    click.option(
        "--label", multiple=True, help="Which category to train, again for another; by default all."
    ),
    click.option(
        "--negatives",
        type=PATH,
        multiple=True,
        help="Folder of pictures without the object.",
    ),
    _DATA_ROOT,
    _TEST_DATA,
)
_FEATURES = _options(
    click.option("--features", type=click.Choice(["acf", "hog"]), default="acf", show_default=True),
    click.option("--cell-size", type=int, help="Side of a cell in pixels."),
    click.option("--block-size", type=int, help="HOG: side of a block in cells."),
    click.option("--n-orientations", type=int, help="Bins of orientation."),
    click.option("--signed/--unsigned", default=None, help="HOG: bins over 360 or 180 degrees."),
    click.option(
        "--interpolate/--no-interpolate", default=None, help="HOG: share pixels among cells."
    ),
    click.option("--gamma/--no-gamma", default=None, help="HOG: square root of the pixels first."),
    click.option("--epsilon", type=float, help="HOG: noise floor of a block, in grey levels."),
    click.option(
        "--normalise",
        type=click.Choice(["window", "local", "none"]),
        help="ACF: what makes contrast and light count less.",
    ),
    click.option("--radius", type=int, help="ACF: of --normalise local, in cells."),
    click.option("--noise", type=float, help="ACF: noise floor, in grey levels."),
    click.option("--color", type=click.Choice(["grey", "rgb"]), help="Pictures to read."),
)
_DETECTOR = _options(
    _OBJECT_SIZES,
    PADDING,
    click.option("--nms-threshold", type=float, help="Largest overlap of two detections."),
    click.option("--nms-kind", type=click.Choice(["iou", "min"]), help="How overlap is measured."),
    click.option(
        "--suppression",
        type=click.Choice(["nms", "vote"]),
        help="vote: overlapping windows average their boxes first.",
    ),
    click.option(
        "--across-labels/--within-labels",
        default=None,
        help="Whether a better detection of another label suppresses one, too.",
    ),
)
_SCALES = _options(
    WINDOW,
    _OBJECT_SIZES,
    PADDING,
    click.option("--power-law", is_flag=True,
                 help="Approximate the levels between octaves, as Dollar et al. 2014."),
)  # fmt: skip
_LOOP = _options(
    click.option("--budget", type=click.Choice(["fast", "default", "best"]),
                 help="How many rounds, trees and scales: fast trains in a third of the time and "
                 "scans faster, best takes several times as long. Options given override it."),
    click.option("--rounds", type=click.IntRange(0),
                 help="Rounds of mining after round 0; by default 2, 3 or 4 by --budget."),
    click.option("--views", type=click.IntRange(1, 32),
                 help="Templates, each for a group of like objects; by default 1."),
    click.option("--mirror-pairs", is_flag=True,
                 help="For objects that face left or right: each template and its mirror image."),
    click.option("--strategy", metavar="NAME[:PARAM=VALUE,...]",
                 help="Remedy for imbalance, several joined by +; by default bootstrap. "
                 "'bootstrap-det compare --list' lists them."),
    click.option("--classifier", type=click.Choice(["boosted", "svm"]), default="boosted",
                 show_default=True),
    click.option("--C", "C", type=float, help="svm: by default cross-validated."),
    click.option("--n-trees", type=int, help="boosted: most trees of a round."),
    click.option("--n-trees-first", type=int, help="boosted: trees of round 0; then times 4."),
    click.option("--depth", type=int, help="boosted: depth of a tree, 1 to 5."),
    click.option("--loss", type=click.Choice(["logistic", "exponential"]),
                 help="boosted: logistic by default; exponential is AdaBoost's."),
    click.option("--shrinkage", type=float, help="boosted: factor on every leaf."),
    click.option("--first-trees", type=int,
                 help="boosted: trees on plain channels, which scan fast, before normalised ones."),
    click.option("--keep", type=float, help="boosted: share of objects the cascade must keep."),
    click.option("--holdout", type=float, help="boosted: share of objects to calibrate it by."),
    click.option("--hard-positives", type=float,
                 help="boosted: how much more an object weighs that the round before missed."),
    click.option("--n-copies", type=int, help="Jittered copies of each positive."),
    click.option("--mirror/--no-mirror", default=None, help="Mirror images of the positives."),
    click.option("--shift", type=float, help="Of copies, at most, in heights of the object."),
    click.option("--scale", type=float, help="Change of size of copies, at most, as a share."),
    click.option("--rotation", type=float, help="Of copies, at most, in degrees."),
    click.option("--gain", type=float, help="Change of contrast of copies, at most, as a share."),
    click.option("--light", type=float, help="Loss of light of copies, at most, as a share."),
    click.option("--blur", type=float, help="Of copies, at most: deviation in window pixels."),
    click.option("--pixel-noise", type=float, help="Of copies, at most: deviation in grey levels."),
    click.option("--n-random-negatives", type=int, help="Random windows of round 0."),
    click.option("--n-images-per-round", type=int, help="Most pictures mined in a round."),
    click.option("--n-negatives-per-image", type=int, help="Most windows mined from a picture."),
    click.option("--n-negatives-per-round", type=int, help="Most windows mined in a round."),
    click.option("--n-negatives-last-round", type=int,
                 help="The same in the last round: a final fit on a larger cache."),
    click.option("--mining-threshold", type=float, help="Smallest score of a mined window."),
    click.option("--min-new-negatives", type=int, help="Fewer new windows mean convergence."),
    click.option("--max-cache-bytes", type=int, help="Limit on the negatives' features."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
)  # fmt: skip
_RUN = _options(
    click.option("--out", type=PATH, help="Run folder; by default runs/NAME."),
    click.option("--overwrite", is_flag=True, help="Replace an earlier run in the folder."),
    click.option("--resume", is_flag=True, help="Go on with the run in the folder."),
    JOBS,
    click.option("--backend", type=click.Choice(["threads"]), default="threads", show_default=True),
    _SKIP_BAD,
    JSON,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bootstrap-det")
def main() -> None:
    """Train and run fast rigid-object detectors on a CPU."""


@main.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det train --dataset faces\n"
    "bootstrap-det train --data cars.json --images photos --negatives background\n"
)
@_TRAIN_DATA
@_FEATURES
@_SCALES
@_LOOP
@_RUN
def train(**options: Any) -> None:
    """Train a detector by bootstrapping its negatives."""
    with one_sentence():
        _train(options)


@main.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det detect photo.jpg --model runs/faces/model.bdet --save-dir found\n"
    'bootstrap-det detect "photos/*.jpg" --model model.bdet --out results.json\n'
)
@click.argument("sources", nargs=-1, required=True)
@click.option("--model", type=PATH, required=True, help="Model file, as train writes it.")
@click.option("--threshold", type=float, help="Smallest score; by default the model's, 0.")
@_DETECTOR
@click.option(
    "--tile",
    metavar="HEIGHTxWIDTH",
    callback=parse_size,
    help="Scan larger pictures in tiles of this size, in the memory of one.",
)
@click.option(
    "--tile-overlap",
    type=click.IntRange(0),
    help="Pixels that tiles share; by default a quarter of their shorter side.",
)
@click.option("--save-dir", type=PATH, help="Write the pictures with boxes drawn into it.")
@click.option("--out", type=PATH, help="Write COCO results (JSON).")
@click.option("--csv", "csv_path", type=PATH, help="Write a table.")
@JOBS
@_SKIP_BAD
@JSON
def detect(**options: Any) -> None:
    """Find objects in pictures: files, folders or quoted globs."""  # fmt: skip
    from bootstrap_det import inference, jobs

    with one_sentence():
        detector = jobs.load_detector(options)
        if options["threshold"] is not None and (
            note := detector.threshold_note(options["threshold"])
        ):
            click.echo(f"note: {note}", err=True)
        result = inference.detect_files(
            detector,
            inference.expand_sources(options["sources"]),
            save_dir=options["save_dir"],
            n_jobs=options["jobs"],
            skip_bad=options["skip_bad"],
            tile=options["tile"],
            tile_overlap=options["tile_overlap"],
        )
        if options["out"]:
            result.write_coco(options["out"])
        if options["csv_path"]:
            result.write_csv(options["csv_path"])
    if options["as_json"]:
        click.echo(json.dumps(result.to_dict()))
    else:
        for line in result.lines():
            click.echo(line)
    click.echo(result.summary(), err=True)


@main.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det evaluate --model model.bdet --test-data test.json --test-images test\n"
    "bootstrap-det evaluate --results yolo.json --test-data test.json\n"
)
@click.option("--model", type=PATH, help="Model file to measure.")
@click.option("--results", type=PATH, help="COCO results of any detector, instead of a model.")
@_TEST_DATA
@_DATA_ROOT
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
@_DETECTOR
@JOBS
@_SKIP_BAD
@JSON
def evaluate(**options: Any) -> None:
    """Measure a model, or any detector's COCO results, on annotated pictures."""  # fmt: skip
    with one_sentence():
        measures = _evaluate(options)
    if options["as_json"]:
        click.echo(json.dumps(measures, indent=2))
    else:
        from bootstrap_det import _console

        click.echo(_console.measures_text(measures))
        if measures.get("labels"):
            _console.print_labels(measures)


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
    click.echo(json.dumps(facts, indent=2) if as_json else diagnostics.as_text(facts))


main.add_command(dataset)
main.add_command(inspect)
main.add_command(mine)
dataset.add_command(download)
dataset.add_command(synth)
dataset.add_command(ignore)
for verb in (merge, balance, tile):
    dataset.add_command(verb)


def run_bootstrap() -> None:
    """Run ``train`` on the embedded faces unless told otherwise: the program run_bootstrap.py."""
    arguments = sys.argv[1:]
    own_data = ("--dataset", "--data", "--crops")
    if not any(argument.split("=")[0] in own_data for argument in arguments):
        arguments = ["--dataset", "faces", *arguments]
    train.main(arguments, prog_name="run_bootstrap.py")


def _train(options: dict[str, Any]) -> None:
    from rich.console import Console

    from bootstrap_det import jobs, runs
    from bootstrap_det._console import RunDisplay, print_summary

    console = Console(stderr=True)
    job = jobs.make_job(options)
    display = RunDisplay(console, n_templates=len(job.recipes) * job.n_views)
    console.print(job.headline(), highlight=False)
    with display.progress:
        summary = runs.run_training(job, callbacks=[display])
    print_summary(console, summary, job.out)
    if options["as_json"]:
        click.echo(json.dumps(summary))


def _evaluate(options: dict[str, Any]) -> dict[str, Any]:
    from bootstrap_det import jobs
    from bootstrap_det.evaluation import evaluate_detector, evaluate_results

    if bool(options["model"]) == bool(options["results"]):
        raise ParameterError("Give a --model or the --results of a detector, one of them.")
    test = jobs.test_splits(options)
    if test.test is None:
        raise ParameterError("Give the test set with --test-dataset or --test-data.")
    if options["results"]:
        evaluation = evaluate_results(
            options["results"],
            test.test,
            labels=options["label"] or None,
            iou_threshold=options["iou_threshold"] or test.iou_threshold,
            agreement=options["agreement"] or test.agreement,
        )
        return evaluation.to_dict()
    scan = evaluate_detector(
        jobs.load_detector(options),
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
