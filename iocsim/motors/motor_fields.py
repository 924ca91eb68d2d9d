"""The fields of the motor record that are served: their types, first values and the order in which they are posted."""

from __future__ import annotations

from typing import Any

from iocsim.motors.axis import STEP_UM
from iocsim.pv import Choice, Initial

DEFAULT_VELOCITY_UM_S = 2000.0
DEFAULT_RAMP_S = 0.005
"""A step of 0.1 um then takes 1 ms of motion, so 5 ms in all with the put-callback."""
DEFAULT_TRAVEL_UM = 5000.0
RETRY_DEADBAND_UM = 0.001
RETRIES = 10

LENGTHS_UM: dict[str, float] = {
    "VAL": 0.0,
    "DVAL": 0.0,
    "RLV": 0.0,
    "RBV": 0.0,
    "DRBV": 0.0,
    "DIFF": 0.0,
    "OFF": 0.0,
    "TWV": 1.0,
    "BDST": 0.0,
    "HLM": DEFAULT_TRAVEL_UM,
    "LLM": -DEFAULT_TRAVEL_UM,
    "DHLM": DEFAULT_TRAVEL_UM,
    "DLLM": -DEFAULT_TRAVEL_UM,
    "MRES": STEP_UM,
    "RDBD": RETRY_DEADBAND_UM,
}
SPEEDS_UM_S: dict[str, float] = {
    "VELO": DEFAULT_VELOCITY_UM_S,
    "HVEL": DEFAULT_VELOCITY_UM_S,
    "VMAX": 10_000.0,
    "VBAS": 0.0,
}
OTHERS: dict[str, Initial] = {
    "ACCL": DEFAULT_RAMP_S,
    "RVAL": 0,
    "RRBV": 0,
    "RDIF": 0,
    "MSTA": 2.0,
    "DMOV": 1,
    "MOVN": 0,
    "TDIR": 0,
    "RCNT": 0,
    "RTRY": RETRIES,
    "MISS": 0,
    "LVIO": 0,
    "HLS": 0,
    "LLS": 0,
    "STOP": 0,
    "SPMG": Choice(("Stop", "Pause", "Move", "Go"), 3),
    "HOMF": 0,
    "HOMR": 0,
    "TWF": 0,
    "TWR": 0,
    "NTM": Choice(("NO", "YES"), 1),
    "NTMF": 2,
    "DIR": Choice(("Pos", "Neg")),
    "SET": Choice(("Use", "Set")),
    "FOFF": Choice(("Variable", "Frozen")),
    "PREC": 4,
    "DESC": "simulated stage",
    "RTYP": "motor",
    "STAT": Choice(("NO_ALARM",)),
    "SEVR": Choice(("NO_ALARM", "MINOR", "MAJOR", "INVALID")),
}
READ_ONLY = frozenset(
    {"RBV", "DRBV", "RRBV", "DIFF", "RDIF", "MSTA", "DMOV", "MOVN", "TDIR", "RCNT", "MISS", "LVIO", "HLS", "LLS"}
    | {"RTYP", "STAT", "SEVR"}
)
"""What the record alone writes (`SPC_NOMOD` in motorRecord.dbd, or as good as that)."""

POST_ORDER = (
    *("RBV", "RRBV", "DRBV", "DIFF", "RDIF", "MSTA", "VAL", "DVAL", "RVAL", "TDIR", "HLM", "LLM", "SPMG", "RCNT"),
    *("RLV", "OFF", "DHLM", "DLLM", "LVIO", "STOP", "MISS", "MOVN", "DMOV", "HOMF", "HOMR"),
)
"""The order of monitor() in motorRecord.cc."""


def first_values(units: str) -> dict[str, Any]:
    """Field → value of a record that was never processed; enums by their strings."""
    others = {
        name: value.strings[value.index] if isinstance(value, Choice) else value for name, value in OTHERS.items()
    }
    return {**LENGTHS_UM, **SPEEDS_UM_S, **others, "EGU": units}
