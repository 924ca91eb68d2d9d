"""The motor record: what a put or a poll of the controller makes it post, in which order and with which time stamps.

Pure: time is an argument. It follows motorRecord.cc of epics-modules/motor (`special`, `process`, `do_work`,
`postProcess`, `maybeRetry`, `monitor`) for one axis without encoder, backlash and limit switches;
`tests/data/motor_record_traces.txt` is what a real one posted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntFlag
from typing import Any

from iocsim.motors.axis import STEP_UM, Axis, AxisStatus, Msta, steps_at
from iocsim.motors.motor_values import MotorValues, Post

DRIVE_FIELDS = frozenset({"VAL", "DVAL", "RVAL", "RLV", "TWF", "TWR"})
"""A put to one of these makes DMOV 0 before the record is processed."""
PROCESSING_FIELDS = DRIVE_FIELDS | {"OFF", "DIR", "HLM", "LLM", "DHLM", "DLLM", "SPMG", "STOP", "HOMF", "HOMR"}
"""A put to one of these processes the record (`pp(TRUE)` in motorRecord.dbd), so its put-callback waits for DMOV 1."""


class Mip(IntFlag):
    """Motion in progress: where in a series of moves the record is (the bits used here)."""

    DONE = 0
    HOMF = 1 << 3
    HOMR = 1 << 4
    MOVE = 1 << 5
    RETRY = 1 << 6
    STOP = 1 << 9


HOME = Mip.HOMF | Mip.HOMR


class MotorRecord(MotorValues):
    """One record in front of its axis. `put`, `acknowledge` and `report` give what is posted."""

    def __init__(self, axis: Axis, units: str, stamp: Callable[[int], int]) -> None:
        """`stamp` is what the IOC's clock says at a true time (Unix ns)."""
        super().__init__(units)
        self.has_command = False
        """The axis was sent off or stopped, and the record has yet to hear from the controller that it took it."""
        self._axis = axis
        self._stamp = stamp
        self._status = AxisStatus(0, Msta.DONE)
        self._mip = Mip.DONE
        self._takes_over_readback = False
        self._goes_forward = False

    @property
    def is_done(self) -> bool:
        """DMOV is 1: put-callbacks end."""
        return bool(self.values["DMOV"])

    def put(self, field: str, value: Any, now_ns: int) -> list[Post]:
        """A client's put, which processes the record if the field is one that does."""
        values = self.values
        if field in DRIVE_FIELDS and values["DMOV"]:
            values["DMOV"] = 0
            self._post("DMOV")
        before, values[field] = values[field], value
        self._special(field, before)
        if field != "VAL":
            self._post(field)
        if field in PROCESSING_FIELDS:
            self._process(None, now_ns)
        return self._taken_posts()

    def acknowledge(self, now_ns: int) -> list[Post]:
        """The controller has taken the command: it is no longer done, and not yet seen moving."""
        self.has_command = False
        self._process(AxisStatus(self._status.steps, Msta.NONE), now_ns)
        return self._taken_posts()

    def report(self, status: AxisStatus, now_ns: int) -> list[Post]:
        """The answer to a poll; the record is processed if it differs from the one before."""
        if status != self._status:
            self._process(status, now_ns)
        return self._taken_posts()

    def _process(self, status: AxisStatus | None, now_ns: int) -> None:
        """Process the record: with what the controller says, or (None) because of a put."""
        if status is not None:
            self._read(status)
            if self.values["MOVN"]:
                self._watch_for_new_target(now_ns)
            else:
                self._take_stop()
        if self._is_unlimited():
            self._set("LVIO", 0)
        is_busy = status is not None and not self.is_done and not self._mip & Mip.RETRY
        if not is_busy or self.values["STOP"] or self._is_paused():
            self._work(now_ns)
        self._post_marked(self._stamp(now_ns))

    def _read(self, status: AxisStatus) -> None:
        """process_motor_info(): position and state from the controller."""
        self._status = status
        self._set("MSTA", float(status.msta))
        self._set("RRBV", status.steps)
        self._set("DRBV", status.steps * STEP_UM)
        self._set("RBV", self._user(self.values["DRBV"]))
        self._set("TDIR", int(Msta.FORWARD in status.msta))
        self._set("MOVN", int(Msta.DONE not in status.msta))
        self._show_way(self.values["DVAL"] - self.values["DRBV"])

    def _watch_for_new_target(self, now_ns: int) -> None:
        """Stop when the target has come to lie behind."""
        values = self.values
        deadband = values["NTMF"] * (abs(values["BDST"]) + values["RDBD"])
        is_wrong_way = (values["RDIF"] >= 0) != self._goes_forward and abs(values["DIFF"]) > deadband
        if values["NTM"] == "YES" and is_wrong_way and self._mip & (Mip.RETRY | Mip.MOVE) and not self._mip & Mip.STOP:
            self._axis.stop(now_ns)
            self._mip |= Mip.STOP
            self._takes_over_readback = False

    def _take_stop(self) -> None:
        """The motor has stopped: assume that all is done, and see whether it is."""
        values = self.values
        self._set("DMOV", 1)
        if self._takes_over_readback:
            if values["VAL"] != self._last["VAL"] and not self._mip & Mip.STOP:
                self._mip = Mip.DONE
                self._release_buttons()
                return
            self._post_process()
        if self._mip != Mip.DONE:
            self._maybe_retry()

    def _post_process(self) -> None:
        """The targets become what the readbacks are; a homing ends."""
        self._takes_over_readback = False
        if not self._mip & Mip.MOVE:
            self._take_over_readback()
        if self._mip & HOME and self._mip & Mip.STOP:
            self._mip = Mip.DONE  # the button is still down: do_work starts the homing that waited for the stop
        elif self._mip & HOME:
            self._mip &= ~HOME
            self._release_buttons()
        self._mip &= ~(Mip.MOVE | Mip.STOP)
        self._remember_target()

    def _release_buttons(self) -> None:
        for button in ("HOMF", "HOMR"):
            self._set(button, 0)

    def _maybe_retry(self) -> None:
        values = self.values
        if abs(values["DIFF"]) < values["RDBD"]:
            self._mip = Mip.DONE
            self._set("MISS", 0)
            if values["SPMG"] == "Move":
                self._force("SPMG", "Pause")
        elif values["RTRY"] == 0:
            self._mip = Mip.DONE
        else:
            self._force("RCNT", values["RCNT"] + 1)
            if values["RCNT"] > values["RTRY"]:
                self._mip = Mip.DONE
                self._remember_target()
                self._force("MISS", 1)
            else:
                values["DMOV"] = 0
                self._marked.discard("DMOV")
                self._mip = Mip.RETRY

    def _work(self, now_ns: int) -> None:
        """do_work(): see what there is to do, and do it."""
        values = self.values
        if (values["SPMG"] != self._last["SPMG"] or values["STOP"]) and self._take_switch(now_ns):
            return
        if self._take_buttons(now_ns):
            return
        if values["VAL"] != self._last["VAL"]:
            self._mark("VAL")
            if values["SET"] == "Set":
                self._redefine()
                return
            values["DVAL"] = self._dial(values["VAL"])
        if self._is_paused() or (values["DVAL"] == self._last["DVAL"] and values["DMOV"]):
            return
        if values["DVAL"] != self._last["DVAL"]:
            self._mark("DVAL")
        way = values["DVAL"] - values["DRBV"]
        if values["DIFF"] != way:
            self._show_way(way)
        values["VAL"] = self._user(values["DVAL"])
        if values["VAL"] != self._last["VAL"]:
            self._mark("VAL")
        self._move_to_target(now_ns)

    def _take_switch(self, now_ns: int) -> bool:
        """SPMG or STOP was put; gives whether that is all there is to do."""
        values = self.values
        if values["SPMG"] != self._last["SPMG"]:
            self._last["SPMG"] = values["SPMG"]
            stops = False
        else:
            self._force("STOP", 0)
            stops = True
        if stops or self._is_paused():
            if stops or values["SPMG"] == "Stop":
                if self._mip == Mip.DONE or self._mip & (Mip.STOP | Mip.RETRY):
                    if self._mip & Mip.RETRY:
                        self._mip = Mip.DONE
                        self._force("DMOV", 1)
                    self._axis.stop(now_ns)
                    return True
                if values["MOVN"]:
                    self._takes_over_readback = True
                    self._release_buttons()
                else:
                    self._take_over_readback()
                    self._remember_target()
            self._release_buttons()
            self._mip = Mip.STOP
            self._axis.stop(now_ns)
            return True
        if values["SPMG"] == "Move":
            self._mip = Mip.DONE
            self._force("RCNT", 0)
        elif self._mip == Mip.STOP:
            self._mip = Mip.DONE
        return False

    def _take_buttons(self, now_ns: int) -> bool:
        """HOMF, HOMR, TWF, TWR, RLV, RVAL; gives whether that is all there is to do."""
        values = self.values
        for button, phase in (("HOMF", Mip.HOMF), ("HOMR", Mip.HOMR)):
            if values[button] and not self._mip & phase:
                self._home(phase, now_ns)
                return True
        for button, sign in (("TWF", 1), ("TWR", -1)):
            if values[button]:
                values["VAL"] += sign * values["TWV"]
                values[button] = 0
                self._post(button)
        if values["RLV"]:
            values["VAL"] += values["RLV"]
            self._force("RLV", 0.0)
        if values["RVAL"] != self._last["RVAL"]:
            values["DVAL"] = values["RVAL"] * STEP_UM
        return False

    def _home(self, phase: Mip, now_ns: int) -> None:
        """Both directions find the home switch where the dial is 0."""
        values = self.values
        self._force("DMOV", 0)
        if self._is_paused():
            return
        self._mip = phase
        self._takes_over_readback = True
        if values["MOVN"]:
            self._mip |= Mip.STOP
            self._axis.stop(now_ns)
            return
        self._force("RCNT", 0)
        self._goes_forward = bool(phase & Mip.HOMF)
        self._send(0.0, values["HVEL"], now_ns)

    def _redefine(self) -> None:
        """SET: the axis stays where it is and VAL is the new name of the place."""
        self._force("OFF", self.values["VAL"] - self._sign() * self.values["DVAL"])
        self._rename_place()
        self._last["VAL"] = self.values["VAL"]
        self._mip = Mip.DONE
        self._force("DMOV", 1)

    def _move_to_target(self, now_ns: int) -> None:
        values = self.values
        is_retry = bool(self._mip & Mip.RETRY)
        if math.isfinite(values["DVAL"]):
            self._set("RVAL", steps_at(values["DVAL"]))
            n_steps = abs(values["RVAL"] - values["RRBV"])
            if n_steps < (steps_at(values["RDBD"]) if is_retry else 1):
                self._end_without_move()
                return
        if not is_retry:
            self._set("RCNT", 0)
        self._set("LVIO", int(not self._may_go_to(values["DVAL"])))
        if values["LVIO"]:
            for field in ("VAL", "DVAL", "RVAL"):
                self._force(field, self._last[field])
            if is_retry:
                self._mip = Mip.DONE
            if self._mip == Mip.DONE:
                self._set("DMOV", 1)
        elif self._mip in (Mip.DONE, Mip.RETRY):
            self._mip |= Mip.MOVE
            self._set("DMOV", 0)
            self._remember_target()
            self._goes_forward = values["RDIF"] >= 0
            self._send(values["DVAL"], values["VELO"], now_ns)

    def _end_without_move(self) -> None:
        if self._mip in (Mip.DONE, Mip.RETRY):
            self._set("DMOV", 1)
            self._mip = Mip.DONE
        self._remember_target()

    def _send(self, dial: float, velocity: float, now_ns: int) -> None:
        self._axis.move(dial, velocity, self.values["ACCL"], now_ns)
        self.has_command = True
