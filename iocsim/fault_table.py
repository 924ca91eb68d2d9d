"""All faults by name: each is a PV `Sim:DropIds` and, in a file, a line `drop_ids: 1,7`.

A file sets PVs as a client would, so there is one definition of each fault, and one check of its value.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from iocsim.pv import DoublePv, Initial, IntegerPv, Pair, PutHook, PvTable
from iocsim.unique_ids import FaultError

WIDEST_BITS = 63


class FaultTable(PvTable):
    """The simulator's own PVs, `Sim:`, as seen by those who define faults: every pair is one."""

    def __init__(self, sim: PvTable) -> None:
        super().__init__(sim.prefix, sim.pvs)
        self._pairs: dict[str, Pair] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """As a file has them, sorted."""
        return tuple(sorted(self._pairs))

    def pair(
        self,
        name: str,
        initial: Initial,
        *,
        units: str = "",
        precision: int = 3,
        on_put: PutHook | None = None,
    ) -> Pair:
        """As `PvTable.pair`; `on_put` raises a FaultError for what it does not take."""
        pair = super().pair(name, initial, units=units, precision=precision, on_put=on_put)
        self._pairs[file_name_of(name)] = pair
        return pair

    async def set(self, faults: Mapping[str, Any]) -> None:
        """Set faults by their names in a file. Raises FaultError at the first that cannot be set."""
        for name, value in faults.items():
            pair = self._pairs.get(name)
            if pair is None:
                near = difflib.get_close_matches(name, self._pairs, 1)
                hint = f"did you mean {near[0]}?" if near else f"use {', '.join(self.names)}"
                raise FaultError(f"{name}: there is no such fault: {hint}")
            try:
                await pair.put(_value_for(pair, value))
            except FaultError as error:
                raise FaultError(f"{name}: {error}") from error


def file_name_of(pv_name: str) -> str:
    """`drop_ids` for `DropIds`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", pv_name).lower()


def read_faults(path: Path) -> dict[str, Any]:
    """Names and values of a YAML file. Raises FaultError for one that is no table of names, OSError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise FaultError(f"is no YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(name, str) for name in document):
        raise FaultError("holds no table of faults: write a line such as drop_ids: 1,7,100-104 for each")
    return document


def _value_for(pair: Pair, value: Any) -> float | int | str:
    """The value of a file as a client would put it. Raises FaultError."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(pair.setpoint, DoublePv | IntegerPv):
        is_whole = is_number and (isinstance(value, int) or value.is_integer())
        if not is_number or (isinstance(pair.setpoint, IntegerPv) and not is_whole):
            kind = "a whole number" if isinstance(pair.setpoint, IntegerPv) else "a number"
            raise FaultError(f"{value!r} is not {kind}: give one, as {pair.value}")
        if isinstance(value, int) and value.bit_length() > WIDEST_BITS:
            raise FaultError(f"{reprlib.repr(value)} cannot be: no fault has so large a number")
        return value
    parts = value if isinstance(value, list) else [value]
    if not all(isinstance(part, int | float | str) and not isinstance(part, bool) for part in parts):
        raise FaultError(f"{value!r} is no text: write it as for the PV, or as a list of its parts")
    return ",".join(map(str, parts))
