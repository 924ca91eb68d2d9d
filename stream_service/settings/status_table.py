"""The status table: every PV of the service once, with meaning, type, alarm, and how its value follows from the status.

All that shows or reads the status follows from this table and its order: CA and PVA servers, metrics, Phoebus screens,
web page, `ptychostream status`, the Bluesky device, docs/reference/service-pvs.md. A PV is posted after those below it:
whoever waits for `State` finds everything else up to date.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from stream_service.core.run import RunState
from stream_service.settings import alarms
from stream_service.settings.alarm import Alarm, Severity
from stream_service.settings.alarms import AlarmRule, Limits
from stream_service.settings.pv_type import (
    COUNT,
    IN_BYTES,
    IN_FRAMES,
    IN_MICROMETRES,
    IN_PERCENT,
    IN_ROWS,
    IN_SECONDS,
    PER_SECOND,
    REQUEST_BYTES,
    SHARE,
    SWITCH,
    TEXT,
    Kind,
    PVType,
    one_of,
)
from stream_service.settings.service_status import Health, RunStatus, ServiceStatus
from stream_service.text.local_time import local_time

StatusValue = str | int | float
SILENT_S = 3.5
"""Without a `Heartbeat`, of which there is one a second: the service hangs, or its host has gone, which CA itself tells
half a minute later."""


def _rate(count: Callable[[RunStatus], int]) -> Callable[[ServiceStatus], float]:
    return lambda s: s.pace.per_second(count)


def _micro(name: str) -> Callable[[ServiceStatus], float]:
    return lambda s: 1e6 * getattr(s.run.latest, name)


class ServicePV(StrEnum):
    """Name of a PV below the service's prefix, and all there is to know of it: meaning, type, value, alarm."""

    meaning: str
    type: PVType
    _value_in: Callable[[ServiceStatus], StatusValue] | None
    alarm: AlarmRule

    def __new__(
        cls,
        name: str,
        meaning: str,
        type_: PVType,
        value_in: Callable[[ServiceStatus], StatusValue] | None = None,
        alarm: AlarmRule = alarms.NEVER,
    ) -> ServicePV:
        """A row of the table; a PV whose value does not follow from the status takes puts."""
        pv = str.__new__(cls, name)
        pv._value_ = name
        pv.meaning, pv.type, pv._value_in, pv.alarm = meaning, type_, value_in, alarm
        return pv

    REQUEST = "Request", "ScanRequest as JSON; then put Arm", PVType(Kind.CHAR, max_bytes=REQUEST_BYTES)
    ARM = "Arm", "put 1: arm for Request; 0, and the put complete, when decided", SWITCH
    REPEAT = (
        "Repeat",
        "put 1: the positions in Request are exposed again next; 0, and the put complete, when decided",
        SWITCH,
    )
    STOP = "Stop", "put 1: stop gracefully (drain and close); 0, and the put complete, when the run has ended", SWITCH
    ABORT = "Abort", "put 1: end now, keep the rows; 0, and the put complete, when the run has ended", SWITCH

    STATE = "State", "state of the newest run", one_of(RunState), lambda s: s.run.state, alarms.OF_THE_STATE
    HEALTH = "Health", "state of the service", one_of(Health), lambda s: s.health, alarms.OF_THE_RUN
    MESSAGE = "Message", "what the service is doing, in words", TEXT, lambda s: s.run.message, alarms.OF_THE_RUN
    ARM_ERROR = (
        "ArmError",
        "why the last Arm or Repeat was refused; empty if it was not",
        TEXT,
        lambda s: s.arm_error,
        alarms.OF_ARMING,
    )

    SCAN_ID = "ScanId", "scan of the newest run", TEXT, lambda s: s.run.scan_id
    RUN_NUMBER = (
        "RunNumber",
        "number of the newest run, counting on from those before a restart",
        COUNT,
        lambda s: s.run.run_number,
    )
    FILE = "File", "file of the newest run", TEXT, lambda s: s.run.file
    END_REASON = "EndReason", "why the newest run ended", TEXT, lambda s: s.run.end_reason

    ROWS = "Rows", "rows in the file, visible to readers", IN_ROWS, lambda s: s.run.rows
    ROWS_EXPECTED = "RowsExpected", "rows the file should have; 0 if not known", IN_ROWS, lambda s: s.run.rows_expected
    ROWS_PER_SECOND = "RowsPerSecond", "rate of rows", PER_SECOND, _rate(lambda run: run.rows)

    PERCENT = (
        "Percent",
        "rows of those expected; NaN if it is not known how many come",
        IN_PERCENT,
        lambda s: 100 * s.run.share_done,
    )
    SECONDS_LEFT = (
        "SecondsLeft",
        "time until all expected rows are there, at the pace of now; NaN if it is not known",
        PVType(Kind.DOUBLE, "s"),
        lambda s: s.pace.left_s,
    )

    LAST_X = (
        "LastX",
        "beam on the sample, x, of the latest row; NaN: not known, or flagged",
        IN_MICROMETRES,
        _micro("x_m"),
    )
    LAST_Y = (
        "LastY",
        "beam on the sample, y, of the latest row; NaN: not known, or flagged",
        IN_MICROMETRES,
        _micro("y_m"),
    )
    LAST_ENERGY = (
        "LastEnergy",
        "photon energy of the latest row; NaN: not known, or the row is flagged",
        PVType(Kind.DOUBLE, "eV", precision=2),
        lambda s: s.run.latest.energy_eV,
    )
    LAST_TIME = (
        "LastTime",
        "when the latest row was exposed, by the detector's stamp: local time with its offset from UTC",
        TEXT,
        lambda s: local_time(s.run.latest.time_ns),
    )
    LAST_INTENSITY = (
        "LastIntensity",
        "sum of the good pixels of the latest row",
        PVType(Kind.DOUBLE, "counts"),
        lambda s: s.run.latest.intensity,
    )
    LAST_SATURATED = (
        "LastSaturated",
        "saturated pixels of the latest row",
        PVType(Kind.LONG, "pixels"),
        lambda s: s.run.latest.n_saturated,
    )
    LATENCY = (
        "Latency",
        "from the receipt of a frame until readers of the file see its row, of the latest row",
        PVType(Kind.DOUBLE, "s", precision=3),
        lambda s: s.run.latest.latency_s,
        alarms.OF_LATENCY,
    )

    FRAMES_PER_SECOND = "FramesPerSecond", "rate of frames received", PER_SECOND, _rate(lambda run: run.received)
    FRAMES_EXPECTED = "FramesExpected", "frames the run should have", IN_FRAMES, lambda s: s.run.account.expected
    FRAMES_RECEIVED = (
        "FramesReceived",
        "frames received, or fetched from the raw file, each counted once",
        IN_FRAMES,
        lambda s: s.run.received,
    )
    FRAMES_STORED = "FramesStored", "frames in the file", IN_FRAMES, lambda s: s.run.in_file
    FRAMES_BACKFILLED = (
        "FramesBackfilled",
        "frames in the file that were fetched from the raw file",
        IN_FRAMES,
        lambda s: s.run.account.backfilled,
    )
    FRAMES_LOST = (
        "FramesLost",
        "frames exposed and not in the file; while the run goes on, gaps in uniqueId so far",
        IN_FRAMES,
        lambda s: s.run.missing,
        alarms.OF_LOSS,
    )
    MISSING_IDS = (
        "MissingIds",
        "uniqueIds of frames that were exposed and are not in the file, once the run has ended",
        TEXT,
        lambda s: s.run.missing_ids,
    )
    FRAMES_DUPLICATE = (
        "FramesDuplicate",
        "frames received more than once",
        IN_FRAMES,
        lambda s: s.run.account.duplicates,
    )
    FRAMES_INCOMPLETE = (
        "FramesIncomplete",
        "frames received whose group never filled",
        IN_FRAMES,
        lambda s: s.run.account.incomplete,
        alarms.OF_INCOMPLETE,
    )
    FRAMES_NOT_EXPOSED = (
        "FramesNotExposed",
        "frames planned, not exposed",
        IN_FRAMES,
        lambda s: s.run.account.not_exposed,
    )
    FRAMES_UNEXPECTED = (
        "FramesUnexpected",
        "unexpected frames: beyond the number planned, or with an implausible uniqueId; not stored",
        IN_FRAMES,
        lambda s: s.run.account.unexpected,
        alarms.OF_UNEXPECTED,
    )
    FRAMES_BEFORE_RUN = (
        "FramesBeforeRun",
        "frames exposed before the run; not stored",
        IN_FRAMES,
        lambda s: s.run.account.before_run,
    )
    BAD_MESSAGES = (
        "BadMessages",
        "messages that were not usable frames",
        COUNT,
        lambda s: s.run.bad_messages,
        alarms.OF_BAD_MESSAGES,
    )
    QUEUE_BYTES = (
        "QueueBytes",
        "memory that frames not stored yet, and rows not judged yet, take here, without PVA's queue",
        IN_BYTES,
        lambda s: s.run.queue_bytes,
        alarms.OF_THE_QUEUE,
    )
    MOST_QUEUE_BYTES = (
        "MostQueueBytes",
        "the most that `QueueBytes` has been in the newest run: its high-water mark",
        IN_BYTES,
        lambda s: s.run.most_queue_bytes,
    )
    MOST_FRAMES_BYTES = (
        "MostFramesBytes",
        "high-water mark in the newest run: frames received and not taken yet, without PVA's queue",
        IN_BYTES,
        lambda s: s.run.high_water.frames,
    )
    MOST_PAIRING_BYTES = (
        "MostPairingBytes",
        "high-water mark in the newest run: frames that wait for their readbacks, or for the others of their group",
        IN_BYTES,
        lambda s: s.run.high_water.pairing,
    )
    MOST_JUDGING_BYTES = (
        "MostJudgingBytes",
        "high-water mark in the newest run: rows that wait to be judged",
        IN_BYTES,
        lambda s: s.run.high_water.judging,
    )

    ROWS_JUDGED = "RowsJudged", "rows with a verdict", IN_ROWS, lambda s: s.run.judged.n_rows
    ROWS_COMPARED = (
        "RowsCompared",
        "rows judged together with all before and after them; the latest ones, as soon as no more come",
        IN_ROWS,
        lambda s: s.run.judged.n_together,
    )
    ROWS_REJECTED = (
        "RowsRejected",
        "rows rejected for their quality, so far; they stay in the file",
        IN_ROWS,
        lambda s: s.run.judged.n_rejected,
    )
    REJECTED_SHARE = (
        "RejectedShare",
        "share of the latest 100 rows that is rejected for its quality",
        SHARE,
        lambda s: s.run.judged.recent_share,
        alarms.OF_THE_SHARE,
    )
    LAST_SCORE = "LastScore", "score of the latest row, 0 to 1 (rejected)", SHARE, lambda s: s.run.judged.last_score
    LAST_REJECTED = (
        "LastRejected",
        "the latest row that is rejected for its quality, and why",
        TEXT,
        lambda s: s.run.judged.last_rejected,
        alarms.OF_QUALITY,
    )

    POSITIONS_LACKING = (
        "PositionsLacking",
        "planned positions up to the latest one of which no row can be used: lost, rejected, or without a position",
        COUNT,
        lambda s: s.run.coverage.n_lacking,
    )
    TO_REPEAT = (
        "ToRepeat",
        "JSON: `rows` (`RowsCompared`), `announced` (repeats), `lacking`, `positions` (the first 500 of them)",
        TEXT,
        lambda s: s.run.to_repeat.model_dump_json(),
    )

    READBACKS_LOST = (
        "ReadbacksLost",
        "PVs of the profile that are not connected, or say themselves that their value is INVALID",
        COUNT,
        lambda s: len(s.lost_readbacks),
        alarms.OF_READBACKS,
    )
    READBACK_PROBLEM = (
        "ReadbackProblem",
        "which PVs these are; empty if all is well",
        TEXT,
        lambda s: s.readback_problem,
        alarms.OF_READBACKS,
    )
    DATA_ROOT = "DataRoot", "folder of the files", TEXT, lambda s: s.place.root, alarms.OF_THE_FOLDER
    DISK_FREE = (
        "DiskFree",
        "space that is free there",
        PVType(Kind.DOUBLE, "GB", precision=1),
        lambda s: s.place.free_bytes / 1e9,
        alarms.OF_THE_DISK,
    )
    REPORT = "Report", "the newest report of a run, an HTML file", TEXT, lambda s: s.report
    VERSION = "Version", "version of the service", TEXT, lambda s: s.version

    STANDBY = "Standby", "1: auto mode, armed for whatever the detector does next", SWITCH, lambda s: s.is_standing_by
    RESUMING = (
        "Resuming",
        "1: the newest run is one that a killed service has left, and takes no frames yet: a scan waits",
        SWITCH,
        lambda s: s.is_resuming,
        alarms.OF_RESUMING,
    )
    HEARTBEAT = "Heartbeat", "seconds since the service started", IN_SECONDS, lambda s: int(s.time_s)

    @property
    def takes_puts(self) -> bool:
        return self._value_in is None

    def value_in(self, status: ServiceStatus) -> StatusValue:
        """The value of the PV in this status of the service."""
        assert self._value_in is not None, f"{self} is put by clients"
        value = self._value_in(status)
        match self.type.kind:
            case Kind.CHAR | Kind.ENUM:
                return str(value)
            case Kind.LONG:
                return int(value)
            case Kind.DOUBLE:
                return round(float(value), self.type.precision) + 0.0  # which is 0 where it was -0

    def alarm_in(self, status: ServiceStatus) -> Alarm:
        """The alarm that the PV carries in this status."""
        return status.held.get(self) or self.alarm.look(status)

    def severity_in(self, status: ServiceStatus) -> Severity:
        """How severe that is."""
        return self.alarm_in(status).severity

    def limits_in(self, status: ServiceStatus) -> Limits:
        """The values from which on it has an alarm, as far as its value alone decides on that."""
        return self.alarm.limits(status)


