"""The service's PVs over Channel Access: status to read, and three commands.

The server runs in a thread of its own with its own event loop. Status is handed in as whole tables; only values that
changed are posted. Commands are handed out through a queue, and are the only PVs that take a put from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from caproto import AlarmSeverity, AlarmStatus, ChannelType
from caproto.asyncio.server import Context as ServerContext
from caproto.server import PVGroup, pvproperty
from caproto.server.server import PvpropertyChar

from stream_service.errors import SourceError
from stream_service.utf8 import encoded

REQUEST_BYTES = 4 << 20
TEXT_BYTES = 4096
ENCODING = "utf-8"
STATES = ("IDLE", "ARMED", "RECEIVING", "DRAINING", "COMPLETE", "INCOMPLETE", "ABORTED", "FAILED")
HEALTHS = ("READY", "BUSY", "FAULTED")
ALARMED = ("Message", "Health", "State")
"""The PVs that carry the alarm of a run: what it says, and what screens and alarm handlers look at."""
START_TIMEOUT_S = 10.0

# caproto takes a ChannelType wherever it says that it takes a Python type
LONG: Any = ChannelType.LONG
CHAR: Any = ChannelType.CHAR
ENUM: Any = ChannelType.ENUM

StatusValue = str | int | float


class Command(StrEnum):
    """What a plan or an operator can ask for."""

    ARM = "Arm"
    STOP = "Stop"
    ABORT = "Abort"


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it came in, with the request that stood in `Request` at that moment."""

    command: Command
    request: str


def _number(doc: str, **options: Any) -> Any:
    return pvproperty(value=0, dtype=LONG, read_only=True, doc=doc, **options)


def _text(doc: str) -> Any:
    return pvproperty(value="", dtype=CHAR, max_length=TEXT_BYTES, string_encoding=ENCODING, read_only=True, doc=doc)


def _choice(names: tuple[str, ...], doc: str) -> Any:
    return pvproperty(value=names[0], dtype=ENUM, enum_strings=names, read_only=True, doc=doc)


def _ordering(command: Command) -> Any:
    """What a put of 1 does: hand out the order. `Arm` stays 1 until the arming has ended, the others fall back to 0."""

    async def put(group: ServicePVs, instance: Any, value: Any) -> int:
        if int(value) != 1:
            return 0
        group.give(command)
        return int(command is Command.ARM)

    return put


class RequestText(PvpropertyChar[Any]):
    """A char waveform that takes anything: what is wrong with a request is said when it is armed.

    Bytes that are no UTF-8 (pyepics sends such for a `str` beyond ASCII) are not guessed at: escapes are no JSON.
    """

    async def write_from_dbr(self, data: Any, data_type: ChannelType, metadata: Any, *, flags: int = 0) -> None:
        """Take a client's characters up to a NUL."""
        if data_type == ChannelType.CHAR:
            text = bytes(data).split(b"\0", 1)[0].decode(ENCODING, "backslashreplace")
            await self.write(text, flags=flags)
        else:
            await super().write_from_dbr(data, data_type, metadata, flags=flags)


class ServicePVs(PVGroup):
    """The PVs below the service's prefix."""

    request = pvproperty(
        name="Request",
        value="",
        dtype=RequestText,
        string_encoding=ENCODING,
        max_length=REQUEST_BYTES,
        doc="ScanRequest as JSON; then put Arm",
    )
    arm = pvproperty(
        name="Arm",
        value=0,
        dtype=LONG,
        put=_ordering(Command.ARM),
        doc="put 1: arm for Request; 0 when decided",
    )
    stop = pvproperty(name="Stop", value=0, dtype=LONG, put=_ordering(Command.STOP), doc="put 1: finish in good order")
    abort = pvproperty(
        name="Abort", value=0, dtype=LONG, put=_ordering(Command.ABORT), doc="put 1: end now, keep the rows"
    )

    State = _choice(STATES, "state of the newest run")
    Health = _choice(HEALTHS, "state of the service")
    ScanId = _text("scan of the newest run")
    RunNumber = _number("runs armed since the service started")
    File = _text("file of the newest run")
    Message = _text("what happens, in words")
    ArmError = _text("why the last arming failed; empty if it did not")
    EndReason = _text("why the newest run ended")
    FramesExpected = _number("frames the run should have")
    FramesReceived = _number("frames that came in, each counted once")
    FramesStored = _number("frames in the file")
    FramesLost = _number("frames exposed and not in the file; gaps so far while the run goes on")
    FramesDuplicate = _number("frames that came more than once")
    FramesIncomplete = _number("frames whose group never filled")
    FramesNotExposed = _number("frames planned that the detector never made")
    FramesSurplus = _number("frames beyond those expected, or with an id that cannot be; not stored")
    FramesBeforeRun = _number("frames that came from before the run; not stored")
    BadMessages = _number("messages that were no usable frame")
    Rows = _number("rows in the file, visible to readers")
    RowsExpected = _number("rows the file should have; 0 if not known")
    RowsPerSecond = pvproperty(value=0.0, read_only=True, precision=1, doc="rate of rows", units="1/s")
    QueueBytes = pvproperty(value=0.0, read_only=True, precision=0, doc="frames waiting in memory", units="bytes")
    Standby = _number("1: auto mode, armed for whatever the detector does next")
    Heartbeat = _number("counts seconds")

    def __init__(self, prefix: str, orders: queue.Queue[Order]) -> None:
        super().__init__(prefix=prefix)
        self._orders = orders

    def give(self, command: Command) -> None:
        """Hand out an order, with the request as it stands now."""
        self._orders.put(Order(command, str(self.request.value)))


