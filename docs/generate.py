"""The parts of the docs that follow from the code: `make docs` writes them, a test says when they are stale.

A part stands between `<!-- generated: NAME -->` and `<!-- end -->`; everything around it is written by hand.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import typer
from pydantic import BaseModel

import iocsim.cli
import stream_service.cli.main
from stream_service.core.reason import Reason
from stream_service.core.row import FRAME_COLUMNS
from stream_service.core.run import TRANSITIONS, RunEvent, RunState
from stream_service.publishers.messages import EVERY, FIELDS, TOPICS, Field
from stream_service.publishers.metrics_table import METRICS
from stream_service.settings.profile import Profile
from stream_service.settings.request import ScanRequest
from stream_service.settings.status_table import ServiceImage, ServicePV, ServiceTable
from stream_service.standard_file.schema import paths
from stream_service.standard_file.schema.codes import names_of
from stream_service.standard_file.schema.row_columns import PLACES

DOCS = Path(__file__).resolve().parent
MARKED = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# -- settings ---------------------------------------------------------------------------------------------------------


def field_notes(model: type[BaseModel]) -> dict[str, str]:
    """Notes under the fields of a model in the source, those that it inherits among them."""
    notes: dict[str, str] = {}
    for base in model.__bases__:
        if base is not BaseModel and issubclass(base, BaseModel):
            notes |= field_notes(base)
    (body,) = (node.body for node in ast.parse(inspect.getsource(model)).body if isinstance(node, ast.ClassDef))
    for field, node in pairwise(body):
        match field, node:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(note))):
                notes[name] = inspect.cleandoc(note).replace("\n", " ")
    return notes


def in_words(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Description of the values of a JSON schema."""
    match schema:
        case {"$ref": reference}:
            return in_words(definitions[reference.rpartition("/")[2]], definitions)
        case {"anyOf": choices}:
            return " or ".join(in_words(choice, definitions) for choice in choices if choice != {"type": "null"})
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "prefixItems": items}:
            return "[" + ", ".join(in_words(item, definitions) for item in items) + "]"
        case {"type": "array", "items": item}:
            return f"list of {in_words(item, definitions)}s"
        case {"type": "object"}:
            return "names and values"
        case {"type": "boolean"}:
            return "`true`, `false`"
    words = {"integer": "whole number", "number": "number", "string": schema.get("format", "text")}[schema["type"]]
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " ".join([words, *(f"{sign} {schema[key]:g}" for key, sign in limits.items() if key in schema)])


def default_of(schema: dict[str, Any], is_required: bool) -> str:
    """The default in YAML's own words."""
    if is_required:
        return "**needed**"
    default = schema.get("default")
    match default:
        case None | "" | []:
            return "–"
        case bool():
            return f"`{str(default).lower()}`"
        case dict():
            return "–"
    return f"`{default}`"


