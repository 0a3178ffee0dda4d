"""What errors advise, without options that the command line at hand does not have."""

from __future__ import annotations

import re
from collections.abc import Collection

_OPTION = re.compile(r"(?<![\w/.-])--[a-z][a-z0-9-]*")
_CLAUSE = re.compile(r"(?<=[;.]) ")
_OR = ", or "
_PROGRAM = re.compile(r"\w+\.py ")


def options_in(text: str) -> frozenset[str]:
    """The long options that are named in `text`, such as a usage."""
    return frozenset(_OPTION.findall(text))


def kept(message: str, options: Collection[str]) -> str:
    """The message of an error less the ways out that take other options than `options`.

    They are what lies between semicolons or full stops, or one of several such ways after "or".  Commands for other
    programs stay.
    """
    clauses = [_kept(clause, options) for clause in _CLAUSE.split(message)]
    return " ".join(clause for clause in clauses if clause).removesuffix(";")


def _kept(clause: str, options: Collection[str]) -> str:
    if _PROGRAM.search(clause) or options_in(clause) <= set(options):
        return clause
    ways = [way for way in clause.split(_OR) if options_in(way) <= set(options)]
    if not ways:
        return ""
    text = _OR.join(ways)
    return text[0].upper() + text[1:] if clause[0].isupper() else text
