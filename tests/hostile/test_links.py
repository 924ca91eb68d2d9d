"""Files that point elsewhere: followed below their own folder and those that the operator names, else refused.

Whatever command reads them: nothing of the file that is led to ends in an output, and the reason is a sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import links_corpus
import numpy as np
import pytest
from links_corpus import HDF5, KINDS, NEVER, RAW, SECRET, SHAPE, write_secret
from scripted_run import profile_for
from typer.testing import CliRunner

from stream_service.cli.main import app
from stream_service.errors import ConfigError, PtychostreamError, SourceError
from stream_service.hdf5.opening import open_hdf5
from stream_service.hdf5.targets import AlsoBelow
from stream_service.service.check import check_profile
from stream_service.settings.preprocessing import References
from stream_service.sources.tables.references import read_references
from stream_service.standard_file.rules.validate import validate_file
from stream_service.testing.example_file import write_example

IMAGE = "/entry/dark"
ENVIRONMENT = {"HDF5_EXT_PREFIX": links_corpus.link, "HDF5_VDS_PREFIX": links_corpus.virtual}


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """The folder of a scan."""
    (tmp_path / "scan").mkdir()
    return tmp_path / "scan"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A folder that is none of the scan's."""
    write_secret(tmp_path / "secret")
    return tmp_path / "secret"


def written(scan: Path, put: links_corpus.Put, secret: Path) -> Path:
    path = scan / "scan.h5"
    with h5py.File(path, "w") as file:
        put(file, IMAGE, secret)
    return path


def read(path: Path, also: AlsoBelow = AlsoBelow()) -> np.ndarray:  # noqa: B008  (a value)
    with open_hdf5(path, also).file as file:
        return file[IMAGE][()]