def setting_rows(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    """Name, values, default and meaning of each setting of a model that is not a section of its own."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    notes = field_notes(model)
    for name, field in schema["properties"].items():
        if section_of(model, name) is None:
            is_required = name in schema.get("required", ())
            words = in_words(field, definitions)
            yield f"`{name}`", words, default_of(field, is_required), notes.get(name, "")


def section_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of a field that holds settings of its own."""
    candidates = [model.model_fields[name].annotation, *getattr(model.model_fields[name].annotation, "__args__", ())]
    return next((found for found in candidates if inspect.isclass(found) and issubclass(found, BaseModel)), None)


def sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    """Every section of the profile in order: its path, its model, what is said of it where it is used."""
    notes = field_notes(model)
    for name, field in model.model_fields.items():
        section = section_of(model, name)
        if section is not None:
            inner = f"{path}{name}" + (".NAME" if str(field.annotation).startswith("dict") else "")
            yield inner, section, notes.get(name, "")
            yield from sections(section, f"{inner}.")


def profile() -> str:
    """All settings of a profile, section by section."""
    return with_sections(Profile, "setting")


def request() -> str:
    """The fields of a request, those within others in tables of their own."""
    return with_sections(ScanRequest, "field")


def with_sections(model: type[BaseModel], what: str) -> str:
    """Tables of all settings of a model and of its sections."""
    head = (what, "value", "default", "meaning")
    parts = [table(head, setting_rows(model))]
    described: dict[type[BaseModel], str] = {}
    for path, section, note in sections(model, ""):
        about = " ".join(part for part in (inspect.getdoc(section), note) if part)
        rows = list(setting_rows(section))
        if section in described:
            about, rows = f"As `{described[section]}`.", []
        described.setdefault(section, path)
        parts.append(f"\n### `{path}`\n\n{about}\n" + (f"\n{table(head, rows)}" if rows else ""))
    return "".join(parts)


# -- PVs --------------------------------------------------------------------------------------------------------------


def service_pvs() -> str:
    """The status table: type, and what a CA client is told of the value."""
    rows = []
    for pv in ServicePV:
        kind = ", ".join(filter(None, (pv.type.kind, pv.type.unit)))
        rows.append((f"`{pv}`", kind, "put" if pv.takes_puts else "read", pv.meaning, pv.alarm.about or "–"))
    return table(("PV", "type", "access", "meaning", "alarm"), rows)


def service_images() -> str:
    """The images that the service shows over PVA."""
    return table(("PV", "meaning"), ((f"`{image}`", image.meaning) for image in ServiceImage))


def service_tables() -> str:
    """The tables that the service shows over PVA."""
    return table(("PV", "meaning"), ((f"`{shown}`", shown.meaning) for shown in ServiceTable))


def metrics() -> str:
    """The metrics that Prometheus is served."""
    rows = []
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "–"
        rows.append((f"`{metric.full_name}`", metric.kind, labels, metric.meaning))
    return table(("metric", "kind", "labels", "meaning"), rows)


def messages() -> str:
    """The fields of the messages, topic by topic; those of every message first."""
    head = ("field", "type", "meaning")

    def rows(fields: Iterable[Field]) -> Iterator[tuple[str, ...]]:
        for field in fields:
            kind = " or ".join(filter(None, (field.kind, "null" if field.is_nullable else "")))
            yield f"`{field.name}`", kind, field.about + (f" In {field.unit}." if field.unit else "")

    parts = [f"## Every message\n\n{table(head, rows(EVERY))}"]
    for topic, fields in FIELDS.items():
        parts.append(f"\n## `{topic}`\n\nSent when {TOPICS[topic]}.\n\n{table(head, rows(fields[len(EVERY) :]))}")
    return "".join(parts)


# -- the standard file ------------------------------------------------------------------------------------------------


def row_columns() -> str:
    """The datasets with an entry per row that say what a row is, and what its pixels tell."""
    rows = []
    for path, column in PLACES:
        if path.startswith((paths.FRAMES, paths.FEATURES)):
            kind = np.dtype(column.dtype)
            of_row = ("k",) if column in FRAME_COLUMNS else tuple(map(str, column.shape))
            shape = f"(N, {', '.join(of_row)})" if of_row else "(N,)"
            unit = f" In {column.unit}." if column.unit else ""
            about = column.about + unit
            if column.codes is not None:
                about += " " + ", ".join(f"{code} {name}" for code, name in names_of(column.codes).items()) + "."
            rows.append((f"`{path}`", f"{shape} {kind.kind}{kind.itemsize}", about))
    return table(("dataset", "shape, type", "meaning"), rows)


def reasons() -> str:
    """The reasons of verdicts, and the numbers that are stored with each."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(Reason)).body if isinstance(node, ast.ClassDef))
    rows = []
    for member, below in pairwise(body):
        match member, below:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(note))):
                rows.append((str(int(Reason[name])), f"`{name.lower()}`", " ".join(note.split())))
    return table(("code", "reason", "meaning"), rows)


# -- commands ---------------------------------------------------------------------------------------------------------


def placeholder(hint: Any) -> str:
    """Placeholder of a value of this type on a command line."""
    choices = [hint, *get_args(hint)]
    if (words := next((get_args(found) for found in choices if get_origin(found) is Literal), None)) is not None:
        return "|".join(words)
    enum = next((found for found in choices if inspect.isclass(found) and issubclass(found, Enum)), None)
    if enum is not None:
        return "|".join(member.value for member in enum)
    names = {Path: "PATH", int: "N", float: "X", str: "TEXT"}
    return next(names[found] for found in choices if found in names)


def option_rows(command: Any) -> Iterator[tuple[str, ...]]:
    """Options and arguments of a command with their defaults."""
    takes_options = inspect.unwrap(command.callback, stop=lambda found: hasattr(found, "__signature__"))
    hints = get_type_hints(takes_options)
    for parameter in command.params:
        default = parameter.default.value if isinstance(parameter.default, Enum) else parameter.default
        if parameter.required:
            shown = "**needed**"
        elif default is None or default is False or default == "":
            shown = "–"
        else:
            shown = f"`{default}`"
        if parameter.param_type_name == "argument":
            name = parameter.metavar
        else:
            name = ", ".join(parameter.opts)
            if not parameter.is_flag:
                name += " " + (parameter.metavar or placeholder(hints[parameter.name]))
        yield f"`{name}`", shown, parameter.help or ""


def command_sections(name: str, command: Any) -> Iterator[str]:
    """A section for each command below this one."""
    children = getattr(command, "commands", {})
    for child in command.list_commands(None) if children else ():
        yield from command_sections(f"{name} {child}", children[child])
    if not children:
        examples = re.split(r";\s+", re.sub(r"^Examples?:\s+", "", command.epilog or ""))
        block = "".join(f"$ {example}\n" for example in examples if example)
        options = table(("option", "default", "meaning"), option_rows(command))
        about = inspect.cleandoc(command.help or "")
        yield f"## `{name}`\n\n{about}\n\n```console\n{block}```\n\n{options}\n"


def commands() -> str:
    """All commands of ptychostream."""
    return "".join(command_sections("ptychostream", typer.main.get_command(stream_service.cli.main.app)))


def iocsim_options() -> str:
    """The options of iocsim."""
    return table(("option", "default", "meaning"), option_rows(typer.main.get_command(iocsim.cli.app)))


# -- states -----------------------------------------------------------------------------------------------------------


def run_states() -> str:
    """The states of a run and the events between them, as a diagram."""
    events: dict[tuple[RunState, RunState], list[RunEvent]] = {}
    for (state, event), to in TRANSITIONS.items():
        events.setdefault((state, to), []).append(event)
    lines = [f"    {state} --> {to}: {' · '.join(between)}" for (state, to), between in events.items()]
    ends = [f"    {state} --> [*]" for state in RunState if state.has_ended]
    return "\n".join(["```mermaid", "stateDiagram-v2", f"    [*] --> {RunState.IDLE}", *lines, *ends, "```"])


def decisions() -> str:
    """Number and title of each decision."""
    rows = []
    for page in sorted((DOCS / "explanation" / "decisions").glob("[0-9]*.md")):
        number, _, title = page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").partition(": ")
        rows.append((number, f"[{title}]({page.name})"))
    return table(("number", "decision"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "profile": profile,
    "request": request,
    "service-pvs": service_pvs,
    "service-images": service_images,
    "service-tables": service_tables,
    "metrics": metrics,
    "messages": messages,
    "row-columns": row_columns,
    "reasons": reasons,
    "commands": commands,
    "iocsim-options": iocsim_options,
    "run-states": run_states,
    "decisions": decisions,
}


def with_fresh_tables(text: str) -> str:
    """A page with its generated tables as they are now."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]().strip()}\n\n{found[3]}", text)


def main() -> None:
    """Write the tables of every page that has some."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(with_fresh_tables(text), encoding="utf-8")


if __name__ == "__main__":
    main()
