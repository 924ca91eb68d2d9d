"""Names of files and folders, as NDPluginFile makes them."""

from __future__ import annotations

from pathlib import Path


def file_name(template: str, folder: str, name: str, number: int) -> str:
    """Result of C's sprintf for the template; like it, values that the template does not use are ignored."""
    for n_values in (3, 2, 1):
        try:
            return template % (folder, name, number)[:n_values]
        except TypeError:
            continue
        except ValueError as error:
            raise ValueError(f"file template {template!r}: {error}") from error
    raise ValueError(f"file template {template!r} does not fit (path, name, number)")


def make_folder(folder: str, create_directory: int) -> bool:
    """Make the folder as far as CreateDirectory allows; gives whether it exists."""
    path = Path(folder)
    if create_directory and not path.is_dir():
        levels = len(path.parts) - 1
        must_exist = create_directory if create_directory > 0 else max(1, levels + create_directory)
        if Path(*path.parts[: 1 + must_exist]).is_dir():
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError:
                return False
    return path.is_dir()
