"""The parameters that a recipe gives PtyPy, with a PtyPy that only takes notes."""

from __future__ import annotations

import builtins
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

OPTICS = {
    "kind": "zone_plate",
    "zone_plate_diameter_m": 1.2e-4,
    "outermost_zone_width_m": 4e-8,
    "central_stop_m": 4.5e-5,
    "defocus_m": 1.6e-5,
}


class Param(dict[str, Any]):
    """PtyPy's, as far as a script uses it."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__  # type: ignore[assignment]


def parameters(text: str, monkeypatch: pytest.MonkeyPatch) -> Param:
    """Run the script with a PtyPy that only takes notes; the parameters it would have been given."""
    given: list[Param] = []
    ptypy = ModuleType("ptypy")
    ptypy.loaded = []  # type: ignore[attr-defined]
    ptypy.load_ptyscan_module = ptypy.loaded.append  # type: ignore[attr-defined]
    ptypy.load_gpu_engines = ptypy.loaded.append  # type: ignore[attr-defined]
    utils = ModuleType("ptypy.utils")
    utils.Param = Param  # type: ignore[attr-defined]
    ptypy.utils = utils  # type: ignore[attr-defined]

    def ptycho(p: Param, level: int) -> Any:
        assert level == 5
        given.append(p)
        return SimpleNamespace()

    ptypy.core = SimpleNamespace(Ptycho=ptycho)  # type: ignore[attr-defined]
    modules = {"ptypy": ptypy, "ptypy.utils": utils}
    real = builtins.__import__

    def fake_import(name: str, *rest: Any) -> Any:
        return modules[name if rest and rest[2] else "ptypy"] if name in modules else real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fake_import)
    monkeypatch.setitem(__import__("sys").modules, "ptypy", ptypy)
    monkeypatch.setitem(__import__("sys").modules, "ptypy.utils", utils)
    exec(compile(text, "recipe.py", "exec"), {"__name__": "__main__"})
    return given[0] | {"loaded": ptypy.loaded}  # type: ignore[return-value,attr-defined]
