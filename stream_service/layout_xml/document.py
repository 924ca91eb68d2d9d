"""XML as a tree of elements that know their line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

MOST_BYTES = 1 << 20
"""NDFileHDF5's own buffer for a layout."""
MOST_LEVELS = 100
"""Of elements in elements; no file has so many groups in groups."""


class XmlSyntaxError(Exception):
    """The text is no XML; `line` says where it stops to be."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Element:
    """An element, with its XML attributes and the elements in it; text between elements is left out."""

    tag: str
    line: int
    """Of its opening tag, from 1."""
    offset: int
    """Of its opening tag in the text as UTF-8, in bytes."""
    attributes: Mapping[str, str]
    children: list[Element] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in the order of the text."""
        yield self
        for child in self.children:
            yield from child.walk()


def parse_xml(text: str) -> Element:
    """The root element; raises `XmlSyntaxError`. Entities and document types are refused: no layout needs them."""
    if len(text.encode()) > MOST_BYTES:
        raise XmlSyntaxError(1, f"it has more than {MOST_BYTES} bytes")
    parser = expat.ParserCreate(encoding="utf-8")
    open_elements: list[Element] = []
    roots: list[Element] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        if len(open_elements) == MOST_LEVELS:
            raise XmlSyntaxError(parser.CurrentLineNumber, f"it has more than {MOST_LEVELS} elements in each other")
        element = Element(tag, parser.CurrentLineNumber, parser.CurrentByteIndex, attributes)
        (open_elements[-1].children if open_elements else roots).append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def refuse(*_: object) -> None:
        raise XmlSyntaxError(parser.CurrentLineNumber, "it declares a document type, which is not supported")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as problem:
        raise XmlSyntaxError(problem.lineno, expat.errors.messages[problem.code]) from problem
    return roots[0]
