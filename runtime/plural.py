"""A number with the noun that it counts, for messages."""

from __future__ import annotations


def plural(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`; for nouns that take an s."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
