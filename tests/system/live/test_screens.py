"""Every PV of the Phoebus screens is served by a daemon that runs, over the protocol that the screen asks for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from limits import HANG_S
from p4p.client.thread import Context
from rig import Rig, Rigs

SCREENS = Path(__file__).resolve().parents[3] / "screens"
PREFIX = "$(P)"


def pv_names(screen: Path) -> set[str]:
    """Names of the PVs of a screen as Phoebus is given them, those that buttons put among them."""
    return {element.text or "" for element in ET.parse(screen).getroot().iter("pv_name")}


@pytest.fixture(scope="module")
def rig(start_ioc: Callable[..., Any], rigs: Rigs) -> Rig:
    return rigs.beside(start_ioc().prefix)


@pytest.fixture(scope="module")
def pva(rig: Rig) -> Any:
    with closing(Context("pva", nt=False)) as context:
        yield context


@pytest.mark.parametrize("screen", sorted(SCREENS.glob("*.bob")), ids=lambda screen: screen.stem)
def test_every_pv_of_a_screen_is_served(screen: Path, rig: Rig, pva: Context) -> None:
    names = pv_names(screen)
    assert len(names) > 20
    over_ca = sorted(name.removeprefix(f"ca://{PREFIX}") for name in names if name.startswith(f"ca://{PREFIX}"))
    over_pva = sorted(name.removeprefix(f"pva://{PREFIX}") for name in names if name.startswith(f"pva://{PREFIX}"))
    assert len(over_ca) + len(over_pva) == len(names), "a PV without protocol or prefix"
    for name in over_ca:
        rig.service.pv(name)
    values = pva.get([rig.service.prefix + name for name in over_pva], timeout=HANG_S)
    assert {value.getID() for value in values} <= {"epics:nt/NTNDArray:1.0", "epics:nt/NTTable:1.0"}
