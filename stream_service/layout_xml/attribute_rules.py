"""An NDAttributes file, and whether it defines what a layout wants to store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from stream_service.layout_xml.document import Element
from stream_service.layout_xml.finding import Finding, Level, error, warning
from stream_service.layout_xml.layout import ALWAYS_THERE, Layout
from stream_service.layout_xml.nd_attributes import PLACEHOLDER, NDAttributes

ALLOWED = ("name", "type", "source", "dbrtype", "datatype", "addr", "param", "description")
CHOICES: Mapping[str, tuple[str, ...]] = {
    "type": ("EPICS_PV", "PARAM", "FUNCTION", "CONST"),
    "dbrtype": (
        "DBR_CHAR", "DBR_SHORT", "DBR_ENUM", "DBR_INT", "DBR_LONG",
        "DBR_FLOAT", "DBR_DOUBLE", "DBR_STRING", "DBR_NATIVE",
    ),
    "datatype": ("INT", "INT64", "DOUBLE", "STRING"),
}  # fmt: skip
OWNERS = {"dbrtype": "EPICS_PV", "datatype": "PARAM", "addr": "PARAM", "param": "FUNCTION"}
CONSEQUENCES = {
    "type": "the driver refuses the file: NDAttributesStatus says so, and frames carry none of it",
    "dbrtype": "the PV is not connected, and its column is NaN",
    "datatype": "the NDAttribute stays undefined, and has no column",
}
UNIT_AT_THE_END = re.compile(r".*[,(]\s*\S{1,12}\)?\s*")


def attribute_findings(attributes: NDAttributes, *, is_inline: bool = False) -> Iterator[Finding]:
    """Findings about an attributes file alone; `is_inline` for one that is put into NDAttributesFile itself."""
    root = attributes.root
    if root.tag != "Attributes":
        yield error(
            root.line, f"the outermost element is <{root.tag}>", "the driver finds nothing in it", "<Attributes>"
        )
        return
    if is_inline and root.attributes:
        yield error(
            root.line,
            "<Attributes> has XML attributes of its own",
            "XML in NDAttributesFile is known by the bare word <Attributes>: this is taken for the name of a file",
            "<Attributes> and nothing else",
        )
    seen: dict[str, int] = {}
    for element in root.children:
        if element.tag != "Attribute":
            yield error(element.line, f"there is no <{element.tag}>", "the driver ignores it", "<Attribute .../>")
            continue
        yield from _entry(element)
        name = element.attributes.get("name", "")
        if name in seen:
            yield error(
                element.line,
                f"the NDAttribute {name} is defined in line {seen[name]} already",
                "the last definition counts",
                "another name",
            )
        seen.setdefault(name, element.line)


def stored_findings(layout: Layout, attributes: NDAttributes) -> Iterator[Finding]:
    """Findings about NDAttributes that a layout wants and nobody defines."""
    defined = attributes.names | ALWAYS_THERE
    for element in layout.root.walk():
        wanted = element.attributes.get("ndattribute", "")
        uses = element.tag == "global" or element.attributes.get("source") == "ndattribute"
        if not uses or not wanted or wanted in defined:
            continue
        close = next((name for name in sorted(defined) if name.lower() == wanted.lower()), "")
        what = "every frame goes into the default dataset" if element.tag == "global" else "it is missing in the file"
        yield error(
            element.line,
            f"the NDAttribute {wanted} is not in the attributes file",
            f"{what}, without an error",
            f"{close}, as the attributes file spells it"
            if close
            else f'add <Attribute name="{wanted}" .../> to the attributes file, unless the driver makes it by itself',
        )


def _entry(element: Element) -> Iterator[Finding]:
    attributes = element.attributes
    kind, name = attributes.get("type", "EPICS_PV"), attributes.get("name", "")
    for needed in ("name", "source"):
        if not attributes.get(needed):
            yield error(
                element.line,
                f"<Attribute> needs {needed}",
                "the driver skips it, and frames do not carry it",
                f'{needed}="..."',
            )
    for key, value in attributes.items():
        if key not in ALLOWED:
            yield error(
                element.line,
                f'<Attribute> has no {key}="{value}"',
                "the driver ignores it",
                f"one of {', '.join(ALLOWED)}",
            )
        elif value not in CHOICES.get(key, (value,)):
            yield error(
                element.line,
                f'{key}="{value}" of {name} means nothing',
                CONSEQUENCES[key],
                f"one of {', '.join(CHOICES[key])}",
            )
        elif key in OWNERS and kind in CHOICES["type"] and kind != OWNERS[key]:
            yield warning(
                element.line, f'{key}="{value}" has no effect on a {kind}', "the driver ignores it", "leave it out"
            )
    if attributes.get("source", "").startswith(PLACEHOLDER):
        yield Finding(
            Level.WARNING,
            element.line,
            f"{name} is of the placeholder {attributes['source']}",
            "no such PV connects, and its column is NaN",
            "the PV of your beamline",
            is_placeholder=True,
        )
    is_number = kind == "EPICS_PV" and attributes.get("dbrtype") in ("DBR_FLOAT", "DBR_DOUBLE")
    if is_number and not UNIT_AT_THE_END.fullmatch(attributes.get("description", "")):
        yield warning(
            element.line,
            f"the description of {name} does not end with a unit",
            "who reads the raw file alone has to guess it",
            'description="stage x, um"',
        )
