"""Numbers of recordings: the operator wins and is told; units in any spelling; the photons' energy, not the ring's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from stream_service.cli.main import app

N = 16
JOULES_PER_EV = 1.602176634e-19
X_UM, Y_UM = np.arange(N) % 4 * 1.0, np.arange(N) // 4 * 1.0
FRAMES = np.random.default_rng(0).poisson(20, (N, 64, 64)).astype("u2")
GEOMETRY = ("--det-dist-m", "0.1", "--pixel-m", "30e-6", "--exposure-s", "0.1")


def tree(path: Path, datasets: dict[str, Any]) -> Path:
    """A file of datasets; `path@units` is the unit of one."""
    with h5py.File(path, "w") as file:
        for name, value in sorted(datasets.items()):
            dataset, _, attribute = name.partition("@")
            if attribute:
                file[dataset].attrs[attribute] = value
            else:
                file[dataset] = value
    return path


def cxi(path: Path, **changes: Any) -> Path:
    """A small CXI file: 700 eV, 0.1 m, 30 um; `changes` by path in `instrument_1`."""
    inside = {
        "detector_1/data": FRAMES,
        "detector_1/distance": 0.1,
        "detector_1/x_pixel_size": 3e-5,
        "detector_1/translation": np.column_stack([X_UM, Y_UM, 0 * X_UM]) * 1e-6,
        "source_1/energy": 700 * JOULES_PER_EV,
    } | changes
    return tree(path, {f"/entry_1/instrument_1/{name}": value for name, value in inside.items()})


def areadetector(path: Path, columns: dict[str, tuple[Any, str]]) -> Path:
    """A file of NDFileHDF5; `columns` by name, with their descriptions."""
    own = {"NDArrayUniqueId": (np.arange(1, N + 1, dtype="i4"), "")}
    with h5py.File(path, "w") as file:
        data = file.create_dataset("/entry/data/data", data=FRAMES, chunks=(1, 64, 64))
        data.attrs["NDArrayNumDims"] = np.int32(2)
        for name, (values, text) in (own | columns).items():
            column = file.create_dataset(f"/entry/instrument/NDAttributes/{name}", data=values)
            column.attrs["NDAttrName"], column.attrs["NDAttrDescription"] = np.bytes_(name), np.bytes_(text)
    return path


def ingest(source: Path, *options: str) -> tuple[int, str, Path]:
    """Exit code, all that is said on one line, and the output."""
    output = source.with_name("out_std.h5")
    words = ["ingest", "hdf5", "--input", str(source), "--output", str(output), *options]
    result = CliRunner().invoke(app, words)
    said = result.output + ("" if result.exception is None else str(result.exception))
    return result.exit_code, " ".join(said.split()), output


def values(path: Path, name: str) -> np.ndarray[Any, Any]:
    with h5py.File(path) as file:
        dataset = file[f"/entry/{name}"]
        assert isinstance(dataset, h5py.Dataset)
        return np.asarray(dataset[()])


# --- what the operator says wins, and is told


@pytest.mark.parametrize(
    ("option", "value", "name", "recorded"),
    [
        ("--energy-eV", 800.0, "energy_eV", "700"),
        ("--det-dist-m", 0.2, "det_dist_m", "0.1"),
        ("--pixel-m", 5e-5, "pixel_m", "3e-05"),
        ("--exposure-s", 0.25, "exposure_s", "0.5"),
    ],
)
def test_an_option_wins_over_the_file_and_is_told(
    tmp_path: Path, option: str, value: float, name: str, recorded: str
) -> None:
    source = cxi(tmp_path / "scan.cxi", **{"detector_1/count_time": 0.5})
    code, said, output = ingest(source, option, f"{value:g}")
    assert code == 0, said
    assert values(output, name) == pytest.approx(value, rel=1e-6)
    assert f"{name} is {value:g}, as {option} says; recorded is {recorded}" in said
    if name in ("energy_eV", "exposure_s"):
        assert values(output, f"frames/{name}") == pytest.approx(np.full(N, value))


@pytest.mark.parametrize(
    ("place", "option", "name"),
    [("detector_1/count_time", "--exposure-s", "exposure_s"), ("source_1/energy", "--energy-eV", "energy_eV")],
)
def test_an_option_wins_over_a_value_of_each_frame(tmp_path: Path, place: str, option: str, name: str) -> None:
    source = cxi(tmp_path / "scan.cxi", **{place: np.linspace(700, 710, N)})
    code, said, output = ingest(source, option, "80")
    assert code == 0, said
    assert set(values(output, f"frames/{name}").tolist()) == {80.0} and values(output, name) == 80
    assert f"80 {'eV' if 'energy' in name else 's'} in every row, as {option} says" in said
    assert f"(700 {'eV' if 'energy' in name else 's'} in the first)" in said


def test_an_option_wins_over_a_log(tmp_path: Path) -> None:
    source, log = areadetector(tmp_path / "scan.h5", {}), tmp_path / "log.csv"
    rows = [f"{i},{X_UM[i]},{Y_UM[i]},700" for i in range(N)]
    log.write_text("\n".join(["frame_index,posx_um,posy_um,energy_eV", *rows]))
    code, said, output = ingest(source, "--readbacks", str(log), "--energy-eV", "800", *GEOMETRY)
    assert code == 0, said
    assert set(values(output, "frames/energy_eV").tolist()) == {800.0} and "as --energy-eV says" in said


@pytest.mark.parametrize("unit", ["furlong", "10^-3 m"])
def test_an_option_is_not_held_up_by_what_is_wrong_in_the_file(tmp_path: Path, unit: str) -> None:
    source = cxi(tmp_path / "scan.cxi", **{"detector_1/distance@units": unit})
    code, said, _ = ingest(source)
    assert code != 0 and f"has the unit '{unit}'" in said and "or give the right --det-dist-m" in said
    code, said, output = ingest(source, "--det-dist-m", "0.1")
    assert code == 0 and values(output, "det_dist_m") == 0.1 and "as --det-dist-m says" in said


@pytest.mark.parametrize(
    ("place", "value", "option", "sentence"),
    [
        ("source_1/energy", 3.0, "--energy-eV", "energy_eV is 3 eV, outside 10 to 200000 eV"),
        ("detector_1/distance", 120.0, "--det-dist-m", "det_dist_m is 120 m, outside 0.001 to 100 m"),
        ("detector_1/x_pixel_size", 30.0, "--pixel-m", "pixel_m is 30 m, outside 1e-07 to 0.01 m"),
        ("detector_1/count_time", -1.0, "--exposure-s", "exposure_s is -1 s, outside 1e-07 to 100000 s"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_unless_it_is_given(
    tmp_path: Path, place: str, value: float, option: str, sentence: str
) -> None:
    source = cxi(tmp_path / "scan.cxi", **{"detector_1/count_time": 0.5, place: value})
    code, said, output = ingest(source)
    assert code != 0 and sentence in said and f"Give the right one: {option}" in said and not output.exists()
    right = {"--energy-eV": "700", "--det-dist-m": "0.1", "--pixel-m": "3e-5", "--exposure-s": "1"}[option]
    code, said, _ = ingest(source, option, right)
    assert code == 0, said
    code, said, _ = ingest(source, option, "-5", "--force")
    assert code != 0 and f"{option} -5 cannot be: it is -5" in said


def test_a_scan_within_one_pixel_is_told_at_once(tmp_path: Path) -> None:
    code, said, _ = ingest(cxi(tmp_path / "scan.cxi"), "--det-dist-m", "100", "--energy-eV", "80")
    assert code == 0 and "less than one pixel of the object" in said and "--det-dist-m" in said


def test_the_unit_of_positions_that_is_given_wins(tmp_path: Path) -> None:
    source = cxi(tmp_path / "scan.cxi", **{"detector_1/translation@units": "m"})
    code, said, output = ingest(source, "--pos-unit", "cm")
    assert code == 0, said
    assert np.ptp(values(output, "posx_m")) == pytest.approx(3e-8)
    assert "is taken in cm, as --pos-unit says; the file says m" in said


def test_a_unit_of_positions_that_is_none_is_refused(tmp_path: Path) -> None:
    code, said, _ = ingest(cxi(tmp_path / "scan.cxi"), "--pos-unit", "inch")
    assert code != 0 and "--pos-unit 'inch' is not a unit of a length: give m, mm, um or nm" in said


# --- units


@pytest.mark.further(but=7)
@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("meter", 0.1),
        ("metre", 0.1),
        ("Meters", 0.1),
        ("millimeters", 100.0),
        ("MM", 100.0),
        ("cm", 10.0),
        ("centimetres", 10.0),
        ("micrometre", 1e5),
        ("microns", 1e5),
        ("\u00b5m", 1e5),
        ("\u03bcm", 1e5),
        (b"\xb5m", 1e5),
        (b"um", 1e5),
        ("[um]", 1e5),
        ("nanometer", 1e8),
        ("Angstrom", 1e9),
        ("\u00c5", 1e9),
        ("\u212b", 1e9),
    ],
)
def test_a_length_is_read_in_any_spelling_of_its_unit(tmp_path: Path, unit: Any, value: float) -> None:
    stored = np.bytes_(unit) if isinstance(unit, bytes) else unit
    source = cxi(tmp_path / "scan.cxi", **{"detector_1/distance": value, "detector_1/distance@units": stored})
    code, said, output = ingest(source, "--exposure-s", "0.1")
    assert code == 0, said
    assert values(output, "det_dist_m") == pytest.approx(0.1)


def test_well_known_positions_without_a_unit_take_the_given_one(tmp_path: Path) -> None:
    source = areadetector(tmp_path / "scan.h5", {"Xpos": (X_UM, "sample x"), "Ypos": (Y_UM, "sample y")})
    options = ("--energy-eV", "700", *GEOMETRY)
    code, said, _ = ingest(source, *options)
    assert code != 0 and "the NDAttribute 'Xpos' has no unit: give --pos-unit, such as --pos-unit um" in said
    code, said, output = ingest(source, "--pos-unit", "um", *options)
    assert code == 0, said
    assert values(output, "posx_m") == pytest.approx(X_UM * 1e-6)
    assert "x is the NDAttribute 'Xpos' in um, as --pos-unit says" in said


# --- the photons' energy


RING = {"source_1/energy": 3.0}


@pytest.mark.parametrize(
    ("places", "note"),
    [
        ({**RING, "beam_1/energy": 700.0, "beam_1/energy@units": "eV"}, "is 3 eV, no photon's energy"),
        ({**RING, "beam_1/incident_energy": 0.7, "beam_1/incident_energy@units": "keV"}, "no photon's energy"),
        ({**RING, "source_1/energy@units": "GeV", "beam_1/incident_beam_energy": 700 * JOULES_PER_EV}, "3e+09 eV"),
        ({**RING, "beam_1/incident_wavelength": 17.712, "beam_1/incident_wavelength@units": "angstrom"}, "no photon's"),
        ({**RING, "source_1/wavelength": 1.7712, "source_1/wavelength@units": "nm"}, "no photon's energy"),
        ({**RING, "monochromator_1/energy": 700.0, "monochromator_1/energy@units": "eV"}, "no photon's energy"),
        ({"source_1/energy": 710 * JOULES_PER_EV, "beam_1/energy": 700.0}, "source_1/energy says 710 eV"),
        ({**RING, "beam_1/energy": np.full(N, 700.0), "beam_1/energy@units": "eV"}, "no photon's energy"),
        ({**RING, "beam_1/wavelength": np.full(N, 1.7712), "beam_1/wavelength@units": "nm"}, "no photon's energy"),
    ],
)
def test_the_energy_is_that_of_the_photons(tmp_path: Path, places: dict[str, Any], note: str) -> None:
    code, said, output = ingest(cxi(tmp_path / "scan.cxi", **places))
    assert code == 0, said
    assert values(output, "energy_eV") == pytest.approx(700, rel=1e-3)
    assert values(output, "frames/energy_eV") == pytest.approx(np.full(N, 700), rel=1e-3)
    assert note in said


def test_the_source_of_an_nxcxi_ptycho_file_is_the_ring(tmp_path: Path) -> None:
    source = cxi(tmp_path / "scan.cxi", **{"source_1/energy": 1500.0})
    with h5py.File(source, "r+") as file:
        file["/entry_1/definition"] = "NXcxi_ptycho"
    code, said, _ = ingest(source)
    assert code != 0 and "is the storage ring's energy; or give the right --energy-eV" in said
    code, said, output = ingest(source, "--energy-eV", "700")
    assert code == 0 and values(output, "energy_eV") == 700


@pytest.mark.parametrize(
    ("name", "value", "unit"), [("incident_wavelength", 17.712, "angstrom"), ("incident_energy", 0.7, "keV")]
)
def test_nxmx_numbers_are_found(tmp_path: Path, name: str, value: float, unit: str) -> None:
    source = tree(
        tmp_path / "scan.h5",
        {
            "/entry/data/data": FRAMES,
            f"/entry/instrument/beam/{name}": value,
            f"/entry/instrument/beam/{name}@units": unit,
            "/entry/instrument/detector/distance": 100.0,
            "/entry/instrument/detector/distance@units": "mm",
            "/entry/instrument/detector/x_pixel_size": 30.0,
            "/entry/instrument/detector/x_pixel_size@units": "microns",
            "/x": X_UM,
            "/y": Y_UM,
        },
    )
    paths = ("--data-path", "/entry/data/data", "--pos-x-path", "/x", "--pos-y-path", "/y", "--pos-unit", "um")
    code, said, output = ingest(source, *paths)
    assert code == 0, said
    assert values(output, "energy_eV") == pytest.approx(700, rel=1e-3)
    assert values(output, "det_dist_m") == pytest.approx(0.1) and values(output, "pixel_m") == pytest.approx(3e-5)


# --- a log beside an HDF5 file


def test_a_log_with_its_own_names_is_taken_by_the_same_options_as_a_sidecar(tmp_path: Path) -> None:
    source, log = areadetector(tmp_path / "scan.h5", {}), tmp_path / "bluesky.csv"
    log.write_text("\n".join(["seq_num,motor_a,motor_b", *(f"{i + 1},{X_UM[i]},{Y_UM[i]}" for i in range(N))]))
    readbacks = ("--readbacks", str(log), "--energy-eV", "700", *GEOMETRY)
    columns = ("--column", "posx=motor_a", "--column", "posy=motor_b", "--column", "frame_index=seq_num")
    code, said, _ = ingest(source, *readbacks)
    assert code != 0 and "Name the right ones: --column posx=NAME --column posy=NAME" in said
    code, said, _ = ingest(source, *readbacks, *columns)
    assert code != 0 and "give it, such as --unit posx=um --unit posy=um" in said
    hint = " ".join(re.findall(r"--unit \w+=\w+", said.split("such as")[1])).split()
    code, said, output = ingest(source, *readbacks, *columns, *hint, "--stage-map=-1,0,0,-1", "--row-offset", "1")
    assert code == 0, said
    assert values(output, "posx_m").min() == pytest.approx(-3e-6) and values(output, "posx_m").max() == 0
    assert "posx_m from motor_a in um" in said


def test_options_about_a_log_ask_for_it(tmp_path: Path) -> None:
    code, said, _ = ingest(cxi(tmp_path / "scan.cxi"), "--unit", "posx=um")
    assert code != 0 and "--unit is about --readbacks: give that, too" in said


def test_the_unit_of_recorded_readbacks_can_be_given(tmp_path: Path) -> None:
    source, live = areadetector(tmp_path / "scan.h5", {}), tmp_path / "live.h5"
    history = {"value": X_UM, "timestamp_ns": np.arange(N) + 1_795_218_868_000_000_000}
    tree(live, {f"/entry/readbacks/{axis}/{name}": value for axis in "xy" for name, value in history.items()})
    readbacks = ("--readbacks", str(live), "--energy-eV", "700", *GEOMETRY)
    code, said, _ = ingest(source, *readbacks)
    assert code != 0 and "has no unit (@units); it must be one of m, mm, um, nm" in said and "--unit x=um" in said
    assert "no unit" not in ingest(source, *readbacks, "--unit", "x=um", "--unit", "y=um")[1]
    assert "--unit x=h: the unit must be m, mm, um or nm" in ingest(source, *readbacks, "--unit", "posx=h")[1]
