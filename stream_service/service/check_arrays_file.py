"""Would a run find its hardware-captured arrays in the file that the profile names? Folder, newest file, datasets."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from stream_service.channel_access.channel import let_go
from stream_service.channel_access.library import CA_FAILURES, CONNECTION_TIMEOUT_S, PV
from stream_service.errors import PtychostreamError, SourceError
from stream_service.processes.answering import AnsweringProcess
from stream_service.run.live.check_finding import Finding
from stream_service.settings.arrays_file import BRACES, RIGHT_PV, ArraysFileSettings
from stream_service.settings.profile import Profile
from stream_service.sources.hdf5.arrays_file import READER
from stream_service.sources.hdf5.arrays_messages import ArraysState, said_by
from stream_service.sources.hdf5.raw_file import RawLimits
from stream_service.sources.live.ca_file_name import no_name_problem
from stream_service.text.counted import counted
from stream_service.text.utf8 import text_in_waveform

ABOUT = "file of arrays"
LOOK_S = 20.0
"""For one look into a file; a process is started for it."""
MOST_FILES = 10_000
"""Of a folder, that are looked at for the newest one."""
NOT_CHECKED = "so its datasets are not checked"


def check_arrays_file(profile: Profile) -> Iterator[Finding]:
    """Look for the file, and into the newest one; nothing is set."""
    settings, datasets = profile.arrays_file, profile.datasets_of_file
    if not datasets:
        return
    name = settings.path
    if settings.pv:
        try:
            named = _named_by(settings.pv)
        except SourceError as error:
            yield Finding("error", ABOUT, f"{error}. {RIGHT_PV}")
            return
        if named is None:
            text = f"no answer from {settings.pv} within {CONNECTION_TIMEOUT_S:g} s: is arrays_file.pv right?"
            yield Finding("error", ABOUT, text)
            return
        if not named:
            yield Finding("warning", ABOUT, f"{settings.pv} names no file now, {NOT_CHECKED}")
            return
        name = named
    elif profile.service.auto and "{scan_id}" in name:
        text = (
            f"{name}: runs of auto mode are named by the service, which the hardware does not know; give arrays_file.pv"
        )
        yield Finding("warning", ABOUT, text)
    folder = _whole_folder(settings, name)
    if not os.path.isdir(folder):
        text = (
            f"{name} would be in {folder}, which is no folder here: is it mounted, and is arrays_file.path_map right?"
        )
        yield Finding("error", ABOUT, text)
        return
    if not os.access(folder, os.R_OK | os.X_OK, effective_ids=True):
        yield Finding("error", ABOUT, f"{folder}, in which {name} would be, may not be read by this user")
        return
    newest = _newest(settings, name)
    if newest is None:
        yield Finding("warning", ABOUT, f"no file like {name} is there yet, {NOT_CHECKED}")
        return
    yield _look_into(newest, datasets)


def _named_by(pv: str) -> str | None:
    """The text of a PV; None if it does not answer. Raises `SourceError` if it holds none."""
    channel = PV(pv, auto_monitor=False)
    try:
        if not channel.wait_for_connection(CONNECTION_TIMEOUT_S):
            return None
        if problem := no_name_problem(pv, str(channel.type)):
            raise SourceError(problem)
        with suppress(*CA_FAILURES):
            value = channel.get(timeout=CONNECTION_TIMEOUT_S)
            return None if value is None else text_in_waveform(value)
        return None
    finally:
        let_go(channel)


def _whole_folder(settings: ArraysFileSettings, name: str) -> Path:
    """The folder of the file, as far as it is the same for all scans."""
    known = settings.local_path(BRACES.split(name)[0] + "x")
    return known.parent


def _newest(settings: ArraysFileSettings, name: str) -> Path | None:
    """Of the files that are named like this for any scan, one that was written to last."""
    pattern = re.compile(".+".join(re.escape(part) for part in BRACES.split(str(settings.local_path(name)))[::2]))
    found: list[str] = []
    n_left = MOST_FILES
    for parent, _, files in os.walk(_whole_folder(settings, name)):
        found += [path for file in files if pattern.fullmatch(path := os.path.join(parent, file))]
        n_left -= len(files)
        if n_left < 0 or not BRACES.search(name):
            break
    times = {}
    for path in found:
        with suppress(OSError):
            times[path] = os.stat(path).st_mtime
    return Path(max(times, key=lambda path: times[path])) if times else None


def _look_into(path: Path, datasets: dict[str, str]) -> Finding:
    limits = RawLimits()
    question = {"path": os.fspath(path), "datasets": datasets, "step_cpu_s": limits.step_cpu_s}
    try:
        with AnsweringProcess(READER, [json.dumps({"memory_bytes": limits.memory_bytes})]) as process:
            answer = said_by(process.ask(question, LOOK_S))
    except PtychostreamError as error:
        return Finding("error", ABOUT, f"{path} cannot be read: {error}")
    if answer.state is ArraysState.BEING_WRITTEN:
        return Finding("warning", ABOUT, f"{answer.sentence}: its arrays come when a scan is over")
    if not answer.state.is_read:
        return Finding("error", ABOUT, answer.sentence)
    held = ", ".join(
        f"{name} ({datasets[name]}) {counted(len(entries), 'entry', 'entries')}"
        for name, entries in answer.arrays.items()
    )
    return Finding("ok", ABOUT, f"{path}, the newest one, holds {held}")
