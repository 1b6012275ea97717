"""The verb ``report``: a run folder as one page, or several runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bootstrap_det._cli_common import PATH, one_sentence
from bootstrap_det._terminal import echo
from bootstrap_det.exceptions import ParameterError

# Everything that imports numba is imported inside the command: --help answers at once.

COMPARED = "compared.html"


def _parse_peers(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Path]:
    """Return ``NAME=FILE`` as a dictionary."""
    peers: dict[str, Path] = {}
    for value in values:
        name, equals, file = value.partition("=")
        if not (name and equals and file):
            raise click.BadParameter(f"{value!r} is not NAME=FILE, such as dlib=results.json.")
        if name in peers:
            raise click.BadParameter(f"the name {name!r} is given twice. Give each peer its own.")
        peers[name] = Path(file)
    return peers


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det report runs/faces\n"
    "bootstrap-det report runs/faces --peer dlib=dlib.json --out faces.html\n"
    "bootstrap-det report --compare runs/faces runs/other --out both.html\n"
)
@click.argument("runs", type=PATH, nargs=-1, required=True, metavar="RUN...")
@click.option("--compare", is_flag=True, help="Put several runs side by side.")
@click.option("--out", type=PATH, help="The page, replaced if it exists; by default report.html in "
              f"the run folder, or {COMPARED} beside the first run.")  # fmt: skip
@click.option("--peer", "peers", multiple=True, metavar="NAME=FILE", callback=_parse_peers,
              help="Another detector to draw: its COCO results on the test pictures, or published "
              "points; again for more.")  # fmt: skip
@click.option("--images", type=PATH, help="Folder of the test pictures, if they have moved.")
def report(**options: Any) -> None:
    """Make the page of a RUN anew, from its folder and the test pictures."""
    with one_sentence():
        page = _compared(options) if options["compare"] else _one(options)
    echo(str(page))


def _one(options: dict[str, Any]) -> Path:
    from bootstrap_det.report import write_report

    runs = options["runs"]
    if len(runs) > 1:
        raise ParameterError(f"Give one run, or --compare for several. Got {len(runs)}.")
    return write_report(
        runs[0], out=options["out"], peers=options["peers"], images=options["images"]
    )


def _compared(options: dict[str, Any]) -> Path:
    from bootstrap_det.report import write_runs_page

    for name in ("peers", "images"):
        if options[name]:
            flag = "--peer" if name == "peers" else "--images"
            raise ParameterError(f"{flag} cannot be used with --compare. Leave it out.")
    runs = options["runs"]
    return write_runs_page(runs, options["out"] or runs[0].resolve().parent / COMPARED)
