"""What goes to the terminal: texts from data never steer it.

File names and labels may hold escape sequences, which move the cursor, set the window's title or
hide text; and square brackets, which rich takes for markup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

# Control characters but for tabs and line feeds, what turns the direction of writing, and halves
# of characters, which no terminal takes.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text with whatever steers a terminal written as an escape, such as ``\u001b``.

    That is JSON's own way to write it, so JSON stays JSON.
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def echo(text: object = "", *, err: bool = False) -> None:
    """Print a line on stdout, or on stderr."""
    click.echo(printable(str(text)), err=err)


def make_console(*, stderr: bool = True) -> Console:
    """Return a console that prints texts as they are: square brackets are no markup."""
    from rich.console import Console  # slow to import

    class PlainConsole(Console):
        def render_str(self, text: str, **options: Any) -> Any:
            return super().render_str(printable(text), **options)

    return PlainConsole(stderr=stderr, markup=False, emoji=False)
