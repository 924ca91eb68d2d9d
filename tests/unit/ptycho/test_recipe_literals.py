"""A file is data: whatever text a file, a name or a path brings into a generated script, the script stays ours."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from recipe_parameters import OPTICS, parameters

from stream_service.ptycho.image.image_file import default_image_path
from stream_service.ptycho.optics.illumination import array_illumination, near_field_illumination, optics_illumination
from stream_service.ptycho.optics.probe_file import write_probe
from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.ptycho.ptypy.recipe import recipe_text, write_recipe
from stream_service.ptycho.ptypy.recipe_settings import Output, RecipeSettings, Start
from stream_service.ptycho.ptypy.reconstruct import Request
from stream_service.ptycho.ptypy.scan_choices import ScanChoices
from stream_service.ptycho.scan_file import ScanFile
from stream_service.settings.optics import Optics
from stream_service.testing.example_file import write_example

CODE = "open('ran', 'w')"
HOSTILE = (
    f'x"""\n{CODE}\n"""',
    f"x'''\n{CODE}\n'''",
    f"x'\n{CODE}\n#",
    f'x"\r{CODE}\r#',
    f"x\n{CODE}",
    f"x\r\n{CODE}",
    f"x\u2028{CODE}\u2029{CODE}\x85{CODE}\x0b{CODE}\x0c{CODE}\x1c{CODE}",
    f"x\\\n{CODE}",
    f'x\\"""\n{CODE}\n"""',
    f"x{{{CODE}}}%(engine)s%s$",
    "x\x1b[2J\x00\x7f",
    "µ_é_样品",
)
IDS = [f"text{number}" for number in range(len(HOSTILE))]
NAMES = [text.replace("/", "_").replace("\0", "") for text in HOSTILE]
"""The same as names of files, which hold anything but a slash and a NUL; and one that is no UTF-8."""
NAMES.append(b"x\xff\n".decode("utf-8", "surrogateescape") + CODE)


@pytest.fixture(autouse=True)
def nothing_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("ran").exists(), "text of a file was run"


def standard_file(path: Path, scan_id: str = "scan", optics: dict[str, object] | None = None) -> ScanFile:
    path.parent.mkdir(exist_ok=True)
    write_example(path, 8, frame_shape=(64, 80), optics=optics or OPTICS, pixel_m=75e-6, det_dist_m=0.05)
    if scan_id != "scan":
        with h5py.File(path, "r+") as file:
            del file["/entry/run/scan_id"]
            file["/entry/run/scan_id"] = np.bytes_(scan_id.encode())  # as it stands, NULs too
    return ScanFile.read(path)


def check_script(text: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """It compiles, it runs under a PtyPy that only takes notes, and every line end in it is ours."""
    ast.parse(text.encode("utf-8"))
    assert text.splitlines() == text.split("\n")[:-1], "a line end that some tool would take for one"
    with monkeypatch.context() as patch:
        return parameters(text.partition("    # what PtyPy got")[0], patch)


@pytest.mark.further(but=4)
@pytest.mark.parametrize("hostile", HOSTILE, ids=IDS)
def test_a_scan_id_in_a_file_is_never_code(hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = standard_file(tmp_path / "scan_std.h5", hostile)
    for follow in (False, True):
        output = request(scan, tmp_path).output(scan, ".follow" if follow else "")
        text = recipe_text(scan, RecipeSettings(), optics_illumination(scan), output, follow=follow)
        given = check_script(text, monkeypatch)
        assert f"SCAN = {scan.scan_id!r}" in text
        assert given["run"] == output.run and "/" not in output.run and "%" not in output.run


def request(scan: ScanFile, folder: Path) -> Request:
    python = PtypyPython.__new__(PtypyPython)  # not asked for
    return Request(scan.path, RecipeSettings(), ScanChoices(), python, default_image_path(scan.path))


@pytest.mark.further(but=4)
@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_or_folder_is_never_code(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = standard_file(tmp_path / name / f"{name}_std.h5")
    folder = tmp_path / f"{name}_out"
    folder.mkdir()
    write_probe(folder / f"{name}.cxi", scan, np.ones((64, 64), np.complex64), "a probe", force=False)
    out = folder / f"{name}_recipe.py"
    write_recipe(scan.path, out, RecipeSettings(), ScanChoices(probe=folder / f"{name}.cxi"), force=False)
    given = check_script(out.read_bytes().decode("utf-8"), monkeypatch)
    assert given["scans"].scan.data.intensities.file == str(scan.path)  # type: ignore[attr-defined]
    assert given["io"].rfile % {"engine": "DM", "iterations": 1} == (  # type: ignore[attr-defined]
        f"{folder}/{Output(folder, out.stem.removesuffix('_recipe')).run}_DM_00001.ptyr"
    )


@pytest.mark.further(but=4)
@pytest.mark.parametrize("name", NAMES)
def test_what_a_reconstruction_goes_on_from_is_never_code(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = standard_file(tmp_path / "scan_std.h5")
    settings = RecipeSettings(n_modes=2, refine_positions=True)
    text = recipe_text(
        scan,
        settings,
        array_illumination(np.ones((64, 64)), tmp_path / f"{name}.npy", name),
        Output(tmp_path / name, name, 10),
        start=Start(tmp_path / f"{name}.ptyr", same_rows=True),
        keep=tmp_path / f"{name}_keep.h5",
    )
    given = check_script(text, monkeypatch)
    data = given["scans"].scan.data  # type: ignore[attr-defined]
    assert data.framefilter.file == str(tmp_path / f"{name}_keep.h5")


@pytest.mark.further(but=4)
@pytest.mark.parametrize("hostile", HOSTILE, ids=IDS)
def test_remarks_are_comments_of_one_line(hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = standard_file(tmp_path / "scan_std.h5")
    near = replace(scan, optics=Optics(propagation="near_field", defocus_m=3.65e-3))
    illumination = replace(near_field_illumination(near), remarks=(hostile,))
    check_script(recipe_text(near, RecipeSettings(), illumination, Output(tmp_path, "scan")), monkeypatch)
