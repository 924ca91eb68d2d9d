"""PVs of a profile that nobody has filled in yet: they begin with `PLACEHOLDER:`.

The beamlines' profiles in `xml_layouts` carry preprocessing that is known and PVs that are not. Offline commands need
no PV; what connects to a beamline must not start with one that is made up.
"""

from __future__ import annotations

from collections.abc import Iterator

from stream_service.settings.profile import Profile

PLACEHOLDER = "PLACEHOLDER:"
"""What a PV begins with that is still to be written."""


def find_placeholders(profile: Profile) -> dict[str, str]:
    """The placeholders left in a profile, in its order: from the dotted name of a setting to its value."""
    return {name: value for name, value in _texts("", profile.model_dump()) if value.startswith(PLACEHOLDER)}


def placeholder_problem(profile: Profile) -> str:
    """Advice on the placeholders in a profile, in one sentence; empty if it has none."""
    found = find_placeholders(profile)
    if not found:
        return ""
    (first, value), *others = found.items()
    if not others:
        return f"{first} is the placeholder '{value}': write your beamline's PV there"
    names = ", ".join(name for name, _ in others)
    verb = "is" if len(others) == 1 else "are"
    return f"{first} is the placeholder '{value}', and so {verb} {names}: write your beamline's PVs there"


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield name, value
        case dict():
            for key, inner in value.items():
                yield from _texts(f"{name}.{key}" if name else str(key), inner)
