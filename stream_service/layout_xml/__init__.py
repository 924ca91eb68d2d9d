"""The XML that tells areaDetector's NDFileHDF5 what goes where: read, checked before a beamline sees it, and filled in.

Pure: texts in, findings and texts out. The authority is how the real plugin behaves, not what its schema promises.
"""

from stream_service.layout_xml.document import XmlSyntaxError
from stream_service.layout_xml.finding import Finding, Level
from stream_service.layout_xml.layout import HANDLER_PATH, Layout, read_layout
from stream_service.layout_xml.lint import lint_attributes, lint_layout
from stream_service.layout_xml.nd_attributes import NDAttributes, read_attributes
from stream_service.layout_xml.plugin_settings import DEFAULT_RECORD_BYTES, PluginSettings
from stream_service.layout_xml.render import render_constants, shortest_xml

__all__ = [
    "DEFAULT_RECORD_BYTES",
    "HANDLER_PATH",
    "Finding",
    "Layout",
    "Level",
    "NDAttributes",
    "PluginSettings",
    "XmlSyntaxError",
    "lint_attributes",
    "lint_layout",
    "read_attributes",
    "read_layout",
    "render_constants",
    "shortest_xml",
]
