"""The first lines of a report: how the run went in words, and what to do next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from stream_service.core.run import RunState
from stream_service.run_report.stored_run import StoredRun
from stream_service.settings.alarms import REJECTED_MAJOR_SHARE, REJECTED_MINOR_SHARE
from stream_service.text.counted import agrees, counted


class Grade(StrEnum):
    """What a person should do with a report."""

    GOOD = "good"
    LOOK = "look"
    BAD = "bad"


GRADE_WORDS = {
    Grade.GOOD: "Good: ready to be reconstructed",
    Grade.LOOK: "Look at it before you go on",
    Grade.BAD: "Not good: read what to do",
}


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do, and the command for it."""

    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """A run in a few words."""

    grade: Grade
    title: str
    why: str
    """Why the run ended."""
    advice: tuple[Advice, ...]

    @property
    def grade_words(self) -> str:
        return GRADE_WORDS[self.grade]


def headline(run: StoredRun) -> Headline:
    """That of a run."""
    return Headline(_grade(run), _title(run), run.end_reason, tuple(_advice(run)))


def lacking_positions(run: StoredRun) -> int:
    """Planned positions without a row that is used, if the rows know their positions; else 0."""
    places = run.rows["planned"]
    n = run.n_positions_planned
    if not n or not (places >= 0).any() or not run.has_ended:
        return 0
    covered = np.unique(places[run.rows.used & (places >= 0) & (places < n)])
    return n - len(covered)


def _title(run: StoredRun) -> str:
    expected, n_rows = run.ledger.counts.get("expected", 0), len(run.rows)
    so_far = "" if run.has_ended else " so far"
    of = f"{run.ledger.in_file} of " if expected else ""
    frames = of + counted(expected or run.ledger.in_file, "frame")
    parts = [f"{frames} in {counted(n_rows, 'row')}{so_far}"]
    if n_rows:
        n_rejected = int(np.count_nonzero(run.rows.rejected))
        parts.append(f"{n_rejected} rejected" if n_rejected else "none rejected")
    if n_replaced := int(np.count_nonzero(run.rows.replaced)):
        parts.append(f"{n_replaced} replaced by repeats")
    return f"{run.state}: {', '.join(parts)}"


def _grade(run: StoredRun) -> Grade:
    share = float(run.rows.rejected.mean()) if len(run.rows) else float(run.has_ended)
    if run.state in (RunState.FAILED, RunState.ABORTED) or share >= REJECTED_MAJOR_SHARE:
        return Grade.BAD
    is_whole = run.has_ended and run.state == RunState.COMPLETE
    is_judged = bool(run.rows.is_judged.any())
    return Grade.GOOD if is_whole and is_judged and share < REJECTED_MINOR_SHARE else Grade.LOOK


def _advice(run: StoredRun) -> Iterator[Advice]:
    file = shlex.quote(str(run.path))
    if not run.has_ended:
        yield Advice(
            "The file is not closed. If the run still goes on, make this report again when it has ended; if the "
            "service died, start it again, and it goes on with the run. A file that nobody goes on with is put in "
            "order by:",
            f"ptychostream repair {file}",
        )
    if not len(run.rows):
        yield Advice("No row is in the file: the messages below say what came of the frames.")
        return
    if missing := run.ledger.missing:
        yield Advice(
            f"{counted(missing, 'frame')} {agrees(missing, 'was')} exposed and {agrees(missing, 'is')} not in the file "
            "(ids below). If areaDetector wrote a raw file, they may be in it: name it with the next run, or ingest it."
        )
    if never := run.ledger.counts.get("not_exposed", 0):
        yield Advice(f"{counted(never, 'planned frame')} {agrees(never, 'was')} never exposed: the scan ended early.")
    if lacking := lacking_positions(run):
        yield Advice(f"{counted(lacking, 'planned position')} {agrees(lacking, 'has')} no row that can be used.")
    if not run.rows.is_judged.any():
        yield Advice("No row has a verdict yet. They are made by:", f"ptychostream evaluate {file} --apply")
    else:
        yield from _about_rejected(run, file)
    if run.has_ended:
        yield Advice("On to an image:", f"ptychostream reconstruct {file}")


def _about_rejected(run: StoredRun, file: str) -> Iterator[Advice]:
    n = int(np.count_nonzero(run.rows.rejected))
    n_used = int(np.count_nonzero(run.rows["keep"][run.rows.rejected]))
    if n_used:
        which = f"{n_used} of the" if n_used < n else "The"
        yield Advice(
            f"{which} {counted(n, 'rejected row')} {agrees(n_used, 'is')} still used by whoever reads the "
            "file. If the reasons below convince you, leave them out with:",
            f"ptychostream evaluate {file} --apply",
        )
    elif n:
        yield Advice(f"The {counted(n, 'rejected row')} {agrees(n, 'is')} left out of reconstructions already.")
