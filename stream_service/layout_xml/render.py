"""A layout filled in: the constants of a beamline, and the shortest form that means the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from stream_service.layout_xml.document import Element, parse_xml
from stream_service.layout_xml.layout import read_layout

VALUE = re.compile(r"""(\bvalue\s*=\s*)("[^"]*"|'[^']*')""")


def render_constants(text: str, constants: Mapping[str, float]) -> str:
    """The layout with these constant datasets (by name) set, and every other letter as it was.

    Raises `XmlSyntaxError`, and `KeyError` with the name of a constant that the layout does not have.
    """
    layout = read_layout(text)
    lines = text.splitlines(keepends=True)
    for name, value in constants.items():
        placed = layout.constant(name)
        if placed is None:
            raise KeyError(name)
        start = sum(map(len, lines[: placed.line - 1]))
        start += lines[placed.line - 1].index("<dataset")
        end = text.index(">", start)
        head, n_changed = VALUE.subn(lambda match, number=value: f'{match[1]}"{number!r}"', text[start:end], count=1)
        if not n_changed:
            head = head.rstrip("/") + f' value="{value!r}"' + ("/" if head.endswith("/") else "")
        text = text[:start] + head + text[end:]
        lines = text.splitlines(keepends=True)
    return text


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
