"""A layout XML as NDFileHDF5's parser takes it: what it does not know it ignores, and names are kept in their order.

Nothing here judges: a layout that records nothing is as welcome as on the real IOC, whose XMLValid says Yes to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


class LayoutFileError(ValueError):
    """The words of XMLErrorMsg."""


@dataclass(frozen=True, slots=True)
class XmlAttribute:
    """An HDF5 attribute of a group or dataset."""

    name: str
    source: str
    ndattribute: str
    type: str
    value: str
    is_at_close: bool


@dataclass(frozen=True, slots=True)
class XmlDataset:
    """A dataset; `source` is empty for what the parser does not know."""

    name: str
    source: str
    ndattribute: str
    type: str
    value: str
    when: str
    is_default: bool
    attributes: tuple[XmlAttribute, ...]


@dataclass(frozen=True, slots=True)
class XmlGroup:
    """An h5 group; its parts by name, in the order of the names, as ADCore's maps have them."""

    name: str = ""
    is_default: bool = False
    attributes: tuple[XmlAttribute, ...] = ()
    datasets: Mapping[str, XmlDataset] = field(default_factory=dict)
    groups: Mapping[str, XmlGroup] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def walk(self, path: str = "") -> Iterator[tuple[str, XmlGroup]]:
        """This group and those below it with their paths: a group's own things come before its groups'."""
        yield path, self
        for name, group in self.groups.items():
            yield from group.walk(f"{path}/{name}")


@dataclass(frozen=True, slots=True)
class XmlLayoutFile:
    """What the parser makes of a layout."""

    root: XmlGroup
    keeps_unnamed: bool
    """auto_ndattr_default: NDAttributes that are named nowhere go to the root if no group takes them."""
    destination: str
    """NDAttribute of the global detector_data_destination; empty if there is none."""


def load_layout(name_or_xml: str) -> XmlLayoutFile:
    """What XMLFileName means: XML if it contains `<?xml`, else a file. Raises `LayoutFileError`."""
    if "<?xml" in name_or_xml:
        data = name_or_xml.encode()
    else:
        try:
            data = Path(name_or_xml).read_bytes()
        except (OSError, ValueError) as error:
            raise LayoutFileError("XML description file cannot be opened") from error
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise LayoutFileError("XML description file parser error") from error
    destination = next((part.get("ndattribute", "") for part in root if part.tag == "global"), "")
    return XmlLayoutFile(_group(root), root.get("auto_ndattr_default") != "false", destination)


def _group(element: ElementTree.Element) -> XmlGroup:
    datasets: dict[str, XmlDataset] = {}
    groups: dict[str, XmlGroup] = {}
    links: dict[str, str] = {}
    for part in element:
        name = part.get("name")
        if not name:
            continue
        match part.tag:
            case "dataset":
                datasets.setdefault(name, _dataset(name, part))
            case "group":
                groups.setdefault(name, _group(part))
            case "hardlink" if target := part.get("target"):
                links.setdefault(name, target)
    return XmlGroup(
        element.get("name", ""),
        element.get("ndattr_default") == "true",
        _attributes(element),
        dict(sorted(datasets.items())),
        dict(sorted(groups.items())),
        dict(sorted(links.items())),
    )


def _dataset(name: str, element: ElementTree.Element) -> XmlDataset:
    source = element.get("source", "")
    return XmlDataset(
        name,
        source if source in ("detector", "ndattribute", "constant") else "",
        element.get("ndattribute", ""),
        element.get("type", "string"),
        element.get("value", ""),
        element.get("when", ""),
        element.get("det_default") == "true",
        _attributes(element),
    )


def _attributes(element: ElementTree.Element) -> tuple[XmlAttribute, ...]:
    return tuple(
        XmlAttribute(
            part.get("name", ""),
            part.get("source", ""),
            part.get("ndattribute", ""),
            part.get("type", "string"),
            part.get("value", ""),
            part.get("when") == "OnFileClose",
        )
        for part in element
        if part.tag == "attribute" and part.get("name")
    )
