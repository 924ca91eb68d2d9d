"""Layouts from XML in the simulated NDFileHDF5: what the real one does with right ones, and with wrong ones."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from iocsim.detector.ndarray import NDArray, NDAttribute, SourceType
from iocsim.hdf5.file import FileOptions, NDFile
from iocsim.hdf5.xml import LayoutFileError, load_layout
from iocsim.hdf5.xml_layout import XmlLayout

RECORDED_TREE = (Path(__file__).parents[2] / "data" / "adcore_h5_tree_xmlfile.txt").read_text()
NOT_SIMULATED = ("I8", "I64", "Pi")
"""Columns of C functions that only an IOC has."""

AS_RECORDED = """<?xml version="1.0"?>
<hdf5_layout>
  <group name="entry">
    <attribute name="NX_class" source="constant" value="NXentry" type="string"/>
    <dataset name="definition" source="constant" value="NXptycho" type="string"/>
    <dataset name="answer" source="constant" value="42" type="int"/>
    <dataset name="vec" source="constant" value="1,2,3" type="int"/>
    <dataset name="fval" source="constant" value="1.5" type="float"/>
    <group name="instrument">
      <attribute name="NX_class" source="constant" value="NXinstrument" type="string"/>
      <group name="detector">
        <attribute name="NX_class" source="constant" value="NXdetector" type="string"/>
      </group>
      <group name="performance"><dataset name="timestamp"/></group>
    </group>
    <group name="data">
      <dataset name="data" source="detector" det_default="true">
        <attribute name="signal" source="constant" value="1" type="int"/>
        <attribute name="sample_at_close" source="ndattribute" ndattribute="sampleName" when="OnFileClose"/>
      </dataset>
    </group>
    <group name="scan">
      <dataset name="posx" source="ndattribute" ndattribute="posx">
        <attribute name="units" source="constant" value="um" type="string"/>
      </dataset>
      <dataset name="posy" source="ndattribute" ndattribute="posy"/>
      <dataset name="index" source="ndattribute" ndattribute="scanIndex"/>
      <dataset name="uid" source="ndattribute" ndattribute="NDArrayUniqueId"/>
      <dataset name="ts" source="ndattribute" ndattribute="NDArrayTimeStamp"/>
      <dataset name="sample_close" source="ndattribute" ndattribute="sampleName" when="OnFileClose"/>
    </group>
    <group name="attrs" ndattr_default="true"/>
  </group>
</hdf5_layout>
"""
LAYOUT = """<?xml version="1.0"?>
<hdf5_layout>
  <group name="entry">
    <group name="data"><dataset name="data" source="detector"/></group>
    <dataset name="posx" source="ndattribute" ndattribute="posx"/>
    <group name="rest" ndattr_default="true"/>
  </group>
