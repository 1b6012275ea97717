"""The verb ``dataset synth``: traffic signs as pictures and annotations in a folder."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det._cli_common import JOBS, JSON, PATH, one_sentence
from bootstrap_det._terminal import echo
from bootstrap_det.exceptions import DataError

if TYPE_CHECKING:
    from bootstrap_det.data import Dataset, Picture

ANNOTATIONS, IMAGES = "annotations.json", "images"


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset synth --out signs --n-pictures 200\n"
    "bootstrap-det dataset synth --out signs_test --n-pictures 60 --part test --labels class\n"
)
@click.option("--out", type=PATH, required=True, help="Folder to write.")
@click.option(
    "--n-pictures", type=click.IntRange(1), default=200, show_default=True, help="How many."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is random."
)
@click.option(
    "--labels",
    type=click.Choice(["group", "class"]),
    default="group",
    show_default=True,
    help="Three groups, or all kinds of sign.",
)
@click.option(
    "--part",
    type=click.Choice(["train", "test"]),
    default="train",
    show_default=True,
    help="Which background pictures; the parts share none.",
)
@click.option(
    "--max-signs",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="In a picture; 0 makes pictures without signs.",
)
@click.option(
    "--format",
    "suffix",
    type=click.Choice(["png", "jpg"]),
    default="png",
    show_default=True,
    help="Of the pictures; png keeps every pixel.",
)
@click.option("--overwrite", is_flag=True, help="Replace a set that is there, pictures too.")
@JOBS
@JSON
def synth(**options: Any) -> None:
    """Write pictures with drawn traffic signs, and their COCO annotations."""  # fmt: skip
    from bootstrap_det.data import synth_signs
    from bootstrap_det.data.signs import supercategories

    with one_sentence():
        target = _empty_target(options["out"], overwrite=options["overwrite"])
        made = synth_signs(
            options["n_pictures"],
            seed=options["seed"],
            labels=options["labels"],
            part=options["part"],
            max_signs=options["max_signs"],
        )
        groups = supercategories(options["labels"])
        facts = write_dataset(made, target, groups, options["suffix"], n_jobs=options["jobs"])
    if options["as_json"]:
        echo(json.dumps(facts))
    else:
        echo(f"{facts['annotations']}: {len(made)} pictures, {made.n_objects} signs")


def write_dataset(
    dataset: Dataset,
    folder: Path,
    supercategories: dict[str, str],
    suffix: str = "png",
    *,
    n_jobs: int = 1,
) -> dict[str, Any]:
    """Write the pictures of a data set into ``folder/images``, then its annotations.

    Parameters
    ----------
    dataset : Dataset
        Pictures of any kind, without crops.
    folder : Path
        Exists.
    supercategories : dict of str to str
        See :func:`bootstrap_det.data.write_coco`.
    suffix : {"png", "jpg"}, default="png"
        Of the pictures, which keep the stems of their names.
    n_jobs : int, default=1
        Pictures at a time.

    Returns
    -------
    dict
        ``annotations`` (the file), ``n_pictures``, and ``n_objects`` by label.

    Raises
    ------
    DataError
        When something cannot be written.
    """
    from dataclasses import replace

    from bootstrap_det.data import write_coco
    from bootstrap_det.workers import in_parallel

    pictures = tuple(
        replace(picture, name=f"{Path(picture.name).stem}.{suffix}") for picture in dataset.pictures
    )
    images = _made_folder(folder / IMAGES)
    for _ in in_parallel(partial(_write_picture, images), zip(pictures), n_jobs=n_jobs):
        pass
    path = folder / ANNOTATIONS
    write_coco(replace(dataset, pictures=pictures), path, supercategories=supercategories)
    labels = [str(label) for picture in pictures for label in picture.labels]
    counts = {label: labels.count(label) for label in dataset.categories}
    return {"annotations": str(path), "n_pictures": len(pictures), "n_objects": counts}


def _write_picture(folder: Path, picture: Picture) -> None:
    from bootstrap_det.images import write_image

    write_image(folder / picture.name, picture.load("rgb"))


def _empty_target(folder: Path, *, overwrite: bool) -> Path:
    if (folder / ANNOTATIONS).exists() and not overwrite:
        raise DataError(
            f"{folder}: has an {ANNOTATIONS} already. Give another folder, or --overwrite."
        )
    _remove_earlier_pictures(folder)
    return _made_folder(folder)


def _remove_earlier_pictures(folder: Path) -> None:
    """Remove the pictures of a set that is to be replaced, and nothing else that lies there."""
    try:
        entries = json.loads((folder / ANNOTATIONS).read_bytes())["images"]
        names = [str(entry["file_name"]) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError):
        return  # none, or none of ours: what it lists is not known
    for name in names:
        path = folder / IMAGES / name
        if path.resolve().parent == (folder / IMAGES).resolve():
            path.unlink(missing_ok=True)


def _made_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be made ({error.strerror}). Give a folder that can be written."
        ) from None
    return folder
