"""`ptychostream layout`: look over NDFileHDF5 layouts before a beamline does, and fill in their constants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from stream_service.cli.app import App
from stream_service.cli.options import OUTPUT
from stream_service.errors import InputFileError, WriteError
from stream_service.text.counted import counted
from stream_service.text.terminal import bold, console
from stream_service.text.text_file import text_of

if TYPE_CHECKING:
    from stream_service.layout_xml import Finding

app = App(help="Layout XML of areaDetector's HDF5 plugin: lint it, fill in its constants.")
MARKS = {"error": Text("ERROR:", "red"), "warning": Text("warning:", "yellow")}


@app.command(
    epilog="Examples: ptychostream layout lint layout.xml --attributes attributes.xml;   "
    "ptychostream layout lint xml_layouts/hermes/beamline_cxi_layout.xml --swmr"
)
def lint(
    files: Annotated[list[Path], typer.Argument(help="Layout files.", metavar="FILE...")],
    attributes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The camera's NDAttributes file: checked, too, and compared with the layout."
        ),
    ] = None,
    swmr: Annotated[
        bool | None,
        typer.Option("--swmr/--no-swmr", help="The plugin writes with SWMRMode on (or not).", show_default="not known"),
    ] = None,
    inline: Annotated[bool, typer.Option("--inline", help="The XML is put into XMLFileName itself.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 on warnings, too.")] = False,
) -> None:
    """Say what is wrong with a layout, what would happen on the beamline, and what to write; exit code 1 on errors.

    The IOC accepts wrong layouts (XMLValid only means that it is XML) and then records less, or nothing.
    """
    from stream_service.layout_xml import PluginSettings, lint_attributes, lint_layout

    attributes_text: str | None = None
    n_bad = 0
    if attributes is not None:
        attributes_text = _text(attributes)
        n_bad += _show(attributes, lint_attributes(attributes_text), strict)
    for file in files:
        findings = lint_layout(_text(file), attributes_text, PluginSettings(swmr=swmr), is_inline=inline)
        n_bad += _show(file, findings, strict)
    raise typer.Exit(int(n_bad > 0))


@app.command(
    epilog="Examples: ptychostream layout render layout.xml --profile my-beamline.yaml --output ready.xml;   "
    "ptychostream layout render xml_layouts/hermes/beamline_minimal_layout.xml --profile hermes --inline"
)
def render(
    layout: Annotated[Path, typer.Argument(help="A layout file.", metavar="FILE")],
    profile: Annotated[str, typer.Option(metavar="NAME|PATH", help="Name of a beamline, or its profile (YAML).")],
    out: Annotated[Path | None, typer.Option(*OUTPUT, help="File to write instead of the screen.")] = None,
    inline: Annotated[
        bool, typer.Option("--inline", help="The shortest form, to be put into XMLFileName itself.")
    ] = False,
) -> None:
    """Write the profile's distance and pixel size into the constants det_dist_m and pixel_m of a layout."""
    from stream_service.layout_xml import Level, XmlSyntaxError, lint_layout, render_constants, shortest_xml
    from stream_service.output_file import check_folder, check_is_no_input, whole_file
    from stream_service.settings.beamlines import find_profile, load_named_profile

    if out is not None:
        check_is_no_input(out, [layout, find_profile(profile)], "--output")
        check_folder(out)
    detector = load_named_profile(profile).detector
    try:
        text = render_constants(_text(layout), {"det_dist_m": detector.distance_m, "pixel_m": detector.pixel_m})
    except KeyError as missing:
        raise InputFileError(
            f"{layout} has no constant {missing.args[0]}: add it as xml_layouts/template does"
        ) from missing
    except XmlSyntaxError as problem:
        raise InputFileError(f"{layout}, line {problem.line}: it is no XML: {problem}") from problem
    if inline:
        text = shortest_xml(text)
    errors = [finding for finding in lint_layout(text, is_inline=inline) if finding.level is Level.ERROR]
    if errors:
        raise InputFileError(
            "\n".join([f"{layout} cannot be used:", *(f"  line {error.line}: {error}" for error in errors)])
        )
    if out is None:
        # the file as it is, whatever the terminal can show
        typer.echo(text.encode() + b"\n" * (not text.endswith("\n")), nl=False)
        return
    try:
        with whole_file(out) as unfinished, unfinished.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as problem:
        raise WriteError(f"cannot write {out}: {problem.strerror}") from problem
    console.print(f"{out}: distance {detector.distance_m:g} m, pixel {detector.pixel_m:g} m", soft_wrap=True)


def _text(path: Path) -> str:
    try:
        return text_of(path)
    except OSError as problem:
        raise InputFileError(f"cannot read {path}: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise InputFileError(f"{path} is not a text in UTF-8") from problem


def _show(path: Path, findings: tuple[Finding, ...], is_strict: bool) -> int:
    """Print them, the file's summary last; how many are errors, or of any kind if strict."""
    for finding in findings:
        where = bold(f"{path}:{finding.line}:")
        console.print(where, MARKS[finding.level], str(finding), soft_wrap=True, highlight=False)
    n_errors = sum(finding.level == "error" for finding in findings)
    n_warnings = len(findings) - n_errors
    said = [counted(n, word) for n, word in ((n_errors, "error"), (n_warnings, "warning")) if n]
    console.print(f"{path}: {', '.join(said) or 'nothing wrong'}", soft_wrap=True, highlight=False)
    return len(findings) if is_strict else n_errors
