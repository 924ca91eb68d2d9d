"""The layout of raw files: looked over before an IOC is given it, since an IOC takes wrong ones without a word."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stream_service.layout_xml import (
    DEFAULT_RECORD_BYTES,
    HANDLER_PATH,
    Level,
    PluginSettings,
    lint_attributes,
    lint_layout,
    read_layout,
    shortest_xml,
)

logger = logging.getLogger(__name__)


class LayoutError(Exception):
    """A layout that would lose data; the text names every problem and can be shown as it is."""


@dataclass(frozen=True, slots=True)
class RawFileLayout:
    """A layout without errors, and the file of NDAttributes it goes with."""

    path: Path
    """Of the layout, as this machine and the IOC see it."""
    text: str
    attributes_path: Path | None = None

    @classmethod
    def read(cls, path: str | Path, attributes: str | Path | None = None) -> Self:
        """Read a layout and look it over as the detector will use it: with SWMR, every column flushed as it comes.

        With `attributes`, also for NDAttributes that this file does not define. Raises `LayoutError`;
        warnings are logged.
        """
        layout_path = Path(path)
        text = _text_of(layout_path, "layout")
        settings = PluginSettings(swmr=True, attribute_chunk=1, flush_every=1, num_capture=0)
        attributes_path = None if attributes is None else Path(attributes)
        attributes_text: str | None = None
        found = []
        if attributes_path is not None:
            attributes_text = _text_of(attributes_path, "file of NDAttributes")
            found += [(attributes_path, finding) for finding in lint_attributes(attributes_text)]
        found += [(layout_path, finding) for finding in lint_layout(text, attributes_text, settings)]
        problems = [f"{file.name}, line {f.line}: {f}" for file, f in found if f.level is Level.ERROR]
        if problems:
            raise LayoutError("\n".join([f"the layout {layout_path} cannot be used:", *problems]))
        for file, finding in found:
            logger.info("%s, line %d: %s", file, finding.line, finding)
        layout = read_layout(text)
        if layout.detector is None or not layout.is_at(HANDLER_PATH, layout.detector):
            raise LayoutError(
                f"the layout {layout_path} has no frames at {HANDLER_PATH}, where the handler of bluesky's documents "
                f"(AD_HDF5) looks for them: put the dataset there, or a <hardlink>"
            )
        return cls(layout_path, text, attributes_path)

    def datasets(self) -> dict[str, str]:
        """Paths of the NDAttributes that the layout names."""
        return {placed.ndattribute: placed.path for placed in read_layout(self.text).datasets if placed.ndattribute}

    def for_record(self) -> str:
        """Value of XMLFileName: the XML itself where it fits, as the IOC may not see our disk; else the path."""
        short = shortest_xml(self.text)
        return short if len(short.encode()) < DEFAULT_RECORD_BYTES else str(self.path)


def _text_of(path: Path, what: str) -> str:
    """Raises `LayoutError` saying which of the files cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise LayoutError(f"cannot read the {what} {path}: {reason}") from error
