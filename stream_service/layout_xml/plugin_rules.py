"""Rules that depend on the plugin's PVs: SWMR, chunks of columns, and the length of the record that takes the XML."""

from __future__ import annotations

from collections.abc import Iterator

from stream_service.layout_xml.finding import Finding, error, warning
from stream_service.layout_xml.layout import Layout
from stream_service.layout_xml.plugin_settings import DEFAULT_RECORD_BYTES, PluginSettings


def plugin_findings(layout: Layout, settings: PluginSettings) -> Iterator[Finding]:
    """Findings about a layout under these settings."""
    if settings.swmr is not False:
        yield from _close_with_swmr(layout, settings)
    if settings.swmr:
        yield from _hidden_columns(layout, settings)


def inline_findings(text: str, settings: PluginSettings) -> Iterator[Finding]:
    """Findings about XML that is put into XMLFileName itself."""
    if "<?xml" not in text:
        yield error(
            1,
            "it does not begin with <?xml ...?>",
            "XML in XMLFileName is known by these letters: this is taken for the name of a file",
            '<?xml version="1.0"?> at its beginning',
        )
    length, room = len(text.encode()), (settings.record_bytes or DEFAULT_RECORD_BYTES) - 1
    if length > room:
        yield error(
            1,
            f"it has {length} bytes, XMLFileName takes {room}",
            "the rest is cut, and the plugin says that it is no XML",
            "give the name of a file; or `ptychostream layout render --inline`, which leaves out comments and spaces; "
            "or a larger XMLSIZE where the IOC loads NDFileHDF5.template",
        )


def _close_with_swmr(layout: Layout, settings: PluginSettings) -> Iterator[Finding]:
    """Only of an HDF5 attribute of a dataset: one of an h5 group, and a dataset that is written at the end, close."""
    for dataset in layout.datasets:
        for attribute in dataset.element.children:
            if attribute.tag != "attribute" or attribute.attributes.get("when") != "OnFileClose":
                continue
            finding = error if settings.swmr else warning
            yield finding(
                attribute.line,
                f'when="OnFileClose" of {dataset.path}@{attribute.attributes.get("name", "")}',
                "together with SWMRMode the plugin leaves the file not closed: only SWMR readers can open it",
                'when="OnFileOpen"',
            )


def _hidden_columns(layout: Layout, settings: PluginSettings) -> Iterator[Finding]:
    waits = settings.frames_until_columns_show
    flushes = settings.flush_every
    if waits is None or waits <= max(1, flushes or 1):
        return
    yield error(
        layout.root.line,
        f"NDAttributeChunk is {settings.attribute_chunk} with SWMRMode on",
        f"readers see the images, but positions and uniqueIds only after {waits} frames, or when the file is closed",
        "NDAttributeChunk = 1, or as NumFramesFlush",
    )
