"""The verbs that make one data set of another: ``merge``, ``balance``, ``tile`` and ``crops``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det._cli_common import (
    JOBS,
    JSON,
    PATH,
    SKIP_BAD,
    SOURCE,
    echo_note,
    echo_notes,
    one_sentence,
    options,
    parse_size,
    read_source,
)
from bootstrap_det._terminal import echo
from bootstrap_det.exceptions import DataError, ParameterError

if TYPE_CHECKING:
    from bootstrap_det.data import Balanced, Dataset, Tiled

# Everything that imports numba is imported inside the commands: --help answers at once.

_ANNOTATIONS = "annotations.json"
_BALANCE = options(
    click.option("--how", type=click.Choice(["over", "under"]), default="over", show_default=True,
                 help="Repeat pictures of rare labels, or leave out those of frequent ones."),
    click.option("--threshold", type=float,
                 help="over: share of the objects below which a label is repeated; by default "
                 "that of the most numerous."),
    click.option("--max-ratio", type=float, default=1.0, show_default=True,
                 help="under: largest label over smallest to aim at."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
                 help="Of all that is random."),
    click.option("--out", type=PATH, required=True,
                 help=f"Folder for {_ANNOTATIONS} and, for over, the pictures."),
)  # fmt: skip
_TILE = options(
    click.option("--tile", "size", metavar="HEIGHTxWIDTH", required=True, callback=parse_size,
                 help="Size of a tile, pixels."),
    click.option("--overlap", type=click.IntRange(0), default=0, show_default=True,
                 help="Pixels that tiles share: objects up to this size are whole in one."),
    click.option("--min-visible", type=float, default=0.5, show_default=True,
                 help="Least visible share of an object; what shows less is ignored."),
    click.option("--keep-whole", is_flag=True, help="Do not cut boxes at the border of a tile."),
    click.option("--drop-empty", is_flag=True, help="Leave out tiles without any box."),
    click.option("--format", "suffix", type=click.Choice(["png", "jpg"]), default="png",
                 show_default=True, help="Of the tiles; png keeps every pixel."),
    click.option("--out", type=PATH, required=True, help="Folder for tiles and annotations."),
)  # fmt: skip
_COMMON = options(
    SOURCE,
    click.option("--overwrite", is_flag=True, help="Replace annotations that are there."),
    SKIP_BAD,
    JSON,
)


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset merge signs.json --out groups.json \\\n"
    "    --map speed_30=limit,speed_50=limit\n"
    "bootstrap-det dataset merge faces.json --drop profile --out frontal.json\n"
)
@click.argument("path", type=PATH)
@click.option("--map", "pairs", multiple=True, metavar="OLD=NEW,...",
              help="Labels to rename, several to one; again for more.")  # fmt: skip
@click.option("--drop", multiple=True, metavar="LABEL",
              help="Label whose objects become ignored; again for another.")  # fmt: skip
@click.option("--out", type=PATH, required=True, help="COCO JSON to write.")
@_COMMON
def merge(path: Path, out: Path, **given: Any) -> None:
    """Make similar labels one, or objects of a label ignored; writes new annotations."""
    from bootstrap_det.data import merge_labels
    from bootstrap_det.data.balancing import count_labels

    with one_sentence():
        mapping = _mapping(given["pairs"])
        if not mapping and not given["drop"]:
            raise ParameterError("Nothing to do. Give labels to rename with --map, or --drop one.")
        target = _target(out, given["overwrite"])
        data = read_source(path, given)[1]
        merged = merge_labels(data, mapping, drop=given["drop"])
        link = _write(merged, target)
    counts = count_labels(data), count_labels(merged)
    n_ignored = merged.n_ignored - data.n_ignored
    if given["as_json"]:
        facts = {"annotations": str(target), "before": counts[0], "after": counts[1]}
        echo(json.dumps({**facts, "newly_ignored": n_ignored}, indent=2))
    else:
        echo(f"{target}: {len(counts[0])} labels with objects -> {len(counts[1])}")
        for label, number in counts[1].items():
            old = [name for name in counts[0] if mapping.get(name, name) == label]
            echo(f"{label:<26.26} {number:>8}  {_origin(label, old)}".rstrip())
        if given["drop"]:
            echo(f"{'now ignored':<26} {n_ignored:>8}")
    _echo_all(data, link)


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset balance train.json --how over --out balanced\n"
    "bootstrap-det dataset balance train.json --how under --max-ratio 3 --out smaller\n"
)
@click.argument("path", type=PATH)
@_BALANCE
@_COMMON
def balance(path: Path, out: Path, **given: Any) -> None:
    """Bring labels closer in number by repeating pictures or leaving some out."""
    from bootstrap_det.data import balance as balanced_of

    with one_sentence():
        target = _target(out / _ANNOTATIONS, given["overwrite"])
        data = read_source(path, given)[1]
        keys = ("how", "threshold", "max_ratio", "seed")
        balanced = balanced_of(data, **{key: given[key] for key in keys})
        link = _write(balanced.dataset, target, copy_images=balanced.n_added > 0)
    if given["as_json"]:
        echo(json.dumps({"annotations": str(target), **balanced.to_dict()}, indent=2))
    else:
        _echo_balance(balanced, target)
    if balanced.n_added:
        echo_note(
            f"{balanced.n_added} pictures are copies. Balance the training part of a split, not "
            "what is split afterwards: a copy in both parts flatters the result."
        )
    _echo_all(data, link)


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset tile aerial.json --tile 512x512 --overlap 96 --out tiles\n"
    "bootstrap-det dataset tile aerial.json --tile 512x512 --overlap 96 --out tiles \\\n"
    "    --format jpg --drop-empty --min-visible 0.7\n"
)
@click.argument("path", type=PATH)
@_TILE
@JOBS
@_COMMON
def tile(path: Path, out: Path, **given: Any) -> None:
    """Cut large pictures into overlapping tiles with their boxes; memory holds one picture."""
    from bootstrap_det.data import tile as tiles_of
    from bootstrap_det.data import write_tiles

    with one_sentence():
        target = _target(out / _ANNOTATIONS, given["overwrite"])
        data = read_source(path, given)[1]
        tiled = tiles_of(
            data,
            given["size"],
            overlap=given["overlap"],
            min_visible=given["min_visible"],
            keep_whole=given["keep_whole"],
            keep_empty=not given["drop_empty"],
        )
        written = write_tiles(
            tiled, out, suffix=given["suffix"], n_jobs=given["jobs"], skip_bad=given["skip_bad"]
        )
    if given["as_json"]:
        echo(json.dumps({"annotations": str(target), **tiled.to_dict()}, indent=2))
    else:
        _echo_tiles(tiled, target)
    if tiled.n_objects > tiled.n_whole:
        echo_note(
            f"{tiled.n_objects - tiled.n_whole} objects are in no tile whole. Raise --overlap to "
            f"the size of the largest, {_largest(data)} px, or take larger tiles."
        )
    echo_notes(written)


def _mapping(texts: tuple[str, ...]) -> dict[str, str]:
    """Return ``a=x,b=x`` as a dictionary."""
    mapping: dict[str, str] = {}
    for pair in (pair for text in texts for pair in text.split(",")):
        old, sign, new = (part.strip() for part in pair.partition("="))
        if not (old and sign and new) or old in mapping:
            raise click.BadParameter(
                f"{pair!r} is no pair like old=new, or its label was given before.",
                param_hint="--map",
            )
        mapping[old] = new
    return mapping


def _target(path: Path, overwrite: bool) -> Path:
    """Return the file to write, refusing one that is there before any work is done."""
    if path.is_dir():
        path /= _ANNOTATIONS
    if path.exists() and not overwrite:
        raise DataError(f"{path}: exists already. Write elsewhere, or give --overwrite.")
    return path


def _write(dataset: Dataset, target: Path, *, copy_images: bool = False) -> str | None:
    """Write annotations, and copies of the pictures; return what to say about the pictures."""
    from bootstrap_det.data import write_coco
    from bootstrap_det.data.formats.links import link_images
    from bootstrap_det.data.formats.writing import copy_pictures, make_folder, make_plan

    make_folder(target.parent)
    if not copy_images:
        write_coco(dataset, target)
        return link_images(dataset, target.parent)
    images = target.parent / "images"
    if images.is_symlink():
        raise DataError(f"{images}: is a link to other pictures. Remove it, or write elsewhere.")
    for picture in dataset.pictures:  # of an earlier run; --overwrite was given
        old = images / picture.name
        if target.exists() and old.exists() and not _is(old, picture.path):
            old.unlink()
    plan = copy_pictures(make_plan(dataset, target, target.parent), images)
    write_coco(plan.dataset, target)
    return None


def _is(file: Path, other: Path | None) -> bool:
    return other is not None and file.samefile(other)


def _origin(label: str, old: list[str]) -> str:
    if old == [label]:
        return ""
    text = "from " + ", ".join(old)
    return text if len(text) <= 42 else f"from {len(old)} labels"


def _largest(data: Dataset) -> int:
    """Return the longer side of the largest object, whole pixels."""
    import numpy as np

    sides = [p.boxes[p.targets, 2:] - p.boxes[p.targets, :2] for p in data.pictures]
    return int(np.ceil(np.concatenate(sides).max()))


def _echo_balance(balanced: Balanced, target: Path) -> None:
    facts = balanced.to_dict()
    pictures, ratio = facts["pictures"], facts["ratio"]
    echo(f"{target}")
    echo(
        f"pictures  {pictures['before']} -> {pictures['after']}: {facts['added']} copies added, "
        f"{facts['left_out']} left out"
    )
    echo(f"largest label over smallest  {ratio['before']:.3g} -> {ratio['after']:.3g}\n")
    width = min(max(len("label"), *map(len, facts["labels"])), 30)
    echo(f"{'label':<{width}} {'before':>8} {'after':>8}   weight instead")
    for label, entry in facts["labels"].items():
        name = label if len(label) <= width else label[: width - 3] + "..."
        numbers = f"{entry['before']:>8} {entry['after']:>8}   {entry['weight']:.3g}"
        echo(f"{name:<{width}} {numbers}")


def _echo_tiles(tiled: Tiled, target: Path) -> None:
    echo(f"{target}: {tiled.n_pictures} pictures -> {len(tiled.dataset)} tiles")
    for number, what in (
        (tiled.n_objects, "objects before"),
        (tiled.n_whole, "whole in at least one tile"),
        (tiled.n_cut, "cut in every tile, but visible enough in one"),
        (tiled.n_lost, "visible enough in none: ignored"),
        (tiled.n_boxes, "boxes of objects in all tiles"),
        (tiled.n_remains, "ignored remains at the borders of tiles"),
        (tiled.n_slivers, "remains under a pixel, left out"),
    ):
        echo(f"{number:>8}  {what}")


def _echo_all(data: Dataset, link: str | None) -> None:
    echo_notes(data)
    if link:
        echo_note(link)


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset crops cars.json --size 40x100 --out crops\n"
    "bootstrap-det dataset crops faces.json --size 36x36 --margin 0.2 --out faces.npz\n"
)
@click.argument("path", type=PATH)
@click.option("--size", metavar="HEIGHTxWIDTH", required=True, callback=parse_size,
              help="Of the crops, pixels.")  # fmt: skip
@click.option("--margin", type=float, default=0.0, show_default=True,
              help="Surroundings on each side, in sides of the object.")  # fmt: skip
@click.option(
    "--color",
    type=click.Choice(["rgb", "grey"]),
    default="rgb",
    show_default=True,
    help="Of the crops.",
)
@click.option("--out", type=PATH, required=True,
              help="Folder, with one for each label, or an .npz file.")  # fmt: skip
@SOURCE
@SKIP_BAD
@JSON
def crops(path: Path, out: Path, size: tuple[int, int], as_json: bool, **given: Any) -> None:
    """Cut objects out, as crops of one size; train takes them as --crops."""
    from bootstrap_det.data.cutting import write_cuts

    chosen = {name: given.pop(name) for name in ("margin", "color")}
    with one_sentence():
        _, data = read_source(path, given)
        counts = write_cuts(data, out, size, label=given["label"], **chosen)
    echo_notes(data)
    if as_json:
        echo(json.dumps(counts))
        return
    for label, number in sorted(counts.items()):
        echo(f"{label}: {number} crops")
    echo(str(out))
