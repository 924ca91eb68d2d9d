"""A profile read from its YAML file, with the paths in it made absolute."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from stream_service.errors import ConfigError
from stream_service.settings.frames import with_absolute_keys
from stream_service.settings.profile import RENAMED, Profile
from stream_service.text.text_file import text_of
from stream_service.text.validation_messages import explain


def load_profile(path: Path) -> Profile:
    """Read a profile; relative paths in it are relative to its folder. Raises `ConfigError` naming the field."""
    try:
        document = yaml.safe_load(text_of(path))
    except OSError as error:
        raise ConfigError(f"cannot read the profile {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the profile {path} is not a text in UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the profile {path} is not valid YAML{_place_of(error)}") from error
    except RecursionError:
        raise ConfigError(f"the profile {path} has hundreds of brackets within each other: it is no profile") from None
    if not isinstance(document, dict):
        raise ConfigError(f"the profile {path} holds no settings: see xml_layouts/sim/profile.yaml for an example")
    try:
        profile = Profile.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"the profile {path} is wrong:\n{explain(error, Profile, RENAMED)}") from error
    return _with_absolute_paths(profile, path.resolve().parent)


def _place_of(error: yaml.YAMLError) -> str:
    """Where YAML is wrong and how, in one line for who does not know its grammar."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f": {' '.join(str(error).split())}"
    mark = error.problem_mark
    begin = f"; what it belongs to begins in line {error.context_mark.line + 1}" if error.context_mark else ""
    what = error.problem or "it cannot be read on"
    advice = "Is it indented as the lines around it, and are quotes and brackets closed?"
    return f" in line {mark.line + 1}, column {mark.column + 1}: {what}{begin}. {advice}"


def _with_absolute_paths(profile: Profile, folder: Path) -> Profile:
    service = profile.service.model_copy(
        update={
            "data_root": folder / profile.service.data_root.expanduser(),
            "reference_roots": tuple(folder / root.expanduser() for root in profile.service.reference_roots),
        }
    )
    named = {name: str(folder / value) for name, value in profile.references.model_dump().items() if value}
    references = profile.references.model_copy(update=named)
    xml = {
        name: str(folder / value)
        for name, value in profile.raw_file.model_dump(include={"layout", "attributes"}).items()
        if value
    }
    raw_file = profile.raw_file.model_copy(update=xml)
    frames = with_absolute_keys(profile.detector.frames, folder)
    detector = profile.detector.model_copy(update={"frames": frames})
    update = {"service": service, "references": references, "raw_file": raw_file, "detector": detector}
    return profile.model_copy(update=update)
