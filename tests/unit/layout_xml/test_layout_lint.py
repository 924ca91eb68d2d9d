"""Every planted problem is named, with its line, and nothing else is; what ADCore ships is not called wrong."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from layout_corpus import ATTRIBUTES, GOOD, SEED_FRAGMENT, WRONG, WrongLayout
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.layout_xml import (
    Finding,
    Level,
    PluginSettings,
    lint_attributes,
    lint_layout,
    shortest_xml,
)

CHECKOUT = Path(__file__).resolve().parents[3]
LAYOUTS = sorted((CHECKOUT / "xml_layouts").glob("*/*_layout.xml"))
SWMR = PluginSettings(swmr=True, attribute_chunk=1, flush_every=1, num_capture=0)

PIECES = ["", "<", ">", '"', "/", "<group>", "</group>", 'name=""', "\0", "&lt;", "é"]
"""What damage puts into a file."""


def names(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def lint_with_attributes(text: str) -> tuple[Finding, ...]:
    return lint_layout(text, ATTRIBUTES)


def test_good_layout_has_nothing_wrong() -> None:
    assert lint_layout(GOOD, ATTRIBUTES, SWMR) == ()
    assert lint_layout(shortest_xml(GOOD), ATTRIBUTES, SWMR, is_inline=True) == ()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
def test_planted_mistake_is_named_and_nothing_else(wrong: WrongLayout) -> None:
    found = list(lint_with_attributes(wrong.text))
    for level, line, words in wrong.expected:
        fitting = [f for f in found if (f.level, f.line) == (level, line) and words in f.problem]
        assert fitting, f"{level} in line {line}: {words!r} is not among {found}"
        found.remove(fitting[0])
    assert found == []


def test_own_dataset_of_a_group_is_found_before_those_of_its_groups() -> None:
    """As ADCore searches, whatever the names: not in the order of the paths."""
    twice = '<group name="a"><dataset name="x" source="ndattribute" ndattribute="POSX"/></group>'
    text = GOOD.replace('    <dataset name="posx"', f'    {twice}\n    <dataset name="posx"')
    (finding,) = lint_with_attributes(text)
    assert (finding.line, finding.problem) == (8, "the NDAttribute POSX is in two datasets, /entry/posx and /entry/a/x")
    assert 'target="/entry/posx"' in finding.remedy


def test_every_finding_says_what_happens_and_what_to_write() -> None:
    texts = [*(wrong.text for wrong in WRONG), SEED_FRAGMENT]
    for finding in (finding for text in texts for finding in lint_with_attributes(text)):
        assert finding.problem and finding.consequence and finding.remedy
        assert not re.search(r"[.\s]$", finding.problem + finding.consequence)


def test_users_own_fragment_yields_all_its_mistakes() -> None:
    findings = lint_with_attributes(SEED_FRAGMENT)
    said = [(finding.line, finding.problem) for finding in findings if finding.level is Level.ERROR]
    for line, words in [
        (5, 'source="NDArray"'),
        (5, 'type="UInt16"'),
        (5, "dims="),
        (8, "dims="),
        (8, "compress="),
        (8, "optional="),
        (2, "no dataset takes the frames"),
        (8, "POS is not in the attributes file"),
    ]:
        assert any(line == at and words in problem for at, problem in said), (line, words)
    assert len(said) == 8


@pytest.mark.parametrize("path", LAYOUTS, ids=names)
def test_our_layouts_are_spotless(path: Path) -> None:
    attributes = (path.parent / "attributes.xml").read_text(encoding="utf-8")
    assert lint_layout(path.read_text(encoding="utf-8"), attributes, SWMR) == ()


@pytest.mark.parametrize("path", sorted((CHECKOUT / "xml_layouts").glob("*/attributes.xml")), ids=names)
def test_our_attributes_only_want_their_pvs(path: Path) -> None:
    findings = lint_attributes(path.read_text(encoding="utf-8"), is_inline=True)
    assert {finding.level for finding in findings} == {Level.WARNING}
    assert all("placeholder" in finding.problem for finding in findings)


@pytest.mark.parametrize(
    ("settings", "level", "words"),
    [
        (PluginSettings(swmr=True, attribute_chunk=0, flush_every=1, num_capture=0), Level.ERROR, "after 16384 frames"),
        (PluginSettings(swmr=True, attribute_chunk=0, flush_every=1, num_capture=300), Level.ERROR, "after 300 frames"),
        (PluginSettings(swmr=True, attribute_chunk=100, flush_every=10), Level.ERROR, "after 100 frames"),
        (PluginSettings(swmr=True, attribute_chunk=10, flush_every=10), None, ""),
        (PluginSettings(swmr=False, attribute_chunk=0), None, ""),
        (PluginSettings(attribute_chunk=0), None, ""),
    ],
)
def test_columns_that_readers_would_not_see(settings: PluginSettings, level: Level | None, words: str) -> None:
    findings = lint_layout(GOOD, settings=settings)
    assert [finding.level for finding in findings] == ([level] if level else [])
    assert all(words in finding.consequence and "NDAttributeChunk = 1" in finding.remedy for finding in findings)


@pytest.mark.parametrize(("swmr", "levels"), [(True, ["error"]), (None, ["warning"]), (False, [])])
def test_value_at_close_depends_on_swmr(swmr: bool | None, levels: list[str]) -> None:
    text = GOOD.replace('name="units"', 'when="OnFileClose" name="units"')
    assert [finding.level for finding in lint_layout(text, settings=PluginSettings(swmr=swmr))] == levels


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name="NX_class"', 'when="OnFileClose" name="NX_class"'),
        ('ndattribute="POSX"', 'when="OnFileClose" ndattribute="POSX"'),
    ],
)
def test_what_the_real_plugin_closes_well_is_no_error_with_swmr(old: str, new: str) -> None:
    """An HDF5 attribute of an h5 group, and the dataset of an NDAttribute (a real IOC, 2026-11-28)."""
    findings = lint_layout(GOOD.replace(old, new), settings=SWMR)
    assert [finding for finding in findings if finding.level is Level.ERROR] == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('  <group name="entry">', '  <dataset name="d" source="constant" value="1"/><group name="entry">'),
        ('ndattribute="POSX"', 'det_default="true" ndattribute="POSX"'),
    ],
)
def test_what_kills_the_ioc_is_an_error_that_says_so(old: str, new: str) -> None:
    errors = [finding for finding in lint_layout(GOOD.replace(old, new)) if finding.level is Level.ERROR]
    assert [finding.consequence for finding in errors] == [
        "the IOC crashes (segmentation fault) when the file is opened"
    ]


def test_an_attributes_file_in_place_of_a_layout_is_one_error_that_says_what_it_is() -> None:
    (finding,) = lint_layout(ATTRIBUTES)
    assert finding.level is Level.ERROR and finding.problem == "it is an attributes file (<Attributes>), no layout"
    assert "--attributes" in finding.remedy


def test_another_outermost_element_is_a_warning_and_the_rest_is_looked_over() -> None:
    text = GOOD.replace("hdf5_layout>", "layout>")
    (finding,) = lint_layout(text, ATTRIBUTES, SWMR)
    assert (finding.level, finding.problem) == (Level.WARNING, "the outermost element is <layout>")
    found = [finding.problem for finding in lint_layout(text.replace('source="detector"', 'source="x"'))]
    assert "no dataset takes the frames" in found
    (finding, *_) = lint_layout('<group name="entry"/>')
    assert finding.level is Level.ERROR


@pytest.mark.parametrize("second", ['<group name="data"/>', '<dataset name="posx" source="constant" value="1"/>'])
def test_a_second_one_of_a_name_is_said_to_move_the_rest(second: str) -> None:
    (finding,) = lint_layout(GOOD.replace("    <hardlink", f"    {second}<hardlink"), ATTRIBUTES)
    assert "the rest of the layout moves up" in finding.consequence


@pytest.mark.parametrize(("name", "is_made"), [("a", True), ("z", False)])
def test_a_link_to_a_link_that_is_made_later_is_named(name: str, is_made: bool) -> None:
    links = f'<hardlink name="frames" target="/entry/{name}"/><hardlink name="{name}" target="/entry/data/data"/>'
    findings = lint_layout(GOOD.replace('<hardlink name="frames" target="/entry/data/data"/>', links), ATTRIBUTES)
    if is_made:
        assert findings == ()
    else:
        (finding,) = findings
        assert finding.problem == "/entry/frames points to the hardlink /entry/z, which is made after it"
        assert finding.remedy == 'target="/entry/data/data", the dataset itself'


def test_links_in_a_circle_are_named() -> None:
    links = '<hardlink name="a" target="/entry/b"/><hardlink name="b" target="/entry/a"/>'
    findings = lint_layout(GOOD.replace('<hardlink name="frames" target="/entry/data/data"/>', links), ATTRIBUTES)
    assert "/entry/a points to the hardlink /entry/b, which is made after it" in [f.problem for f in findings]


@pytest.mark.parametrize(
    ("kind", "value", "is_good"),
    [
        ("float", "inf", False),
        ("float", "-Infinity", False),
        ("float", "nan", False),
        ("float", "1e999", False),
        ("float", "1, nan", False),
        ("float", "1e-3, 2", True),
        ("int", "3000000000", False),
        ("int", "-2147483648", True),
        ("int", "1_000", False),
        ("int", "٣", False),
    ],
)
def test_a_constant_that_the_plugin_cannot_store_is_an_error(kind: str, value: str, is_good: bool) -> None:
    text = GOOD.replace('type="float" value="0.1"', f'type="{kind}" value="{value}"')
    findings = lint_layout(text, ATTRIBUTES)
    assert [finding.level for finding in findings] == ([] if is_good else [Level.ERROR])


@pytest.mark.parametrize(
    ("text", "record_bytes", "words"),
    [
        (GOOD, None, ""),
        (GOOD + "<!--" + "x" * 2048 + "-->", None, "bytes, XMLFileName takes 2047"),
        (GOOD + "<!--" + "x" * 2048 + "-->", 8192, ""),
        (GOOD, 256, "XMLFileName takes 255"),
        (GOOD.partition("\n")[2], None, "does not begin with <?xml"),
    ],
)
def test_xml_in_the_record_must_fit_and_be_known_as_such(text: str, record_bytes: int | None, words: str) -> None:
    findings = lint_layout(text, settings=PluginSettings(record_bytes=record_bytes), is_inline=True)
    assert [words in finding.problem for finding in findings] == ([True] if words else [])


@pytest.mark.parametrize(
    ("old", "new", "level", "words"),
    [
        ("<Attributes>", '<Attributes xmlns="x">', "error", "of its own"),
        ("EPICS_PV", "EPICSPV", "error", 'type="EPICSPV"'),
        ("DBR_DOUBLE", "DOUBLE", "error", 'dbrtype="DOUBLE"'),
        (' source="BL:X.RBV"', "", "error", "needs source"),
        ("dbrtype=", "datatype=", "error", 'datatype="DBR_DOUBLE"'),
        ("description=", "desc=", "error", 'has no desc="stage x, um"'),
        ("stage x, um", "stage x", "warning", "does not end with a unit"),
        ("BL:X.RBV", "PLACEHOLDER:X.RBV", "warning", "placeholder PLACEHOLDER:X.RBV"),
        ("</Attributes>", "<Attr/></Attributes>", "error", "there is no <Attr>"),
        ("</Attributes>", '<Attribute name="POSX" type="CONST" source="1"/></Attributes>', "error", "line 2 already"),
        ("</Attributes>", "", "error", "it is no XML"),
        ("Attributes>", "NDAttributes>", "error", "outermost element"),
    ],
)
def test_mistakes_in_an_attributes_file_are_named(old: str, new: str, level: str, words: str) -> None:
    findings = lint_attributes(ATTRIBUTES.replace(old, new), is_inline=True)
    assert any(finding.level == level and words in finding.problem for finding in findings), findings


@given(data=st.data())
def test_damaged_file_is_judged_and_never_a_crash(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([GOOD, SEED_FRAGMENT, ATTRIBUTES]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 12))
        piece = data.draw(st.sampled_from(PIECES))
        text = text[:at] + piece + text[at + cut :]
    for findings in (lint_layout(text, settings=SWMR, is_inline=True), lint_attributes(text)):
        assert all(1 <= finding.line <= text.count("\n") + 1 for finding in findings)
    assert lint_layout(text) == lint_layout(text)


def test_what_no_layout_needs_is_refused_at_once() -> None:
    deep = "<group name='g'>" * 5000
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]><hdf5_layout/>'
    huge = GOOD + " " * (1 << 20)
    digits = GOOD.replace('value="0.1"', f'value="{"1" * 5000}x"')
    for text, words in ((deep, "in each other"), (bomb, "document type"), (huge, "bytes"), (digits, "no float")):
        assert any(words in finding.problem for finding in lint_layout(text)), words


def test_command_names_line_and_file_and_fails_on_errors(tmp_path: Path) -> None:
    wrong, good = tmp_path / "seed.xml", tmp_path / "good.xml"
    wrong.write_text(SEED_FRAGMENT)
    good.write_text(GOOD)
    (tmp_path / "attributes.xml").write_text(ATTRIBUTES)
    result = CliRunner().invoke(cli.app, ["layout", "lint", str(wrong), str(good)])
    assert result.exit_code == 1
    assert f'{wrong}:5: ERROR: source="NDArray" of <dataset> means nothing. On the beamline:' in result.output
    assert f"{good}: nothing wrong" in result.output
    result = CliRunner().invoke(
        cli.app, ["layout", "lint", str(good), "--attributes", str(tmp_path / "attributes.xml"), "--swmr", "--inline"]
    )
    assert result.exit_code == 0, result.output


def test_strict_command_fails_on_warnings(tmp_path: Path) -> None:
    file = tmp_path / "layout.xml"
    file.write_text(GOOD.replace('name="units"', 'name="unit"'))
    codes = [CliRunner().invoke(cli.app, ["layout", "lint", str(file), *o]).exit_code for o in ([], ["--strict"])]
    assert codes == [0, 1]


ADCORE = os.environ.get("PTYCHOSTREAM_ADCORE")
"""A folder with ADCore's XML_schema and upstream example layouts, anywhere below it."""


