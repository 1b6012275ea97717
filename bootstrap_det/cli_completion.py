"""The verb ``completion``: what a shell needs to complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bootstrap_det._cli_common import Failure

SHELLS = ("bash", "zsh", "fish")
PROGRAM = "bootstrap-det"


@click.command(
    epilog="Examples:\n\n\b\n"
    'eval "$(bootstrap-det completion bash)"\n'
    "bootstrap-det completion fish | source\n"
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete verbs and options."""
    kind = get_completion_class(shell)
    assert kind is not None  # click has all of SHELLS
    variable = "_" + PROGRAM.replace("-", "_").upper() + "_COMPLETE"
    try:
        script = kind(ctx.find_root().command, {}, PROGRAM, variable).source()
    except RuntimeError as error:  # a bash that is too old, or none to ask
        raise Failure(f"The script cannot be made: {error}", 1) from None
    click.echo(script)
