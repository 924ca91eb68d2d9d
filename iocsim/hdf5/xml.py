"""A layout XML as NDFileHDF5's parser takes it: what it does not know it ignores, and names are kept in their order.

Nothing here judges: a layout that records nothing is as welcome as on the real IOC, whose XMLValid says Yes to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """A layout as the parser takes it."""

    root: XmlGroup
    keeps_unnamed: bool
    """auto_ndattr_default: NDAttributes that are named nowhere go to the root if no group takes them."""
    destination: str
    """NDAttribute of the global detector_data_destination; empty if there is none."""
    fatal: str
    """Why the real IOC dies when it makes a file by this layout; empty if it does not."""


def load_layout(name_or_xml: str) -> XmlLayoutFile:
    """Layout named by XMLFileName: XML if it contains `<?xml`, else a file. Raises `LayoutFileError`."""
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
    reader = _Reader()
    reader.read(root)
    keeps_unnamed = root.get("auto_ndattr_default") != "false"
    return XmlLayoutFile(reader.root.group(), keeps_unnamed, destination, reader.fatal)


class _Node:
    """A group or a dataset while the layout is read; the root has no parent."""

    def __init__(self, element: ElementTree.Element | None = None, parent: _Node | None = None) -> None:
        self.element = ElementTree.Element("group") if element is None else element
        self.parent = parent
        self.parts: dict[str, _Node] = {}
        self.links: dict[str, str] = {}
        self.attributes: list[ElementTree.Element] = []

    @property
    def is_group(self) -> bool:
        return self.element.tag == "group"

    def group(self) -> XmlGroup:
        datasets = {name: part.dataset(name) for name, part in sorted(self.parts.items()) if not part.is_group}
        groups = {name: part.group() for name, part in sorted(self.parts.items()) if part.is_group}
        return XmlGroup(
            self.element.get("name", ""),
            self.element.get("ndattr_default") == "true",
            _attributes(self.attributes),
            datasets,
            groups,
            dict(sorted(self.links.items())),
        )

    def dataset(self, name: str) -> XmlDataset:
        return _dataset(name, self.element, _attributes(self.attributes))


class _Reader:
    """LayoutXML.cpp: it keeps a place in the tree, goes down at each group and dataset that it takes, and up at the end
    of each, also of those that it did not take (of a name that is there already, or without one)."""

    def __init__(self) -> None:
        self.root = self._here = _Node()
        self.fatal = ""

    def read(self, element: ElementTree.Element) -> None:
        """Read what is inside an element."""
        for part in element:
            match part.tag:
                case "group" | "dataset":
                    self._enter(part)
                    self.read(part)
                    self._here = self._here.parent or self.root
                case "attribute":
                    self._here.attributes.append(part)
                    self.read(part)
                case "hardlink" if (name := part.get("name")) and (target := part.get("target")):
                    if name not in self._here.parts:
                        self._here.links.setdefault(name, target)
                case _:
                    self.read(part)

    def _enter(self, part: ElementTree.Element) -> None:
        name = part.get("name")
        if not name or name in self._here.parts or name in self._here.links:
            return
        if part.tag == "dataset" and self._here is self.root:
            self.fatal = f"the dataset {name!r} is directly below the root"
        if part.get("source") == "ndattribute" and part.get("det_default") == "true":
            self.fatal = f"the dataset {name!r} of an NDAttribute has det_default"
        node = self._here.parts[name] = _Node(part, self._here)
        self._here = node


def _dataset(name: str, element: ElementTree.Element, attributes: tuple[XmlAttribute, ...]) -> XmlDataset:
    source = element.get("source", "")
    return XmlDataset(
        name,
        source if source in ("detector", "ndattribute", "constant") else "",
        element.get("ndattribute", ""),
        element.get("type", "string"),
        element.get("value", ""),
        element.get("when", ""),
        element.get("det_default") == "true",
        attributes,
    )


def _attributes(elements: Sequence[ElementTree.Element]) -> tuple[XmlAttribute, ...]:
    return tuple(
        XmlAttribute(
            part.get("name", ""),
            part.get("source", ""),
            part.get("ndattribute", ""),
            part.get("type", "string"),
            part.get("value", ""),
            part.get("when") == "OnFileClose",
        )
        for part in elements
        if part.get("name")
    )
