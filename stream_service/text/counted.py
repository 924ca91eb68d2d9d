"""Numbers with their noun: `1 frame`, `2 frames`, as a reader says them."""

from __future__ import annotations

IRREGULAR = {"is": "are", "has": "have", "was": "were", "it": "them", "its": "their", "that": "those", "this": "these"}


def counted(n: int, noun: str, plural: str = "") -> str:
    """`1 frame`, `0 frames`, `2 frames`; `plural` for words that do not only take an s (`entry`, `entries`)."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or noun + 's'}"


def agrees(n: int, word: str) -> str:
    """The verb or pronoun (`is`, `has`, `was`, `it`, `lies`) that goes with so many."""
    if n == 1:
        return word
    if word in IRREGULAR:
        return IRREGULAR[word]
    return word.removesuffix("s")


def they_are(n: int) -> str:
    """`it is`, `they are`."""
    return "it is" if n == 1 else "they are"
