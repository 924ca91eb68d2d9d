"""Outputs: whole or not at all, created exclusively, and never one of the files that are read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from stream_service import output_file as outputs
from stream_service.cli import main as cli
from stream_service.errors import ConfigError, WriteError
from stream_service.output_file import check_output, open_new, whole_file
from stream_service.service.demo import Demo
from stream_service.standard_file.write.sidecar_file import SidecarContents, write_sidecar
from stream_service.testing.example_file import write_example


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_output_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_file(out) as unfinished:
        unfinished.write_text("new")
        assert not out.exists() and unfinished.parent == tmp_path and unfinished.name.startswith(".out.")
    assert out.read_text() == "new" and names(tmp_path) == ["out"]


def test_what_fails_leaves_the_old_output_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_text("old")
    with pytest.raises(RuntimeError), whole_file(out) as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert out.read_text() == "old" and names(tmp_path) == ["out"]


def test_name_that_was_taken_in_the_meantime_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(FileExistsError), whole_file(out, replace=False) as unfinished:
        unfinished.write_text("new")
        out.write_text("another's")
    assert out.read_text() == "another's" and names(tmp_path) == ["out"]


@pytest.fixture
def known_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """An attacker who guesses every temporary name."""
    monkeypatch.setattr(outputs.secrets, "token_hex", lambda n: "guessed")
    return ".{}.guessed.partial"


@pytest.mark.parametrize(
    "write",
    [
        lambda out: write_example(out, 2),
        lambda out: write_sidecar(out, SidecarContents({}, ["a.tif"], np.zeros(1, np.int64), "number")),
    ],
)
def test_a_link_under_a_temporary_name_is_not_followed(
    tmp_path: Path, known_name: str, write: Callable[[Path], None]
) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out.h5"
    victim.write_text("precious")
    (tmp_path / known_name.format("out.h5")).symlink_to(victim)
    with pytest.raises(WriteError, match=r"out\.h5"):
        write(out)
    assert victim.read_text() == "precious" and not out.exists()


def test_links_under_the_names_of_outputs_are_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    for name in ("out.h5", "log"):
        victim.write_text("precious")
        (tmp_path / name).symlink_to(victim)
    with open_new(tmp_path / "log") as log:
        log.write(b"line\n")
    write_sidecar(tmp_path / "out.h5", SidecarContents({}, ["a.tif"], np.zeros(1, np.int64), "number"))
    assert victim.read_text() == "precious"
    assert not (tmp_path / "log").is_symlink() and not (tmp_path / "out.h5").is_symlink()


def test_what_a_killed_process_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f".out.h5.{number:08x}.partial").write_text("half")
    write_example(tmp_path / "out.h5", 2)
    assert (tmp_path / "out.h5").is_file()


@pytest.mark.parametrize("alias", ["same", "relative", "symlink", "hard link", "linked folder"])
@pytest.mark.parametrize("force", [False, True])
def test_an_input_is_no_output_by_whatever_name(tmp_path: Path, alias: str, force: bool) -> None:
    (tmp_path / "a").mkdir()
    read = tmp_path / "a" / "scan.h5"
    read.write_text("frames")
    out = read
    if alias == "relative":
        out = tmp_path / "a" / ".." / "a" / "scan.h5"
    elif alias == "symlink":
        out = tmp_path / "link.h5"
        out.symlink_to(read)
    elif alias == "hard link":
        out = tmp_path / "hard.h5"
        os.link(read, out)
    elif alias == "linked folder":
        (tmp_path / "b").symlink_to(tmp_path / "a")
        out = tmp_path / "b" / "scan.h5"
    with pytest.raises(ConfigError, match=r"--output .* is one of the files that are read"):
        check_output(out, force=force, inputs=[tmp_path / "none", read])


def test_other_outputs_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("old", "dangling"):
        with pytest.raises(ConfigError, match=r"exists already: choose another --output, or replace it with --force"):
            check_output(tmp_path / name, force=False)
    with pytest.raises(ConfigError, match="is a folder"):
        check_output(tmp_path, force=True)
    with pytest.raises(ConfigError, match="does not exist: make it"):
        check_output(tmp_path / "none" / "out", force=True)


# --- every command with an input and an output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Everything that a command reads; nothing of it may change."""
    write_example(tmp_path / "scan_std.h5", 8, frame_shape=(64, 80), swmr=False, pixel_m=75e-6, det_dist_m=0.05)
    np.save(tmp_path / "dark.npy", np.zeros((64, 80)))
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["frames"] = np.zeros((2, 64, 80))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["entry/data"] = h5py.ExternalLink("linked.h5", "/frames")
        file["entry/pos"] = np.zeros((2, 2))
        file["entry/energy_eV"] = file["entry/det_dist_m"] = file["entry/pixel_m"] = 1.0
    tifffile = pytest.importorskip("tifffile")
    for number in range(2):
        tifffile.imwrite(tmp_path / f"frame_{number}.tif", np.zeros((64, 80), np.uint16))
    rows = "".join(f"{number},1e-6,1e-6,700,0.1,1e-5,0.1\n" for number in range(2))
    (tmp_path / "log.csv").write_text("frame_index,posx_m,posy_m,energy_eV,det_dist_m,pixel_m,exposure_s\n" + rows)
    write_sidecar(
        tmp_path / "sidecar.h5",
        SidecarContents(
            {"posx_m": np.zeros(2), "posy_m": np.zeros(2)},
            ["frame_0.tif", "frame_1.tif"],
            np.zeros(2, np.int64),
            "number",
        ),
    )
    (tmp_path / "reject.json").write_text('{"reject_indices": []}')
    (tmp_path / "layout.xml").write_text("<hdf5_layout/>")
    return tmp_path


