"""The verbs on data sets: list, info, convert, check, split."""

from __future__ import annotations

import click


@click.group()
def dataset() -> None:
    """Look at data sets, convert, check and split them."""
