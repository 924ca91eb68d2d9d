"""The terminal of our commands, safe for text of others: names, messages of a service, whatever stands in a file.

Nothing that is printed is taken for markup, so a bracket in a name is a bracket; a mark is a `Text` of its own. Control
characters are shown, not sent, and so are characters that the terminal's encoding does not have.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from stream_service.text.printable import LINES, printable

NOTE = Text("note:", style="yellow")
WARNING = Text("warning:", style="yellow")
MARKS = {"ok": Text("ok", "green"), "warning": Text("warning", "yellow"), "error": Text("ERROR", "red")}
"""Of findings, by their level."""


class Terminal(Console):
    """A console on which only what is ours moves the cursor or sets colours."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Pieces of text as they will be seen; pieces that control the terminal are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text, keep=LINES))


def bold(text: str) -> Text:
    """A heading or a name that begins a line."""
    return Text(text, style="bold")


def show_what_cannot_be_encoded() -> None:
    """Let standard output and error write `\\xb5` where their encoding has no µ, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


console = Terminal()
errors = Terminal(stderr=True)


def show_notes(notes: Iterable[str]) -> None:
    """Remarks on what was read, on standard error: what is asked for goes to standard output."""
    for note in notes:
        errors.print(NOTE, note, soft_wrap=True)
