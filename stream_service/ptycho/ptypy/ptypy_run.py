"""PtyPy at work on one recipe, in a subprocess: how far it is, what it has so far, what came of it.

Nothing of ours runs inside it. Progress is read from what PtyPy prints, the present image from the dumps that it writes
(`autosave`), so both are late by an iteration or a dump, and neither can disturb it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stream_service.errors import SourceError, WriteError
from stream_service.output_file import whole_file
from stream_service.processes.subprocesses import Subprocess, SubprocessError
from stream_service.ptycho.ptypy.ptypy_python import PtypyPython
from stream_service.ptycho.ptypy.ptyr import Ptyr
from stream_service.ptycho.ptypy.recipe_settings import Output

ITERATION = re.compile(r"(\w+): Iteration # (\d+)/(\d+) :: Fourier \S+, Photons (\S+), Exit")
END_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Iteration:
    """One iteration, as PtyPy reports it."""

    engine: str
    number: int
    of: int
    photon_error: float

    @classmethod
    def parse(cls, line: str) -> Self | None:
        """None for a line that says something else."""
        found = ITERATION.search(line)
        if found is None:
            return None
        engine, number, of, photon = found.groups()
        try:
            return cls(engine, int(number), int(of), float(photon))
        except ValueError:
            return None


class PtypyRun:
    """A subprocess with PtyPy; ended with the `with` block, whatever happens."""

    def __init__(self, python: PtypyPython, recipe: str, output: Output) -> None:
        """Writes the recipe into the output folder and starts it. Raises `WriteError`."""
        self._output = output
        self._last_dump: Path | None = None
        script = output.folder / f"{output.run}_recipe.py"
        try:
            output.folder.mkdir(parents=True, exist_ok=True)
            for old in (*output.folder.glob(output.results), *output.folder.glob(output.dumps)):
                old.unlink()
            with whole_file(script) as unfinished, unfinished.open("x", encoding="utf-8") as file:
                file.write(recipe)
        except OSError as error:
            raise WriteError(f"cannot write into {output.folder}: {error.strerror}") from error
        # PtyPy would put pictures on a screen, and print a novel into the log, if it were let
        environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONUNBUFFERED": "1"}
        self._process = Subprocess(
            "PtyPy", [str(script)], environment, output.folder / f"{output.run}.log", python.executable
        )

    def iterations(self, timeout_s: float = 0.1) -> Iterator[Iteration]:
        """Those reported since the last call; waits up to `timeout_s` for the first."""
        for line in self._process.lines(timeout_s):
            if (iteration := Iteration.parse(line)) is not None:
                yield iteration

    @property
    def is_running(self) -> bool:
        return self._process.exit_code is None

    def new_dump(self) -> Ptyr | None:
        """The newest dump that is whole, unless it was given before; older ones are removed."""
        dumps = sorted(self._output.folder.glob(self._output.dumps), key=lambda path: path.stat().st_mtime_ns)
        for path in reversed(dumps):
            if path == self._last_dump:
                return None
            try:
                dump = Ptyr.read(path)
            except SourceError:  # still being written
                continue
            for older in dumps[: dumps.index(path)]:
                older.unlink(missing_ok=True)
            self._last_dump = path
            return dump
        return None

    @property
    def latest(self) -> Path | None:
        """The `.ptyr` from which another run can go on: the last result, else the last dump that was whole."""
        return self._last_result or self._last_dump

    @property
    def _last_result(self) -> Path | None:
        results = self._output.folder.glob(self._output.results)
        return max(results, key=lambda path: path.stat().st_mtime_ns, default=None)

    def result(self) -> Path:
        """The last result of a run that has ended. Raises `SubprocessError` with the end of its log."""
        if self._process.exit_code:
            raise SubprocessError(f"PtyPy ended with exit code {self._process.exit_code}:\n{self._process.log_tail()}")
        if (result := self._last_result) is None:
            raise SubprocessError(f"PtyPy ended without a result:\n{self._process.log_tail()}")
        return result

    def end(self) -> None:
        """End it now."""
        self._process.end(timeout_s=END_TIMEOUT_S)
        latest = self.latest
        for dump in self._output.folder.glob(self._output.dumps):
            if dump != latest:
                dump.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
