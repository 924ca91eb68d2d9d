"""A PV that nobody has filled in is named before anything connects; what connects to nothing does not mind."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import ConfigError
from stream_service.service.check import check_profile
from stream_service.settings.beamlines import load_named_profile, profile_path
from stream_service.settings.placeholders import find_placeholders, placeholder_problem
from stream_service.settings.profile import Profile
from stream_service.settings.profile_file import load_profile

UNFINISHED = ["hermes", "xrnf", "aps_2idd", "aps_26id", "template"]
DETECTOR = {"detector.frames.pva.channel", "detector.acquire_pv", "detector.counter_pv", "detector.exposure_pv"}


def pvs_of(profile: Profile) -> dict[str, str]:
    """Every setting of a profile that names a PV, by going through its models and not through their texts."""
    found = {name: attrgetter(name)(profile) for name in DETECTOR}
    for name, channel in profile.channels.items():
        found[f"channels.{name}.pv"] = channel.pv
        if channel.moving:
            found[f"channels.{name}.moving.pv"] = channel.moving.pv
    found["raw_file.plugin"] = profile.raw_file.plugin
    return {name: pv for name, pv in found.items() if pv}


def sim_with(folder: Path, *changes: tuple[str, Any]) -> Path:
    """The simulated beamline's profile, some settings of it replaced."""
    document = yaml.safe_load(profile_path("sim").read_text(encoding="utf-8"))
    for field, value in changes:
        *parents, name = field.split(".")
        place = document
        for parent in parents:
            if not isinstance(place[parent], dict):
                place[parent] = {}  # `pva: CHANNEL` is short for its settings
            place = place[parent]
        place[name] = value
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.mark.parametrize("beamline", UNFINISHED)
def test_every_pv_of_a_beamline_we_do_not_know_is_a_placeholder(beamline: str) -> None:
    profile = load_named_profile(beamline)
    assert find_placeholders(profile) == pvs_of(profile)


def test_simulated_beamline_has_no_placeholder() -> None:
    profile = load_named_profile("sim")
    assert find_placeholders(profile) == {}
    assert placeholder_problem(profile) == ""


@pytest.mark.parametrize(
    "field", ["detector.counter_pv", "channels.x.pv", "channels.y.moving.pv", "channels.ring_current.pv"]
)
def test_one_placeholder_is_named_with_its_value(tmp_path: Path, field: str) -> None:
    profile = load_profile(sim_with(tmp_path, (field, "PLACEHOLDER:that")))
    assert (
        placeholder_problem(profile) == f"{field} is the placeholder 'PLACEHOLDER:that': write your beamline's PV there"
    )


def test_several_placeholders_are_named_in_one_sentence(tmp_path: Path) -> None:
    path = sim_with(tmp_path, ("detector.frames.pva.channel", "PLACEHOLDER:Image"), ("channels.x.pv", "PLACEHOLDER:X"))
    problem = placeholder_problem(load_profile(path))
    assert problem == (
        "detector.frames.pva.channel is the placeholder 'PLACEHOLDER:Image', and so is channels.x.pv: "
        "write your beamline's PVs there"
    )


def test_check_names_placeholders_and_touches_nothing(tmp_path: Path) -> None:
    path = sim_with(tmp_path, ("detector.frames.pva.channel", "PLACEHOLDER:Image"), ("service.data_root", "data"))
    (finding,) = check_profile(load_profile(path))
    assert (finding.level, finding.about) == ("error", "placeholders")
    assert "detector.frames.pva.channel" in finding.text
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("beamline", UNFINISHED)
def test_check_command_fails_on_a_beamline_by_name(beamline: str) -> None:
    result = CliRunner().invoke(cli.app, ["check", beamline])
    assert result.exit_code == 1
    assert (
        "ERROR placeholders: detector.frames.pva.channel is the placeholder 'PLACEHOLDER:Pva1:Image'" in result.output
    )


@pytest.mark.parametrize("by", ["name", "path"])
def test_daemon_does_not_start_with_placeholders(by: str) -> None:
    path = profile_path("hermes")
    result = CliRunner().invoke(cli.app, ["run", "hermes" if by == "name" else str(path)])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(
        f"the profile {path} cannot be run: detector.frames.pva.channel is the placeholder"
    )


@pytest.mark.parametrize("command", ["run", "check"])
def test_beamline_nobody_knows_is_told_with_those_there_are(command: str) -> None:
    result = CliRunner().invoke(cli.app, [command, "hemres"])
    assert isinstance(result.exception, ConfigError)
    assert "choose one of aps_26id, aps_2idd, hermes, sim, template, xrnf" in str(result.exception)