@pytest.mark.parametrize("kind", KINDS)
def test_other_folders_are_not_reached_unless_they_are_named(scan: Path, secret: Path, kind: str) -> None:
    path = written(scan, KINDS[kind], secret)
    with pytest.raises(SourceError, match="outside of") as refused:
        read(path)
    said = str(refused.value)
    assert "\n" not in said and str(secret) in said and str(scan) in said and "--also-below FOLDER" in said
    np.testing.assert_array_equal(read(path, AlsoBelow((secret,))), SECRET)
    with pytest.raises(SourceError, match="outside of"):
        read(path, AlsoBelow((scan / "sub",)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_own_folder_and_what_is_below_is_followed(scan: Path, kind: str) -> None:
    for inside in (scan, scan / "below"):
        write_secret(inside)
        np.testing.assert_array_equal(read(written(scan, KINDS[kind], inside)), SECRET)
        for left in scan.glob("*"):
            if left.is_symlink() or left.is_file():
                left.unlink()


@pytest.mark.parametrize("kind", NEVER)
def test_what_is_no_good_file_is_refused_wherever_it_lies(scan: Path, secret: Path, kind: str) -> None:
    put, reason = NEVER[kind]
    path = written(scan, put, secret)
    with pytest.raises(SourceError, match=reason) as refused:
        read(path)
    assert "\n" not in str(refused.value) and IMAGE in str(refused.value)


def test_numbered_files_are_each_looked_at(scan: Path, secret: Path) -> None:
    path = written(scan, lambda file, path, folder: links_corpus.blocks(file, path, folder / "secret_%b.h5"), secret)
    with pytest.raises(SourceError, match="outside of"):
        read(path)
    np.testing.assert_array_equal(read(path, AlsoBelow((secret,))), [SECRET, SECRET])
    write_secret(scan)
    path = written(scan, lambda file, path, folder: links_corpus.blocks(file, path, "secret_%b.h5"), secret)
    np.testing.assert_array_equal(read(path), [SECRET, SECRET])
    (scan / "secret_1.h5").unlink()
    (scan / "secret_1.h5").symlink_to(secret / "secret_1.h5")
    with pytest.raises(SourceError, match=r"secret_1.h5 .*outside of"):
        read(path)


@pytest.mark.parametrize("variable", ENVIRONMENT)
def test_folders_in_the_environment_are_no_permission(
    scan: Path, secret: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(scan, lambda file, path, _: ENVIRONMENT[variable](file, path, HDF5), secret)
    monkeypatch.setenv(variable, f"/nowhere:{secret}")
    with pytest.raises(SourceError, match="outside of"):
        read(path)


def test_external_storage_is_found_beside_its_file_from_any_folder(
    scan: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 alone looks in the folder where the program was started."""
    path = written(scan, lambda file, path, _: links_corpus.external(file, path, RAW), secret)
    monkeypatch.chdir(secret)
    with pytest.raises(SourceError, match="is not there"):
        read(path)
    (scan / RAW).write_bytes((2 * SECRET).tobytes())
    np.testing.assert_array_equal(read(path), 2 * SECRET)


def test_a_file_in_the_folder_where_the_program_was_started_is_none_of_the_scan(
    scan: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(secret)
    for put in (links_corpus.link, links_corpus.virtual):
        with pytest.raises(SourceError, match="outside of"):
            read(written(scan, lambda file, path, _, put=put: put(file, path, HDF5), secret))


def test_the_folder_of_a_file_is_that_which_a_symbolic_link_leads_to(scan: Path, secret: Path) -> None:
    path = written(scan, lambda file, path, folder: links_corpus.link(file, path, HDF5), secret)
    write_secret(scan)
    (secret / "scan.h5").symlink_to(path)
    with pytest.raises(SourceError, match="outside of"):  # HDF5 would take the file beside the symbolic link
        read(secret / "scan.h5")


# --- every command


class Done(NamedTuple):
    """A command that has ended."""

    exit_code: int
    said: str


def run(*arguments: object) -> Done:
    """A command in this process; an error that it leaves to `main` is said as `main` says it."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    error = done.exception
    if error is None or isinstance(error, SystemExit):
        return Done(done.exit_code, done.output)
    if not isinstance(error, PtychostreamError):
        raise error
    return Done(2 if isinstance(error, ConfigError) else 1, f"{done.output}{error}")


def standard(folder: Path, dataset: str, target: Path, kind: str = "external link") -> Path:
    """A good standard file of which one dataset is kept elsewhere."""
    path = folder / "scan_std.h5"
    write_example(path, 8, frame_shape=(64, 80), swmr=False, pixel_m=75e-6, det_dist_m=0.05)
    with h5py.File(path, "a") as file:
        stored: Any = file[dataset]
        shape, dtype = stored.shape, stored.dtype
        with h5py.File(target, "w") as other:
            other["image"] = stored[()]
        del file[dataset]
        if kind == "external link":
            links_corpus.link(file, dataset, target)
        else:
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource(str(target), "/image", shape)
            file.create_virtual_dataset(dataset, layout)
    return path


COMMANDS = {
    "validate": ("/entry/mask", ["validate", "{scan}"]),
    "ingest": ("/entry/data", ["ingest", "hdf5", "--input", "{scan}", "--output", "{out}.h5"]),
    "replay": ("/entry/pos", ["replay", "{scan}", "--out", "{folder}", "--rate", "1000"]),
    "readbacks": (
        "/entry/readbacks/x/value",
        ["ingest", "hdf5", "--input", "{good}", "--readbacks", "{scan}", "--output", "{out}.h5"],
    ),
    "dark": (
        "/entry/mask",
        ["ingest", "hdf5", "--input", "{good}", "--dark", "{scan}:/entry/mask", "--output", "{out}.h5"],
    ),
    "export": ("/entry/mask", ["export", "{scan}", "--tike", "--out", "{out}.h5"]),
    "recipe": ("/entry/posx_m", ["recipe", "{scan}", "--out", "{out}.py", "--defocus", "1e-5"]),
    "reconstruct": ("/entry/posy_m", ["reconstruct", "{scan}", "--out", "{out}.cxi"]),
    "probe": ("/entry/data", ["probe", "{scan}", "--out", "{out}.cxi", "--estimate"]),
    "orient": ("/entry/pos", ["orient", "{scan}", "--out", "{out}"]),
}


@pytest.mark.further(but=3)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_and_says_how_to_allow_it(scan: Path, tmp_path: Path, command: str) -> None:
    dataset, options = COMMANDS[command]
    kind = ("external link", "virtual")[list(COMMANDS).index(command) % 2]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = standard(scan, dataset, elsewhere / "other.h5", kind)
    write_example(tmp_path / "good.h5", 8, frame_shape=(64, 80), swmr=False, pixel_m=75e-6, det_dist_m=0.05)
    places = {"scan": path, "good": tmp_path / "good.h5", "out": tmp_path / "out", "folder": tmp_path / "made"}
    options = [option.format(**places) for option in options]
    before = sorted(tmp_path.rglob("*"))
    done = run(*options)
    assert done.exit_code == (2 if command == "dark" else 1), done.said
    assert dataset in done.said and "outside of" in done.said and "--also-below FOLDER" in done.said
    assert sorted(tmp_path.rglob("*")) == before, "nothing is left"
    assert "outside of" not in run(*options, "--also-below", elsewhere).said


def test_validate_finds_every_one(scan: Path, secret: Path) -> None:
    path = scan / "scan_std.h5"
    write_example(path, 8, swmr=False)
    assert validate_file(path) == []
    with h5py.File(path, "a") as file:
        del file["/entry/dark"], file["/entry/flat"]
        links_corpus.external(file, "/entry/dark", secret / RAW)
        links_corpus.virtual(file, "/entry/flat", secret / HDF5)
        links_corpus.link(file, "/entry/more", secret / HDF5)
    findings = validate_file(path)
    assert [finding.where for finding in findings] == ["/entry/dark", "/entry/flat", "/entry/more"]
    assert all(finding.level == "error" and "outside of" in finding.message for finding in findings)
    assert not [finding for finding in validate_file(path, AlsoBelow((secret,))) if "outside of" in finding.message]


def test_a_password_file_is_no_dark(scan: Path) -> None:
    dark = scan / "dark.h5"
    with h5py.File(dark, "w") as file:
        file.create_dataset("dark", (4, 4), "u1", external=[("/etc/passwd", 0, 16)])
    with pytest.raises(ConfigError) as refused:
        read_references({"dark": str(dark)})
    assert "/etc/passwd, outside of" in str(refused.value) and "root:" not in str(refused.value)


def test_check_says_which_reference_leads_elsewhere(scan: Path, secret: Path) -> None:
    with h5py.File(scan / "dark.h5", "w") as file:
        links_corpus.link(file, "dark", secret / HDF5)
    profile = profile_for(scan).model_copy(update={"references": References(dark=str(scan / "dark.h5"))})
    found = next(finding for finding in check_profile(profile) if finding.about == "references")
    assert found.level == "error" and "outside of" in found.text
    assert "service.reference_roots of the profile" in found.text


def test_a_sidecar_that_leads_elsewhere_is_refused(scan: Path, secret: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    for number in range(2):
        tifffile.imwrite(scan / f"frame_{number}.tif", np.zeros(SHAPE, np.uint16))
    with h5py.File(scan / "sidecar.h5", "w") as file:
        for name in ("posx_m", "posy_m", "energy_eV"):
            file[f"entry/{name}"] = np.ones(2)
        file["entry/det_dist_m"] = file["entry/pixel_m"] = 1.0
        links_corpus.external(file, "entry/dark", secret / RAW)
    options = ["ingest", "tiff", "--pattern", scan / "frame_*.tif", "--sidecar", scan / "sidecar.h5"]
    done = run(*options, "--output", scan / "out.h5")
    assert done.exit_code == 1 and "/entry/dark has its values (external storage) in" in done.said
    done = run(*options, "--output", scan / "out.h5", "--also-below", secret)
    assert "outside of" not in done.said
