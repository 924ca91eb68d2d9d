"""The documentation is true: examples run, commands parse, PVs exist, tables and links are up to date."""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.util
import json
import re
import shlex
from configparser import ConfigParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
import yaml
from doc_blocks import CHECKOUT, DOCS, FOLLOWED, NOT_GIVEN, PAGES, SHOWN_AS_TEXT, all_blocks, blocks, commands, name_of

import iocsim.cli
import ptychostream_plans.preview
import ptychostream_plans.scan
import stream_service.cli.main
from iocsim.fault_table import read_faults
from iocsim.faults import Faults
from iocsim.ioc import Ioc
from iocsim.physics.beamline import BeamlineConfig, make_beamline
from iocsim.zmq.address import Address
from iocsim.zmq.settings import ZmqSettings
from stream_service.core.run import RunState
from stream_service.settings.profile import Profile
from stream_service.settings.request import RequestedReferences, ScanRequest
from stream_service.settings.status_table import ServiceImage, ServicePV
from stream_service.standard_file.schema.codes import FLAG_CODES, STATUS_CODES
from stream_service.testing.example_file import write_example

NEEDS_A_BEAMLINE = {DOCS / "how-to" / "run-a-plan.md"}
"""Run on a simulated one by a system test, and here only compiled."""
FOREIGN = {
    "caget",
    "caput",
    "camonitor",
    "pvget",
    "pvmonitor",
    "cp",
    "cd",
    "git",
    "pip",
    "docker",
    "h5clear",
    "h5dump",
    "h5ls",
    "sed",
    "source",
    "systemctl",
    "journalctl",
}
OURS = {
    "ptychostream": stream_service.cli.main.app,
    "iocsim": iocsim.cli.app,
    "python -m ptychostream_plans.preview": ptychostream_plans.preview.app,
    "python -m ptychostream_plans.scan": ptychostream_plans.scan.app,
}


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def has_python(page: Path) -> bool:
    return next(blocks(page, "python"), None) is not None


@pytest.mark.parametrize("page", [page for page in PAGES if has_python(page)], ids=name_of)
def test_python_examples_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader would; those not run must compile, and what they import must exist."""
    monkeypatch.chdir(tmp_path)
    Path("demo-output").mkdir()
    write_example("demo-output/demo_std.h5", 12)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        # as many empty lines before it as there are on the page, so that a traceback names its line
        code = ast.parse("\n" * block.line + block.text, str(page))
        if block.is_run and page not in NEEDS_A_BEAMLINE:
            exec(compile(code, str(page), "exec"), names)
        else:
            assert_imports_exist(code)


def assert_imports_exist(code: ast.Module) -> None:
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            module = importlib.import_module(node.module)
            assert all(hasattr(module, name.name) for name in node.names), ast.unparse(node)
        elif isinstance(node, ast.Import):
            assert all(importlib.util.find_spec(name.name) for name in node.names), ast.unparse(node)


@pytest.mark.parametrize("command", sorted({command.line for command in commands()}))
def test_commands_exist_with_these_options(command: str) -> None:
    words = shlex.split(command)
    while words and re.fullmatch(r"export|[A-Z_]+=.*", words[0]):  # variables, alone or before a command
        del words[0]
    if not words:
        return
    if words[0] == "make":
        targets = re.findall(r"^([a-z][a-z-]*):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets)
        return
    if words[0] == "python" and words[1].endswith(".py"):  # a script of the checkout, which a system test runs
        assert (CHECKOUT / words[1]).is_file()
        return
    for name, app in OURS.items():
        n = len(name.split())
        if words[:n] == name.split():
            parse(typer.main.get_command(app), words[n:])
            return
    assert words[0] in FOREIGN, f"{words[0]} is neither a command of ours nor one we know of"


def parse(command: Any, words: list[str]) -> None:
    """Let the command itself read its options; raises if it does not take them."""
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, list(words))
    if command.name == "demo" and "--" in words:  # what follows is for the simulated beamline
        parse(typer.main.get_command(iocsim.cli.app), words[words.index("--") + 1 :])


@pytest.fixture(scope="module")
def simulated_pvs() -> set[str]:
    async def names() -> set[str]:
        streams = [Address.of_push(f"inproc://{name}") for name in ("array", "simplon", "stream2")]
        zmq = ZmqSettings(array=streams[0], simplon=streams[1], stream2=streams[2])
        ioc = Ioc(make_beamline(BeamlineConfig()), "SIM:", faults=Faults(), zmq=zmq)
        await ioc.close()
        return set(ioc.pvs)

    return asyncio.run(names())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pvs_of_the_simulated_beamline_exist(page: Path, simulated_pvs: set[str]) -> None:
    named = set(re.findall(r"SIM:[A-Za-z0-9_:.]*[A-Za-z0-9_]", page.read_text(encoding="utf-8")))
    assert named - {"SIM:Pva1:Image"} <= simulated_pvs


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pvs_of_the_service_exist(page: Path) -> None:
    named = set(re.findall(r"PTYCHO:([A-Za-z]+)", page.read_text(encoding="utf-8")))
    assert named - {"Recon"} <= {*ServicePV, *ServiceImage}


def test_generated_tables_are_fresh() -> None:
    fresh = generator().with_fresh_tables
    pages = sorted(DOCS.rglob("*.md"))
    stale = [page.name for page in pages if fresh(text := page.read_text(encoding="utf-8")) != text]
    assert stale == [], "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"\s*\n\s*", " ", text))
    local = {target.partition("#")[0] for target in targets if not re.match(r"https?:|#", target)}
    assert [target for target in sorted(local) if not (page.parent / target).exists()] == []


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_headings_that_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", re.sub(r"\s*\n\s*", " ", text))
    astray = []
    for target in targets:
        file, _, anchor = target.partition("#")
        if not file.startswith("http") and anchor not in anchors(page.parent / file if file else page):
            astray.append(target)
    assert astray == []


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = [page.relative_to(DOCS) for page in PAGES if page.is_relative_to(DOCS / "tutorials")]
    for kind in ("how-to", "reference", "explanation"):
        pages += [page.relative_to(DOCS) for page in (DOCS / kind).glob("*.md")]
    assert [str(page) for page in pages if f"({page})" not in index] == []


def test_glossary_explains_every_status_flag_and_state() -> None:
    glossary = (DOCS / "reference" / "glossary.md").read_text(encoding="utf-8")
    for name in (*STATUS_CODES.values(), *FLAG_CODES.values()):
        assert f"**{name}**" in glossary
    for state in RunState:
        assert state.value in glossary


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_in_yaml_examples_exist(page: Path) -> None:
    """An example is part of a profile: it must be one when it replaces that part of the simulated beamline's."""
    whole = yaml.safe_load((CHECKOUT / "xml_layouts" / "sim" / "profile.yaml").read_text(encoding="utf-8"))
    for block in blocks(page, "yaml"):
        Profile.model_validate(whole | yaml.safe_load(block.text))


