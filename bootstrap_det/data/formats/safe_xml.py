"""XML from strangers: no document types, no entities, a limit on the size."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from bootstrap_det.data.collect import read_bounded
from bootstrap_det.exceptions import DataError

MAX_XML_BYTES = 256 << 20
"""Most bytes of one annotation file."""

MAX_XML_TAGS = 2_500_000
"""Most tags in it; an element with an attribute takes 350 bytes of memory."""

_FORBIDDEN = ("<!DOCTYPE", "<!ENTITY")


class _DoctypeError(Exception):
    """The file declares a document type."""


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _DoctypeError


def read_xml(path: Path, what: str) -> ElementTree.Element:
    """Return the root of an XML file.

    Parameters
    ----------
    path : Path
        The file.
    what : str
        What is wanted, for the messages: "a Pascal VOC annotation".

    Raises
    ------
    DataError
        When the file is missing, too large or no XML, or declares a document type: entities can
        make a small file expand to gigabytes, or read other files.
    """
    content = read_bounded(path, MAX_XML_BYTES, what)
    try:
        # Looked for in the bytes first: the parser expands entities before it hands over control.
        wide = content[:4].count(0) > 0 or content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if wide else "latin-1", errors="replace")
        if any(word in text for word in _FORBIDDEN):
            raise _DoctypeError
        if text.count("<") > MAX_XML_TAGS:
            raise DataError(f"{path}: has more than {MAX_XML_TAGS:,} tags. Split it.")
        return ElementTree.fromstring(content, ElementTree.XMLParser(target=_Builder()))
    except _DoctypeError:
        raise DataError(
            f"{path}: declares a document type or entities, which annotations need not and "
            "harmful files do. Remove the declaration."
        ) from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: is not XML ({error}). Give {what}.") from None


def text_of(element: ElementTree.Element, tag: str) -> str:
    """Return the text of the first child of this tag without outer blanks, "" for none."""
    return (element.findtext(tag) or "").strip()


def xml_bytes(root: ElementTree.Element) -> bytes:
    """Return an element as an indented XML file in UTF-8; the element is indented in place."""
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"
