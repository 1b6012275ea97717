"""The verb ``refine``: better boxes and fewer windows for a model that was trained before."""

from __future__ import annotations

import json
from typing import Any

import click

from bootstrap_det._cli_common import (
    DATA_ROOT,
    FORMAT,
    JSON,
    PATH,
    WORKERS,
    one_sentence,
    workers_of,
)
from bootstrap_det._cli_options import BOX_MAP, REFINE, SKIP_BAD
from bootstrap_det._terminal import echo, make_console


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det refine model.bdet --data cars.json --images photos --out refined.bdet\n"
    "bootstrap-det refine model.bdet --data signs.json --location prune --out refined.bdet\n"
)
@click.argument("model", type=PATH)
@click.option("--dataset", metavar="NAME", help="Named data set.")
@click.option("--data", type=PATH, help="Annotations of your own pictures.")
@click.option("--data-format", type=FORMAT, help="Their format, where it cannot be told.")
@click.option("--images", type=PATH, help="Folder of their pictures.")
@DATA_ROOT
@BOX_MAP
@REFINE
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is random."
)
@click.option("--out", type=PATH, required=True, help="Model file to write.")
@WORKERS
@SKIP_BAD
@JSON
def refine(**options: Any) -> None:
    """Learn better boxes, and where objects are, from annotated pictures."""
    from bootstrap_det import _console, jobs

    console = make_console()
    with one_sentence(), workers_of(options):
        display = _console.RunDisplay(console)
        with display.progress:
            detector, told = jobs.refine_model(options, [display])
            detector.save(options["out"])
    for line in _console.refinement_lines(told):
        console.print(line, highlight=False)
    console.print(f"written to {options['out']}", highlight=False)
    if options["as_json"]:
        echo(json.dumps(told))
