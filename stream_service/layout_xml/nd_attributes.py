"""An NDAttributes file: the values that a driver attaches to every frame."""

from __future__ import annotations

from dataclasses import dataclass

from stream_service.layout_xml.document import Element, parse_xml

PLACEHOLDER = "PLACEHOLDER:"


@dataclass(frozen=True, slots=True)
class NDAttributes:
    """The content of an attributes file."""

    root: Element

    @property
    def entries(self) -> tuple[Element, ...]:
        """The elements that define an NDAttribute."""
        return tuple(child for child in self.root.children if child.tag == "Attribute")

    @property
    def names(self) -> frozenset[str]:
        """The NDAttributes it defines."""
        return frozenset(entry.attributes.get("name", "") for entry in self.entries) - {""}


def read_attributes(text: str) -> NDAttributes:
    """Read an attributes file; raises `XmlSyntaxError`."""
    return NDAttributes(parse_xml(text))
