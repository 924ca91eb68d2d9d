"""The service as its PVs show it: latest values, pictures and tables, for all viewers of the page together.

One set of monitors per process. They fill latest-value mailboxes from threads of the PVA client; a viewer looks
whenever it likes, and neither waits for the other.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from stream_service.errors import SourceError
from stream_service.pv_access import Context
from stream_service.settings.pv_type import Kind
from stream_service.settings.service_status import Severity
from stream_service.settings.status_table import SILENT_S, STATUS, ServiceImage, ServicePV, ServiceTable, StatusValue
from stream_service.sources.live.ntndarray import decode_ntndarray
from stream_service.web.picture import Picture, picture_of

log = logging.getLogger(__name__)

SEARCH_S = 5.0
"""Between two searches for a service that does not answer."""
RECONSTRUCTION = "Recon:ObjectPhase"
"""What `reconstruct --follow` shows below the daemon's default prefix."""

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alarmed:
    """A PV in alarm."""

    pv: ServicePV
    severity: Severity
    words: str
    """Why."""


class ServiceView:
    """Monitors of all PVs below a prefix; close it."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._values: dict[ServicePV, StatusValue] = {}
        self._alarms: dict[ServicePV, Alarmed] = {}
        self._pictures: dict[str, Picture] = {}
        self._tables: dict[ServiceTable, Columns] = {}
        self._beaten_s = -math.inf
        """When the heartbeat moved last."""
        self._take = {
            **{prefix + pv: partial(self._take_value, pv) for pv in STATUS},
            **{prefix + name: partial(self._take_picture, name) for name in (*ServiceImage, RECONSTRUCTION)},
            **{prefix + name: partial(self._take_table, name) for name in ServiceTable},
        }
        self._open()

    def _open(self) -> None:
        self._opened_s = time.monotonic()
        self._context = Context("pva", nt=False)  # of several types, p4p would unwrap some and others not
        self._subscriptions = [
            self._context.monitor(name, take, notify_disconnect=True) for name, take in self._take.items()
        ]

    def look(self) -> None:
        """Search anew for a service that does not answer: a client by itself waits longer and longer."""
        if not self.is_answering and time.monotonic() - self._opened_s > SEARCH_S:
            self.close()
            self._open()

    def _take_value(self, pv: ServicePV, update: Any) -> None:
        if isinstance(update, Exception):
            if pv is ServicePV.HEARTBEAT:
                self._beaten_s = -math.inf
            return
        if pv is ServicePV.HEARTBEAT:
            self._beaten_s = time.monotonic()
        value = update["value"]
        is_enum = pv.type.kind is Kind.ENUM
        self._values[pv] = pv.type.choices[int(value["index"])] if is_enum else value
        self._alarms[pv] = Alarmed(
            pv, Severity(min(update["alarm.severity"], Severity.INVALID)), str(update["alarm.message"])
        )

    def _take_picture(self, name: str, update: Any) -> None:
        if isinstance(update, Exception):
            if name == RECONSTRUCTION:
                self._pictures.pop(name, None)
            return
        try:
            frame = decode_ntndarray(update)
        except SourceError as error:
            log.warning("%s%s: %s", self.prefix, name, error)
            return
        self._pictures[name] = picture_of(frame.pixels, frame.attributes)

    def _take_table(self, name: ServiceTable, update: Any) -> None:
        if not isinstance(update, Exception):
            self._tables[name] = {label: list(update["value"][label]) for label in update["labels"]}

    @property
    def is_answering(self) -> bool:
        """True while the heartbeat of the service moves."""
        return time.monotonic() - self._beaten_s < SILENT_S

    def text(self, pv: ServicePV) -> str:
        """Of a text or a state; empty if it has none yet."""
        return str(self._values.get(pv, ""))

    def number(self, pv: ServicePV) -> float:
        """Of a number; NaN if it has none yet."""
        value = self._values.get(pv, math.nan)
        return math.nan if isinstance(value, str) else float(value)

    def picture(self, name: str) -> Picture | None:
        """The latest picture of an image PV; None before the first."""
        return self._pictures.get(name)

    def table(self, name: ServiceTable) -> Columns:
        """Columns of the latest table; none before the first."""
        return self._tables.get(name, {})

    def severity(self, pv: ServicePV) -> Severity:
        """Of its alarm."""
        alarm = self._alarms.get(pv)
        return Severity.NONE if alarm is None else alarm.severity

    def alarms(self) -> tuple[Alarmed, ...]:
        """PVs in alarm, the worst first."""
        found = [alarm for alarm in self._alarms.values() if alarm.severity]
        return tuple(sorted(found, key=lambda alarm: -alarm.severity))

    def close(self) -> None:
        """End the monitors."""
        for subscription in self._subscriptions:
            subscription.close()
        self._context.close()
