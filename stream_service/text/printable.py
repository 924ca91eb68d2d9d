"""Text of others made fit to be shown: on a terminal, in a comment, in a picture.

A file, a name or a message may hold anything: an escape sequence that rewrites the screen, a line end that ends a
comment, half a character. What would not be seen as a character is shown as Python writes it in a string, `\\x1b`.
"""

from __future__ import annotations

LINES = "\n\t"
"""What a text of several lines may do to a terminal: go on to the next line, or to the next stop."""


def printable(text: str, keep: str = "") -> str:
    """The text on one line, everything in it to be seen; characters of `keep`, such as line ends, stay as they are."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in keep else repr(each)[1:-1] for each in text)
