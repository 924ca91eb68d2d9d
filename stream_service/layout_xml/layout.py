"""A layout as NDFileHDF5 would see it: datasets, links and h5 groups at their paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stream_service.layout_xml.document import Element, parse_xml

HANDLER_PATH = "/entry/data/data"
"""Where ophyd's handler of AD_HDF5 looks for the frames, and nowhere else."""
ALWAYS_THERE = frozenset(
    {"NDArrayUniqueId", "NDArrayTimeStamp", "NDArrayEpicsTSSec", "NDArrayEpicsTSnSec", "ColorMode"}
)
"""NDAttributes that need no attributes file: the plugin adds four, the driver ColorMode."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A dataset, h5 group or link, and where it is in the file."""

    path: str
    element: Element
    parent: str
    """Path of the h5 group around it; empty at the root."""

    @property
    def line(self) -> int:
        return self.element.line

    @property
    def search_order(self) -> tuple[tuple[int, str], ...]:
        """Sorts as ADCore searches: the datasets of an h5 group by name, then those of the groups in it."""
        *groups, name = self.path.split("/")
        return (*((1, group) for group in groups), (0, name))

    @property
    def source(self) -> str:
        return self.element.attributes.get("source", "")

    @property
    def ndattribute(self) -> str:
        """The NDAttribute that fills it; empty for anything else."""
        return self.element.attributes.get("ndattribute", "") if self.source == "ndattribute" else ""


@dataclass(frozen=True, slots=True)
class Layout:
    """The content of a layout file; problems in it are for `lint` to find."""

    root: Element
    groups: tuple[Placed, ...]
    datasets: tuple[Placed, ...]
    links: tuple[Placed, ...]

    @property
    def detectors(self) -> tuple[Placed, ...]:
        """The datasets of the frames."""
        return tuple(dataset for dataset in self.datasets if dataset.source == "detector")

    @property
    def default_group(self) -> Placed | None:
        """The h5 group that takes the NDAttributes which are named nowhere."""
        return next((group for group in self.groups if group.element.attributes.get("ndattr_default") == "true"), None)

    @property
    def keeps_unnamed(self) -> bool:
        """True if NDAttributes that are named nowhere are stored."""
        return self.default_group is not None or self.root.attributes.get("auto_ndattr_default") != "false"

    def constant(self, name: str) -> Placed | None:
        """The first constant dataset of that name, wherever it is."""
        return next(
            (d for d in self.datasets if d.source == "constant" and d.element.attributes.get("name") == name), None
        )

    @property
    def detector(self) -> Placed | None:
        """The dataset that takes the frames: the first one marked det_default, else the first by its path."""
        marked = [d for d in self.detectors if d.element.attributes.get("det_default") == "true"]
        if marked:
            return min(marked, key=lambda dataset: dataset.search_order)
        return min(self.detectors, key=lambda dataset: dataset.path, default=None)

    def is_at(self, path: str, dataset: Placed) -> bool:
        """True if `dataset` can be found at `path`: it is there itself, or through hard links."""
        targets = {link.path: link.element.attributes.get("target", "") for link in self.links}
        for _ in range(len(targets) + 1):
            if path == dataset.path:
                return True
            path = targets.get(path, "")
        return False


def read_layout(text: str) -> Layout:
    """Read a layout; raises `XmlSyntaxError`."""
    root = parse_xml(text)
    placed = list(_placed(root, ""))
    by_tag = {
        tag: tuple(item for item in placed if item.element.tag == tag) for tag in ("group", "dataset", "hardlink")
    }
    return Layout(root, by_tag["group"], by_tag["dataset"], by_tag["hardlink"])


def _placed(parent: Element, path: str) -> Iterator[Placed]:
    for child in parent.children:
        if child.tag in ("group", "dataset", "hardlink"):
            own = f"{path}/{child.attributes.get('name', '')}"
            yield Placed(own, child, path)
            if child.tag == "group":
                yield from _placed(child, own)
