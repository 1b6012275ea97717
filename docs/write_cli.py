"""Writes ``docs/cli.md`` from the command line's own help: ``python docs/write_cli.py``."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from bootstrap_det.cli import main

PAGE = Path(__file__).with_name("cli.md")
PROGRAM = "bootstrap-det"
HEAD = """# Command line

<!-- Written by `python docs/write_cli.py`; a test compares it with the program. -->

Results go to stdout, everything else to stderr. An error is one sentence with the way out. Exit
codes: 0 success, 1 an error of data or run (`dataset check`: something is wrong), 2 an error of
usage. `--json` puts the result on stdout as JSON. `python run_bootstrap.py` is `bootstrap-det
train`, with `--dataset faces` unless the data are named.

Names of files in the examples stand for your own.
"""


def page() -> str:
    """Return the page: each verb with what it does, examples, and its options."""
    root = click.Context(main, info_name=PROGRAM)
    commands = list(_commands(main, root))
    verbs = [f"| [`{name}`](#{_anchor(name)}) | {_summary(c)} |" for name, c, _ in commands]
    parts = [HEAD, "\n".join(["| verb | what it does |", "|---|---|", *verbs])]
    parts += [_section(name, command, context) for name, command, context in commands]
    return "\n".join(parts)


def _commands(
    group: click.Group, context: click.Context, before: str = ""
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield name, command and context of every verb, those of groups behind one another."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        own = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from _commands(command, own, f"{before}{name} ")
        else:
            yield f"{before}{name}", command, own


def _section(name: str, command: click.Command, context: click.Context) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    rows = [_row(option) for option in command.params if isinstance(option, click.Option)]
    lines = [
        f"\n## {name}\n",
        f"{_description(command)}\n",
        f"`{PROGRAM} {name} {usage}`\n",
        "<!-- not run: the files are the reader's -->",
        "```bash",
        *_examples(command),
        "```\n",
        '<details markdown="1"><summary>Options</summary>\n',
        "| option | what it does | default |",
        "|---|---|---|",
        *rows,
        "\n</details>",
    ]
    return "\n".join(lines)


def _description(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").replace("\b\n", "")


def _summary(command: click.Command) -> str:
    return _description(command).split("\n\n")[0].replace("\n", " ")


def _examples(command: click.Command) -> list[str]:
    """Return the lines of the epilog's examples."""
    _, _, examples = (command.epilog or "").partition("\b\n")
    return examples.strip("\n").split("\n")


def _row(option: click.Option) -> str:
    """Return an option as a row of the table."""
    names = [*option.opts, *option.secondary_opts]
    flags = ", ".join(f"`{name}`" for name in names[1:])
    first = f"`{names[0]}{_value(option)}`" + (f", {flags}" if flags else "")
    more = option.multiple and "again" not in (option.help or "")
    notes = [option.help, option.required and "Required.", more and "Again for more."]
    default = option.show_default
    if default is True:
        default = f"`{option.default}`"
    cells = (first, " ".join(note for note in notes if note), default or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(option: click.Option) -> str:
    """Return what follows the option's name, with a space before; empty for a flag."""
    if option.is_flag:
        return ""
    if option.metavar:
        return f" {option.metavar}"
    if isinstance(option.type, click.Choice):
        return f" [{'|'.join(map(str, option.type.choices))}]"
    kind = option.type.name.partition(" ")[0].upper()
    low, high = (getattr(option.type, side, None) for side in ("min", "max"))
    limits = [f">={low:g}"] if low is not None else []
    limits += [f"<={high:g}"] if high is not None else []
    return f" {kind}" + (f" ({', '.join(limits)})" if limits else "")


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page() + "\n", encoding="utf-8")
