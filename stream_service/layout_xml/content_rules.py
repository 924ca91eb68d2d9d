"""Datasets, links and constants: whether the frames and what belongs to them end up in the file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping

from stream_service.layout_xml.document import Element
from stream_service.layout_xml.finding import Finding, error, warning
from stream_service.layout_xml.layout import HANDLER_PATH, Layout, Placed
from stream_service.layout_xml.structure_rules import KILLS, MOVES_UP

MOST_CONSTANT_VALUES = 64
UNIT_BEARERS = re.compile(r"(pos|sample|stage|scan)_?[xyz]|[xyz]_?pos|energy|expos|acq(uire)?_?time|current|dist", re.I)
FRAME_BY_FRAME = re.compile(r"pos_?[xyz]|[xyz]_?pos", re.I)
NUMBERS: Mapping[str, Callable[[str], float]] = {"int": int, "float": float}
INT32 = range(-(1 << 31), 1 << 31)
"""What a constant of type int is stored as."""


def content_findings(layout: Layout) -> Iterator[Finding]:
    """Findings that follow from the layout alone."""
    yield from _names(layout)
    yield from _detectors(layout)
    yield from _links(layout)
    for dataset in layout.datasets:
        yield from _source(dataset)
        yield from _units(dataset)
        yield from _once(dataset)
    for element in layout.root.walk():
        if element.tag == "attribute":
            yield from _attribute(element)


def _names(layout: Layout) -> Iterator[Finding]:
    seen: dict[str, Placed] = {}
    for placed in sorted((*layout.groups, *layout.datasets, *layout.links), key=lambda item: item.line):
        name = placed.element.attributes.get("name", "")
        if "/" in name:
            yield error(
                placed.line,
                f"the name {name!r} has a '/' in it",
                "it cannot be made, or is made elsewhere",
                "one <group> inside the other for each level",
            )
        elif name and placed.path in seen:
            yield error(
                placed.line,
                f"{placed.path} is there already, in line {seen[placed.path].line}",
                "only the first is made" if placed.element.tag == "hardlink" else f"the second {MOVES_UP}",
                "another name",
            )
        seen.setdefault(placed.path, placed)
    marked = [group for group in layout.groups if group.element.attributes.get("ndattr_default") == "true"]
    if len(marked) > 1:
        yield error(
            marked[1].line,
            f"{marked[0].path} is the ndattr_default already",
            "which of them takes the NDAttributes follows from the order of their names",
            'ndattr_default="true" on one <group> only',
        )


def _detectors(layout: Layout) -> Iterator[Finding]:
    taken = layout.detector
    if taken is None:
        yield error(
            layout.root.line,
            "no dataset takes the frames",
            "XMLValid says Yes, and nothing is recorded: with LazyOpen the first frame gives WriteStatus "
            "'Write error', without it Capture falls back to 0",
            'a <dataset source="detector" det_default="true">, best at /entry/data/data',
        )
        return
    yield from _marks(layout, taken)
    if not layout.is_at(HANDLER_PATH, taken):
        yield warning(
            taken.line,
            f"the frames are at {taken.path}, and not at {HANDLER_PATH}",
            "ophyd's handler of raw files (AD_HDF5) looks there and nowhere else",
            f'put the dataset there, or a <hardlink name="data" target="{taken.path}"/>',
        )


def _marks(layout: Layout, taken: Placed) -> Iterator[Finding]:
    marked = [dataset for dataset in layout.datasets if dataset.element.attributes.get("det_default") == "true"]
    for dataset in marked:
        if dataset.source != "detector":
            yield error(
                dataset.line,
                f'{dataset.path} is det_default, but not source="detector"',
                KILLS
                if dataset.source == "ndattribute"
                else "the frames are to go into a dataset that cannot take them: nothing is recorded",
                'det_default="true" at the dataset with source="detector"',
            )
    has_destination = any(child.tag == "global" for child in layout.root.children)
    marked = [dataset for dataset in marked if dataset.source == "detector"]
    if len(marked) > 1:
        yield error(
            marked[1].line,
            f"{marked[0].path} and {marked[1].path} are both det_default",
            f"the frames go into {taken.path}, the other stays empty",
            'det_default="true" on one dataset, and a <hardlink> for a second name',
        )
    elif len(layout.detectors) > 1 and not has_destination:
        other = next(dataset for dataset in layout.detectors if dataset is not taken)
        finding = warning if marked else error
        yield finding(
            other.line,
            f"{taken.path} takes all frames, {other.path} none",
            f"{other.path} stays empty",
            'a <hardlink> for a second name; or <global name="detector_data_destination" ndattribute="..."/>',
        )


def _links(layout: Layout) -> Iterator[Finding]:
    known = {placed.path for placed in (*layout.groups, *layout.datasets, *layout.links)}
    default = layout.default_group
    for link in layout.links:
        target = link.element.attributes.get("target", "")
        is_unnamed = default is not None and target.rpartition("/")[0] == default.path
        if target and target not in known and not is_unnamed:
            yield error(
                link.line,
                f"{link.path} points to {target}, which this layout does not make",
                "the link is missing in the file",
                f"the whole path of a dataset of this layout, for example {_likely(target, known)}",
            )
    yield from _links_to_later_links(layout)


def _links_to_later_links(layout: Layout) -> Iterator[Finding]:
    """Links are made in the order of their names; one to a link that is made later finds nothing there."""
    targets = {link.path: link.element.attributes.get("target", "") for link in layout.links}
    made: set[str] = set()
    for link in sorted(layout.links, key=lambda link: link.search_order):
        target = targets[link.path]
        if target in targets and target not in made:
            yield error(
                link.line,
                f"{link.path} points to the hardlink {target}, which is made after it",
                "the link is missing in the file",
                f'target="{_end_of_links(target, targets)}", the dataset itself',
            )
        made.add(link.path)


def _end_of_links(path: str, targets: Mapping[str, str]) -> str:
    for _ in targets:
        path = targets.get(path, path)
    return path


def _likely(target: str, known: set[str]) -> str:
    same_name = [path for path in sorted(known) if path.rpartition("/")[2] == target.rpartition("/")[2]]
    return (same_name or sorted(known) or [HANDLER_PATH])[0]


def _source(dataset: Placed) -> Iterator[Finding]:
    attributes, line = dataset.element.attributes, dataset.line
    if dataset.source == "ndattribute" and not attributes.get("ndattribute"):
        is_timing = dataset.path.endswith("/performance/timestamp")  # ADCore's own examples have it so
        finding = warning if is_timing else error
        yield finding(
            line,
            f"{dataset.path} does not say which NDAttribute it is of",
            "the plugin puts its timings elsewhere" if is_timing else "the dataset is missing in the file",
            'source="constant"' if is_timing else 'ndattribute="NAME", as in the attributes file',
        )
    if dataset.source == "constant":
        yield from _constant(dataset.path, dataset.element)
    for name, owner in (
        ("ndattribute", "ndattribute"),
        ("value", "constant"),
        ("type", "constant"),
        ("when", "ndattribute"),
    ):
        if name in attributes and dataset.source in ("detector", "ndattribute", "constant") and dataset.source != owner:
            yield warning(
                line,
                f'{name}="{attributes[name]}" has no effect with source="{dataset.source}"',
                "ADCore ignores it",
                f'leave it out, or source="{owner}" if that was meant',
            )


def _constant(where: str, element: Element) -> Iterator[Finding]:
    attributes = element.attributes
    kind, value = attributes.get("type", "string"), attributes.get("value", "")
    numbers = value.replace(",", " ").split()
    if not value:
        yield warning(element.line, f"the constant {where} has no value", "it is stored empty", 'write value="..."')
    elif kind in NUMBERS and not _are_numbers(kind, numbers):
        yield error(
            element.line,
            f"the constant {where} is {value!r}, which is no {kind}",
            "it is cut where the number ends, or stored empty",
            f"a {'whole number of 32 bits' if kind == 'int' else 'finite number'}, several with commas between them, "
            f'or type="{"float" if kind == "int" else "string"}"',
        )
    elif kind in NUMBERS and len(numbers) > MOST_CONSTANT_VALUES:
        yield error(
            element.line,
            f"the constant {where} has {len(numbers)} values",
            "it is the same in every file, whatever the scan does: it cannot hold a value for each frame",
            'a dataset with source="ndattribute", which gets a value for each frame by itself',
        )


def _are_numbers(kind: str, texts: list[str]) -> bool:
    try:
        numbers = [NUMBERS[kind](text) for text in texts]
    except (ValueError, OverflowError):
        return False
    if not all(text.isascii() and "_" not in text for text in texts):
        return False
    return all(math.isfinite(number) and (kind == "float" or number in INT32) for number in numbers)


def _attribute(element: Element) -> Iterator[Finding]:
    source, name = element.attributes.get("source"), element.attributes.get("name", "")
    if source == "ndattribute" and not element.attributes.get("ndattribute"):
        yield error(
            element.line,
            f"the HDF5 attribute {name} does not say which NDAttribute it is of",
            "it is missing in the file",
            'ndattribute="NAME", as in the attributes file',
        )
    if source == "constant":
        yield from _constant(f"@{name}", element)


def _units(dataset: Placed) -> Iterator[Finding]:
    name = dataset.element.attributes.get("name", "")
    has_units = any(
        child.tag == "attribute" and child.attributes.get("name") == "units" for child in dataset.element.children
    )
    if (
        dataset.ndattribute
        and UNIT_BEARERS.match(name)
        and not has_units
        and not re.search(r"_[munp]?(m|eV|s|A)$", name)
    ):
        yield warning(
            dataset.line,
            f"{dataset.path} does not say its unit",
            "whoever reads the file has to guess, and positions in um look like metres",
            '<attribute name="units" source="constant" value="um" type="string"/> in it',
        )


def _once(dataset: Placed) -> Iterator[Finding]:
    when, name = dataset.element.attributes.get("when"), dataset.element.attributes.get("name", "")
    if dataset.ndattribute and when in ("OnFileOpen", "OnFileClose") and FRAME_BY_FRAME.match(name):
        yield warning(
            dataset.line,
            f'when="{when}" of {name}, which looks like a value of each frame',
            "one value is stored for the whole scan",
            "leave out when, unless it does not change",
        )