@pytest.fixture(scope="module")
def schema() -> object:
    etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
    return etree.XMLSchema(etree.parse(str(next(Path(str(ADCORE)).rglob("hdf5_xml_layout_schema.xsd")))))


@pytest.mark.skipif(not ADCORE, reason="PTYCHOSTREAM_ADCORE does not name a folder with ADCore's schema and layouts")
class TestAgainstADCore:
    def accepts(self, schema: object, text: str) -> bool:
        from lxml import etree

        try:
            return schema.validate(etree.fromstring(text.encode()))  # type: ignore[attr-defined]
        except etree.XMLSyntaxError:
            return False

    @pytest.mark.parametrize("path", LAYOUTS, ids=names)
    def test_its_schema_accepts_our_layouts(self, schema: object, path: Path) -> None:
        assert self.accepts(schema, path.read_text(encoding="utf-8"))

    @pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.name)
    def test_what_its_schema_refuses_is_an_error_here(self, schema: object, wrong: WrongLayout) -> None:
        assert self.accepts(schema, wrong.text) is not wrong.is_refused_by_schema
        if wrong.is_refused_by_schema:
            assert any(finding.level is Level.ERROR for finding in lint_with_attributes(wrong.text))

    @pytest.mark.parametrize("name", ["hdf5_layout_demo.xml", "hdf5_layout_minimal.xml", "hdf5_layout_nexus.xml"])
    def test_its_examples_have_no_error(self, name: str) -> None:
        (path, *_) = Path(str(ADCORE)).rglob(name)
        findings = lint_layout(path.read_text(encoding="utf-8"))
        assert [finding for finding in findings if finding.level is Level.ERROR] == []

    def test_its_own_default_has_no_error(self) -> None:
        (source, *_) = Path(str(ADCORE)).rglob("NDFileHDF5LayoutXML.cpp")
        found = re.search(r'DEFAULT_LAYOUT = "(.*?)";', source.read_text(encoding="utf-8"), re.DOTALL)
        assert found is not None
        text = re.sub(r"\\\n", "\n", found[1].replace('\\"', '"'))
        findings = lint_layout(f"<hdf5_layout>{text}</hdf5_layout>")
        assert [finding.level for finding in findings] == [Level.WARNING]

    @pytest.mark.parametrize("path", sorted((CHECKOUT / "xml_layouts").glob("*/attributes.xml")), ids=names)
    def test_its_schema_accepts_our_attributes_where_it_compiles(self, path: Path) -> None:
        etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")
        (schema, *_) = Path(str(ADCORE)).rglob("NDAttributes.xsd")
        try:
            compiled = etree.XMLSchema(etree.parse(str(schema)))
        except etree.XMLSchemaParseError:
            pytest.skip("this libxml2 does not compile ADCore's NDAttributes.xsd")
        assert compiled.validate(etree.parse(str(path)))
