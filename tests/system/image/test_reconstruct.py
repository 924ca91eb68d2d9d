"""Everything around PtyPy: recipe, subprocess, image file, following a run that ends, aborts or falls silent."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from limits import HANG_S
from ptypy_stand_in import ptypy_stand_in

from stream_service.cli.image.reconstruct_progress import Shown
from stream_service.errors import ConfigError, SourceError, WriteError
from stream_service.processes.subprocesses import SubprocessError
from stream_service.ptycho.image.image_file import default_image_path
from stream_service.ptycho.ptypy.follow import FINISH_S, Followed, follow
from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.ptycho.ptypy.ptypy_run import Iteration
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.recipe_settings import RecipeSettings
from stream_service.ptycho.ptypy.reconstruct import Request, prepare, reconstruct
from stream_service.ptycho.ptypy.run_watch import Timeouts
from stream_service.ptycho.ptypy.scan_choices import ScanChoices
from stream_service.standard_file.rules.validate import validate_file
from stream_service.standard_file.write.swmr_file import StandardFile
from stream_service.testing.example_file import (
    append_example_rows,
    append_row,
    example_header,
    example_ledger,
    example_pixels,
    example_row,
    write_example,
)

OPTICS = {"kind": "zone_plate", "zone_plate_diameter_m": 1.2e-4, "outermost_zone_width_m": 4e-8, "defocus_m": 1e-6}
HEADER: dict[str, Any] = {"frame_shape": (48, 56), "optics": OPTICS, "pixel_m": 75e-6, "det_dist_m": 0.05}
N_ROWS = 24
DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "file-format.md").read_text(encoding="utf-8")


class Heard:
    """A listener that keeps what it is told."""

    def __init__(
        self, on_iteration: Callable[[int], None] = lambda n: None, on_note: Callable[[str], None] = lambda text: None
    ) -> None:
        self.notes: list[str] = []
        self.iterations: list[Iteration] = []
        self.images: list[Ptyr] = []
        self.n_positions: list[int] = []
        self._on_iteration = on_iteration
        self._on_note = on_note

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._on_note(text)

    def iteration(self, done: Iteration) -> None:
        self.iterations.append(done)
        self._on_iteration(len(self.iterations))

    def image(self, present: Ptyr, positions_xy_m: npt.NDArray[np.float64]) -> None:
        self.images.append(present)
        self.n_positions.append(len(positions_xy_m))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> PtypyPython:
    return PtypyPython.find(ptypy_stand_in(tmp_path_factory.mktemp("stand-in")), follow=True)


def request_for(data: Path, python: PtypyPython, iterations: int = 20, *, force: bool = False) -> Request:
    return Request(
        data=data,
        settings=RecipeSettings(iterations=iterations),
        choices=ScanChoices(),
        python=python,
        out=default_image_path(data),
        command="test",
        force=force,
    )


def run(request: Request, heard: Heard | None = None) -> Path:
    prepare(request)
    return reconstruct(request, heard or Heard()).image


def test_image_probe_errors_and_pictures_come_out(python: PtypyPython, tmp_path: Path) -> None:
    data = tmp_path / "scan_std.h5"
    write_example(data, N_ROWS, **HEADER)
    heard = Heard()
    image = run(request_for(data, python), heard)
    assert image == tmp_path / "scan_recon.cxi"
    assert [done.number for done in heard.iterations if done.engine == "DM"] == list(range(1, 17))
    assert heard.images, "dumps are shown while it works"
    with h5py.File(image) as file:
        assert file["/entry_1/image_1/data"].dtype == np.complex64
        assert file["/entry_1/image_1/process_1"].attrs["algorithm"] == "DM then ML"
        assert len(file["/entry_1/image_1/process_1/errors"]) == 20
        assert file["/entry_1/instrument_1/source_1/illumination"].shape == (1, 48, 48)
        assert file["/entry_1/data_1/data"].shape == (N_ROWS, 48, 56), "linked to the data file"
        moved = file["/entry_1/sample_1/geometry_1/translation"][()]
        with h5py.File(data) as opened:
            np.testing.assert_array_equal(-moved[:, :2], opened["/entry/pos"][()])
        documented = re.findall(r"^\| `(/[^`]+)`", DOCUMENT.partition("## The reconstruction")[2], re.MULTILINE)
        assert documented, "file-format.md describes this file"
        assert [path for path in documented if path not in file and not path.endswith("_refined")] == []
    assert not [finding for finding in validate_file(image) if finding.level == "error"]
    names = {path.name for path in (tmp_path / "scan_recon").iterdir()}
    assert {f"example_{name}.png" for name in ("amplitude", "phase", "probe", "error")} <= names
    assert {"example_recipe.py", "example.log"} <= names
    assert not [name for name in names if "dump" in name]


def test_an_image_is_replaced_only_when_that_is_asked_for(python: PtypyPython, tmp_path: Path) -> None:
    data = tmp_path / "scan_std.h5"
    write_example(data, N_ROWS, **HEADER)
    run(request_for(data, python, 5))
    with pytest.raises(WriteError, match="--force"):
        prepare(request_for(data, python, 5))
    run(request_for(data, python, 5, force=True))


def test_a_failing_ptypy_is_an_error_with_its_last_words(
    python: PtypyPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "scan_std.h5"
    write_example(data, N_ROWS, **HEADER)
    monkeypatch.setenv("STAND_IN_FAILS_AT", "7")
    with pytest.raises(SubprocessError, match="the stand-in was told to fail"):
        run(request_for(data, python))
    assert not default_image_path(data).exists()


def test_a_missing_ptypy_is_told_with_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    empty = ptypy_stand_in(tmp_path / "bare")
    (tmp_path / "bare" / "site" / "ptypy" / "__init__.py").unlink()
    for path in (tmp_path / "bare" / "site" / "ptypy").iterdir():
        path.unlink()
    (tmp_path / "bare" / "site" / "ptypy").rmdir()
    with suppress(ConfigError):
        PtypyPython.find()  # this Python may have the real one; then the next would find it, too
        pytest.skip("PtyPy is installed here")
    with pytest.raises(ConfigError, match="academic licence"):
        PtypyPython.find(empty)


def test_what_following_needs_is_told(tmp_path: Path) -> None:
    lacking = ptypy_stand_in(tmp_path, without="swmr_tools")
    try:
        PtypyPython.find(lacking, follow=True)
    except ConfigError as error:
        assert "pip install swmr-tools" in str(error)
    else:
        pytest.skip("swmr_tools is installed here")


class Scan:
    """A run that grows in a thread: row by row, then it ends with a state."""

    def __init__(
        self,
        path: Path,
        n_rows: int,
        state: str,
        *,
        reject: int | None = None,
        wait_s: float = 0.02,
        optics: Any = OPTICS,
        drain_s: float = 0.0,
        until: threading.Event | None = None,
        hold: tuple[int, threading.Event] | None = None,
    ) -> None:
        """It ends `until` something has happened; with `hold`, this row waits until something has."""
        self.path, self._n_rows, self._state = path, n_rows, state
        self._reject, self._wait_s, self._header = reject, wait_s, HEADER | {"optics": optics}
        self._drain_s, self._until, self._hold = drain_s, until, hold
        self.ended_at = 0.0
        self.thread = threading.Thread(target=self._write, daemon=True)

    def start(self) -> Scan:
        self.thread.start()
        return self

    def _write(self) -> None:
        with StandardFile.create(self.path, example_header(N_ROWS, **self._header)) as file:
            for row in range(self._n_rows):
                if self._hold is not None and self._hold[0] == row:
                    assert self._hold[1].wait(HANG_S), f"nothing happened that row {row} waits for"
                pixels = example_pixels(row, HEADER["frame_shape"])
                append_row(file, example_row(row, keep=row != self._reject), pixels)
                file.flush()
                time.sleep(self._wait_s)
            time.sleep(self._drain_s)
            if self._until is not None:
                assert self._until.wait(HANG_S), "PtyPy did not begin"
            if self._state:
                file.write_ledger(example_ledger(self._n_rows))
                file.set_state(self._state, "the test says so", 1)
            self.ended_at = time.monotonic()


def followed(
    data: Path,
    python: PtypyPython,
    iterations: int = 20,
    timeouts: Timeouts | None = None,
    begun: threading.Event | None = None,
    on_note: Callable[[str], None] = lambda text: None,
) -> Followed:
    request = request_for(data, python, iterations)
    prepare(request)
    heard = Heard(lambda _: begun.set() if begun is not None else None, on_note)
    try:
        return follow(request, heard, timeouts)
    finally:
        followed.notes = heard.notes  # type: ignore[attr-defined]


def test_a_run_is_followed_from_before_its_start_to_its_end(python: PtypyPython, tmp_path: Path) -> None:
    begun = threading.Event()
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS, "COMPLETE", hold=(N_ROWS - 1, begun))
    threading.Timer(0.5, scan.start).start()
    result = followed(scan.path, python, iterations=5, begun=begun)
    assert result.is_complete and "PtyPy saw every row" in result.sentence
    assert result.outcome.n_rows == N_ROWS
    assert time.monotonic() - scan.ended_at < FINISH_S, "it did not wait for more"


@pytest.mark.further
def test_run_whose_account_takes_longer_than_ptypy_is_waited_for(python: PtypyPython, tmp_path: Path) -> None:
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS, "COMPLETE", drain_s=6.0).start()
    result = followed(scan.path, python, iterations=4)
    assert scan.ended_at > 0, "it came back before the run had ended"
    assert result.is_complete and "COMPLETE with 24 of 24 rows" in result.sentence


@pytest.mark.further
def test_iterations_that_the_scan_left_no_time_for_are_done_afterwards(python: PtypyPython, tmp_path: Path) -> None:
    begun = threading.Event()
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS, "COMPLETE", until=begun).start()
    result = followed(scan.path, python, iterations=100, begun=begun)
    assert result.is_complete
    assert any("iterations with the file as it is now" in note for note in followed.notes)  # type: ignore[attr-defined]


def test_an_aborted_run_ends_it_and_what_is_there_is_reconstructed(python: PtypyPython, tmp_path: Path) -> None:
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS // 2, "ABORTED").start()
    result = followed(scan.path, python)
    assert not result.is_complete
    assert "ABORTED with 12 of 24 rows (the test says so)" in result.sentence
    assert result.outcome.n_rows == N_ROWS // 2
    assert time.monotonic() - scan.ended_at < FINISH_S, "it did not wait for more"


def test_a_writer_that_falls_silent_is_not_waited_for(python: PtypyPython, tmp_path: Path) -> None:
    path = tmp_path / "scan_std.h5"
    write = (
        "import os\nfrom pathlib import Path\nfrom stream_service.testing.example_file import *\n"
        f"file = StandardFile.create(Path({str(path)!r}), example_header({N_ROWS}, **{HEADER!r}))\n"
        "append_example_rows(file, 0, 9)\nfile.flush()\nos._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", write], check=False).returncode == 9
    result = followed(path, python, timeouts=Timeouts(heartbeat_s=1.5))
    assert not result.is_complete
    assert "fell silent after 9 rows" in result.sentence
    assert result.outcome.n_rows == 9


def test_rows_that_ptypy_read_wrong_are_noticed(
    python: PtypyPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_LIES", "1")
    begun = threading.Event()
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS, "COMPLETE", until=begun).start()
    result = followed(scan.path, python, iterations=5, begun=begun)
    assert "saw every row" not in result.sentence
    assert any("read 1 of 24 rows wrong" in note for note in followed.notes)  # type: ignore[attr-defined]


def test_rejected_rows_are_left_out_at_the_end(python: PtypyPython, tmp_path: Path) -> None:
    begun = threading.Event()
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS, "COMPLETE", reject=4, until=begun).start()
    result = followed(scan.path, python, iterations=5, begun=begun)
    assert result.outcome.n_rows == N_ROWS - 1
    assert any("1 row is rejected" in note for note in followed.notes)  # type: ignore[attr-defined]


def test_a_scan_of_unknown_length_is_not_followed(python: PtypyPython, tmp_path: Path) -> None:
    path = tmp_path / "scan_std.h5"
    with StandardFile.create(path, example_header(**HEADER)) as file:
        append_example_rows(file, 0, 6)
        file.flush()
        with pytest.raises(ConfigError, match="not known at its start"):
            followed(path, python)


def test_a_run_that_has_ended_already_is_just_reconstructed(python: PtypyPython, tmp_path: Path) -> None:
    path = tmp_path / "scan_std.h5"
    write_example(path, N_ROWS, **HEADER)
    result = followed(path, python)
    assert result.is_complete and result.outcome.n_rows == N_ROWS
    assert any("nothing to follow" in note for note in followed.notes)  # type: ignore[attr-defined]


def test_a_file_that_never_comes_is_not_waited_for_for_ever(python: PtypyPython, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="too few rows after"):
        followed(tmp_path / "scan_std.h5", python, timeouts=Timeouts(file_s=0.5))


def test_the_command_does_it_all(python: PtypyPython, tmp_path: Path) -> None:
    data = tmp_path / "scan_std.h5"
    write_example(data, N_ROWS, **HEADER)
    command = [sys.executable, "-m", "stream_service.cli", "reconstruct", str(data), "--iters", "6"]
    environment = {**os.environ, "PTYCHOSTREAM_PTYPY_PYTHON": python.executable, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "scan_recon.cxi: 24 rows, 6 iterations" in done.stdout
    again = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert again.returncode == 1 and "--force" in again.stderr


@pytest.mark.further
def test_without_optics_following_waits_for_the_rows_that_an_estimate_needs(
    python: PtypyPython, tmp_path: Path
) -> None:
    told = threading.Event()

    def listen(note: str) -> None:
        if "rows of it" in note:
            told.set()

    hold = (N_ROWS // 4, told)
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS, "COMPLETE", hold=hold, optics={"kind": "unknown"}).start()
    result = followed(scan.path, python, iterations=5, on_note=listen)
    assert result.is_complete
    notes = followed.notes  # type: ignore[attr-defined]
    assert any(f"and {N_ROWS // 2} rows of it" in note for note in notes)
    assert any("estimated from the mean frame" in note for note in notes)


def test_published_iterations_only_grow_and_the_phase_is_flat_and_masked(
    python: PtypyPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From PtyPy beside the run into PtyPy on the ended file: two runs, of which each counts from 1."""
    from stream_service.pv_access import Context

    monkeypatch.setenv("STAND_IN_STEP_S", "0.03")
    prefix = f"T{os.getpid()}Recon:"
    shown_iterations: list[float] = []
    phases: list[np.ndarray[Any, Any]] = []

    def take(value: Any) -> None:
        said = {one.name: one.value for one in value.attribute}
        if "Iterations" in said:
            shown_iterations.append(float(said["Iterations"]))
            phases.append(np.asarray(value.value).reshape(value.dimension[1].size, value.dimension[0].size))
            if len(shown_iterations) == 3:
                grown.set()

    grown = threading.Event()
    scan = Scan(tmp_path / "scan_std.h5", N_ROWS, "COMPLETE", hold=(N_ROWS - 1, grown)).start()
    request = request_for(scan.path, python, 60)
    prepare(request)
    with Shown(prefix) as shown, Context("pva", nt=False) as client, client.monitor(prefix + "ObjectPhase", take):
        follow(request, shown)
        n_left = re.search(r"going on for (\d+) iterations", capsys.readouterr().out)
        assert n_left is not None
        deadline = time.monotonic() + HANG_S
        while shown_iterations[-1] <= int(n_left[1]):
            assert time.monotonic() < deadline, "both runs of PtyPy are counted"
            time.sleep(0.05)
    assert len(shown_iterations) > 3
    assert shown_iterations == sorted(shown_iterations) and shown_iterations[0] > 0
    assert np.isnan(phases[-1]).any() and np.isfinite(phases[-1]).any(), "masked where the scan did not go"
    assert np.nanmax(np.abs(phases[-1])) < 0.2, "the ramp is taken out"


