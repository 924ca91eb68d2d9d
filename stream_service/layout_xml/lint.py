"""All that is wrong with a layout or an attributes file, in the order of its lines."""

from __future__ import annotations

from collections.abc import Iterable

from stream_service.layout_xml.attribute_rules import attribute_findings, stored_findings
from stream_service.layout_xml.content_rules import content_findings
from stream_service.layout_xml.document import XmlSyntaxError
from stream_service.layout_xml.finding import Finding, error
from stream_service.layout_xml.identity_rules import identity_findings
from stream_service.layout_xml.layout import read_layout
from stream_service.layout_xml.nd_attributes import NDAttributes, read_attributes
from stream_service.layout_xml.plugin_rules import inline_findings, plugin_findings
from stream_service.layout_xml.plugin_settings import PluginSettings
from stream_service.layout_xml.structure_rules import is_read, structure_findings


def lint_layout(
    text: str,
    attributes_text: str | None = None,
    settings: PluginSettings | None = None,
    *,
    is_inline: bool = False,
) -> tuple[Finding, ...]:
    """Findings in a layout.

    With the text of an attributes file, also NDAttributes that it does not define (none if it cannot be read: what is
    wrong with it is for `lint_attributes` to say); `settings` are the plugin's, as far as they are known; `is_inline`
    for XML that is put into XMLFileName itself.
    """
    settings = settings or PluginSettings()
    try:
        layout = read_layout(text)
    except XmlSyntaxError as problem:
        return (
            error(
                problem.line,
                f"it is no XML: {problem}",
                "XMLValid says No, and Capture opens no file",
                "well-formed XML: every element closed, values in quotes",
            ),
        )
    findings = list(structure_findings(layout.root))
    if is_read(layout.root):
        findings += [*content_findings(layout), *identity_findings(layout), *plugin_findings(layout, settings)]
        if (attributes := _attributes(attributes_text)) is not None:
            findings += stored_findings(layout, attributes)
    if is_inline:
        findings += inline_findings(text, settings)
    return _in_order(findings)


def lint_attributes(text: str, *, is_inline: bool = False) -> tuple[Finding, ...]:
    """Findings in an NDAttributes file; `is_inline` for XML that is put into NDAttributesFile itself."""
    try:
        attributes = read_attributes(text)
    except XmlSyntaxError as problem:
        return (
            error(
                problem.line,
                f"it is no XML: {problem}",
                "NDAttributesStatus says XML error, and frames carry nothing of it",
                "well-formed XML: every element closed, values in quotes",
            ),
        )
    return _in_order(attribute_findings(attributes, is_inline=is_inline))


def _attributes(text: str | None) -> NDAttributes | None:
    try:
        return None if text is None else read_attributes(text)
    except XmlSyntaxError:
        return None


def _in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.line))
