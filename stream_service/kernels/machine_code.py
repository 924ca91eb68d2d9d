"""Machine code of numba, kept on disk, and compiled anew when a file changes that it was made of.

numba's cache notices a change of the file of the function that is called from Python, not of those whose functions that
one calls. Here it goes by the whole folder: what is compiled together stands in one folder, and takes functions and
constants from nowhere else. Where no folder for the cache can be written, nothing is kept.

`error_model="numpy"`: no division here can be by zero, and checks would prevent vectorisation. No `fastmath`: it would
change bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import entrypoints, event
from numba.core.caching import FunctionCache

from stream_service.compilation import compilation_begins, compilation_ends, takes_extensions

_INNER: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""No Python and no C calls it: without what they would need, a kernel compiles in four fifths of the time."""

inlined: Any = njit(error_model="numpy", inline="always")
"""Decorator of a function that is compiled in the place of every call by compiled ones."""


def part(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of a function that only compiled ones call; `options` are further ones of numba."""
    return njit(**_INNER, **options)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator of a function that Python calls, without the GIL; `options` likewise."""
    entry: dict[str, Any] = {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher: Any = njit(**entry, **options)(function)
        with suppress(RuntimeError):  # no folder for the cache can be written
            dispatcher._cache = _CacheOfFolder(function)
        return dispatcher

    return decorate


class _CacheOfFolder(FunctionCache):
    """numba's, whose entries are of one state of all files beside the function, and of this one."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._sources = _checksum(Path(function.__code__.co_filename).parent)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return *super()._index_key(sig, codegen), self._sources


@cache
def _checksum(folder: Path) -> str:
    sources = [Path(__file__), *sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()


class _ToldOn(event.Listener):
    """Of all that numba compiles in this process."""

    def on_start(self, event: Any) -> None:
        compilation_begins()

    def on_end(self, event: Any) -> None:
        compilation_ends()


event.register("numba:compile", _ToldOn())
if not takes_extensions():
    entrypoints._already_initialized = True  # numba has no other way to say it
