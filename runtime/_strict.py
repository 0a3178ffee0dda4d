"""JSON to frozen dataclasses and back, refusing whatever the types do not name."""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeVar, cast

T = TypeVar("T")

_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # and what turns the line round
_SHOWN = 60  # characters of a value or a key in a message: both come from the file


class Mismatch(Exception):
    """A value that does not fit its type; the text begins with the path of the value, as in `stages[0].name`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Within:
    """The range of a number, beside its type: `Annotated[int, Within(1, 64)]`; texts and null pass."""

    least: int
    most: int | None = None

    def refuses(self, value: object) -> bool:
        """Whether `value` is a number outside."""
        if not isinstance(value, (int, float)):
            return False
        return value < self.least or (self.most is not None and value > self.most)

    def __str__(self) -> str:
        return f"{self.least} or more" if self.most is None else f"{self.least} to {self.most}"


@dataclasses.dataclass(frozen=True, slots=True)
class Matching:
    """What a text looks like, beside its type: `Annotated[str, Matching("[0-9]+", "digits")]`."""

    pattern: str
    wanted: str

    def refuses(self, value: object) -> bool:
        """Whether `value` is a text that looks different."""
        return isinstance(value, str) and re.fullmatch(self.pattern, value) is None

    def __str__(self) -> str:
        return self.wanted


def shown(value: object) -> str:
    """A value of a file as a message has it: in one line, without anything that a terminal obeys, and short.

    Of a list and an object only what it is: it may be nested deeper than `ascii` goes.
    """
    return _name(value) if type(value) in (dict, list) else shortened(ascii(value))


def shortened(text: str) -> str:
    """Its beginning, where it is long."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


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
    if typing.get_origin(kind) is not typing.Annotated:
        return _decode_plain(kind, value, where)
    plain, *rules = typing.get_args(kind)
    found = _decode_plain(plain, value, where)
    for rule in rules:
        if isinstance(rule, (Within, Matching)) and rule.refuses(found):
            raise Mismatch(f"{where}: found {shown(value)}, wanted {rule}")
    return found


def _decode_plain(kind: Any, value: object, where: str) -> object:
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
        return {_text(key, where): _decode(arguments[1], item, _inside(where, key)) for key, item in pairs.items()}
    if origin is typing.Literal:
        if value not in arguments or isinstance(value, bool):
            raise Mismatch(f"{where}: found {shown(value)}, wanted one of {', '.join(map(repr, arguments))}")
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_union(arguments, value, where)
    return _decode_scalar(kind, value, where)


def _decode_scalar(kind: Any, value: object, where: str) -> object:
    if kind is float and type(value) is int:
        return _finite(value, where)
    if type(value) is not kind:  # exact: True is no integer here
        raise Mismatch(f"{where}: found {_name(value)}, wanted {'null' if kind is type(None) else kind.__name__}")
    if isinstance(value, float):
        return _finite(value, where)
    return _text(value, where) if isinstance(value, str) else value


def _finite(value: float, where: str) -> float:
    """The number as a float; JSON has some that are larger than any."""
    with suppress(OverflowError):
        if math.isfinite(number := float(value)):
            return number
    raise Mismatch(f"{where}: found {shown(value)}, wanted a finite number")


def _text(value: str, where: str) -> str:
    """The text itself; JSON can write what terminals obey, and halves of characters, which no file's name may have."""
    if _UNPRINTED.search(value):
        raise Mismatch(f"{where or 'the file'}: found {shown(value)}, wanted text of one line that can be printed")
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
    wanted = typing.get_type_hints(kind, include_extras=True)
    if unknown := sorted(found.keys() - wanted.keys()):
        raise Mismatch(f"{_inside(where, unknown[0])}: unknown key")
    if missing := [name for name in wanted if name not in found]:
        raise Mismatch(f"{_inside(where, missing[0])}: missing key")
    return kind(**{name: _decode(hint, found[name], _inside(where, name)) for name, hint in wanted.items()})


def _inside(where: str, key: str) -> str:
    named = key if key.isprintable() and len(key) <= _SHOWN else shown(key)
    return f"{where}.{named}" if where else named


def _name(value: object) -> str:
    names: tuple[tuple[type, str], ...] = ((dict, "an object"), (list, "a list"), (str, "text"), (bool, "true/false"))
    if value is None:
        return "null"
    return next((name for kind, name in names if isinstance(value, kind)), "a number")
