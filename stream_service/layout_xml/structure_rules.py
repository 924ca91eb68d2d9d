"""Elements and XML attributes: what ADCore's parser knows, requires, and ignores without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stream_service.layout_xml.document import Element
from stream_service.layout_xml.finding import Finding, error, warning

TYPES = ("int", "float", "string")
BOOLEANS = ("true", "false")
IGNORED = "ADCore ignores it without a word"
NO_DATASET = "the dataset is skipped with a line on the IOC's console, and XMLValid says Yes"
ROOT = "hdf5_layout"
ATTRIBUTES_ROOT = "Attributes"
"""Outermost element of a camera's NDAttributes file."""
KILLS = "the IOC crashes (segmentation fault) when the file is opened"
MOVES_UP = "is not made, and the rest of the layout moves up one h5 group, towards the root"
"""What the parser makes of a group or dataset that it does not take: its end goes up from where nothing went down."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Attributes and children that an element may have."""

    required: tuple[str, ...]
    optional: tuple[str, ...]
    children: tuple[str, ...]
    choices: Mapping[str, tuple[str, ...]]


RULES: Mapping[str, Rule] = {
    "hdf5_layout": Rule((), ("auto_ndattr_default",), ("group", "global"), {"auto_ndattr_default": BOOLEANS}),
    "group": Rule(
        ("name",), ("ndattr_default",), ("dataset", "attribute", "hardlink", "group"), {"ndattr_default": BOOLEANS}
    ),
    "dataset": Rule(
        ("name", "source"),
        ("ndattribute", "det_default", "type", "value", "when"),
        ("attribute",),
        {
            "source": ("detector", "ndattribute", "constant"),
            "det_default": BOOLEANS,
            "type": TYPES,
            "when": ("OnFileOpen", "OnFileClose", "OnFileWrite"),
        },
    ),
    "attribute": Rule(
        ("name", "source"),
        ("value", "type", "ndattribute", "when"),
        (),
        {"source": ("constant", "ndattribute"), "type": TYPES, "when": ("OnFileOpen", "OnFileClose")},
    ),
    "hardlink": Rule(("name", "target"), (), (), {}),
    "global": Rule(("name", "ndattribute"), (), (), {"name": ("detector_data_destination",)}),
}

REMEDIES: Mapping[str, str] = {
    "dims": "leave it out: the shape is that of the first frame, and (N,) for an NDAttribute",
    "shape": "leave it out: the shape is that of the first frame, and (N,) for an NDAttribute",
    "compress": "leave it out and set the plugin's PV Compression",
    "compression": "leave it out and set the plugin's PV Compression",
    "chunks": "leave it out and set NumRowChunks, NumColChunks, NumFramesChunks and NDAttributeChunk",
    "dtype": "leave it out: the type is that of the first frame, or of the NDAttribute",
    "optional": "leave it out: an NDAttribute that is not there has no dataset, or NaN where its PV is not connected",
    "units": 'put <attribute name="units" source="constant" value="..." type="string"/> into the dataset',
}
VALUE_CONSEQUENCES: Mapping[tuple[str, str], str] = {
    ("dataset", "source"): NO_DATASET,
    ("dataset", "when"): "it is taken for every frame",
    ("attribute", "when"): "it is taken for OnFileOpen",
    ("dataset", "det_default"): "only the word true counts, anything else means false",
    ("group", "ndattr_default"): "only the word true counts, anything else means false",
    ("hdf5_layout", "auto_ndattr_default"): "only the word false counts, anything else means true",
    ("attribute", "source"): "the HDF5 attribute is missing",
    ("dataset", "type"): "the type of a constant is taken for a string, that of anything else is ignored",
    ("attribute", "type"): "it is taken for a string",
    ("global", "name"): IGNORED,
}
VALUE_REMEDIES: Mapping[tuple[str, str, str], str] = {
    ("dataset", "source", "NDArray"): 'source="detector" for the frames',
    ("dataset", "when", "OnFrame"): "leave it out: every frame is what happens without it",
}


