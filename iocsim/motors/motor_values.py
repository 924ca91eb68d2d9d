"""The values of a motor record, and the account of what is to be posted of them.

All fields share one stamp, the end of the last processing, so what is posted before a processing carries the stamp of
the one before it: DMOV = 0 above all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from iocsim.motors.axis import STEP_UM, steps_at
from iocsim.motors.motor_fields import POST_ORDER, first_values


@dataclass(frozen=True, slots=True)
class Post:
    """One monitor update; `time_ns` None: the record was never processed, so its time is undefined."""

    field: str
    value: Any
    time_ns: int | None


class MotorValues:
    """The fields by their names: user and dial coordinates, limits, targets, and what a put changes in others."""

    def __init__(self, units: str) -> None:
        self.values: dict[str, Any] = first_values(units)
        """The present value of every field, by name."""
        self.time_ns: int | None = None
        """The stamp of all fields: the end of the last processing."""
        self._posts: list[Post] = []
        # As init_record leaves it.
        self._marked = {"DIFF", "RDIF", "MSTA"}
        self._last = {field: self.values[field] for field in ("VAL", "DVAL", "RVAL", "SPMG")}
        """The targets that the record has acted on."""

    def _taken_posts(self) -> list[Post]:
        posts, self._posts = self._posts, []
        return posts

    def _post(self, field: str) -> None:
        self._posts.append(Post(field, self.values[field], self.time_ns))

    def _mark(self, *fields: str) -> None:
        self._marked.update(fields)

    def _set(self, field: str, value: Any) -> None:
        """Store, and mark if this changes it."""
        if self.values[field] != value:
            self.values[field] = value
            self._marked.add(field)

    def _force(self, field: str, value: Any) -> None:
        """Store and mark."""
        self.values[field] = value
        self._marked.add(field)

    def _sign(self) -> float:
        return -1.0 if self.values["DIR"] == "Neg" else 1.0

    def _user(self, dial: float) -> float:
        return self._sign() * dial + self.values["OFF"]

    def _dial(self, user: float) -> float:
        return self._sign() * (user - self.values["OFF"])

    def _post_marked(self, time_ns: int) -> None:
        """monitor(): a processing ends at this time."""
        self.time_ns = time_ns
        for field in POST_ORDER:
            if field in self._marked:
                self._post(field)
        self._marked.clear()

    def _special(self, field: str, before: Any) -> None:
        """Changes of other fields at once with a put."""
        values = self.values
        match field:
            case "VELO":
                if not values["VELO"] > 0.0:
                    values["VELO"] = before
                if values["VMAX"] > 0.0:
                    values["VELO"] = min(values["VELO"], values["VMAX"])
            case "ACCL" if not values["ACCL"] >= 0.0:
                values["ACCL"] = 0.0
            case "RDBD":
                values["RDBD"] = max(values["RDBD"], STEP_UM)
            case "OFF":
                values["VAL"] = self._user(values["DVAL"])
                self._last["VAL"] = self._user(self._last["DVAL"])
                self._rename_place()
                self._mark("VAL")
            case "DIR":
                if values["FOFF"] == "Frozen":
                    self._force("VAL", self._user(values["DVAL"]))
                    self._last["VAL"] = values["VAL"]
                else:
                    self._force("OFF", values["VAL"] - self._sign() * values["DVAL"])
                self._rename_place()
            case "HLM" | "LLM":
                low, high = sorted((self._dial(values["LLM"]), self._dial(values["HLM"])))
                self._force("DHLM", high)
                self._force("DLLM", low)
            case "DHLM" | "DLLM":
                self._show_user_limits()

    def _rename_place(self) -> None:
        """A new offset or direction: the axis stays, and what the user calls its place changes."""
        self._force("RBV", self._user(self.values["DRBV"]))
        self._show_user_limits()

    def _show_user_limits(self) -> None:
        low, high = sorted((self._user(self.values["DLLM"]), self._user(self.values["DHLM"])))
        self._force("HLM", high)
        self._force("LLM", low)

    def _is_paused(self) -> bool:
        return self.values["SPMG"] in ("Stop", "Pause")

    def _is_unlimited(self) -> bool:
        return self.values["DHLM"] == self.values["DLLM"] == 0.0

    def _take_over_readback(self) -> None:
        values = self.values
        self._force("VAL", values["RBV"])
        self._force("DVAL", values["DRBV"])
        self._force("RVAL", steps_at(values["DVAL"]))
        self._show_way(0.0)

    def _remember_target(self) -> None:
        self._last.update(VAL=self.values["VAL"], DVAL=self.values["DVAL"], RVAL=self.values["RVAL"])

    def _show_way(self, way: float) -> None:
        self._force("DIFF", way)
        self._force("RDIF", steps_at(way) if math.isfinite(way) else 0)

    def _may_go_to(self, dial: float) -> bool:
        """Within the soft limits, or from beyond them towards them."""
        low, high, last = self.values["DLLM"], self.values["DHLM"], self._last["DVAL"]
        if self._is_unlimited():
            return math.isfinite(dial)
        if low > high:
            return False
        return low <= dial <= high or high < dial < last or last < dial < low
