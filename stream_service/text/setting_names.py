"""The settings that a model has, found by the place of a validation error in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel


def place_and_names(model: type[BaseModel] | None, loc: Sequence[int | str]) -> tuple[str, tuple[str, ...]]:
    """Where an error is, as a document has it (`detector.shards`), and the settings that there are beside it.

    Of a value that may be of several kinds pydantic adds the kind to the place (`gaps.float`): it is left out. Without
    a model the place is as pydantic has it, and no setting is known.
    """
    if model is None:
        return ".".join(map(str, loc)), ()
    here: list[Any] = [model]
    parts, beside = [], ()
    for depth, part in enumerate(loc, 1):
        kinds = [kind for one in here for kind in _kinds(one)]
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        entries = [entry for kind in kinds for entry in _entries(kind, part)]
        fields = tuple(name for one in models for name in one.model_fields)
        if models and (part in fields or depth == len(loc)):
            beside = fields
            here = [one.model_fields[part].annotation for one in models if part in one.model_fields]
        elif entries:
            beside, here = (), entries
        else:
            continue
        parts.append(str(part))
    return ".".join(parts), beside


def _kinds(annotation: Any) -> Iterator[Any]:
    """What a value may be, by its annotation, which may be a union or have constraints."""
    if hasattr(annotation, "__metadata__"):
        yield from _kinds(annotation.__origin__)
    elif get_origin(annotation) is None or (isinstance(get_origin(annotation), type) and _is_container(annotation)):
        yield annotation
    else:
        for one in get_args(annotation):
            yield from _kinds(one)


def _is_container(annotation: Any) -> bool:
    return issubclass(get_origin(annotation), Mapping | Sequence)


def _entries(kind: Any, part: int | str) -> list[Any]:
    """Kinds of the entry `part` of a table or list."""
    if get_origin(kind) is None or not _is_container(kind):
        return []
    if issubclass(get_origin(kind), Mapping):
        return [get_args(kind)[1]]
    return [one for one in get_args(kind) if one is not Ellipsis] if isinstance(part, int) else []