def structure_findings(root: Element) -> Iterator[Finding]:
    """Findings about every element of a layout, its XML attributes and their values."""
    if root.tag in RULES and root.tag != ROOT:
        yield error(
            root.line,
            f"the outermost element is <{root.tag}>",
            "it is not taken for a part of the layout, and what is in it is made elsewhere or not at all",
            f"put everything into one <{ROOT}>",
        )
        return
    if root.tag == ATTRIBUTES_ROOT:
        yield error(
            root.line,
            f"it is an attributes file (<{root.tag}>), no layout",
            "as a layout it is taken (XMLValid says Yes), and nothing is recorded",
            "a layout here; `ptychostream layout lint LAYOUT --attributes FILE` checks an attributes file",
        )
        return
    if root.tag != ROOT:
        yield warning(
            root.line,
            f"the outermost element is <{root.tag}>",
            "the plugin takes any and records everything, but ADCore's schema and other programs refuse it",
            f"<{ROOT}>",
        )
    yield from _element(root, ROOT)


def is_read(root: Element) -> bool:
    """True if the plugin takes the content of this outermost element for a layout."""
    return root.tag == ROOT or root.tag not in (*RULES, ATTRIBUTES_ROOT)


def _element(element: Element, kind: str) -> Iterator[Finding]:
    rule = RULES[kind]
    yield from _missing(element, rule)
    for name, value in element.attributes.items():
        if name.startswith(("xmlns", "xsi:")):
            continue
        if name not in (*rule.required, *rule.optional):
            remedy = REMEDIES.get(
                name, f"leave it out; <{element.tag}> takes {', '.join((*rule.required, *rule.optional))}"
            )
            yield error(element.line, f'<{element.tag}> has no {name}="{value}"', IGNORED, remedy)
        elif name in rule.choices and value not in rule.choices[name]:
            remedy = VALUE_REMEDIES.get((element.tag, name, value), f"one of {', '.join(rule.choices[name])}")
            consequence = VALUE_CONSEQUENCES[kind, name]
            yield error(element.line, f'{name}="{value}" of <{element.tag}> means nothing', consequence, remedy)
    for child in element.children:
        if child.tag in rule.children:
            yield from _element(child, child.tag)
        else:
            yield _misplaced(child, element, rule, kind)


def _missing(element: Element, rule: Rule) -> Iterator[Finding]:
    missing = [name for name in rule.required if not element.attributes.get(name)]
    if element.tag == "dataset" and missing == ["source"] and element.attributes.get("name") == "timestamp":
        yield warning(  # of ADCore's own default layout: where the plugin puts its timings
            element.line,
            "the dataset timestamp has no source",
            "works, as in ADCore's own default layout, but its schema refuses it",
            'source="constant" does the same in an h5 group named performance',
        )
        return
    for name in missing:
        consequence = NO_DATASET if element.tag == "dataset" else f"the <{element.tag}> is missing in the file"
        if name == "name" and element.tag in ("group", "dataset"):
            consequence = f"it {MOVES_UP}"
        yield error(element.line, f"<{element.tag}> needs {name}", consequence, f'write {name}="..."')


def _misplaced(child: Element, parent: Element, rule: Rule, kind: str) -> Finding:
    if child.tag in RULES:
        places = ", ".join(f"<{tag}>" for tag, other in RULES.items() if child.tag in other.children)
        where = f"put it into {places}" if places else "it is only the outermost element"
        kills = child.tag == "dataset" and kind == ROOT
        consequence = KILLS if kills else "it is missing in the file"
        return error(child.line, f"<{child.tag}> cannot be in <{parent.tag}>", consequence, where)
    known = ", ".join(f"<{tag}>" for tag in rule.children) or "nothing"
    return error(child.line, f"there is no <{child.tag}>", IGNORED, f"<{parent.tag}> takes {known}")
