"""Faults by name, from a file: set as by their PVs, and refused with the name and the reason."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from iocsim.clocks import ClockFaults, FaultyClock
from iocsim.fault_table import FaultTable, read_faults
from iocsim.faults import FaultPvs, Faults
from iocsim.ioc import Ioc
from iocsim.physics.beamline import BeamlineConfig, make_beamline
from iocsim.pv import PvTable
from iocsim.unique_ids import FaultError


def faults_after(document: dict[str, Any]) -> tuple[Faults, ClockFaults, FaultTable]:
    """The faults in force once these were set."""

    async def run() -> tuple[Faults, ClockFaults, FaultTable]:
        table = FaultTable(PvTable("T:Sim:"))
        network = FaultPvs(table, Faults(seed=3))
        clock = FaultyClock(table, "FrameClock", ClockFaults(), lambda: 1)
        await table.set(document)
        return network.now, clock.now, table

    return asyncio.run(run())


def test_faults_of_a_file_are_those_of_the_pvs(tmp_path: Path):
    path = tmp_path / "faults.yaml"
    path.write_text(
        "drop_fraction: 0.05\nduplicate_ids: [1, 7-9]\nreorder: 8  # frames\nframe_clock_step: -2.5@100\n",
        encoding="utf-8",
    )
    network, clock, table = faults_after(read_faults(path))
    assert network == Faults(seed=3, drop_fraction=0.05, duplicate_ids=frozenset({1, 7, 8, 9}), reorder=8)
    assert str(clock.step) == "-2.5@100"
    assert table.pvs["T:Sim:DuplicateIds_RBV"].value == table.pvs["T:Sim:DuplicateIds"].value == "1,7-9"
    assert table.pvs["T:Sim:DropFraction_RBV"].value == 0.05


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"drop_fractoin": 0.1}, "drop_fractoin: there is no such fault: did you mean drop_fraction?"),
        ({"zzz": 1}, "zzz: there is no such fault: use .*drop_ids"),
        ({"drop_ids": "1,x"}, "drop_ids: 'x' is no uniqueId: write them as 1,7,100-104"),
        ({"drop_ids": {"a": 1}}, "drop_ids: .* is no text"),
        ({"drop_fraction": "much"}, "drop_fraction: 'much' is not a number"),
        ({"reorder": 2.5}, "reorder: 2.5 is not a whole number"),
        ({"reorder": True}, "reorder: True is not a whole number"),
        ({"frame_clock_step": "3@"}, "frame_clock_step: '3@' is no clock step"),
    ],
)
def test_what_cannot_be_set_is_named(document: dict[str, Any], sentence: str):
    with pytest.raises(FaultError, match=sentence):
        faults_after(document)


WRONG_VALUES = [
    ({"drop_fraction": 5}, "drop_fraction: 5 cannot be: give a number from 0 to 1"),
    ({"drop_fraction": float("nan")}, "drop_fraction: nan cannot be"),
    ({"duplicate_fraction": -0.1}, "duplicate_fraction: -0.1 cannot be"),
    ({"fault_share": 1.01}, "fault_share: 1.01 cannot be"),
    ({"intensity_drift": 2}, "intensity_drift: 2 cannot be"),
    ({"pointing_drift": -1}, "pointing_drift: -1 cannot be: give an amplitude, 0 or more"),
    ({"reorder": -1}, "reorder: -1 cannot be: give a number from 0 to 100,000 frames"),
    ({"hdf1_old_file": 10**400}, "hdf1_old_file: .* cannot be"),
    ({"copy_stamp": float("inf")}, "copy_stamp: inf cannot be: give a number from -1,000,000,000 to 1,000,000,000 s"),
    ({"frame_clock_offset": 1e300}, "frame_clock_offset: 1e[+]300 cannot be"),
    ({"motor_clock_offset": 10**400}, "motor_clock_offset: .* cannot be"),
    ({"motor_clock_drift": -2e6}, "motor_clock_drift: -2000000 cannot be: .* ppm"),
    ({"frame_clock_step": "1e300@5"}, "frame_clock_step: '1e300@5' is no clock step"),
    ({"readback_delay": -1}, "readback_delay: -1 cannot be: give a number from 0 to 86,400 s"),
    ({"motor_poll_period": 1e-12}, "motor_poll_period: 1e-12 cannot be: give 0, or a number from 0.0001"),
    ({"motor_poll_jitter": -0.1}, "motor_poll_jitter: -0.1 cannot be"),
    ({"delay": "200000@7"}, "delay: '200000@7' is no delay"),
    ({"cut_pva": "1e9@7"}, "cut_pva: 1000000000 cannot be"),
    ({"counter_reset": "2.5@7"}, "counter_reset: 2.5 cannot be: give a whole number"),
    ({"drop_ids": "7-3"}, "drop_ids: '7-3' is no range of uniqueIds"),
    ({"stop_ids": "1-99999999999"}, "stop_ids: '1-99999999999' makes it more than 1,000,000 uniqueIds"),
    ({"late_pvs": "X.RBW"}, "late_pvs: there is no PV SIM:X.RBW: did you mean X.RBV?"),
    ({"silent_pvs": "nonsense"}, "silent_pvs: there is no PV SIM:nonsense"),
]


def test_every_value_that_cannot_be_meant_is_refused_with_its_range_and_changes_nothing():
    async def sentences() -> list[str]:
        ioc = Ioc(make_beamline(BeamlineConfig(shape=(32, 40))), "SIM:", faults=Faults())
        said = []
        for document, _ in WRONG_VALUES:
            (name,) = document
            readback = next(pv for full, pv in ioc.pvs.items() if full == f"SIM:Sim:{_pv_name(name)}_RBV")
            before = readback.value
            with pytest.raises(FaultError) as caught:
                await ioc.faults.set(document)
            assert readback.value == before
            said.append(str(caught.value))
        await ioc.close()
        return said

    for (_, expected), sentence in zip(WRONG_VALUES, asyncio.run(sentences()), strict=True):
        assert re.match(expected.replace("?", "[?]"), sentence), sentence
        assert "\n" not in sentence


def _pv_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def test_put_of_a_client_is_refused_as_a_line_of_the_file_is():
    async def put() -> None:
        table = FaultTable(PvTable("T:Sim:"))
        FaultPvs(table, Faults())
        await table.pvs["T:Sim:DropFraction"].write(5.0)

    with pytest.raises(FaultError, match="5 cannot be: give a number from 0 to 1"):
        asyncio.run(put())


@pytest.mark.parametrize(("text", "reason"), [("- 1", "no table"), ("a: [", "no YAML"), ("1: 2", "no table")])
def test_file_that_is_no_table_of_faults_is_refused(tmp_path: Path, text: str, reason: str):
    path = tmp_path / "faults.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FaultError, match=reason):
        read_faults(path)


def test_empty_file_is_no_fault(tmp_path: Path):
    path = tmp_path / "faults.yaml"
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert read_faults(path) == {}


def test_page_tells_of_every_fault_and_its_example_can_be_set():
    page = (Path(__file__).parents[3] / "docs" / "reference" / "iocsim.md").read_text(encoding="utf-8")
    section = page.partition("### Faults on command")[2].partition("\n### ")[0]
    example = yaml.safe_load(section.partition("```text")[2].partition("```")[0])

    async def names() -> set[str]:
        ioc = Ioc(make_beamline(BeamlineConfig(shape=(32, 40))), "SIM:", faults=Faults())
        await ioc.faults.set(example)
        await ioc.close()
        return set(ioc.faults.names)

    assert set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\|([^|]*)\|", section, re.M)))) == asyncio.run(names())
