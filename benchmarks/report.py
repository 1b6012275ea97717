"""What the benchmarks measured: ``docs/benchmarks.json``, and ``docs/benchmarks.md`` made of it.

Each program owns one section of the JSON and replaces it as a whole; the Markdown is written
from the JSON alone. Run: ``python benchmarks/report.py`` writes the Markdown anew.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bootstrap_det import diagnostics

DOCS = Path(__file__).parents[1] / "docs"
NAME = "benchmarks"
HEADING = """# Benchmarks

Made by the programs in `benchmarks/`, each of which replaces its own section; the numbers are in
`benchmarks.json`. `DATA` stands for the folder that the data set cards describe.
"""
PATHS = {"--data-root": "DATA", "--yunet": "YUNET.onnx", "--peer-python": "PYTHON"}


@dataclass(frozen=True)
class Table:
    """Rows of numbers and words under one caption; None is shown as a dash."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the option that all benchmarks share."""
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=DOCS,
        metavar="DIR",
        help="Update benchmarks.json and benchmarks.md in DIR, by default docs.",
    )


def publish(
    section: str,
    title: str,
    tables: Sequence[Table],
    *,
    notes: Sequence[str] = (),
    rivals: Mapping[str, str] | None = None,
    write: Path | None = None,
) -> None:
    """Print a section, and replace it in the files when ``write`` names their folder."""
    entry = {
        "title": title,
        "command": command_line(sys.argv),
        "machine": machine(),
        "versions": {"ours": our_versions(), "rivals": dict(rivals or {})},
        "notes": list(notes),
        "tables": [asdict(table) for table in tables],
    }
    print(_section_text(json.loads(json.dumps(_finite(entry)))))
    if write is not None:
        replace_section(write, section, entry)


def replace_section(folder: Path, section: str, entry: dict[str, Any]) -> None:
    """Replace one section of the JSON, and write the Markdown anew."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}.json"
    sections = json.loads(path.read_text()) if path.exists() else {}
    sections[section] = _finite(entry)
    path.write_text(json.dumps(sections, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    write_markdown(folder)


def write_markdown(folder: Path) -> None:
    """Write the Markdown from the JSON beside it."""
    sections = json.loads((folder / f"{NAME}.json").read_text())
    parts = [HEADING, *(_section_text(sections[name]) for name in sorted(sections))]
    (folder / f"{NAME}.md").write_text("\n".join(parts), encoding="utf-8")


def machine() -> dict[str, Any]:
    """Return the processor and its cores."""
    return {"processor": _processor(), "cores": os.cpu_count()}


def our_versions() -> dict[str, str]:
    """Return the versions of the package and of what it stands on."""
    facts = diagnostics.environment()
    return {name: str(facts[name]) for name in facts if name not in _NO_VERSIONS}


def command_line(arguments: Sequence[str]) -> str:
    """Return the command that was given, without the paths of this machine."""
    words, previous = ["python", "benchmarks/" + Path(arguments[0]).name], ""
    for argument in arguments[1:]:
        words.append(PATHS.get(previous) or _without_folders(argument))
        previous = argument
    return shlex.join(words)


def _without_folders(argument: str) -> str:
    name, equals, value = argument.rpartition("=")
    is_path = value.startswith(("/", ".", "~"))
    return name + equals + (Path(value).name if is_path else value)


_NO_VERSIONS = ("system", "processor", "cores")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _section_text(entry: Mapping[str, Any]) -> str:
    machine_text = f"{entry['machine']['processor']}, {entry['machine']['cores']} cores"
    lines = [
        f"## {entry['title']}",
        "",
        "```bash",
        entry["command"],
        "```",
        "",
        machine_text + ". ",
    ]
    for who, versions in entry["versions"].items():
        listed = ", ".join(f"{name} {version}" for name, version in versions.items())
        lines += [f"{who.capitalize()}: {listed}."] if listed else []
    for table in entry["tables"]:
        lines += ["", f"**{table['caption']}**", "", *_table_lines(table)]
    lines += [""] + [f"- {note}" for note in entry["notes"]]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _table_lines(table: Mapping[str, Any]) -> list[str]:
    rows = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
    return ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _finite(value: Any) -> Any:
    """Return a value whose numbers JSON can hold, rounded to what is worth keeping."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=DOCS)
    write_markdown(parser.parse_args().folder)
