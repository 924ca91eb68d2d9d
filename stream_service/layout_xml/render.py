"""A layout filled in: the constants of a beamline, and the shortest form that means the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from stream_service.layout_xml.document import Element, parse_xml
from stream_service.layout_xml.layout import read_layout

OPENING_TAG = re.compile(rb"""<[^\s/>]+(?:[^"'>]|"[^"]*"|'[^']*')*>""")
ATTRIBUTE = re.compile(rb"""([^\s=]+)\s*=\s*("[^"]*"|'[^']*')""")


def render_constants(text: str, constants: Mapping[str, float]) -> str:
    """The layout with these constant datasets (by name) set, and every other letter as it was.

    Raises `XmlSyntaxError`, and `KeyError` with the name of a constant that the layout does not have.
    """
    for name, value in constants.items():
        placed = read_layout(text).constant(name)
        if placed is None:
            raise KeyError(name)
        text = _with_value(text.encode(), placed.element.offset, repr(value).encode()).decode()
    return text


def _with_value(layout: bytes, offset: int, value: bytes) -> bytes:
    """The layout with the XML attribute `value` of the element at this offset set, or added."""
    tag = OPENING_TAG.match(layout, offset)
    assert tag is not None, "the parser found an element there"
    written = [found for found in ATTRIBUTE.finditer(layout, tag.start(), tag.end()) if found[1] == b"value"]
    if written:
        start, end = written[0].span(2)
        return layout[:start] + b'"' + value + b'"' + layout[end:]
    end = tag.end() - (2 if tag[0].endswith(b"/>") else 1)
    return layout[:end] + b' value="' + value + b'"' + layout[end:]


def shortest_xml(text: str) -> str:
    """The same elements without comments, line ends and spaces, for a record of limited length.

    Begins with `<?xml`, by which ADCore knows XML from the name of a file. Raises `XmlSyntaxError`.
    """
    return '<?xml version="1.0"?>' + _short(parse_xml(text))


def _short(element: Element) -> str:
    head = element.tag + "".join(f" {name}={quoteattr(value)}" for name, value in element.attributes.items())
    if not element.children:
        return f"<{head}/>"
    return f"<{head}>{''.join(map(_short, element.children))}</{escape(element.tag)}>"