</hdf5_layout>
"""


def frame(unique_id: int, sample: str = "siemens_star", shape: tuple[int, int] = (4, 6)) -> NDArray:
    attributes = (
        NDAttribute("ColorMode", 0, "Color mode", SourceType.DRIVER, "Driver"),
        NDAttribute("posx", 0.5 * unique_id, "scan x, um", SourceType.EPICS_PV, "13SIM1:posx"),
        NDAttribute("posy", 0.0, "scan y, um", SourceType.EPICS_PV, "13SIM1:posy"),
        NDAttribute("scanIndex", 99, "scan point index", SourceType.EPICS_PV, "13SIM1:scanIndex"),
        NDAttribute("sampleName", sample, "sample", SourceType.EPICS_PV, "13SIM1:sampleName"),
        NDAttribute("NotThere", None, "a disconnected PV", SourceType.EPICS_PV, "NO:SUCH:PV"),
        NDAttribute("AcqTime", 0.001, "acquire time", SourceType.PARAM, "ACQ_TIME"),
        NDAttribute("ArrayCounter", unique_id, "driver array counter", SourceType.PARAM, "ARRAY_COUNTER"),
        NDAttribute("Model", "Basic simulator", "model", SourceType.PARAM, "MODEL"),
        NDAttribute("Beamline", "2-ID-X", "a constant", SourceType.CONSTANT, "2-ID-X"),
    )
    return NDArray(np.full(shape, unique_id, np.uint16), unique_id, 1_795_217_855_369_781_080 + unique_id, attributes)


def write(path: Path, xml: str, frames: list[NDArray], **options: Any) -> Path:
    file = NDFile(path, frames[0], XmlLayout(load_layout(xml)), FileOptions(**options))
    for array in frames:
        file.append(array)
    file.close()
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "scan.h5"


def lines_of(file: h5py.File) -> list[str]:
    lines: list[str] = []

    def note(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Group):
            lines.append(f"G /{name}")
        else:
            lines.append(
                f"D /{name} shape={item.shape} maxshape={item.maxshape} dtype={item.dtype} chunks={item.chunks} "
                f"fill={item.fillvalue!r}"
            )
        lines.extend(f"    @{key} ({item.attrs.get_id(key).dtype})" for key in sorted(item.attrs))

    file.visititems(note)
    return lines


def recorded_lines() -> list[str]:
    lines: list[str] = []
    keep = True
    for line in RECORDED_TREE.splitlines():
        if line.startswith(("G ", "D ")):
            keep = line.split()[1].rpartition("/")[2] not in NOT_SIMULATED
        if not keep:
            continue
        if line.startswith("    @"):
            matched = re.fullmatch(r"    @(\w+) = .* \(([^()]+)\)", line)
            assert matched is not None, line
            lines.append(f"    @{matched[1]} ({matched[2]})")
        else:
            lines.append(re.sub(r" filters=\{\}| first=.*", "", line))
    return lines


def test_tree_is_the_one_that_the_real_plugin_made(out: Path) -> None:
    frames = [frame(n, "half_way" if n == 100 else "start", (256, 256)) for n in range(1, 101)]
    with h5py.File(write(out, AS_RECORDED, frames, num_capture=100)) as file:
        found, recorded = lines_of(file), recorded_lines()
        host = next(n for n, line in enumerate(recorded) if "@hostname" in line)
        found[host] = recorded[host]  # the name of the machine has its own length
        assert len(recorded) > 70
        assert found == recorded
        assert file["/entry/data/data"].attrs["sample_at_close"] == b"half_way"
        assert file["/entry/scan/sample_close"][()].tolist() == [b"half_way"]
        assert file["/entry/scan/uid"][()].tolist() == list(range(1, 101))
        assert file["/entry/vec"][()].tolist() == [1, 2, 3]
        assert np.isnan(file["/entry/attrs/NotThere"][()]).all()


def test_of_two_datasets_of_one_ndattribute_the_first_by_name_is_written(out: Path) -> None:
    xml = LAYOUT.replace(
        '<group name="rest"', '<dataset name="a" source="ndattribute" ndattribute="posx"/><group name="rest"'
    )
    with h5py.File(write(out, xml, [frame(1), frame(2)])) as file:
        assert file["/entry/a"][()].tolist() == [0.5, 1.0]
        assert "posx" not in file["/entry"]


def test_what_the_parser_does_not_know_is_ignored(out: Path) -> None:
    xml = LAYOUT.replace('source="detector"', 'source="detector" dims="N,Y,X" compress="lz4"').replace(
        '<group name="rest"', '<dataset name="mask" source="NDArray"/><softlink name="x"/><group name="rest"'
    )
    with h5py.File(write(out, xml, [frame(1)])) as file:
        assert file["/entry/data/data"].shape == (1, 4, 6)
        assert set(file["/entry"]) == {"data", "posx", "rest"}


def test_without_a_detector_dataset_a_file_of_empty_groups_is_left(out: Path) -> None:
    with pytest.raises(ValueError, match="status=3"):
        write(out, LAYOUT.replace('source="detector"', 'source="NDArray"'), [frame(1)])
    with h5py.File(out) as file:
        assert list(file["/entry"]) == ["data", "rest"]
        assert list(file["/entry/data"]) == []


@pytest.mark.parametrize(
    ("root", "rest", "expected"),
    [
        ("<hdf5_layout>", '<group name="rest" ndattr_default="true"/>', "/entry/rest"),
        ("<hdf5_layout>", "", "/"),
        ('<hdf5_layout auto_ndattr_default="false">', "", None),
    ],
)
def test_unnamed_attributes_go_to_the_default_group_or_the_root(
    out: Path, root: str, rest: str, expected: str | None
) -> None:
    xml = LAYOUT.replace("<hdf5_layout>", root).replace('<group name="rest" ndattr_default="true"/>', rest)
    with h5py.File(write(out, xml, [frame(1)])) as file:
        assert file["/entry/posx"][()].tolist() == [0.5]
        for name in ("NDArrayUniqueId", "posy", "timestamp"):
            assert (f"{expected}/{name}" in file) is (expected is not None)


def test_hard_links_are_made_last_and_those_to_nowhere_are_not(out: Path) -> None:
    links = '<hardlink name="x" target="/entry/posx"/><hardlink name="y" target="/entry/rest/posy"/>'
    xml = LAYOUT.replace(
        '<group name="data">',
        f'<group name="a">{links}<hardlink name="z" target="/entry/z"/></group><group name="data">',
    )
    with h5py.File(write(out, xml, [frame(3)])) as file:
        assert set(file["/entry/a"]) == {"x", "y"}
        assert file["/entry/a/x"][0] == 1.5 and file["/entry/a/y"].id == file["/entry/rest/posy"].id


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [("int", "7", 7), ("int", "7 m", 7), ("int", "0.1", 0), ("float", "1e-5", 1e-5), ("float", "1.5,2", [1.5, 2.0])],
)
def test_constants_are_read_as_far_as_they_are_numbers(out: Path, kind: str, value: str, expected: Any) -> None:
    xml = LAYOUT.replace(
        '<group name="rest"', f'<dataset name="c" source="constant" type="{kind}" value="{value}"/><group name="rest"'
    )
    with h5py.File(write(out, xml, [frame(1)])) as file:
        assert np.asarray(file["/entry/c"][()]).tolist() == expected


AT_CLOSE = '<attribute name="x" source="ndattribute" ndattribute="posx" when="OnFileClose"/>'


@pytest.mark.parametrize("swmr", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "stays_open"),
    [
        ("<hdf5_layout>", "<hdf5_layout>", False),
        ('source="detector"/>', f'source="detector">{AT_CLOSE}</dataset>', True),
        ('<group name="data">', f'<group name="data">{AT_CLOSE}', False),
    ],
)
def test_attribute_of_a_dataset_at_close_with_swmr_leaves_the_file_not_closed(
    out: Path, swmr: bool, old: str, new: str, stays_open: bool
) -> None:
    """On a group, and as the value of a column, the same is closed."""
    xml = LAYOUT.replace('ndattribute="posx"', 'ndattribute="posx" when="OnFileClose"').replace(old, new)
    write(out, xml, [frame(1), frame(2)], swmr=swmr, column_chunk=1, flush_every=1)
    if swmr and stays_open:
        with pytest.raises(OSError, match="file is already open for write"):
            h5py.File(out)
    with h5py.File(out, swmr=swmr and stays_open) as file:
        assert file["/entry/posx"][()].tolist() == [1.0]
        assert file["/entry/data/data"][:, 0, 0].tolist() == [1, 2]
        assert file["/entry/rest/NDArrayUniqueId"][()].tolist() == [1, 2]


@pytest.mark.parametrize("when", ["", ' when="OnFileOpen"', ' when="OnFileClose"'])
def test_text_beyond_ascii_is_written_as_utf8(out: Path, when: str) -> None:
    xml = LAYOUT.replace('ndattribute="posx"', f'ndattribute="sampleName"{when}').replace(
        "<group", "<!-- µ --><group", 1
    )
    frames = [
        replace(frame(1, "é µ 样"), attributes=(NDAttribute("sampleName", "é µ 样", "Nº", SourceType.EPICS_PV, "é"),))
    ]
    with h5py.File(write(out, xml, frames)) as file:
        dataset = file["/entry/posx"]
        assert dataset[0].decode() == "é µ 样"
        assert dataset.attrs["NDAttrDescription"].decode() == "Nº"


def test_value_at_open_is_that_of_the_first_frame(out: Path) -> None:
    xml = LAYOUT.replace('ndattribute="posx"', 'ndattribute="posx" when="OnFileOpen"')
    with h5py.File(write(out, xml, [frame(1), frame(2)], swmr=True)) as file:
        assert file["/entry/posx"][()].tolist() == [0.5]


@pytest.mark.parametrize(
    ("name_or_xml", "message"),
    [
        ("/nowhere/layout.xml", "XML description file cannot be opened"),
        (LAYOUT[:100], "XML description file parser error"),
        (LAYOUT.partition("\n")[2], "XML description file cannot be opened"),
    ],
)
def test_what_is_no_xml_is_said_in_the_words_of_the_real_plugin(name_or_xml: str, message: str) -> None:
    with pytest.raises(LayoutFileError, match=message):
        load_layout(name_or_xml)


@pytest.mark.parametrize(
    "odd",
    [
        '<group name="data"><dataset name="more" source="constant" value="1"/></group>',
        '<group ndattr_default="false"/>',
    ],
)
def test_element_that_is_not_taken_moves_the_rest_up(out: Path, odd: str) -> None:
    """A second one of a name, or one without: its end goes up from where nothing went down."""
    xml = LAYOUT.replace('<group name="rest"', f'{odd}<group name="rest"')
    with h5py.File(write(out, xml, [frame(1)])) as file:
        assert "rest" in file
        assert "rest" not in file["/entry"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('<group name="entry">', '<dataset name="d" source="detector"/><group name="entry">'),
        ('ndattribute="posx"', 'ndattribute="posx" det_default="true"'),
    ],
)
def test_layouts_that_kill_the_real_ioc_are_known(old: str, new: str) -> None:
    assert load_layout(LAYOUT).fatal == ""
    assert load_layout(LAYOUT.replace(old, new)).fatal != ""


def test_any_root_element_is_accepted(out: Path) -> None:
    with h5py.File(write(out, LAYOUT.replace("hdf5_layout", "anything"), [frame(1)])) as file:
        assert file["/entry/data/data"].shape == (1, 4, 6)
