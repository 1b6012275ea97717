"""The verb ``detect``: pictures, videos, cameras and stdin in; lines, files and drawings out."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bootstrap_det._cli_common import (
    JSON,
    PATH,
    WIDTH,
    WORKERS,
    Failure,
    echo_note,
    one_sentence,
    options,
    parse_size,
    workers_of,
)
from bootstrap_det._cli_options import BARE, DETECTOR, SKIP_BAD
from bootstrap_det._terminal import echo, printable
from bootstrap_det.exceptions import ParameterError

if TYPE_CHECKING:
    from bootstrap_det.detection_files import FileDetections, JsonLines
    from bootstrap_det.detector import Detector
    from bootstrap_det.inference import DetectionOptions, DetectionRun
    from bootstrap_det.sources import Source
    from bootstrap_det.streaming import FrameDetections

    _Sink = Callable[[FrameDetections], None]

# Everything that imports numba is imported inside the commands: --help answers at once.

_TILES = options(
    click.option("--tile", metavar="HEIGHTxWIDTH", callback=parse_size,
                 help="Scan larger pictures in tiles of this size, in the memory of one."),
    click.option("--tile-overlap", type=click.IntRange(0),
                 help="Pixels that tiles share; by default a quarter of their shorter side."),
)  # fmt: skip
_VIDEO = options(
    click.option("--every", type=click.IntRange(1), metavar="N",
                 help="Videos: look at every Nth frame only."),
    click.option("--start", type=click.FloatRange(0), help="Videos: seconds to pass over."),
    click.option("--seconds", type=click.FloatRange(0), help="Videos: how long to go on."),
    click.option("--max-frames", type=click.IntRange(1), help="Of each video or camera, at most."),
    click.option("--smooth", type=click.IntRange(1, 1000), metavar="N",
                 help="Videos: boxes averaged over the last N frames; what was there in most of "
                 "them is kept, what is there in one alone is dropped."),
    click.option("--fps", "show_rate", is_flag=True,
                 help="Draw the frames per second into the corner of videos."),
)  # fmt: skip
_RESULTS = options(
    click.option("--save-dir", type=PATH,
                 help="Write pictures (PNG) and videos (MP4) with boxes drawn into it."),
    click.option("--out", type=PATH, help="Write COCO results (JSON)."),
    click.option("--csv", "csv_path", type=PATH, help="Write a table."),
    click.option("--jsonl", type=click.Path(path_type=Path, allow_dash=True),
                 help="Write a line of JSON for each picture or frame, as it comes; - is stdout."),
)  # fmt: skip
_OF_VIDEOS = ("every", "start", "seconds", "max_frames", "smooth", "show_rate")
_FLAGS = {"show_rate": "--fps", "max_frames": "--max-frames"}


@click.command(
    epilog="Examples:\n\n\b\n"
    "bootstrap-det detect photo.jpg --model runs/faces/model.bdet --save-dir found\n"
    'bootstrap-det detect "photos/*.jpg" --model model.bdet --out results.json\n'
    "bootstrap-det detect clip.mp4 --model model.bdet --save-dir found --smooth 5\n"
    "bootstrap-det detect 0 --model model.bdet --jsonl - | jq .detections\n"
    "find . -name '*.png' | bootstrap-det detect - --stdin names --model model.bdet\n"
)
@click.argument("sources", nargs=-1, required=True)
@click.option("--model", type=PATH, required=True, help="Model file, as train writes it.")
@click.option("--threshold", type=float, help="Smallest score; by default the model's, 0.")
@click.option("--stdin", "stdin_holds", type=click.Choice(["picture", "names"]),
              help="What the source - is: a picture, the default, or names of files, one a line.",
              )  # fmt: skip
@DETECTOR
@BARE
@_TILES
@_VIDEO
@_RESULTS
@WORKERS
@SKIP_BAD
@JSON
def detect(**options: Any) -> None:
    """Find objects in pictures and videos.

    SOURCES are files, folders (their pictures and videos), quoted globs, the number of a camera
    (0), or - for stdin. A camera goes on until Ctrl-C or --max-frames.
    """
    from bootstrap_det import jobs
    from bootstrap_det.sources import find_sources

    with one_sentence(), workers_of(options):
        detector = jobs.load_detector(options)
        if options["threshold"] is not None and (
            note := detector.threshold_note(options["threshold"])
        ):
            echo(f"note: {note}", err=True)
        sources = find_sources(
            options["sources"],
            stdin=sys.stdin.buffer,
            stdin_holds=options["stdin_holds"],
        )
        _check_options(options, sources)
        _detect(detector, sources, options)


def _check_options(options: dict[str, Any], sources: list[Source]) -> None:
    """Refuse options that would say nothing, or two things at once."""
    given = [name for name in _OF_VIDEOS if options[name] not in (None, False)]
    if given and not any(source.moves for source in sources):
        flags = ", ".join(_FLAGS.get(name, f"--{name}") for name in given)
        raise ParameterError(f"{flags} can be used with videos and cameras only. Leave it out.")
    if options["show_rate"] and options["save_dir"] is None:
        raise ParameterError("--fps is drawn into videos. Give the folder for them by --save-dir.")
    if options["as_json"] and _is_dash(options["jsonl"]):
        raise ParameterError("--json and --jsonl - both write to stdout. Give one of them.")


def _detect(detector: Detector, sources: list[Source], options: dict[str, Any]) -> None:
    from bootstrap_det._console import DetectionDisplay
    from bootstrap_det.detection_files import FileDetections, JsonLines
    from bootstrap_det.inference import DetectionRun

    # On a terminal, rich would break lines of JSON; and they show how far it is themselves.
    display = DetectionDisplay(hidden=_is_dash(options["jsonl"]) and sys.stdout.isatty())
    run = DetectionRun(detector, sources, _run_options(options), display.on_progress)
    collected: list[FrameDetections] = []
    with ExitStack() as stack:
        if not display.progress.disable:  # older versions of rich would end it with an empty line
            stack.enter_context(display.progress)
        lines = options["jsonl"] and stack.enter_context(JsonLines(options["jsonl"]))
        stopped_by = _consume(run, _sinks(options, lines, collected))
    for note in (*(f"skipped {each.reason}" for each in run.skipped), *run.notes):
        echo_note(note)
    if stopped_by is not None and not run.live:
        _say_unfinished(run, stopped_by)
        return
    found = FileDetections(tuple(collected), detector.names, tuple(run.skipped), tuple(run.notes))
    _write(found, options)
    echo(textwrap.fill(run.tally.summary(), WIDTH, break_long_words=False), err=True)


def _run_options(options: dict[str, Any]) -> DetectionOptions:
    from bootstrap_det.inference import DetectionOptions
    from bootstrap_det.video import Span

    return DetectionOptions(
        save_dir=options["save_dir"],
        n_jobs=options["jobs"],
        skip_bad=options["skip_bad"],
        tile=options["tile"],
        tile_overlap=options["tile_overlap"],
        span=Span(
            options["every"] or 1,
            options["start"] or 0.0,
            options["seconds"],
            options["max_frames"],
        ),
        smooth=options["smooth"] or 1,
        show_rate=options["show_rate"],
    )


def _sinks(
    options: dict[str, Any], lines: JsonLines | None, collected: list[FrameDetections]
) -> list[_Sink]:
    """Return what takes each result as it comes."""
    from bootstrap_det.detection_files import lines_of

    def show(found: FrameDetections) -> None:
        # Not click.echo, which would write past the progress bar, into the middle of it.
        sys.stdout.writelines(f"{printable(line)}\n" for line in lines_of(found))
        sys.stdout.flush()

    sinks: list[_Sink] = []
    if lines is not None:
        sinks.append(lines.write)
    if not options["as_json"] and not _is_dash(options["jsonl"]):
        sinks.append(show)
    if options["as_json"] or options["out"] or options["csv_path"]:  # these grow with the video
        sinks.append(lambda found: collected.append(replace(found, pixels=None)))
    return sinks


def _consume(run: DetectionRun, sinks: list[_Sink]) -> type[BaseException] | None:
    """Hand all results on; return what stopped that early, None where nothing did."""
    try:
        with closing(run.results()) as results:
            for found in results:
                for sink in sinks:
                    sink(found)
    except BrokenPipeError:
        _let_go_of_stdout()
        return BrokenPipeError
    except KeyboardInterrupt:
        return KeyboardInterrupt
    return None


def _say_unfinished(run: DetectionRun, stopped_by: type[BaseException]) -> None:
    """Say that what is written as a whole is not written; of Ctrl-C, with an exit code."""
    rest = (
        f"after {run.tally.n_pictures} pictures and {run.tally.n_frames} frames. Lines and drawn "
        "files that were complete are kept; --out, --csv and --json are not written."
    )
    if stopped_by is KeyboardInterrupt:
        raise Failure(f"Interrupted {rest}", 1)
    echo_note(f"stdout was closed {rest}")


def _write(found: FileDetections, options: dict[str, Any]) -> None:
    """Write what needs all results."""
    if options["out"]:
        found.write_coco(options["out"])
    if options["csv_path"]:
        found.write_csv(options["csv_path"])
    if options["as_json"]:
        echo(json.dumps(found.to_dict()))


def _is_dash(path: Path | None) -> bool:
    return str(path) == "-"


def _let_go_of_stdout() -> None:
    """Send what is still to be flushed nowhere, or the interpreter complains at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
