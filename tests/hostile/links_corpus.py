"""Datasets that are kept in other files than their own, by every means that HDF5 has, and where those files lie.

`write(path, kind, folder)` puts one at a path of a file, and beside the file whatever leads on. What it leads to is in
`folder`: `SECRET`, an image of (6, 8).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

SHAPE = (6, 8)
SECRET = (np.arange(48).reshape(SHAPE) + 1000).astype(np.float32)
RAW, HDF5 = "secret.bin", "secret.h5"


def write_secret(folder: Path) -> None:
    """The files that are led to."""
    folder.mkdir(exist_ok=True)
    (folder / RAW).write_bytes(SECRET.tobytes())
    with h5py.File(folder / HDF5, "w") as file:
        file["image"] = SECRET
    for block in range(2):
        with h5py.File(folder / f"secret_{block}.h5", "w") as file:
            file["image"] = SECRET[np.newaxis]


def external(file: h5py.File, path: str, raw: str | Path) -> None:
    """External storage."""
    file.create_dataset(path, SHAPE, "f4", external=[(str(raw), 0, SECRET.nbytes)])


def virtual(file: h5py.File, path: str, source: str | Path, dataset: str = "/image") -> None:
    """A virtual dataset."""
    layout = h5py.VirtualLayout(SHAPE, "f4")
    layout[:] = h5py.VirtualSource(str(source), dataset, SHAPE)
    file.create_virtual_dataset(path, layout)


def blocks(file: h5py.File, path: str, source: str | Path) -> None:
    """A virtual dataset on as many files as there are, by a name with a number."""
    space, source_space = h5py.h5s.create_simple((1, *SHAPE), (h5py.h5s.UNLIMITED, *SHAPE)), None
    space.select_hyperslab((0, 0, 0), (h5py.h5s.UNLIMITED, 1, 1), (1, 1, 1), (1, *SHAPE))
    source_space = h5py.h5s.create_simple((1, *SHAPE))
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_virtual(space, os.fsencode(source), b"/image", source_space)
    h5py.h5d.create(file.require_group(os.path.dirname(path)).id, os.path.basename(path).encode(),
                    h5py.h5t.IEEE_F32LE, space, dcpl=properties)  # fmt: skip


def beside(file: h5py.File, name: str, put: Callable[..., None], *arguments: Any) -> None:
    """Another file in the same folder, with an `image` that leads on."""
    with h5py.File(Path(file.filename).with_name(name), "w") as other:
        put(other, "/image", *arguments)


def link(file: h5py.File, path: str, target: str | Path, inner: str = "/image") -> None:
    """An external link."""
    file[path] = h5py.ExternalLink(str(target), inner)


def symlink(file: h5py.File, name: str, target: Path) -> str:
    """A symbolic link beside the file."""
    Path(file.filename).with_name(name).symlink_to(target)
    return name


def _relative(file: h5py.File, target: Path) -> str:
    return os.path.relpath(target, Path(file.filename).parent)


def _by_soft_link(file: h5py.File, path: str, folder: Path) -> None:
    link(file, "/elsewhere", folder / HDF5, "/")
    file[path] = h5py.SoftLink("/elsewhere/image")


def _on_itself(file: h5py.File, path: str, folder: Path) -> None:
    external(file, "/image", folder / RAW)
    virtual(file, path, ".")


Put = Callable[[h5py.File, str, Path], None]
KINDS: dict[str, Put] = {
    "external storage": lambda file, path, folder: external(file, path, folder / RAW),
    "external storage, symbolic link": lambda file, path, folder: external(
        file, path, Path(file.filename).with_name(symlink(file, "raw", folder / RAW))
    ),
    "external link": lambda file, path, folder: link(file, path, folder / HDF5),
    "external link, relative": lambda file, path, folder: link(file, path, _relative(file, folder / HDF5)),
    "external link, symbolic link": lambda file, path, folder: link(
        file, path, symlink(file, "linked.h5", folder / HDF5)
    ),
    "external link, folder by symbolic link": lambda file, path, folder: link(
        file, path, f"{symlink(file, 'folder', folder)}/{HDF5}"
    ),
    "soft link to an external link": _by_soft_link,
    "external link to an external link": lambda file, path, folder: (
        beside(file, "middle.h5", link, folder / HDF5),
        link(file, path, "middle.h5"),
    )[1],
    "external link to external storage": lambda file, path, folder: (
        beside(file, "middle.h5", external, folder / RAW),
        link(file, path, "middle.h5"),
    )[1],
    "virtual": lambda file, path, folder: virtual(file, path, folder / HDF5),
    "virtual, relative": lambda file, path, folder: virtual(file, path, _relative(file, folder / HDF5)),
    "virtual, symbolic link": lambda file, path, folder: virtual(file, path, symlink(file, "linked.h5", folder / HDF5)),
    "virtual on virtual": lambda file, path, folder: (
        beside(file, "middle.h5", virtual, folder / HDF5),
        virtual(file, path, "middle.h5"),
    )[1],
    "virtual on external storage": lambda file, path, folder: (
        beside(file, "middle.h5", external, folder / RAW),
        virtual(file, path, "middle.h5"),
    )[1],
    "virtual on an external link": lambda file, path, folder: (
        beside(file, "middle.h5", link, folder / HDF5),
        virtual(file, path, "middle.h5"),
    )[1],
    "virtual on external storage of its own file": _on_itself,
}
"""Each an image of `SHAPE`."""


def _circle(file: h5py.File, path: str, folder: Path) -> None:
    beside(file, "middle.h5", virtual, Path(file.filename).name, path)
    virtual(file, path, "middle.h5")


def _too_short(file: h5py.File, path: str, folder: Path) -> None:
    raw = Path(file.filename).with_name("raw")
    raw.write_bytes(bytes(10))
    external(file, path, raw)


def _smaller_source(file: h5py.File, path: str, folder: Path) -> None:
    beside(file, "small.h5", lambda other, inner: other.__setitem__(inner, SECRET[:3]))
    virtual(file, path, "small.h5")


def _fifo(file: h5py.File, path: str, folder: Path) -> None:
    os.mkfifo(Path(file.filename).with_name("fifo.h5"))
    link(file, path, "fifo.h5")


NEVER: dict[str, tuple[Put, str]] = {
    "a device": (lambda file, path, folder: external(file, path, "/dev/zero"), "outside of"),
    "a pipe": (_fifo, "is not a regular file"),
    "a folder": (lambda file, path, folder: link(file, path, "."), "is not a regular file"),
    "a link to nothing": (lambda file, path, folder: link(file, path, "nothing.h5"), "is not there"),
    "virtual on nothing": (lambda file, path, folder: virtual(file, path, "nothing.h5"), "is not there"),
    "virtual on no dataset": (
        lambda file, path, folder: (beside(file, "middle.h5", link, "x"), virtual(file, path, "middle.h5", "/none"))[1],
        "is not there",
    ),
    "external storage that is not there": (lambda f, path, _: external(f, path, "nothing"), "is not there"),
    "external storage that is too short": (_too_short, "too short"),
    "a source that is too small": (_smaller_source, "something is missing"),
    "virtual datasets in a circle": (_circle, "from file to file"),
    "no HDF5 file": (lambda file, path, folder: link(file, path, "/etc/passwd"), "outside of"),
}
"""What is refused wherever it lies, and what is said of it."""
