"""The page of a report: what was found of a run, as one HTML text that asks for nothing else.

Texts of others (names, messages, settings) may hold anything: jinja2 escapes them all, and what would not be seen as a
character is shown as one. A content security policy in the page forbids scripts and requests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from stream_service.run_report import facts
from stream_service.run_report.frame_pictures import frame_pictures, mean_picture
from stream_service.run_report.headline import headline
from stream_service.run_report.map_pictures import are_marked, map_pictures
from stream_service.run_report.position_pictures import position_pictures
from stream_service.run_report.readback_pictures import readback_pictures
from stream_service.run_report.row_pictures import row_pictures
from stream_service.run_report.stored_run import StoredRun
from stream_service.run_report.verdict_list import verdict_list
from stream_service.text.counted import counted
from stream_service.text.local_time import local_time
from stream_service.text.printable import printable

MARK = b'<meta name="generator" content="ptychostream report">'
"""By which a page is known to be one."""
LONGEST_SETTINGS = 200_000
"""Characters that are shown."""
Step = Callable[[int], None]
"""Told how many parts of the page are done."""
N_PARTS = 5
Found = TypeVar("Found")


def page_of(run: StoredRun, step: Step = lambda _: None) -> str:
    """The page of a run. Raises `SourceError`."""
    n_done = 0

    def part(found: Iterable[Found]) -> list[Found]:
        nonlocal n_done
        made = list(found)
        n_done += 1
        step(n_done)
        return made

    has_rows = len(run.rows) > 0
    mean = mean_picture(run)
    return _template().render(
        run=run,
        headline=headline(run),
        begun=local_time(run.start_ns)[:16],
        rings=are_marked(run),
        maps=part(map_pictures(run)),
        over_rows=part(row_pictures(run) if has_rows else ()),
        position_pictures=part(position_pictures(run)),
        frames=part((*frame_pictures(run), *((mean,) if mean is not None else ()))),
        readbacks=part(readback_pictures(run)),
        verdicts=verdict_list(run),
        scan=list(facts.scan_facts(run)),
        beam=list(facts.beam_facts(run)),
        account=list(facts.account_facts(run)),
        rates=list(facts.rate_facts(run)),
        positions=list(facts.position_facts(run)) if has_rows else [],
        notes=_notes(run),
        settings=_settings(run),
        path=run.path.absolute(),
        size=counted_bytes(run.path.stat().st_size),
        program=f"ptychostream {version('ptychostream')}",
        now=local_time(time.time_ns())[:16],
    )


def counted_bytes(n_bytes: int) -> str:
    """`1.2 GB`."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return counted(n_bytes, "byte")


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("stream_service.run_report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    return environment.get_template("page.html")


def _shown(value: Any) -> Any:
    """What stands in the page for a value: numbers and texts, of which every character is seen."""
    return value if isinstance(value, Markup) else printable(str(value))


def _notes(run: StoredRun) -> list[str]:
    """What the run said at its end, sentence by sentence, and what is to be said of its file."""
    return [note for note in (*run.message.split("; "), *run.announced.notes) if note]


def _settings(run: StoredRun) -> Markup | str:
    """All that the processing followed from, in lines."""
    if not run.settings:
        return ""
    text = json.dumps(run.settings, indent=1, ensure_ascii=True)  # so that every character of it is seen
    left_out = len(text) - LONGEST_SETTINGS
    return escape(text[:LONGEST_SETTINGS] + (f"\n... and {left_out} characters more" if left_out > 0 else ""))
