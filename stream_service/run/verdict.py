"""The verdict on a run: its account, made once, and the words for it in the message, the end reason and the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_service.core.account import Account
from stream_service.core.ending import Ending, true_reason
from stream_service.core.frame import FrameId
from stream_service.core.frame_status import FrameStatus
from stream_service.core.run import FAILURES, EndReason, RunEvent
from stream_service.core.stream import End
from stream_service.errors import ConfigError
from stream_service.run.frame_intake import FrameIntake
from stream_service.text.counted import agrees, counted

MOST_IDS_NAMED = 20
NEVER_EXPOSED_OR_UNKNOWN = "never exposed, or lost just before the detector's counter was reset"
MISSED = "{} {} no known position, because the service was away"
UNDECIDED = (
    "ignored with the id and the time of {}: the detector's clock stands, so whether {} of a counter that was reset, "
    "cannot be told"
)
UNDECIDED_ONE = UNDECIDED.format("another", "it is a copy, or a new frame")
UNDECIDED_ONES = UNDECIDED.format("others", "they are copies, or new frames")
COUNTER_SILENT = (
    "the detector's counter does not tell how many frames were made (it did not answer, or was reset): frames lost at "
    "the end are told as never exposed"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of one run."""

    reason: EndReason
    account: Account
    end_reason: str
    """The reason, with that of the first refused messages where frames were lost."""
    sentence: str
    """What became of the frames."""
    missing_ids: str = ""
    """uniqueIds of the frames that were exposed and are not in the file, as ranges."""
    dropped: tuple[str, ...] = ()
    """Frames that were not stored and why, in sentences."""
    n_missed: int = 0
    """Rows whose position nobody heard, because the service was away."""
    may_lack: bool = False
    """Frames came that could not be used, and nothing tells how many there were to be."""

    @property
    def event(self) -> RunEvent:
        """Event that ends the run in its table of states."""
        if self.reason is EndReason.ABORTED:
            return RunEvent.ABORT
        if self.reason in FAILURES:
            return RunEvent.FAIL
        is_cut_off = self.reason in (EndReason.NOT_BEGUN, EndReason.RECORDING_READ)
        is_complete = self.account.is_complete and not (self.n_missed or self.may_lack or is_cut_off)
        return RunEvent.ALL_ACCOUNTED if is_complete else RunEvent.NOT_ALL_ACCOUNTED


def settle(
    intake: FrameIntake,
    ending: Ending,
    asked: EndReason,
    rows: int,
    about_lost: str = "",
    n_missed: int = 0,
    *,
    is_counted_already: bool,
) -> Verdict:
    """Close the account of a run that ends because of `asked`, with `rows` in its file.

    `about_lost` says why frames were not found in the raw file; `n_missed` rows have no position, since the service
    was away.

    What the detector has exposed is asked now unless that was done when the run began to end; a run that has all its
    frames asks again, whether there are more.
    """
    ledger = intake.ledger
    intake.settle()  # what it gives now cannot be stored any more, and is lost
    is_known = is_counted_already and asked is not EndReason.ALL_IN
    n_exposed = ending.n_exposed if is_known else intake.n_exposed()
    account = ledger.close(intake.n_made_at_least if n_exposed is None else n_exposed)
    reason = true_reason(asked, account, is_planned=ledger.n_expected is not None)
    refusals = intake.notes.refusals
    n_unused = intake.notes.n_refused + account.implausible
    may_lack = n_unused > account.lost and n_exposed is None and ledger.n_expected is None
    missing = ledger.ranges_with(FrameStatus.LOST, FrameStatus.INCOMPLETE)
    said = (
        describe_account(account, missing, rows, was_reset=bool(ledger.epochs.ends())),
        MISSED.format(counted(n_missed, "row"), agrees(n_missed, "has")) if n_missed else "",
        about_lost if account.lost or account.incomplete else "",
        COUNTER_SILENT if n_exposed is None and intake.is_counted and (may_lack or not account.is_complete) else "",
        refusals,
    )
    end_reason = f"{reason}: {refusals}" if account.lost and refusals else str(reason)
    sentence = "; ".join(filter(None, said))
    named, dropped = describe_ids(missing), tuple(intake.notes.dropped)
    return Verdict(reason, account, end_reason, sentence, named, dropped, n_missed, may_lack)


def reason_of_failure(failure: BaseException | None, end: End | None) -> EndReason:
    """The reason of a run that has failed and whose stream has ended like this."""
    if end is not None and end.failure is failure:
        return end.reason
    return EndReason.REFUSED if isinstance(failure, ConfigError) else EndReason.FAILED


def describe_account(
    account: Account, missing: Sequence[tuple[FrameId, FrameId]], rows: int, *, was_reset: bool = False
) -> str:
    """One sentence that says what became of the frames of a run, and names the ranges that are missing.

    `was_reset`: the detector has reset its counter, and frames may have been lost there of which nobody knows.
    """
    n_undecided = account.undecided
    said = (
        (account.backfilled, "of them fetched from the raw file"),
        (account.lost, "lost"),
        (account.incomplete, "in groups that never filled"),
        (account.not_exposed, NEVER_EXPOSED_OR_UNKNOWN if was_reset else "never exposed"),
        (account.duplicates - n_undecided, "duplicate ignored", "duplicates ignored"),
        (n_undecided, UNDECIDED_ONE, UNDECIDED_ONES),
        (account.unexpected - account.implausible, "beyond the number expected, ignored"),
        (account.implausible, "with an implausible id, ignored"),
        (account.before_run, "from before the run, ignored"),
        (
            account.of_others,
            "of the share of another service, ignored: the plugin that hands frames out has passed over one whose "
            "queue was full",
        ),
    )
    stored = f"{account.stored + account.backfilled} of {counted(account.expected, 'frame')} stored in"
    parts = [f"{stored} {counted(rows, 'row')}"]
    parts += [f"{count} {words[0 if count == 1 else -1]}" for count, *words in said if count]
    named = describe_ids(missing)
    return ", ".join(parts) + (f" (missing ids: {named})" if named else "")


def describe_ids(ranges: Sequence[tuple[FrameId, FrameId]]) -> str:
    """Ranges of ids, `1, 7-9, 100`; those of later epochs as `epoch:id`; cut after 20."""
    texts = []
    for first, last in ranges[:MOST_IDS_NAMED]:
        epoch = f"{first.epoch}:" if first.epoch else ""
        texts.append(f"{epoch}{first.unique_id}" + (f"-{last.unique_id}" if last != first else ""))
    if len(ranges) > MOST_IDS_NAMED:
        texts.append(f"and {counted(len(ranges) - MOST_IDS_NAMED, 'more range')}")
    return ", ".join(texts)
