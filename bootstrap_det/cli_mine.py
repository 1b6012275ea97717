"""The verbs ``mine`` and ``dataset ignore``: false alarms of any detector, and what they show."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from bootstrap_det._cli_common import FORMAT, JSON, PATH, WORKERS, one_sentence, workers_of
from bootstrap_det._terminal import echo
from bootstrap_det.exceptions import ParameterError


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det mine --results yolo.json --data train.json --out mined\n"
    "bootstrap-det mine --model model.bdet --negatives background --out mined\n"
)
@click.option("--results", type=PATH, help="COCO results of any detector.")
@click.option("--model", type=PATH, help="A model of ours to run, instead.")
@click.option("--data", type=PATH, help="Annotations of the pictures.")
@click.option("--data-format", type=FORMAT, help="Their format, where it cannot be told.")
@click.option("--images", type=PATH, help="Folder of the pictures.")
@click.option(
    "--negatives", type=PATH, help="Folder of pictures without the object, instead; in results "
    "their ids count from 0 by name.",
)  # fmt: skip
@click.option("--out", type=PATH, required=True, help="Folder to write, new.")
@click.option("--threshold", type=float, help="Least score; by default all.")
@click.option("--max-per-image", type=int, default=20, show_default=True, help="Most of a picture.")
@click.option("--max-total", type=int, default=1000, show_default=True, help="Most in all.")
@WORKERS
@JSON
def mine(**options: Any) -> None:
    """Write a detector's false alarms as crops, as background pictures and as a sheet."""
    from bootstrap_det import false_alarms

    with one_sentence(), workers_of(options):
        dataset = _pictures(options)
        alarms = false_alarms.false_alarms(
            dataset,
            _predictions(options, dataset),
            threshold=options["threshold"],
            max_per_image=options["max_per_image"],
            max_total=options["max_total"],
        )
        false_alarms.write_false_alarms(alarms, options["out"])
    echo(
        f"{len(alarms)} false alarms in {len(dataset)} pictures, {alarms.n_over_limit} more left "
        f"out by the limits; look at {options['out'] / 'contact_sheet.png'} first: objects that "
        "nobody annotated are at the top",
        err=True,
    )
    if options["as_json"]:
        report = {"n_false_alarms": len(alarms), "n_over_limit": alarms.n_over_limit}
        echo(json.dumps(report))


@click.command(
    epilog="Example:\n\n\b\n"
    "bootstrap-det dataset ignore train.json --suspects mined/false_alarms.csv \\\n"
    "    --numbers 1,4,17 --label face --out mended.json\n"
)
@click.argument("path", type=PATH)
@click.option("--from", "form", type=FORMAT, help="Format, where it cannot be told.")
@click.option("--images", type=PATH, help="Folder of the pictures.")
@click.option(
    "--suspects", type=PATH, required=True, help="A list: false_alarms.csv of mine, or "
    "hard_negatives/round_N.csv of a training.",
)  # fmt: skip
@click.option("--numbers", required=True, help="Which of them, such as 1,4,17.")
@click.option("--label", required=True, help="What they are.")
@click.option("--out", type=PATH, required=True, help="COCO JSON to write.")
def ignore(path: Path, form: str | None, images: Path | None, **chosen: Any) -> None:
    """Add objects that nobody annotated to the ignored ones; writes new annotations."""
    from bootstrap_det import false_alarms
    from bootstrap_det.data import read_annotations, write_annotations

    with one_sentence():
        dataset = read_annotations(path, images, format=form)
        suspects = false_alarms.read_suspects(chosen["suspects"])
        numbers = _numbers(chosen["numbers"])
        mended = false_alarms.ignore_suspects(dataset, suspects, numbers, label=chosen["label"])
        write_annotations(mended, chosen["out"], format="coco")
    n_added = mended.n_ignored - dataset.n_ignored
    echo(f"{n_added} more ignored boxes in {chosen['out']}", err=True)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ParameterError(
            f"--numbers must be numbers of the list, such as 1,4,17. Got {text!r} instead."
        ) from None


def _pictures(options: dict[str, Any]) -> Any:
    from bootstrap_det.data import read_annotations, read_negatives

    if bool(options["data"]) == bool(options["negatives"]):
        raise ParameterError("Give the pictures with --data or with --negatives, one of them.")
    if options["negatives"]:
        return read_negatives(options["negatives"])
    return read_annotations(options["data"], options["images"], format=options["data_format"])


def _predictions(options: dict[str, Any], dataset: Any) -> Any:
    from bootstrap_det.data.each import each_picture
    from bootstrap_det.detector import Detector
    from bootstrap_det.evaluation import read_results

    if bool(options["results"]) == bool(options["model"]):
        raise ParameterError("Give a --model or the --results of a detector, one of them.")
    if options["results"]:
        return read_results(options["results"], dataset)
    detector = Detector.load(options["model"])
    least = detector.lowest_score if options["threshold"] is None else options["threshold"]
    work = partial(_detections, detector, least)
    return list(each_picture(work, dataset.pictures, n_jobs=options["jobs"]))


def _detections(detector: Any, least: float, picture: Any) -> Any:
    return detector.detect(picture.load(detector.channels.color), threshold=least)
