"""Would the raw file hold what the profile counts on? Layout, attributes file, and the plugin that takes them."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

from stream_service.core.pairing.rule import How
from stream_service.errors import SourceError
from stream_service.layout_xml import (
    Layout,
    NDAttributes,
    PluginSettings,
    XmlSyntaxError,
    lint_attributes,
    lint_layout,
    read_attributes,
    read_layout,
)
from stream_service.layout_xml.finding import Finding as LayoutFinding
from stream_service.run.live.check_finding import Finding
from stream_service.run.live.frame_transport import counts_each_series
from stream_service.settings.ioc_files import is_whole
from stream_service.settings.profile import Profile
from stream_service.settings.raw_file import RawFileSettings
from stream_service.sources.live.ca_file_plugin import FilePluginState, read_file_plugin
from stream_service.text.text_file import text_of

AS_PLANS_SET_IT = PluginSettings(swmr=True, attribute_chunk=1, flush_every=1, num_capture=0)
"""Not as it is: a plan sets these before each scan."""
NO_PLUGIN = "raw_file.plugin is not given: of a run whose request names no raw_file, lost frames can only be counted"
NO_FOLDER = "whether its files can be read here is not checked; set it, or check again once a plan has"
SAME_NUMBER = 1e-6
"""Relative: a constant in a layout is written with as many digits as the profile."""


def check_raw_file(profile: Profile) -> Iterator[Finding]:
    """Look over what the profile's `raw_file` names; nothing is set."""
    settings = profile.raw_file
    if settings.plugin:
        try:
            plugin = read_file_plugin(settings.plugin)
            yield from _check_plugin(settings.plugin, plugin)
            yield from _check_folder(settings, plugin.folder)
        except SourceError as error:
            yield Finding("error", "raw file", str(error))
    elif not counts_each_series(profile.detector.frames):
        yield Finding("warning", "raw file", NO_PLUGIN)
    attributes_text: str | None = None
    if settings.attributes:
        path = Path(settings.attributes)
        attributes_text = yield from _read(path, "attributes file")
        if attributes_text is not None:
            yield from _told(path, lint_attributes(attributes_text))
            with suppress(XmlSyntaxError):  # told already
                yield from _check_attributes(profile, path, read_attributes(attributes_text))
    if settings.layout:
        path = Path(settings.layout)
        text = yield from _read(path, "layout")
        if text is not None:
            findings = lint_layout(text, attributes_text, AS_PLANS_SET_IT)
            yield from _told(path, findings)
            if all(finding.level != "error" for finding in findings):
                yield from _check_constants(profile, path, read_layout(text))


def _check_plugin(prefix: str, plugin: FilePluginState) -> Iterator[Finding]:
    if plugin.layout and not plugin.layout_is_valid:
        text = f"{prefix}XMLFileName is not a layout ({plugin.layout_message}): nothing would be recorded"
        yield Finding("error", "raw file", text)
    if plugin.swmr and not 0 < plugin.attribute_chunk <= max(1, plugin.flush_every):
        text = (
            f"{prefix}NDAttributeChunk is {plugin.attribute_chunk} with SWMRMode on: readers of a growing file see "
            "positions late, or when it is closed; our plans set 1"
        )
        yield Finding("warning", "raw file", text)
    if not plugin.stores_attributes:
        yield Finding(
            "warning", "raw file", f"{prefix}StoreAttr is No: the file would have no positions; our plans set Yes"
        )
    kind = "its default layout" if not plugin.layout else "a layout of its own"
    yield Finding("ok", "raw file", f"{prefix} answers, and has {kind}; it takes XML of {plugin.layout_bytes} bytes")


def _check_folder(settings: RawFileSettings, folder: str) -> Iterator[Finding]:
    """Can the service read what the plugin writes? Lost frames are fetched from there."""
    if not folder:
        yield Finding("warning", "raw file", f"{settings.plugin}FilePath is empty: {NO_FOLDER}")
        return
    path = settings.local_path(folder)
    written, here = (
        f"{settings.plugin} writes to {folder}",
        "" if str(path) == folder.rstrip("/") else f" ({path} here)",
    )
    lost = "frames that are lost on their way cannot be fetched from the raw file"
    if not is_whole(folder):
        why = "which depends on where the IOC was started: give the plugin a whole path"
    elif not os.path.isdir(path):
        is_mapped = str(path) != folder.rstrip("/")
        right = "is it mounted, and is raw_file.path_map of the profile right?"
        why = f"which is no folder here: {right if is_mapped else 'raw_file.path_map of the profile says where it is'}"
    elif not os.access(path, os.R_OK | os.X_OK, effective_ids=True):
        why = "which this user may not read"
    else:
        yield Finding("ok", "raw file", f"{written}{here}, which can be read here")
        return
    yield Finding("warning", "raw file", f"{written}{here}, {why}; {lost}")


def _read(path: Path, what: str) -> Generator[Finding, None, str | None]:
    """The text; None after a finding that says why there is none."""
    try:
        return text_of(path)
    except (OSError, UnicodeDecodeError) as error:
        yield Finding(
            "error", what, f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not a text in UTF-8'}"
        )
        return None


def _told(path: Path, findings: tuple[LayoutFinding, ...]) -> Iterator[Finding]:
    for finding in findings:
        level = "error" if finding.level == "error" or finding.is_placeholder else "warning"
        yield Finding(level, f"{path.name}, line {finding.line}", str(finding))
    if not findings:
        yield Finding("ok", path.name, "nothing wrong")


def _check_attributes(profile: Profile, path: Path, attributes: NDAttributes) -> Iterator[Finding]:
    if counts_each_series(profile.detector.frames):
        return  # these frames carry none of a camera's NDAttributes
    wanted = {f"channels.{n}": c.attribute for n, c in profile.channels.items() if c.how is How.ATTRIBUTE}
    if profile.detector.exposure_attribute:
        wanted["detector.exposure_attribute"] = profile.detector.exposure_attribute
    for setting, name in wanted.items():
        if name not in attributes.names:
            text = f"{setting} of the profile is the NDAttribute {name}, which it does not define"
            yield Finding("error", path.name, text)


def _check_constants(profile: Profile, path: Path, layout: Layout) -> Iterator[Finding]:
    expected = {"det_dist_m": profile.detector.distance_m, "pixel_m": profile.detector.pixel_m}
    for name, value in expected.items():
        placed = layout.constant(name)
        if placed is None:
            continue
        written = placed.element.attributes.get("value", "")
        if not _is_number(written, value):
            said = f"{name} is {written or 'empty'}, the profile says {value:g}"
            text = f"{said}: `ptychostream layout render` writes it anew"
            yield Finding("error", f"{path.name}, line {placed.line}", text)


def _is_number(text: str, value: float) -> bool:
    try:
        return abs(float(text) - value) <= SAME_NUMBER * value
    except ValueError:
        return False
