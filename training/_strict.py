"""Tables of a TOML file to frozen dataclasses: defaults are filled in, whatever the types do not name is refused."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from pathlib import Path
from typing import Any, cast

from models._spec import Size


class Mismatch(Exception):
    """A value that does not fit; the text names its key, what was found and what was wanted."""


def decode(kind: Any, value: object, where: str = "") -> object:
    """`value` (as `tomllib` gives it) as an instance of `kind`; raises `Mismatch` on anything unexpected.

    Fields may be dataclasses, tuples, literals, numbers, texts, paths, sizes written as "WxH", and any of these or
    None.  A field's metadata may hold `low` and `high`, both allowed.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Size:
        return _size(value, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(cast("type[Any]", kind), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise Mismatch(f"{where}: found {_named(value)}, wanted a list")
        items = cast("list[object]", value)
        return tuple(decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(items))
    if origin is typing.Literal:
        if value not in arguments:
            raise Mismatch(f"{where}: found {_named(value)}, wanted {' or '.join(map(repr, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):  # TOML has no null: leaving the key out is None
        return decode(next(option for option in arguments if option is not type(None)), value, where)
    return _scalar(kind, value, where)


def _dataclass(kind: type[Any], value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise Mismatch(f"{where}: found {_named(value)}, wanted a table")
    found = cast("dict[str, object]", value)
    hints = typing.get_type_hints(kind)
    inside = f"{where}." if where else ""
    if unknown := sorted(found.keys() - hints.keys()):
        raise Mismatch(f"{inside}{unknown[0]}: unknown key, wanted one of {', '.join(hints)}")
    values: dict[str, object] = {}
    for field in dataclasses.fields(kind):
        name = f"{inside}{field.name}"
        if field.name in found:
            values[field.name] = _in_range(decode(hints[field.name], found[field.name], name), field.metadata, name)
        elif field.default is dataclasses.MISSING:
            raise Mismatch(f"{name}: missing key")
    return kind(**values)


def _scalar(kind: Any, value: object, where: str) -> object:
    if kind is Path and isinstance(value, str) and value:
        return Path(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is float and math.isinf(value):
        raise Mismatch(f"{where}: found {value}, wanted a finite number")
    if type(value) is not kind:  # exact: true is no integer here
        wanted = {Path: "a path in quotes", str: "text in quotes", int: "a whole number", float: "a number"}
        raise Mismatch(f"{where}: found {_named(value)}, wanted {wanted.get(kind, 'true or false')}")
    return value


def _size(value: object, where: str) -> Size:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value) if isinstance(value, str) else None
    if match is None:
        raise Mismatch(f'{where}: found {_named(value)}, wanted "WIDTHxHEIGHT"')
    return Size(int(match[1]), int(match[2]))


def _in_range(value: object, bounds: typing.Mapping[str, float], where: str) -> object:
    low, high = bounds.get("low"), bounds.get("high")
    if not isinstance(value, (int, float)):
        return value
    if low is not None and not value >= low:  # so that nan is refused too
        raise Mismatch(f"{where}: found {value}, wanted at least {low:.10g}")
    if high is not None and not value <= high:
        raise Mismatch(f"{where}: found {value}, wanted at most {high:.10g}")
    return value


def _named(value: object) -> str:
    if isinstance(value, (dict, list)):
        return "a table" if isinstance(value, dict) else "a list"
    return str(value).lower() if isinstance(value, bool) else repr(value)
