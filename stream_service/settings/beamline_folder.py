"""A new beamline's folder, made from the template: profile, NDAttributes, layouts, and what is where."""

from __future__ import annotations

import json
import re
from pathlib import Path

from stream_service.errors import ConfigError, OutputPathError, WriteError
from stream_service.settings.beamlines import PROFILE, layouts_folder
from stream_service.settings.placeholders import PLACEHOLDER

TEMPLATE = "template"
FILES = (PROFILE, "attributes.xml", "beamline_cxi_layout.xml", "beamline_minimal_layout.xml", "README.md")
TEMPLATES_NAME = "my beamline"
PV_CHARACTERS = re.compile(r"[A-Za-z0-9_\-:.\[\]<>;]+")
"""Of a record name (EPICS Application Developer's Guide, "Database Definition")."""
A_PV = re.compile(rf'(?<=["`]){PLACEHOLDER}(?=\w)')
"""Where the template names one; its comments speak of the placeholder itself."""
LONGEST_NAME = 64


def make_beamline_folder(folder: Path, prefix: str, name: str) -> tuple[Path, ...]:
    """Write the files into `folder`, which is made if it is not there; none of them may exist.

    PVs begin with `prefix` then, or stay placeholders without one. Raises `ConfigError`, `WriteError`.
    """
    if prefix and not PV_CHARACTERS.fullmatch(prefix):
        raise ConfigError(f"--prefix {prefix!r} cannot begin the name of a PV: use letters, digits and _-:.[]<>;")
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise ConfigError(f"--name {name!r} is not a name: give one line of at most {LONGEST_NAME} characters")
    paths = tuple(folder / file for file in FILES)
    texts = [_filled_in(file, prefix, name) for file in FILES]
    try:
        if there := [path for path in paths if path.exists() or path.is_symlink()]:
            raise OutputPathError(f"{there[0]} exists already and is not overwritten: give another folder")
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in zip(paths, texts, strict=True):
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise WriteError(f"cannot make a beamline's folder in {folder}: {error.strerror}") from error
    return paths


def _filled_in(file: str, prefix: str, name: str) -> str:
    text = (layouts_folder() / TEMPLATE / file).read_text(encoding="utf-8")
    if prefix:
        text = A_PV.sub(lambda _: prefix, text)
    if file == PROFILE:
        return text.replace(f"beamline: {TEMPLATES_NAME}\n", f"beamline: {json.dumps(name, ensure_ascii=False)}\n", 1)
    if file == "README.md":
        text = f"# {name}\n\n" + text[text.index("**Nothing here is finished.**") :]
        return text.replace(f"xml_layouts/{TEMPLATE}/", "")
    return text
