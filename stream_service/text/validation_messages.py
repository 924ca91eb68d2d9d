"""Validation messages of a document that someone wrote, in words an operator can use."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from stream_service.text.setting_names import place_and_names

MOST_LINES = 20
"""Named in one message: it has to fit into a PV."""

A_LIST, A_NUMBER, A_TABLE, A_WHOLE_NUMBER = "a list", "a number", "a table of names and values", "a whole number"
KINDS = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": A_TABLE,
    "finite_number": "a finite number",
    "float_parsing": A_NUMBER,
    "float_type": A_NUMBER,
    "int_from_float": A_WHOLE_NUMBER,
    "int_parsing": A_WHOLE_NUMBER,
    "int_parsing_size": A_WHOLE_NUMBER,
    "int_type": A_WHOLE_NUMBER,
    "list_type": A_LIST,
    "model_attributes_type": A_TABLE,
    "model_type": A_TABLE,
    "path_type": "a path",
    "string_type": "a text",
    "tuple_type": A_LIST,
    "enum": "{expected}",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:.15g}",
    "greater_than_equal": "{ge:.15g} or more",
    "less_than": "less than {lt:.15g}",
    "less_than_equal": "{le:.15g} or less",
}
"""What a value must be, by the type of pydantic's error."""
WORDS = {
    "json_invalid": "is not valid JSON: {error}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have at least {min_length} characters",
    "too_long": "must have at most {max_length} values",
    "too_short": "must have at least {min_length} values",
}


def explain(
    error: ValidationError, model: type[BaseModel] | None = None, renamed: Mapping[str, str] | None = None
) -> str:
    """A line for each field that is wrong: its name, what is wrong, the value given; the first ones of very many.

    `model` is what was validated: it tells what a setting that there is not may have been meant to be. `renamed` gives
    the new names of fields by their earlier ones. A rule for the whole document has no name: the caller says of what.
    """
    wrong: dict[str, list[tuple[str, str]]] = {}
    for problem in error.errors():
        place, names = place_and_names(model, problem["loc"])
        wrong.setdefault(place, []).append(_said(problem, names, renamed or {}))
    lines = [
        f"  {place}{': ' if place else ''}{_alternatives([message for message, _ in said])}{said[0][1]}"
        for place, said in list(wrong.items())[:MOST_LINES]
    ]
    if len(wrong) > MOST_LINES:
        lines.append(f"  and {len(wrong) - MOST_LINES} more problems")
    return "\n".join(lines)


def _said(problem: Any, names: Sequence[str], renamed: Mapping[str, str]) -> tuple[str, str]:
    """What is wrong; and the value given, in brackets, if it is to be shown."""
    match problem["type"]:
        case "extra_forbidden":
            return f"there is no such setting; {_instead(str(problem['loc'][-1]), names, renamed)}", ""
        case "missing":
            return "is missing", ""
        case "value_error":
            return problem["msg"].removeprefix("Value error, "), ""
    return _plain(problem), f" (given: {reprlib.repr(problem['input'])})"


def _plain(problem: Any) -> str:
    """What is wrong, without the words of pydantic where others are known."""
    limits = problem.get("ctx", {})
    if kind := KINDS.get(problem["type"]):
        return f"must be {kind.format(**limits)}"
    if words := WORDS.get(problem["type"]):
        return words.format(**limits)
    return problem["msg"].replace("Input should", "must")


def _instead(name: str, names: Sequence[str], renamed: Mapping[str, str]) -> str:
    if now := renamed.get(name):
        return f"it is called {now} now, rename it"
    if near := difflib.get_close_matches(name, names, 1):
        return f"did you mean {near[0]}?"
    return "remove it or correct its spelling"


def _alternatives(messages: Sequence[str]) -> str:
    """One sentence of what a value may be, each kind with a message of its own."""
    first, *others = dict.fromkeys(messages)
    return ", or ".join([first, *(one.removeprefix("must be ") for one in others)])
