"""The command line: parse, call, print.

Results go to stdout, everything else to stderr. Exit codes: 0 success, 1 data or run error,
2 usage error. An error is one sentence with the way out, never a traceback.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det import __version__
from bootstrap_det.exceptions import BootstrapDetError, DataError, ParameterError

if TYPE_CHECKING:
    from bootstrap_det.data.named import Splits
    from bootstrap_det.detector import Detector

# Everything that imports numba is imported inside the commands: --help answers at once.


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Turn the package's errors into a sentence on stderr and an exit code."""
    try:
        yield
    except ParameterError as error:
        raise _Failure(str(error), 2) from None
    except BootstrapDetError as error:
        raise _Failure(str(error), 1) from None
    except KeyboardInterrupt:
        raise _Failure("Interrupted. What was finished is kept; --resume goes on.", 1) from None


class _Failure(click.ClickException):
    """A message with an exit code of its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click's own way to set it


def _options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return one decorator of several options, in the order of the help text."""

    def apply(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


class _Size(click.ParamType[tuple[int, int]]):
    """``HEIGHTxWIDTH`` as a pair of ints."""

    name = "HEIGHTxWIDTH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        try:
            height, width = (int(side) for side in value.lower().split("x"))
        except ValueError:
            self.fail(f"{value!r} is not a size like 24x24 (height, then width).", param, ctx)
        return height, width


_PATH = click.Path(path_type=Path)
_JOBS = click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Pictures at a time.",
    show_default="all cores",
)  # fmt: skip
_JSON = click.option("--json", "as_json", is_flag=True, help="Put the result on stdout as JSON.")
_SKIP_BAD = click.option("--skip-bad", is_flag=True, help="Go on after unreadable data, list them.")
_DATA_ROOT = click.option(
    "--data-root", type=_PATH, envvar="BOOTSTRAP_DET_DATA", help="Folder of the named data sets."
)
_TEST_DATA = _options(
    click.option("--test-dataset", metavar="NAME", help="Named test set."),
    click.option("--test-data", type=_PATH, help="Annotations (COCO JSON) of the test set."),
    click.option("--test-images", type=_PATH, help="Folder of its pictures."),
    click.option("--test-boxes", metavar="NAME", help="Its box convention: a field of the JSON."),
)
_TRAIN_DATA = _options(
    click.option("--dataset", metavar="NAME", help="Named data set, such as faces."),
    click.option("--data", type=_PATH, help="Annotations (COCO JSON) of your own data."),
    click.option("--images", type=_PATH, help="Folder of their pictures."),
    click.option("--crops", type=_PATH, help="Positives as crops: an .npz file or a folder."),
    click.option("--label", help="Which category to train, when there are several."),
    click.option(
        "--negatives", type=_PATH, multiple=True, help="Folder of pictures without the object."
    ),
    _DATA_ROOT,
    _TEST_DATA,
)
_FEATURES = _options(
    click.option("--features", type=click.Choice(["hog"]), default="hog", show_default=True),
    click.option("--cell-size", type=int, help="Side of a HOG cell in pixels."),
    click.option("--block-size", type=int, help="Side of a HOG block in cells."),
    click.option("--n-orientations", type=int, help="Bins of orientation."),
    click.option("--signed/--unsigned", default=None, help="Bins over 360 or 180 degrees."),
    click.option("--interpolate/--no-interpolate", default=None, help="Share pixels among cells."),
    click.option("--gamma/--no-gamma", default=None, help="Square root of the pixels first."),
    click.option("--epsilon", type=float, help="Noise floor of a block, in grey levels."),
    click.option("--color", type=click.Choice(["grey", "rgb"]), help="Pictures to read."),
)
_SCALES = _options(
    click.option("--window", type=_Size(), help="The template's size in pixels."),
    click.option("--scales-per-octave", type=int, help="Levels from one size to half of it."),
    click.option("--min-object-size", type=float, help="Height of the smallest object, pixels."),
    click.option("--max-object-size", type=float, help="Height of the largest object, pixels."),
    click.option("--padding", type=int, help="Border round each level, level pixels."),
)
_LOOP = _options(
    click.option("--rounds", type=click.IntRange(0), default=2, show_default=True,
                 help="Rounds of mining after round 0."),
    click.option("--strategy", type=click.Choice(["bootstrap"]), default="bootstrap",
                 show_default=True),
    click.option("--classifier", type=click.Choice(["svm"]), default="svm", show_default=True),
    click.option("--C", "C", type=float, help="Of the SVM; by default cross-validated."),
    click.option("--n-copies", type=int, help="Jittered copies of each positive."),
    click.option("--n-random-negatives", type=int, help="Random windows of round 0."),
    click.option("--n-negatives-per-image", type=int, help="Most windows mined from a picture."),
    click.option("--n-negatives-per-round", type=int, help="Most windows mined in a round."),
    click.option("--mining-threshold", type=float, help="Smallest score of a mined window."),
    click.option("--min-new-negatives", type=int, help="Fewer new windows mean convergence."),
    click.option("--max-cache-bytes", type=int, help="Limit on the negatives' features."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
)  # fmt: skip
_RUN = _options(
    click.option("--out", type=_PATH, help="Run folder; by default runs/NAME."),
    click.option("--overwrite", is_flag=True, help="Replace an earlier run in the folder."),
    click.option("--resume", is_flag=True, help="Go on with the run in the folder."),
    _JOBS,
    click.option("--backend", type=click.Choice(["threads"]), default="threads", show_default=True),
    _SKIP_BAD,
    _JSON,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bootstrap-det")
def main() -> None:
    """Train and run fast rigid-object detectors on a CPU."""


@main.command()
@_TRAIN_DATA
@_FEATURES
@_SCALES
@_LOOP
@_RUN
def train(**options: Any) -> None:
    r"""Train a detector by bootstrapping its negatives.

    \b
    bootstrap-det train --dataset faces
    bootstrap-det train --data cars.json --images photos --negatives background
    """
    with _one_sentence():
        _train(options)


@main.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("--model", type=_PATH, required=True, help="Model file, as train writes it.")
@click.option("--threshold", type=float, help="Smallest score; by default the model's, 0.")
@click.option("--min-object-size", type=float, help="Height of the smallest object, pixels.")
@click.option("--max-object-size", type=float, help="Height of the largest object, pixels.")
@click.option("--scales-per-octave", type=int, help="Levels from one size to half of it.")
@click.option("--nms-threshold", type=float, help="Largest overlap of two detections.")
@click.option("--save-dir", type=_PATH, help="Write the pictures with boxes drawn into it.")
@click.option("--out", type=_PATH, help="Write COCO results (JSON).")
@click.option("--csv", "csv_path", type=_PATH, help="Write a table.")
@_JOBS
@_SKIP_BAD
@_JSON
def detect(**options: Any) -> None:
    r"""Find objects in pictures: files, folders or quoted globs.

    \b
    bootstrap-det detect photo.jpg --model runs/faces/model.bdet --save-dir found
    bootstrap-det detect "photos/*.jpg" --model model.bdet --out results.json
    """
    from bootstrap_det import inference

    with _one_sentence():
        detector = _detector(options)
        result = inference.detect_files(
            detector,
            inference.expand_sources(options["sources"]),
            save_dir=options["save_dir"],
            n_jobs=options["jobs"],
            skip_bad=options["skip_bad"],
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


@main.command()
@click.option("--model", type=_PATH, help="Model file to measure.")
@click.option("--results", type=_PATH, help="COCO results of any detector, instead of a model.")
@_TEST_DATA
@_DATA_ROOT
@click.option("--label", help="The class; by default the model's.")
@click.option("--iou-threshold", type=float, default=0.5, show_default=True)
@click.option(
    "--score-floor",
    type=float,
    default=-1.0,
    show_default=True,
    help="Detections below it are not listed.",
)
@click.option("--min-object-size", type=float, help="Height of the smallest object, pixels.")
@click.option("--max-object-size", type=float, help="Height of the largest object, pixels.")
@click.option("--scales-per-octave", type=int, help="Levels from one size to half of it.")
@click.option("--nms-threshold", type=float, help="Largest overlap of two detections.")
@_JOBS
@_SKIP_BAD
@_JSON
def evaluate(**options: Any) -> None:
    r"""Measure a model, or any detector's COCO results, on annotated pictures.

    \b
    bootstrap-det evaluate --model model.bdet --test-data test.json --test-images test
    bootstrap-det evaluate --results yolo.json --test-data test.json
    """  # fmt: skip
    with _one_sentence():
        measures = _evaluate(options)
    if options["as_json"]:
        click.echo(json.dumps(measures, indent=2))
    else:
        from bootstrap_det._console import measures_text

        click.echo(measures_text(measures))


@main.command()
@click.argument("model", type=_PATH, required=False)
@_JSON
def info(model: Path | None, as_json: bool) -> None:
    r"""Print versions and machine, or what a model file holds.

    \b
    bootstrap-det info
    bootstrap-det info runs/faces/model.bdet
    """
    from bootstrap_det import diagnostics

    with _one_sentence():
        facts = diagnostics.model_facts(model) if model else diagnostics.environment()
    click.echo(json.dumps(facts, indent=2) if as_json else diagnostics.as_text(facts))


def run_bootstrap() -> None:
    """Run ``train`` on the embedded faces unless told otherwise: the program run_bootstrap.py."""
    arguments = sys.argv[1:]
    own_data = ("--dataset", "--data", "--crops")
    if not any(argument.split("=")[0] in own_data for argument in arguments):
        arguments = ["--dataset", "faces", *arguments]
    train.main(arguments, prog_name="run_bootstrap.py")


def _train(options: dict[str, Any]) -> None:
    from rich.console import Console

    from bootstrap_det import runs
    from bootstrap_det._console import RunDisplay, print_summary

    console = Console(stderr=True)
    job = _job(options)
    display = RunDisplay(console)
    console.print(_headline(job), highlight=False)
    with display.progress:
        summary = runs.run_training(job, callbacks=[display])
    print_summary(console, summary, job.out)
    if options["as_json"]:
        click.echo(json.dumps(summary))


def _job(options: dict[str, Any]) -> Any:
    """Return the run that the options describe, its data read and its parameters checked."""
    from bootstrap_det import runs, training
    from bootstrap_det.channels import HOG
    from bootstrap_det.mining import BootstrapParams, Recipe
    from bootstrap_det.pyramid import Pyramid
    from bootstrap_det.samples import Jitter

    hog = training.default_channels().get_params()
    channels = HOG(**{**hog, **_given(options, hog)})
    pyramid = Pyramid(**_given(options, Pyramid().get_params()))
    params = BootstrapParams(
        n_rounds=options["rounds"],
        n_jobs=options["jobs"],
        **_given(options, BootstrapParams.__dataclass_fields__),
    )
    jitter = Jitter(**_given(options, Jitter.__dataclass_fields__))
    name = options["dataset"] or _own_name(options)
    out = options["out"] or Path("runs") / name
    runs.RunFolder(out, overwrite=options["overwrite"], resume=options["resume"])  # early refusal
    splits = _splits(options)
    label = training.the_label(splits.train, options["label"])
    window = training.as_window(options["window"], splits.train, label, channels)
    return runs.Job(
        name=name,
        train=splits.train,
        negatives=splits.negatives or splits.train,
        test=splits.test,
        detection_map=splits.detection_map,
        recipe=Recipe(window, channels, pyramid, label),
        jitter=jitter,
        params=params,
        out=out,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        overwrite=options["overwrite"],
        resume=options["resume"],
    )


def _splits(options: dict[str, Any]) -> Splits:
    """Return the training, mining and test data that the options name."""
    from dataclasses import replace

    from bootstrap_det.data import merge, read_negatives

    given = [name for name in ("dataset", "data", "crops") if options[name]]
    if len(given) != 1:
        raise ParameterError(
            "Training needs one of --dataset, --data and --crops. Got "
            + (" and ".join(f"--{name}" for name in given) or "none of them")
            + "."
        )
    splits = _training_splits(options)
    if splits.train is None:
        raise ParameterError(
            f"The data set {splits.name!r} is for testing only. Give it as --test-dataset."
        )
    for folder in options["negatives"]:
        more = read_negatives(folder, skip_bad=options["skip_bad"])
        old = splits.negatives
        splits = replace(splits, negatives=more if old is None else merge(old, more, old.name))
    if splits.negatives is None and not len(splits.train):
        raise DataError(
            "There is no picture to take negatives from. Give a folder of pictures without the "
            "object with --negatives."
        )
    test = _test_splits(options)
    if test is None:
        return splits
    return replace(splits, test=test.test, detection_map=test.detection_map)


def _training_splits(options: dict[str, Any]) -> Splits:
    from bootstrap_det.data import named, read_coco, read_crops

    skip_bad = options["skip_bad"]
    if options["dataset"]:
        return named.load(options["dataset"], data_root=options["data_root"], skip_bad=skip_bad)
    if options["data"]:
        own = read_coco(options["data"], options["images"], skip_bad=skip_bad)
    else:
        own = read_crops(options["crops"], label=options["label"] or "object")
    return named.Splits(own.name, own, None, None)


def _test_splits(options: dict[str, Any]) -> Splits | None:
    """Return the test set that the options name, or None."""
    from bootstrap_det.data import named, read_coco

    boxes, skip_bad = options["test_boxes"], options["skip_bad"]
    if options["test_dataset"] and options["test_data"]:
        raise ParameterError("Give --test-dataset or --test-data, not both.")
    if options["test_dataset"]:
        root = options["data_root"]
        found = named.load(options["test_dataset"], data_root=root, boxes=boxes, skip_bad=skip_bad)
        if found.test is None:
            raise ParameterError(f"The data set {found.name!r} has no test part. Give another.")
        return found
    if not options["test_data"]:
        return None
    test = read_coco(
        options["test_data"], options["test_images"], box_key=boxes or "bbox", skip_bad=skip_bad
    )
    return named.Splits(test.name, None, None, test)


def _evaluate(options: dict[str, Any]) -> dict[str, Any]:
    from bootstrap_det.evaluation.results import evaluate_results
    from bootstrap_det.evaluation.scan import evaluate_detector

    if bool(options["model"]) == bool(options["results"]):
        raise ParameterError("Give a --model or the --results of a detector, one of them.")
    test = _test_splits(options)
    if test is None or test.test is None:
        raise ParameterError("Give the test set with --test-dataset or --test-data.")
    if options["results"]:
        evaluation = evaluate_results(
            options["results"],
            test.test,
            label=options["label"],
            iou_threshold=options["iou_threshold"],
        )
        return evaluation.to_dict()
    scan = evaluate_detector(
        _detector(options),
        test.test,
        label=options["label"],
        iou_threshold=options["iou_threshold"],
        score_floor=options["score_floor"],
        detection_map=test.detection_map,
        n_jobs=options["jobs"],
        skip_bad=options["skip_bad"],
    )
    return scan.to_dict()


def _detector(options: dict[str, Any]) -> Detector:
    """Return the model's detector with the changes that the options ask for."""
    from bootstrap_det.detector import Detector

    detector = Detector.load(options["model"])
    names = ("threshold", "nms_threshold", *detector.pyramid.get_params())
    return detector.replace(**_given(options, names))


def _given(options: dict[str, Any], names: Any) -> dict[str, Any]:
    """Return the options of these names that the user gave."""
    return {name: options[name] for name in names if options.get(name) is not None}


def _own_name(options: dict[str, Any]) -> str:
    source = options["data"] or options["crops"]
    return source.stem if source else "run"


def _headline(job: Any) -> str:
    height, width = job.recipe.window.size
    test = f", tested on {len(job.test)} pictures" if job.test else ", no test set"
    return (
        f"{job.name}: {job.train.n_objects:,} objects, {len(job.negatives):,} pictures to mine"
        f"{test}\n{height}x{width} window, "
        f"{type(job.recipe.channels).__name__} + linear SVM, seed {job.params.seed}"
    )
