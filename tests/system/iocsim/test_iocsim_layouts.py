"""Layouts and attribute files set by PV: what the simulated beamline accepts, and what it records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import p4p.client.thread
import pytest
from beamline_client import BeamlineClient
from layout_corpus import SEED_FRAGMENT
from limits import HANG_S

LAYOUT = """<?xml version="1.0"?>
<hdf5_layout>
  <group name="entry">
    <group name="data"><dataset name="data" source="detector"/></group>
    <dataset name="posx" source="ndattribute" ndattribute="POSX"/>
    <group name="rest" ndattr_default="true"/>
  </group>
</hdf5_layout>"""


@pytest.fixture(scope="module")
def ioc(start_ioc: Callable[..., Any]) -> Any:
    return start_ioc("--shape", "32,48", "--stack", "4")


@pytest.fixture
def beamline(ioc: Any, tmp_path: Path) -> Iterator[BeamlineClient]:
    client = BeamlineClient(ioc.prefix)
    client.set_hdf1(
        tmp_path, HDF1__BlockingCallbacks="Yes", HDF1__SWMRMode="Off", HDF1__NDAttributeChunk=1, HDF1__NumFramesFlush=1
    )
    client.put_all(Sim__EraseNDAttributes=1, cam1__NDAttributesMacros="")
    client.put("cam1:NDAttributesFile", "")
    yield client
    client.put("HDF1:Capture", 0)
    client.close()


@pytest.fixture
def attributes(ioc: Any, tmp_path: Path) -> str:
    """The path of an attributes file; its PVs begin with $(P)."""
    path = tmp_path / "attributes.xml"
    path.write_text(
        '<Attributes><Attribute name="POSX" type="EPICS_PV" source="$(P)X.RBV" dbrtype="DBR_DOUBLE"/>'
        '<Attribute name="MODE" type="EPICS_PV" source="$(P)cam1:ImageMode_RBV" dbrtype="DBR_NATIVE"/>'
        '<Attribute name="GONE" type="EPICS_PV" source="$(P)NoSuch" dbrtype="DBR_DOUBLE"/>'
        '<Attribute name="EXPOSE" type="PARAM" source="ACQ_TIME" datatype="DOUBLE"/>'
        '<Attribute name="NUMBER" type="PARAM" source="ARRAY_COUNTER" datatype="INT"/>'
        '<Attribute name="LAB" type="CONST" source="SIM"/>'
        '<Attribute name="ODD" type="FUNCTION" source="myFunction" param="a"/></Attributes>'
    )
    return str(path)


def load(beamline: BeamlineClient, attributes: str) -> str:
    beamline.put("cam1:NDAttributesMacros", f"P={beamline.prefix}")
    beamline.put("cam1:NDAttributesFile", attributes)
    return beamline.get("cam1:NDAttributesStatus")


def record(beamline: BeamlineClient, n_frames: int) -> None:
    beamline.begin_capture()
    beamline.acquire(n_frames)


def test_columns_are_those_of_the_attributes_file(beamline: BeamlineClient, attributes: str, tmp_path: Path) -> None:
    assert load(beamline, attributes) == "Attributes file OK"
    beamline.put("HDF1:XMLFileName", LAYOUT)
    assert (beamline.get("HDF1:XMLValid_RBV"), beamline.get("HDF1:XMLErrorMsg_RBV")) == ("Yes", "")
    beamline.put("X", 1.5)
    record(beamline, 2)
    beamline.put("HDF1:Capture", 0)
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file["/entry/posx"][()].tolist() == [1.5, 1.5]
        rest = file["/entry/rest"]
        assert rest["GONE"].dtype == np.float32 and np.isnan(rest["GONE"][()]).all()
        assert rest["EXPOSE"][0] == beamline.get("cam1:AcquireTime_RBV")
        assert rest["NUMBER"][()].tolist() == rest["NDArrayUniqueId"][()].tolist()
        assert (rest["MODE"].dtype, rest["MODE"][0], rest["LAB"][0]) == (np.int32, 1, b"SIM")
        assert "ODD" not in rest and "posx" not in rest and "ColorMode" in rest


@pytest.mark.further(but=1)
@pytest.mark.parametrize("lazy", ["Yes", "No"])
def test_layout_without_frames_fails_as_quietly_as_on_a_real_ioc(
    beamline: BeamlineClient, tmp_path: Path, lazy: str
) -> None:
    beamline.acquire(1)
    path = tmp_path / "seed.xml"
    path.write_text(SEED_FRAGMENT)
    beamline.put_all(HDF1__XMLFileName=str(path), HDF1__LazyOpen=lazy)
    assert (beamline.get("HDF1:XMLValid_RBV"), beamline.get("HDF1:XMLErrorMsg_RBV")) == ("Yes", "")
    beamline.put("HDF1:Capture", 1, wait=False)
    if lazy == "Yes":
        beamline.wait_for("HDF1:Capture_RBV", "Capturing")
        beamline.acquire(1)
        assert beamline.get("HDF1:Capture_RBV") == "Capturing"
    beamline.wait_for("HDF1:WriteStatus", "Write error")
    assert beamline.get("HDF1:WriteMessage") == f"Error opening file {tmp_path}/scan.h5, status=3"
    assert beamline.get("HDF1:NumCaptured_RBV") == 0
    if lazy == "No":
        assert beamline.get("HDF1:Capture_RBV") == "Done"
    assert (tmp_path / "scan.h5").stat().st_size < 10_000
    beamline.put("HDF1:Capture", 0)
    assert beamline.get("HDF1:WriteStatus") == "Write OK"


def test_reader_sees_columns_only_by_whole_chunks(beamline: BeamlineClient, attributes: str, tmp_path: Path) -> None:
    load(beamline, attributes)
    beamline.put_all(HDF1__XMLFileName=LAYOUT, HDF1__SWMRMode="On", HDF1__NDAttributeChunk=4)
    record(beamline, 6)
    with h5py.File(tmp_path / "scan.h5", swmr=True) as file:
        seen = file["/entry/data/data"].shape[0], file["/entry/posx"].shape[0], file["/entry/rest/NUMBER"].shape[0]
        assert seen == (6, 4, 4)
        beamline.put("HDF1:FlushNow", 1)
        file["/entry/posx"].id.refresh()
        assert file["/entry/posx"].shape[0] == 6


@pytest.mark.further(but=1)
@pytest.mark.parametrize(("erases", "stays"), [(1, False), (0, True)])
def test_arrays_keep_attributes_of_an_earlier_file_unless_erased(
    beamline: BeamlineClient, attributes: str, tmp_path: Path, erases: int, stays: bool
) -> None:
    load(beamline, attributes)
    beamline.put("X", 2.5)
    beamline.acquire(1)
    beamline.put("Sim:EraseNDAttributes", erases)
    beamline.put("cam1:NDAttributesFile", '<Attributes><Attribute name="LAB" type="CONST" source="B"/></Attributes>')
    beamline.put("X", 0.5)
    beamline.put("HDF1:XMLFileName", LAYOUT)
    record(beamline, 2)
    beamline.put("HDF1:Capture", 0)
    with h5py.File(tmp_path / "scan.h5") as file:
        assert file["/entry/rest/LAB"][()].tolist() == [b"B", b"B"]
        assert ("posx" in file["/entry"]) is stays
        if stays:
            assert file["/entry/posx"][()].tolist() == [2.5, 2.5]


@pytest.mark.further(but=1)
@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("/nowhere.xml", "File not found"),
        ("<Attributes><Attribute></Attributes>", "XML syntax error"),
        ('<Attributes><Attribute name="A" source="$(NOT_GIVEN)X"/></Attributes>', "Macro substitution error"),
        ('<Attributes xmlns="x"></Attributes>', "File not found"),
    ],
)
def test_attributes_file_that_cannot_be_used_is_told_by_its_status(
    beamline: BeamlineClient, value: str, status: str
) -> None:
    assert load(beamline, value) == status


def test_frozen_and_foreign_values_after_another_attributes_file(start_ioc: Callable[..., Any]) -> None:
    """As recorded: POSX 3.0, then with a misspelt PV ENERGY's 705.0; with no file, what the last frame had."""
    client = BeamlineClient(start_ioc("--shape", "32,48", "--stack", "2").prefix)
    client.put_all(X=3.0, Energy=705.0)

    def taken(document: str) -> dict[str, tuple[Any, str]]:
        client.put("cam1:NDAttributesFile", document.replace("P:", client.prefix))
        status = client.get("cam1:NDAttributesStatus")
        client.acquire(1)
        with p4p.client.thread.Context("pva", nt=False) as context:
            attributes = context.get(f"{client.prefix}Pva1:Image", timeout=HANG_S).attribute
        assert status == "Attributes file OK"
        return {a.name: (a.value, a.source.removeprefix(client.prefix)) for a in attributes}

    good = (
        '<Attributes><Attribute name="POSX" source="P:X.RBV"/><Attribute name="POSY" source="P:Y.RBV"/>'
        '<Attribute name="ENERGY" source="P:Energy_RBV"/></Attributes>'
    )
    frame = taken(good)
    assert (frame["POSX"], frame["POSY"], frame["ENERGY"]) == ((3.0, "X.RBV"), (0.0, "Y.RBV"), (705.0, "Energy_RBV"))
    frame = taken(good.replace("P:X.RBV", "P:X.RVB"))
    assert (frame["POSX"], frame["POSY"]) == ((705.0, "X.RBV"), (0.0, "Y.RBV"))
    client.put("X", 4.0)
    assert taken(good)["POSX"] == (4.0, "X.RBV")
    client.put("cam1:EmptyFreeList", 1)
    client.put("X", 5.0)
    frame = taken("")
    assert (frame["POSX"], frame["ENERGY"]) == ((4.0, "X.RBV"), (705.0, "Energy_RBV"))
    client.close()


@pytest.mark.further
def test_layout_that_kills_the_real_ioc_ends_this_one(start_ioc: Callable[..., Any], tmp_path: Path) -> None:
    """At the first frame, as there; XMLValid had said Yes."""
    ioc = start_ioc("--shape", "32,48", "--stack", "2")
    client = BeamlineClient(ioc.prefix)
    client.set_hdf1(
        tmp_path,
        HDF1__XMLFileName=LAYOUT.replace(
            '<group name="entry">', '<dataset name="d" source="detector"/><group name="entry">'
        ),
    )
    assert client.get("HDF1:XMLValid_RBV") == "Yes"
    client.begin_capture()
    client.put("cam1:Acquire", 1, wait=False)
    assert ioc.process.wait(HANG_S) == 139
    client.close()