def test_gpu_without_cupy_is_one_sentence_before_anything_runs(python: PtypyPython, tmp_path: Path) -> None:
    data = tmp_path / "scan_std.h5"
    write_example(data, N_ROWS, **HEADER)
    command = [sys.executable, "-m", "stream_service.cli", "reconstruct", str(data), "--gpu"]
    environment = {**os.environ, "PTYCHOSTREAM_PTYPY_PYTHON": python.executable, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    if "cupy" in sys.modules or "cannot be used" in done.stderr:
        pytest.skip("cupy is installed here")
    assert "--gpu needs cupy, which is not installed in" in done.stderr
    assert not (tmp_path / "scan_recon").exists()


def test_a_run_that_ends_while_its_file_is_read_has_not_ended_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last row and its end come between two reads: PtyPy was ended then, as if the rest would never come."""
    from stream_service.ptycho import scan_file

    path, read_rows = tmp_path / "scan_std.h5", scan_file.standard_rows
    with StandardFile.create(path, example_header(3)) as file:
        append_example_rows(file, 0, 2)
        file.flush()

        def rows_and_then_the_end(opened: Any) -> Any:
            found = read_rows(opened)
            append_example_rows(file, 2, 3)
            file.flush()
            file.write_ledger(example_ledger(3))
            file.set_state("COMPLETE", "done", 1)
            file.flush()
            return found

        monkeypatch.setattr(scan_file, "standard_rows", rows_and_then_the_end)
        scan = scan_file.ScanFile.read(path)
    assert scan.n_rows == 2 and not scan.has_ended, "the next look sees both"


def test_a_scan_id_that_is_code_is_text_in_recipe_pictures_and_image(python: PtypyPython, tmp_path: Path) -> None:
    evil = f'$\\frac{{ x"""\nopen({str(tmp_path / "ran")!r}, "w")\n"""\x1b[2J µ'
    data = tmp_path / "scan_std.h5"
    write_example(data, N_ROWS, **HEADER | {"scan_id": evil})
    image = run(request_for(data, python))
    assert not (tmp_path / "ran").exists()
    assert len(list(image.with_suffix("").glob("*.png"))) >= 3
    with h5py.File(image) as file:
        assert file["/entry_1/title"][()].decode() == evil
