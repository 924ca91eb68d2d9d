"""The Python that has PtyPy: this one, or one the user names. PtyPy is never installed, bundled or replaced by us."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stream_service.errors import ConfigError

TIMEOUT_S = 120.0
"""An import from a cold network file system takes its time."""
VARIABLE = "PTYCHOSTREAM_PTYPY_PYTHON"
"""Environment variable with the Python that has PtyPy, where that is not the one of ptychostream."""
HOW_TO_GET_IT = (
    "PtyPy has an academic licence of its own, so you install it yourself: `conda install -c conda-forge ptypy`, or "
    "`pip install` of its public source (GitHub, ptycho/ptypy). If it is in another environment, name the Python of "
    f"that one with --ptypy-python or in {VARIABLE}"
)
PROBE = """
import importlib.metadata, importlib.util, json, sys
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
version = no_gpu = ""
if "ptypy" not in missing:
    import ptypy
    version = importlib.metadata.version("ptypy")
if "cupy" in sys.argv[1:] and not missing:
    try:
        import cupy
        cupy.cuda.runtime.getDeviceCount()
        ptypy.load_gpu_engines("cupy")
    except Exception as error:
        no_gpu = f"{type(error).__name__}: {error}"
print(json.dumps([version, missing, no_gpu]))
"""
FOLLOWING_NEEDS = ("swmr_tools", "blosc")
"""What PtyPy's SwmrLoader imports and its installation does not bring."""


@dataclass(frozen=True, slots=True)
class PtypyPython:
    """An interpreter in which `import ptypy` works."""

    executable: str
    version: str
    """Of PtyPy."""

    @classmethod
    def find(cls, named: Path | None = None, *, follow: bool = False, gpu: bool = False) -> Self:
        """Try it out: `named`, else the Python we run in. Raises `ConfigError` with how to get what is missing."""
        executable = str(named) if named is not None else sys.executable
        wanted = ["ptypy", *(FOLLOWING_NEEDS if follow else ()), *(("cupy",) if gpu else ())]
        try:
            tried = subprocess.run(
                [executable, "-c", PROBE, *wanted], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except OSError as error:
            raise ConfigError(
                f"{executable} cannot be started: {error.strerror}; name a Python that has PtyPy"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ConfigError(f"{executable} did not import PtyPy within {TIMEOUT_S:g} s") from error
        if tried.returncode:
            reason = (tried.stderr.strip().splitlines() or ["no message"])[-1]
            raise ConfigError(
                f"PtyPy is installed in {executable} but cannot be imported: {reason}"
                + ("; mpi4py without an MPI library does that: remove it" if "mpi" in reason.lower() else "")
            )
        version, missing, no_gpu = json.loads(tried.stdout.strip().splitlines()[-1])
        if "ptypy" in missing:
            raise ConfigError(f"PtyPy is not installed in {executable}. {HOW_TO_GET_IT}")
        if "cupy" in missing:
            raise ConfigError(
                f"--gpu needs cupy, which is not installed in {executable}: install the one for its CUDA "
                f"(`{executable} -m pip install cupy-cuda12x`), or leave --gpu away"
            )
        if no_gpu:
            raise ConfigError(
                f"--gpu: PtyPy's engines for CUDA cannot be used in {executable} ({no_gpu}): see that the driver and "
                "cupy fit the GPU, or leave --gpu away"
            )
        if missing:
            raise ConfigError(
                f"to follow a scan PtyPy also needs {' and '.join(missing)}: `{executable} -m pip install "
                f"{' '.join(name.replace('_', '-') for name in missing)}`"
            )
        return cls(executable, version)
