"""What the site's builder does beside its plug-ins: roles of docstrings become links."""

import re
from typing import Any

_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):<code>~?([^<]+)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Return the page with roles such as ``:func:`` as links, where the name has an entry."""
    return _ROLE.sub(_link, html).replace(" - like", "-like")  # a type, not a difference


def _link(role: re.Match[str]) -> str:
    name = role.group(1)
    return f'<autoref optional identifier="{name}"><code>{name}</code></autoref>'