def test_every_field_of_a_request_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "service-pvs.md").read_text(encoding="utf-8")
    fields = (*ScanRequest.model_fields, *RequestedReferences.model_fields)
    assert [name for name in fields if f"`{name}`" not in page] == []


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    known = {"console", "python", "yaml", "json", "mermaid", "text"}
    assert [str(block) for page in PAGES for block in all_blocks(page) if block.language not in known] == []


def test_every_block_that_is_no_code_is_known() -> None:
    pages = {name_of(page) for page in PAGES if next(blocks(page, "text"), None) is not None}
    assert pages == set(SHOWN_AS_TEXT)


def test_commands_that_are_given_for_real_are_ours() -> None:
    """Of others, and of those that cannot be given, `doc_blocks.py` says why not, or where the like is tested."""
    given = [command for command in commands() if command.why_not_given is None]
    assert [str(command) for command in given if not command.line.startswith("ptychostream ")] == []


def test_every_reason_not_to_give_a_command_is_needed() -> None:
    reasons = {why for command in commands() if (why := command.why_not_given) is not None}
    assert set(NOT_GIVEN.values()) <= reasons


def test_tests_that_reasons_name_exist() -> None:
    named = re.findall(r"tests/[\w./]+", " ".join([*NOT_GIVEN.values(), *SHOWN_AS_TEXT.values(), *FOLLOWED.values()]))
    assert [path for path in named if not (CHECKOUT / path).exists()] == []


@pytest.mark.parametrize("page", FOLLOWED)
def test_pages_are_followed_by_their_tests(page: str) -> None:
    assert Path(page).name in (CHECKOUT / FOLLOWED[page]).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_json_examples_are_json(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_drawings_have_nodes_before_arrows(page: Path) -> None:
    for block in blocks(page, "mermaid"):
        kind, *lines = block.text.splitlines()
        assert kind.split()[0] in {"flowchart", "stateDiagram-v2"}
        assert all(re.match(r"[\w*\[]", line.strip()) for line in lines if line.strip()), str(block)


@pytest.mark.parametrize("path", sorted((CHECKOUT / "examples").rglob("*.service")), ids=name_of)
def test_units_of_systemd_start_commands_of_ours(path: Path) -> None:
    unit = ConfigParser(strict=False, interpolation=None)
    unit.read(path, encoding="utf-8")
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "ptychostream"
    assert unit["Service"]["SuccessExitStatus"] == "130", "one that is stopped before it is ready was interrupted"
    assert unit["Service"]["RestartPreventExitStatus"] == "2", "no start mends a profile"
    parse(typer.main.get_command(stream_service.cli.main.app), words)


def test_the_file_of_faults_in_the_reference_is_one(tmp_path: Path) -> None:
    (block,) = blocks(DOCS / "reference" / "iocsim.md", "text")
    path = tmp_path / "faults.yaml"
    path.write_text(block.text, encoding="utf-8")
    assert read_faults(path)


def sentences_in_code() -> str:
    """The texts of our program, as they stand between what is filled in."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (CHECKOUT / "stream_service").rglob("*.py")]
    constants = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return "\n".join(value for value in constants if isinstance(value, str))


def test_symptoms_are_words_of_the_program() -> None:
    """What the first column of troubleshooting quotes, between its dots, is in the code: nobody finds old sentences."""
    page = (DOCS / "how-to" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = [text for line in page.splitlines() if line.startswith("| ") for text in quotes(line.split(" | ")[0])]
    pieces = {piece.strip() for text in quoted for piece in text.split("...")}
    code = sentences_in_code() + " ".join(ServicePV) + " ".join(OF_OTHERS)
    assert len(pieces) > 20
    assert [piece for piece in sorted(pieces) if piece not in code] == []


OF_OTHERS = ("unable to lock file", "file is already open for write", "caget", "swmr=True", "PTYCHO:", "--roi-center")
"""What other programs say, and names of theirs."""


def quotes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)
