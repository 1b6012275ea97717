"""From a template and values to one HTML text: escaped, offline, by a stated policy."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bootstrap_det import __version__

_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {script}; "
    "base-uri 'none'; form-action 'none'"
)


def render(template: str, *, script: str | None = None, data: Any = None, **values: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a file in ``templates``.
    script : str or None, default=None
        Name of the JavaScript file there; without it the page's policy allows none.
    data : object, default=None
        What the script reads, JSON-ready.
    **values
        What the template shows; every text in it is escaped.
    """
    code = _text(script) if script else ""
    return (
        _environment()
        .get_template(template)
        .render(
            **values,
            version=__version__,
            style=Markup(_text("style.css")),
            script=Markup(code),
            policy=_POLICY.format(script=_hash(code) if code else "'none'"),
            data=embedded_json(data),
        )
    )


def embedded_json(value: Any) -> Markup:
    """Return JSON for a ``<script type="application/json">``: nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character, escape in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, escape)
    return Markup(text)


def number(value: Any, digits: int = 3) -> str:
    """Return a number with so many digits behind the point, or a dash where there is none."""
    return "-" if value is None else f"{float(value):,.{digits}f}"


def plain(value: Any) -> str:
    """Return a parameter's value as a person would write it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(each) for each in value) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)


def words(name: str) -> str:
    """Return a key of the summary as words."""
    return name.replace("_", " ")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bootstrap_det.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, plain=plain, words=words)
    return environment


@lru_cache(maxsize=8)
def _text(name: str) -> str:
    folder = resources.files("bootstrap_det.report") / "templates"
    return (folder / name).read_text(encoding="utf-8").strip()


def _hash(code: str) -> str:
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"'sha256-{digest}'"
