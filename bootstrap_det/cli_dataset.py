"""The verbs on data sets: list, info, convert, check, split. They parse, call and print."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det._cli_common import FORMAT, JSON, PATH, WIDTH, one_sentence, parse_size
from bootstrap_det._cli_common import SKIP_BAD as _SKIP_BAD
from bootstrap_det._cli_common import SOURCE as _SOURCE
from bootstrap_det._cli_common import echo_note as _echo_note
from bootstrap_det._cli_common import echo_notes as _echo_notes
from bootstrap_det._cli_common import read_source as _read
from bootstrap_det._terminal import echo
from bootstrap_det.exceptions import DataError

if TYPE_CHECKING:
    from bootstrap_det.data import Dataset
    from bootstrap_det.data.check import Finding

# Everything that imports numba is imported inside the commands: --help answers at once.

_COPY = click.option("--copy-images", is_flag=True, help="Copy the pictures, too.")


@click.group()
def dataset() -> None:
    """Look at data sets, download, convert, check and split them."""


@dataset.command("list", epilog="Example:\n\n\b\nbootstrap-det dataset list\n")
@JSON
def list_named(as_json: bool) -> None:
    """List the named data sets."""
    from bootstrap_det.data import named

    with one_sentence():
        cards = [named.card(name) for name in named.available()]
    if as_json:
        keys = ("name", "title", "use", "needs_data_root", "licence")
        echo(json.dumps([{key: getattr(card, key) for key in keys} for card in cards]))
        return
    for card in cards:
        where = "needs --data-root" if card.needs_data_root else "comes with the packages"
        where += ", can be downloaded" if card.download else ""
        echo(f"{card.name}  ({', '.join(card.use)}; {where})")
        _echo_wrapped(card.title, "    ")


@dataset.command(epilog="Example:\n\n\b\nbootstrap-det dataset info cars/annotations.json\n")
@click.argument("path", type=PATH)
@_SOURCE
@_SKIP_BAD
@JSON
def info(path: Path, as_json: bool, **source: Any) -> None:
    """Count the pictures, objects and sizes of annotations in any format."""
    from bootstrap_det.data.summary import summary

    with one_sentence():
        form, data = _read(path, source)
    facts = {"format": form, **summary(data)}
    if as_json:
        echo(json.dumps(facts, indent=2))
        return
    _echo_summary(facts)
    _echo_notes(data)


@dataset.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset convert VOC2007 cars.json --to coco\n"
    "bootstrap-det dataset convert cars.json yolo --to yolo --copy-images\n"
    "bootstrap-det dataset convert cars.json shards --to shards\n"
)
@click.argument("src", type=PATH)
@click.argument("dst", type=PATH)
@click.option("--to", type=FORMAT, required=True, help="Format to write.")
@_SOURCE
@_COPY
@click.option(
    "--shard-bytes", type=click.IntRange(1), help="Shards: most bytes of one; by default 256 MiB."
)
@_SKIP_BAD
def convert(src: Path, dst: Path, to: str, copy_images: bool, shard_bytes: int | None,
            **source: Any) -> None:  # fmt: skip
    """Write annotations in another format; DST is a file, or a folder for VOC, YOLO and shards."""
    from bootstrap_det.data import write_annotations

    with one_sentence():
        form, data = _read(src, source)
        written = write_annotations(
            data, dst, format=to, copy_images=copy_images, shard_bytes=shard_bytes
        )
    _echo_notes(data)
    for note in written.notes:
        _echo_note(note)
    echo(f"{form} -> {to}: {written.path}")
    echo(f"{written.n_pictures} pictures, {data.n_objects} objects")
    if not copy_images and to != "shards":
        _echo_note(
            "The pictures were not copied. Where they do not lie beside the annotations, read "
            "them with --images, or convert with --copy-images."
        )


@dataset.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset check cars.json --window 24x24\n"
    "bootstrap-det dataset check train.json --against test.json --fix mended\n"
)
@click.argument("path", type=PATH)
@_SOURCE
@click.option("--against", type=PATH, help="A set that must not share pictures with it.")
@click.option("--against-from", type=FORMAT, help="Its format, where it cannot be told.")
@click.option("--against-images", type=PATH, help="Folder of that set's pictures.")
@click.option(
    "--window",
    metavar="HEIGHTxWIDTH",
    callback=parse_size,
    help="Look for objects that no window of this template can match.",
)
@click.option("--fix", type=PATH, help="Write a mended copy (COCO) and changes.csv into a folder.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=os.cpu_count() or 1,
    show_default="all cores",
    help="Pictures at a time.",
)
@JSON
@click.pass_context
def check(ctx: click.Context, /, path: Path, as_json: bool, **given: Any) -> None:  # fmt: skip
    """Find what is wrong with annotations and pictures; exit code 1 when there are errors."""
    from bootstrap_det.data.check import ERROR

    with one_sentence():
        data, findings, notes = _check(path, given)
    n_errors = sum(each.severity == ERROR for each in findings)
    counts = {
        "pictures": len(data),
        "errors": n_errors,
        "warnings": len(findings) - n_errors,
    }
    if as_json:
        echo(json.dumps({**counts, "findings": [f.to_dict() for f in findings]}, indent=2))
    else:
        _echo_findings(findings)
        echo(", ".join(_counted(number, name) for name, number in counts.items()))
    for note in notes:
        _echo_note(note)
    ctx.exit(1 if n_errors else 0)


@dataset.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det dataset split cars.json --parts train=0.8,test=0.2 --out parts\n"
    "bootstrap-det dataset split cars.json --parts a=0.5,b=0.5 --out parts \\\n"
    "    --by-group '^([^_]+)_'\n"
)
@click.argument("path", type=PATH)
@click.option(
    "--parts", required=True, metavar="NAME=SHARE,...", help="Such as train=0.8,test=0.2."
)
@click.option("--out", type=PATH, required=True, help="Folder for one COCO JSON for each part.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is random."
)
@click.option(
    "--by-group",
    metavar="REGEX",
    help="Keep pictures together whose names share the text of its first group.",
)
@_SOURCE
@_COPY
@_SKIP_BAD
@JSON
def split(path: Path, parts: str, out: Path, as_json: bool, **given: Any) -> None:  # fmt: skip
    """Split annotations at random by picture or group, with each label spread alike."""
    with one_sentence():
        data, written, notes = _split(path, _parse_parts(parts), out, given)
    if as_json:
        echo(json.dumps(written, indent=2))
    else:
        for entry in written:
            echo(f"{entry['path']}: {entry['pictures']} pictures, {entry['objects']} objects")
    _echo_notes(data)
    for note in notes:
        _echo_note(note)


def _check(
    path: Path, given: dict[str, Any]
) -> tuple[Dataset, tuple[Finding, ...], tuple[str, ...]]:
    """Return what was checked, what was found, and where the mended copy is."""
    from bootstrap_det.data.check import check_dataset
    from bootstrap_det.reach import unreachable_objects

    _, data = _read(path, given, skip_bad=True)
    other = None
    if given["against"]:
        source = {
            "form": given["against_from"],
            "images": given["against_images"],
            "label": given["label"],
        }
        _, other = _read(given["against"], source, skip_bad=True)
    findings = check_dataset(data, against=other, n_jobs=given["jobs"])
    if given["window"]:
        findings += unreachable_objects(data, given["window"])
    if not given["fix"]:
        return data, findings, data.notes
    return data, findings, (*data.notes, *_fix(data, findings, given["fix"]))


def _fix(data: Dataset, findings: tuple[Finding, ...], out: Path) -> tuple[str, ...]:
    """Write the mended copy and its changes; return what to say about it."""
    from bootstrap_det.data import write_annotations
    from bootstrap_det.data.check import mended, write_changes
    from bootstrap_det.data.formats.links import link_images

    copy, changes = mended(data, findings)
    if any(picture.member is not None for picture in copy.pictures):
        written, link = write_annotations(copy, out, format="shards"), None
    else:
        written = write_annotations(copy, out / "annotations.json", format="coco")
        link = link_images(copy, out)
    write_changes(changes, out / "changes.csv")
    said = f"{written.path} is the mended copy, with {len(changes)} changes in changes.csv."
    return (said, *([link] if link else []))


def _split(
    path: Path, parts: dict[str, float], out: Path, given: dict[str, Any]
) -> tuple[Dataset, list[dict[str, Any]], list[str]]:
    """Return what was split, what was written, and what to say about it."""
    from bootstrap_det.data import write_annotations
    from bootstrap_det.data.formats.links import link_images
    from bootstrap_det.data.split import split as split_up

    _, data = _read(path, given)
    older = [target for name in parts if (target := out / f"{name}.json").exists()]
    if older:  # looked for first, so that no half of a split is written
        raise DataError(f"{older[0]}: exists already. Remove it, or write elsewhere.")
    entries, notes = [], []
    for name, part in split_up(data, parts, seed=given["seed"], by_group=given["by_group"]).items():
        target = out / f"{name}.json"
        write_annotations(part, target, format="coco", copy_images=given["copy_images"])
        entries.append({"path": str(target), "pictures": len(part), "objects": part.n_objects})
    if not given["copy_images"] and (link := link_images(data, out)):
        notes.append(link)
    return data, entries, notes


def _parse_parts(text: str) -> dict[str, float]:
    """Return ``train=0.8,test=0.2`` as a dictionary."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    try:
        parts = {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        parts = {}
    good = all(name and not set(name) & set('/\\:"') and name[0] != "." for name in parts)
    if len(parts) < len(pairs) or not good:
        raise click.BadParameter(
            f"{text!r} is no list of names and shares like train=0.8,test=0.2.",
            param_hint="--parts",
        )
    return parts


def _echo_summary(facts: dict[str, Any]) -> None:
    echo(f"{facts['name']}  ({facts['format']})")
    empty = facts["pictures_without_objects"]
    echo(f"pictures  {facts['pictures']}, of which {empty} without objects")
    echo(f"objects   {facts['objects']}, and {facts['ignored']} ignored boxes")
    if not facts["labels"]:
        return
    width = min(max(map(len, [*facts["labels"], "label"])), 26)
    echo(f"\n{'label':<{width}} {'objects':>8} {'ignored':>8}   height in px: min median max")
    for label, entry in facts["labels"].items():
        sizes = entry["height"]
        shown = "-" if sizes is None else "  ".join(f"{v:.4g}" for v in sizes.values())
        name = label if len(label) <= width else label[: width - 3] + "..."
        numbers = f"{entry['objects']:>8} {entry['ignored']:>8}"
        echo(f"{name:<{width}} {numbers}   {shown}")


def _counted(number: int, plural: str) -> str:
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"


def _echo_findings(findings: Iterable[Finding]) -> None:
    for each in findings:
        echo(f"{each.severity}: {each.kind}: {each.file}")
        _echo_wrapped(each.what, "    ")
        _echo_wrapped(f"-> {each.mend}", "    ")


def _echo_wrapped(text: str, indent: str) -> None:
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False
    )
    echo("\n".join(lines))
