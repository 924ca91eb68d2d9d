"""Constants of a beamline go into its layout, and nothing else changes."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from layout_corpus import DISTANCE, GOOD
from typer.testing import CliRunner

from stream_service.cli import main as cli
from stream_service.errors import ConfigError
from stream_service.layout_xml import lint_layout, read_layout, render_constants, shortest_xml
from stream_service.settings.beamlines import layouts_folder

HERMES = layouts_folder() / "hermes"


def changed_lines(before: str, after: str) -> list[str]:
    return [line[2:].strip() for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] == "+"]


def test_only_the_constant_changes() -> None:
    text = render_constants(GOOD, {"det_dist_m": 1.25})
    assert changed_lines(GOOD, text) == ['<dataset name="det_dist_m" source="constant" type="float" value="1.25"/>']
    assert render_constants(text, {"det_dist_m": 0.1}) == GOOD


@pytest.mark.parametrize(
    "dataset",
    [
        '<dataset value=\'9\' name="det_dist_m" source="constant" type="float"/>',
        '<dataset name="det_dist_m" source="constant" type="float"/>',
        '<dataset name="det_dist_m"\n  source="constant" type="float"\n  value="9"></dataset>',
    ],
)
def test_value_is_set_however_it_is_written(dataset: str) -> None:
    text = GOOD.replace('<dataset name="det_dist_m" source="constant" type="float" value="0.1"/>', dataset)
    placed = read_layout(render_constants(text, {"det_dist_m": 7.5e-05})).constant("det_dist_m")
    assert placed is not None and placed.element.attributes["value"] == "7.5e-05"


@pytest.mark.parametrize(
    "text",
    [
        shortest_xml(GOOD),
        GOOD.replace(DISTANCE, '<!-- <dataset name="old" value="3"/> -->' + DISTANCE),
        GOOD.replace(DISTANCE, DISTANCE.replace("source", 'ndattribute="a>b, value=9" source')),
        GOOD.replace('<group name="data">', '<!-- µm \u2028 -->\n<group name="data">'),
        "\ufeff" + GOOD.replace('<group name="data">', '<!-- µm -->\r\n<group name="data">'),
    ],
    ids=["one line", "comment before it", "> in a value", "other line ends", "byte order mark"],
)
def test_no_other_dataset_is_changed_wherever_it_stands(text: str) -> None:
    rendered = render_constants(text, {"det_dist_m": 1.25})
    assert rendered == text.replace('value="0.1"', 'value="1.25"') != text


def test_constant_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="pixel_m"):
        render_constants(GOOD, {"pixel_m": 1e-5})


def test_shortest_form_means_the_same() -> None:
    def meaning(text: str) -> list[tuple[str, dict[str, str]]]:
        return [(element.tag, dict(element.attributes)) for element in read_layout(text).root.walk()]

    for path in HERMES.glob("*_layout.xml"):
        text = path.read_text(encoding="utf-8")
        short = shortest_xml(text)
        assert meaning(short) == meaning(text)
        assert len(short) < 0.8 * len(text) and "\n" not in short
    assert lint_layout(shortest_xml((HERMES / "beamline_minimal_layout.xml").read_text()), is_inline=True) == ()


def test_command_writes_the_profiles_numbers(tmp_path: Path) -> None:
    out = tmp_path / "layout.xml"
    layout = str(HERMES / "beamline_cxi_layout.xml")
    result = CliRunner().invoke(cli.app, ["layout", "render", layout, "--profile", "aps_26id", "--out", str(out)])
    assert result.exit_code == 0 and "distance 2 m, pixel 5.5e-05 m" in result.output
    values = {name: read_layout(out.read_text()).constant(name) for name in ("det_dist_m", "pixel_m")}
    assert [placed and placed.element.attributes["value"] for placed in values.values()] == ["2.0", "5.5e-05"]


def test_command_keeps_line_ends(tmp_path: Path) -> None:
    source, out = tmp_path / "windows.xml", tmp_path / "layout.xml"
    written = (HERMES / "beamline_minimal_layout.xml").read_bytes().replace(b"\n", b"\r\n")
    source.write_bytes(written)
    result = CliRunner().invoke(cli.app, ["layout", "render", str(source), "--profile", "hermes", "--out", str(out)])
    assert result.exit_code == 0 and out.read_bytes().count(b"\r\n") == written.count(b"\n")


def test_what_does_not_fit_into_the_record_is_refused() -> None:
    layout = str(HERMES / "beamline_cxi_layout.xml")
    result = CliRunner().invoke(cli.app, ["layout", "render", layout, "--profile", "hermes", "--inline"])
    assert isinstance(result.exception, ConfigError)
    assert "bytes, XMLFileName takes 2047" in str(result.exception)