STATUS = tuple(pv for pv in ServicePV if not pv.takes_puts)

RECORDED = (
    ServicePV.STATE,
    ServicePV.FILE,
    ServicePV.ROWS,
    ServicePV.FRAMES_EXPECTED,
    ServicePV.FRAMES_STORED,
    ServicePV.FRAMES_BACKFILLED,
    ServicePV.FRAMES_LOST,
    ServicePV.FRAMES_DUPLICATE,
    ServicePV.FRAMES_INCOMPLETE,
    ServicePV.FRAMES_NOT_EXPOSED,
    ServicePV.FRAMES_UNEXPECTED,
    ServicePV.END_REASON,
)
"""What the Bluesky device writes into the events of a scan."""


class ServiceImage(StrEnum):
    """Name of an image below the service's prefix, shown over PVA as NTNDArray, and its meaning."""

    meaning: str

    def __new__(cls, name: str, meaning: str) -> ServiceImage:
        """A row of the table."""
        image = str.__new__(cls, name)
        image._value_, image.meaning = name, meaning
        return image

    FRAME = "Image", "a recent stored frame, axes (y, x); NDAttributes `run` (`RunNumber`) and `row` say which"
    STXM = (
        "STXM",
        "ln(counts) of the good pixels over the scanned area; NDAttributes `pixel_m`, `x0_m`, `y0_m` say where",
    )
    DPC_X = (
        "DPCX",
        "shift of the centre of mass from its median in stored pixels, positive towards +x of the beam on the sample; "
        "placed as `STXM`",
    )
    DPC_Y = "DPCY", "the same, positive towards +y"
    SCORE = "Score", "score of the rows, 0 to 1 (rejected); placed as `STXM`"


class ServiceTable(StrEnum):
    """Name of a table below the service's prefix, shown over PVA as NTTable, and its meaning."""

    meaning: str

    def __new__(cls, name: str, meaning: str) -> ServiceTable:
        """A row of the table."""
        table = str.__new__(cls, name)
        table._value_, table.meaning = name, meaning
        return table

    VERDICTS = (
        "Verdicts",
        "the latest 200 rows of the newest run, the latest last: `row`, `unique_id` (of its first frame), `x_m`, "
        "`y_m`, `score`, `reason` (in words), `rejected`; renewed twice a second at most",
    )
    READBACKS = (
        "Readbacks",
        "each PV of the profile: `channel` (`detector` for the detector's own, whose values are not told), `pv`, "
        "`connected`, `severity` (its own alarm, 0 to 3), `value`, `unit`, `time_s` (its own stamp, seconds since 1970 "
        "UTC); renewed once a second at most",
    )