class PromptContext(ServerContext):
    """caproto's server without Nagle's delay: a plan waits for `State`, and 40 ms per small update add up."""

    async def tcp_handler(self, client: Any, addr: Any) -> None:
        client.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await super().tcp_handler(client, addr)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """caproto logs a traceback for every beacon that nobody takes (without a CA repeater nobody does), and a warning
    that many subscribers of `Request` would take memory.
    """
    return "beacon" not in str(record.msg) and "considerable memory" not in str(record.msg)


class CaServer:
    """The running server. `publish` may be called from any thread."""

    def __init__(self, prefix: str) -> None:
        for logger in ("caproto.ctx", f"{__name__}.{ServicePVs.__name__}"):
            logging.getLogger(logger).addFilter(_is_worth_logging)
        self.orders: queue.Queue[Order] = queue.Queue()
        self._group = ServicePVs(prefix, self.orders)
        self._published: dict[str, StatusValue] = {}
        self._alarms: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._serve, name="ca-server", daemon=True)

    def start(self) -> None:
        """Serve from now on; raises `SourceError` if the port cannot be had."""
        self._thread.start()
        if not self._is_up.wait(START_TIMEOUT_S) or self._failure is not None:
            raise SourceError(f"the service's CA server could not start: {self._failure or 'no answer'}")

    @property
    def is_alive(self) -> bool:
        """False once the server thread has died."""
        return self._thread.is_alive()

    def publish(self, status: Mapping[str, StatusValue], severity: int = 0) -> None:
        """Post the values that changed since the last call, by PV name without prefix; returns at once.

        `severity` is the EPICS alarm severity of what the run has to say: that of `ALARMED`.
        """
        alarms = {name: severity if name in ALARMED else 0 for name in status}
        changed = {
            name: value
            for name, value in status.items()
            if (self._published.get(name), self._alarms.get(name, 0)) != (value, alarms[name])
        }
        if changed and self.is_alive:
            self._published.update(changed)
            self._alarms.update(alarms)
            asyncio.run_coroutine_threadsafe(self._post(changed, alarms), self._loop)

    def arming_ended(self) -> None:
        """Put `Arm` back to 0, after everything published before."""
        asyncio.run_coroutine_threadsafe(self._group.arm.write(0, verify_value=False), self._loop)

    def close(self) -> None:
        """End the server."""
        if self.is_alive:
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(5.0)

    async def _post(self, changed: Mapping[str, StatusValue], alarms: Mapping[str, int]) -> None:
        for name, value in changed.items():
            severity = AlarmSeverity(alarms[name])
            status = AlarmStatus.STATE if severity else AlarmStatus.NO_ALARM
            if isinstance(value, str):
                value = encoded(value, TEXT_BYTES - 1).decode()  # a screen that reads it wants its NUL
            await getattr(self._group, name).write(value, status=status, severity=severity)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._run())
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._task)
        except OSError as error:
            self._failure = error
        finally:
            self._is_up.set()

    async def _run(self) -> None:
        async def up(_: Any) -> None:
            self._is_up.set()

        await PromptContext(self._group.pvdb).run(log_pv_names=False, startup_hook=up)
