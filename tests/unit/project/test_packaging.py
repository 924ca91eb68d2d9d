"""Foundations of `make`, pip and CI: pins that fit pyproject.toml, shelves that are no packages, tasks that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[3]
PYPROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
MAKEFILE = (CHECKOUT / "Makefile").read_text(encoding="utf-8")


def pins() -> dict[str, str]:
    lines = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = (line.partition("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in found}


def requirements() -> list[Requirement]:
    extras = (PROJECT["optional-dependencies"][extra] for extra in ("bluesky", "web", "sim", "test"))
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    found = [Requirement(text) for text in [*texts, *PYPROJECT["build-system"]["requires"]]]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def makefile_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, flags=re.MULTILINE))


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_pinned_version_is_one_that_pyproject_allows(requirement: Requirement) -> None:
    version = pins()[canonicalize_name(requirement.name)]
    assert version in requirement.specifier


def test_every_place_that_names_the_pythons_names_the_same() -> None:
    prefix = "Programming Language :: Python :: 3."
    classified = [text.removeprefix(prefix) for text in PROJECT["classifiers"] if text.startswith(prefix)]
    searched = re.findall(r"3\.(\d+)", (CHECKOUT / ".ci" / "pythons").read_text(encoding="utf-8").partition("(")[2])
    assert searched[: len(classified)] == classified[::-1]
    assert PROJECT["requires-python"] == f">=3.{classified[0]}"
    for name in ("constraints.txt", "README.md"):
        text = (CHECKOUT / name).read_text(encoding="utf-8")
        assert re.search(rf"3\.{classified[0]}\b.*3\.{classified[-1]}\b", text), name


def test_constraints_are_names_and_versions_only() -> None:
    lines = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)]
    assert wrong == []


@pytest.mark.parametrize("shelf", ["ophyd_devices", "plans", "xml_layouts"])
def test_shelves_are_no_packages(shelf: str) -> None:
    assert not (CHECKOUT / shelf / "__init__.py").exists()


@pytest.mark.parametrize("task", ["demo", "test", "lint", "types", "bench", "test-long", "interop"])
def test_task_exists(task: str) -> None:
    assert task in makefile_targets()


def test_every_target_is_phony() -> None:
    found = re.search(r"^\.PHONY: (.*)$", MAKEFILE, flags=re.MULTILINE)
    assert found is not None
    assert set(found[1].split()) == makefile_targets()


def test_ci_runs_lint_types_and_test_in_this_order() -> None:
    assert "lint types test" in (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")


def test_compose_file_builds_one_image_and_runs_commands_of_this_project() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
    ours = {name: service for name, service in compose["services"].items() if name != "adsim"}
    assert {service["image"] for service in ours.values()} == {PROJECT["name"]}
    commands = {service["command"][0] for service in ours.values()}
    assert commands <= {*PROJECT["scripts"], "python"}


def test_real_detector_is_an_image_of_the_user_and_only_on_request() -> None:
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text(encoding="utf-8"))
    adsim = compose["services"]["adsim"]
    assert adsim["image"].startswith("${ADSIM_IMAGE") and adsim["profiles"] == ["adsim"]
    on_request = {name for name, service in compose["services"].items() if service.get("profiles")}
    assert on_request == {"adsim", "stream-adsim"}
    assert compose["networks"]["epics"] == {"internal": True}
