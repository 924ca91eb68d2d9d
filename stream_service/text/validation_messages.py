"""Validation messages of a document that someone wrote, in words an operator can use."""

from __future__ import annotations

import reprlib

from pydantic import ValidationError

MOST_MISTAKES = 20
"""Named in one message: it has to fit into a PV."""


def explain(error: ValidationError) -> str:
    """The mistakes in a document, a line each: field, what is wrong, the value given; the first ones of very many."""
    lines = []
    for mistake in error.errors()[:MOST_MISTAKES]:
        field = ".".join(str(part) for part in mistake["loc"]) or "the document"
        message = mistake["msg"].removeprefix("Value error, ")
        match mistake["type"]:
            case "extra_forbidden":
                lines.append(f"  {field}: there is no such setting; remove it or correct its spelling")
            case "missing":
                lines.append(f"  {field}: is missing")
            case "value_error":
                lines.append(f"  {field}: {message}")
            case _:
                lines.append(f"  {field}: {message} (given: {reprlib.repr(mistake['input'])})")
    if error.error_count() > MOST_MISTAKES:
        lines.append(f"  and {error.error_count() - MOST_MISTAKES} more mistakes")
    return "\n".join(lines)
