"""NDAttributes in datasets: each in one, and the uniqueId in any case."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from stream_service.layout_xml.finding import Finding, error
from stream_service.layout_xml.layout import Layout, Placed


def identity_findings(layout: Layout) -> Iterator[Finding]:
    """Findings about which NDAttribute is stored where."""
    named: dict[str, list[Placed]] = defaultdict(list)
    for dataset in layout.datasets:
        if dataset.ndattribute:
            named[dataset.ndattribute].append(dataset)
    for ndattribute, datasets in named.items():
        if len(datasets) > 1:
            first, *others = sorted(datasets, key=lambda dataset: dataset.search_order)
            for other in others:
                yield error(
                    other.line,
                    f"the NDAttribute {ndattribute} is in two datasets, {first.path} and {other.path}",
                    f"only {first.path} is written (ADCore finds it first), the other is missing without an error",
                    f'<hardlink name="{other.path.rpartition("/")[2]}" target="{first.path}"/>',
                )
    if "NDArrayUniqueId" not in named and not layout.keeps_unnamed:
        yield error(
            layout.root.line,
            "NDArrayUniqueId is nowhere",
            "nobody can tell which frames are in the file: lost ones cannot be found, nor fetched from it",
            '<dataset name="unique_id" source="ndattribute" ndattribute="NDArrayUniqueId"/>',
        )
    for dataset in named.get("NDArrayUniqueId", []):
        if dataset.element.attributes.get("when") in ("OnFileOpen", "OnFileClose"):
            yield error(
                dataset.line,
                "NDArrayUniqueId is stored once and not for each frame",
                "nobody can tell which frames are in the file",
                "leave out when",
            )
