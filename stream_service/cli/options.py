"""Options that several commands share: a dataclass whose fields are options, taken as one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from stream_service.settings.option import ALSO_BELOW

OUTPUT = ("--output", "--out", "-o")
"""What the output is called in every command, as in `typer.Option(*OUTPUT, help=...)`."""

AlsoBelowOption = Annotated[list[Path] | None, typer.Option(metavar="FOLDER", help=ALSO_BELOW)]
DefocusOption = Annotated[
    float | None, typer.Option(metavar="M", help="Focus to sample in metres, + = sample downstream; else FILE's.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing output.")]
PtypyPythonOption = Annotated[
    Path | None, typer.Option(metavar="FILE", envvar="PTYCHOSTREAM_PTYPY_PYTHON", help="The Python that has PtyPy.")
]
ProfileArgument = Annotated[
    str, typer.Argument(help="Name of a beamline (sim, hermes, xrnf, ...), or its profile (YAML).", metavar="PROFILE")
]
StandardFileArgument = Annotated[Path, typer.Argument(help="A standard file (<scan>_std.h5).", metavar="FILE")]


def shares_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every `option` of a dataclass that it takes as an option of its own, after its others."""
    hints = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    (shared,) = (name for name in parameters if is_dataclass(hints[name]))
    bundle: type[Any] = hints[shared]
    keyword_only = inspect.Parameter.KEYWORD_ONLY
    own = [
        parameter.replace(annotation=hints[name], kind=keyword_only)
        for name, parameter in parameters.items()
        if name != shared
    ]
    types, options = get_type_hints(bundle), []
    for field in fields(bundle):
        how = dict(field.metadata)
        annotation = Annotated[types[field.name], typer.Option(*how.pop("names"), **how)]
        options.append(inspect.Parameter(field.name, keyword_only, default=field.default, annotation=annotation))

    @wraps(command)
    def with_options(**values: Any) -> None:
        command(**{shared: bundle(**{option.name: values.pop(option.name) for option in options})}, **values)

    with_options.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *options)}
    return with_options
