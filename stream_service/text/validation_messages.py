"""Validation messages of a document that someone wrote, in words an operator can use."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping

from pydantic import ValidationError

MOST_LINES = 20
"""Named in one message: it has to fit into a PV."""


def explain(error: ValidationError, renamed: Mapping[str, str] | None = None) -> str:
    """A line for each field that is wrong: its name, what is wrong, the value given; the first ones of very many.

    `renamed` gives the new names of fields by their earlier ones.
    """
    lines = []
    for problem in error.errors()[:MOST_LINES]:
        field = ".".join(str(part) for part in problem["loc"]) or "the document"
        message = problem["msg"].removeprefix("Value error, ")
        match problem["type"]:
            case "extra_forbidden":
                now = (renamed or {}).get(str(problem["loc"][-1]))
                what_to_do = f"it is called {now} now, rename it" if now else "remove it or correct its spelling"
                lines.append(f"  {field}: there is no such setting; {what_to_do}")
            case "missing":
                lines.append(f"  {field}: is missing")
            case "value_error":
                lines.append(f"  {field}: {message}")
            case _:
                lines.append(f"  {field}: {message} (given: {reprlib.repr(problem['input'])})")
    if error.error_count() > MOST_LINES:
        lines.append(f"  and {error.error_count() - MOST_LINES} more problems")
    return "\n".join(lines)
