"""Options that several commands share: a dataclass whose fields are options, taken as one parameter."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

OUTPUT = ("--output", "--out", "-o")
"""What the output is called in every command, as in `typer.Option(*OUTPUT, help=...)`."""

AlsoBelowOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FOLDER",
        help="Follow what HDF5 files point to (external links, virtual datasets, raw files) below this folder, too, "
        "not only below their own; may be repeated.",
    ),
]


def shares_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every field of a dataclass that it takes as an option of its own, after its others."""
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
    types = get_type_hints(bundle, include_extras=True)
    options = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=types[field.name]
        )
        for field in fields(bundle)
    ]

    @wraps(command)
    def with_options(**values: Any) -> None:
        command(**{shared: bundle(**{option.name: values.pop(option.name) for option in options})}, **values)

    with_options.__signature__ = inspect.Signature([*own, *options])  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *options)}
    return with_options
