"""JSON to frozen dataclasses and back, refusing whatever the types do not name."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Mismatch(Exception):
    """A value that does not fit its type; the text begins with the path of the value, as in `stages[0].name`."""


def decode(kind: type[T], value: object, where: str = "") -> T:
    """`value` (as `json.loads` gives it) as an instance of `kind`; raises `Mismatch` on anything unexpected."""
    return cast(T, _decode(kind, value, where))


def encode(value: object) -> Any:
    """The inverse of `decode`: dataclasses to dicts, tuples to lists, mappings sorted by key."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value)
        return {key: encode(items[key]) for key in sorted(items)}
    if isinstance(value, tuple):
        return [encode(item) for item in cast("tuple[object, ...]", value)]
    return value


def _decode(kind: Any, value: object, where: str) -> object:
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(cast("type[Any]", kind), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise Mismatch(f"{where}: found {_name(value)}, wanted a list")
        items = cast("list[object]", value)
        return tuple(_decode(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(items))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise Mismatch(f"{where}: found {_name(value)}, wanted an object")
        pairs = cast("dict[str, object]", value)
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in pairs.items()}
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool):
            raise Mismatch(f"{where}: found {value!r}, wanted one of {', '.join(map(repr, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, value, where)
    return _decode_scalar(kind, value, where)


def _decode_scalar(kind: Any, value: object, where: str) -> object:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:  # exact: True is no integer here
        raise Mismatch(f"{where}: found {_name(value)}, wanted {'null' if kind is type(None) else kind.__name__}")
    return value


def _decode_union(arguments: tuple[Any, ...], value: object, where: str) -> object:
    records = [option for option in arguments if dataclasses.is_dataclass(option)]
    if _name(value) == "an object" and len(records) == 1:  # the error then names what is wrong inside
        return _decode(records[0], value, where)
    for option in arguments:
        try:
            return _decode(option, value, where)
        except Mismatch:
            continue
    wanted = " or ".join("null" if option is type(None) else option.__name__ for option in arguments)
    raise Mismatch(f"{where}: found {_name(value)}, wanted {wanted}")


def _decode_dataclass(kind: type[Any], value: object, where: str) -> object:
    if not isinstance(value, dict):
        raise Mismatch(f"{where or 'the file'}: found {_name(value)}, wanted an object")
    found = cast("dict[str, object]", value)
    wanted = typing.get_type_hints(kind)
    inside = f"{where}." if where else ""
    if unknown := sorted(found.keys() - wanted.keys()):
        raise Mismatch(f"{inside}{unknown[0]}: unknown key")
    if missing := [name for name in wanted if name not in found]:
        raise Mismatch(f"{inside}{missing[0]}: missing key")
    return kind(**{name: _decode(hint, found[name], f"{inside}{name}") for name, hint in wanted.items()})


def _name(value: object) -> str:
    names: tuple[tuple[type, str], ...] = ((dict, "an object"), (list, "a list"), (str, "text"), (bool, "true/false"))
    if value is None:
        return "null"
    return next((name for kind, name in names if isinstance(value, kind)), "a number")