INGEST = "ingest hdf5 --force --input {}/scan_std.h5 --output {}/"
TIFF = "ingest tiff --force --pattern {}/frame_*.tif --sidecar {}/sidecar.h5 --dark {}/dark.npy --output {}/"
SIDECAR = "sidecar --force --frames {}/frame_*.tif --csv {}/log.csv --dark {}/dark.npy --output {}/"
DESTRUCTIVE = (
    *(INGEST + name for name in ("scan_std.h5", "dark.npy --dark {}/dark.npy", "log.csv --readbacks {}/log.csv")),
    INGEST + "reject.json --reject-json {}/reject.json",
    "ingest hdf5 --force --input {}/master.h5 --output {}/linked.h5",
    *(TIFF + name for name in ("frame_1.tif", "sidecar.h5", "dark.npy")),
    *(SIDECAR + name for name in ("frame_0.tif", "log.csv", "dark.npy")),
    "export {}/scan_std.h5 --tike --force --out {}/scan_std.h5",
    "export {}/scan_std.h5 --pynx --force --recon {}/linked.h5 --out {}/linked.h5",
    "recipe {}/scan_std.h5 --force --out {}/scan_std.h5",
    "recipe {}/scan_std.h5 --force --probe {}/linked.h5 --out {}/linked.h5",
    "reconstruct {}/scan_std.h5 --force --out {}/scan_std.h5",
    "probe {}/scan_std.h5 --force --out {}/scan_std.h5",
    "layout render {}/layout.xml --profile sim --out {}/layout.xml",
)


@pytest.mark.further(but=6)
@pytest.mark.parametrize("command", DESTRUCTIVE)
def test_no_command_writes_over_what_it_reads(folder: Path, command: str) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = CliRunner().invoke(cli.app, command.replace("{}", str(folder)).split())
    assert isinstance(done.exception, ConfigError), done.output
    assert "is one of the files that are read" in str(done.exception)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_picture_of_a_probe_is_no_input_either(folder: Path) -> None:
    scan = (folder / "scan_std.h5").rename(folder / "probe.png")
    before = scan.read_bytes()
    done = CliRunner().invoke(cli.app, ["probe", str(scan), "--out", str(folder / "probe.cxi"), "--force"])
    assert isinstance(done.exception, ConfigError) and scan.read_bytes() == before


def test_the_demo_does_not_remove_what_it_is_to_replay(tmp_path: Path) -> None:
    replayed = tmp_path / "demo_std.h5"
    write_example(replayed, 2)
    (tmp_path / "demo.png").write_text("old")
    with pytest.raises(ConfigError, match="is one of the files that are read"):
        Demo(tmp_path, 2, replay=replayed).run(lambda progress: None)
    assert replayed.exists() and (tmp_path / "demo.png").exists()


def test_profile_is_read_too(folder: Path) -> None:
    profile = folder / "profile.yaml"
    profile.write_text(yaml.safe_dump({"beamline": "x"}))
    done = CliRunner().invoke(
        cli.app, [*(INGEST.replace("{}", str(folder)) + "profile.yaml").split(), "--profile", str(profile)]
    )
    assert "is one of the files that are read" in str(done.exception)
