"""A Python whose PtyPy reads, waits, prints and writes as the real one does, and reconstructs nothing.

It is for tests of what stands around PtyPy, where PtyPy itself, the user's own install, is not needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

UTILS = """
class Param(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__
"""
CORE = """
import os, time
from types import SimpleNamespace
import h5py
import numpy as np

N_FAIL = int(os.environ.get("STAND_IN_FAILS_AT", "0"))
STEP_S = float(os.environ.get("STAND_IN_STEP_S", "0.01"))
LIE = os.environ.get("STAND_IN_LIES")


class Ptycho:
    def __init__(self, p, level):
        self.p, self.history = p, []
        self.paths = SimpleNamespace(home=p.io.home)
        scan = p.scans.scan
        side = scan.data.shape[0]
        row, column = scan.data.center
        square = np.s_[row - side // 2 : row + side // 2, column - side // 2 : column + side // 2]
        self.side = side
        self.positions = np.zeros((1, 2))
        n_seen = self.wait_for_rows(scan.data) if scan.data.name == "SwmrLoader" else None
        with h5py.File(scan.data.intensities.file, "r", swmr=n_seen is not None) as file:
            frames = file[scan.data.intensities.key][:n_seen]
            positions = np.column_stack([file["/entry/posy_m"][:n_seen], file["/entry/posx_m"][:n_seen]])
        self.positions = positions
        if LIE:
            frames[3] = 0
        views = [SimpleNamespace(data=frame[square]) for frame in frames]
        self.model = SimpleNamespace(scans={"scan": SimpleNamespace(diff_views=views, positions=list(positions))})
        for engine in p.engines.values():
            for number in range(engine.numiter):
                self.iterate(engine.name, number + 1, engine.numiter)
            self.save(f"{p.run}_{engine.name}_{len(self.history):05d}.ptyr", engine.name)

    def wait_for_rows(self, data):
        n = -1
        while True:
            with h5py.File(data.intensities.file, "r", swmr=True) as file:
                keys = file[data.intensities.live_key][()]
            self.iterate("DM", len(self.history) + 1, len(self.history) + 5)
            if np.all(keys):
                return len(keys)

    def iterate(self, engine, number, of):
        time.sleep(STEP_S)
        if N_FAIL and len(self.history) + 1 >= N_FAIL:
            raise RuntimeError("the stand-in was told to fail")
        self.history.append((engine, number))
        errors = f"Fourier 1.00e+01, Photons {50 / number:.2e}, Exit 1.00e+00"
        print(f"\\r{engine}: Iteration # {number}/{of} :: {errors}", end="")
        autosave = self.p.io.autosave
        if autosave.active and number % autosave.interval == 0:
            self.save(f"{self.p.run}.dump_{engine}_{number:05d}.ptyr", engine)

    def save(self, name, engine):
        os.makedirs(self.p.io.home, exist_ok=True)
        n = 2 * self.side
        with h5py.File(os.path.join(self.p.io.home, name), "w") as file:
            for kind, shape in (("obj", (1, n, n)), ("probe", (1, self.side, self.side))):
                group = file.create_group(f"content/{kind}/SscanG00")
                rows, columns = np.indices(shape[1:])
                ramp = np.exp(0.05j * rows - 0.03j * columns) if kind == "obj" else 1
                group["data"] = (np.ones(shape) * ramp).astype(np.complex64)
                group["_psize"] = np.full(2, (np.ptp(self.positions, axis=0).max() + 2e-6) / n)
                group["_origin"] = self.positions.min(axis=0) - 1e-6
            for index, (engine, number) in enumerate(self.history):
                entry = file.create_group(f"content/runtime/iter_info/{index:05d}")
                entry["engine"], entry["iterations"] = engine, index + 1
                entry["error"] = np.array([10.0, 50.0 / number, 1.0])
"""
INIT = """
from ptypy import core, utils


def load_ptyscan_module(name):
    pass


load_gpu_engines = load_ptyscan_module
"""


def ptypy_stand_in(folder: Path, *, without: str = "") -> Path:
    """Make it; the path of its Python. `without` is a module that it shall lack."""
    package = folder / "site" / "ptypy"
    package.mkdir(parents=True)
    for name, text in (("__init__", INIT), ("core", CORE), ("utils", UTILS)):
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    information = folder / "site" / "ptypy-0.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: ptypy\nVersion: 0.0\n", encoding="utf-8")
    for name in ("swmr_tools", "blosc"):
        if name != without:
            (folder / "site" / f"{name}.py").touch()
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder / "site"}" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    return python
