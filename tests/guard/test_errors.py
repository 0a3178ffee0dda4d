"""The error tree that users and callers read is the one that exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable

import pytest

from runtime import errors
from tests.guard.sources import Source, of_product

Tree = dict[str, str]  # class -> parent


def drawn(text: str) -> Tree:
    """The tree in a docstring drawn with box characters, four columns a level."""
    tree: Tree = {}
    above: list[str] = []
    for line in text.splitlines():
        match = re.match(r"^([│├└─ ]*)([A-Z]\w+)  +\S", line)
        if match is None:
            continue
        level = len(match[1]) // 4
        above[level:] = [match[2]]
        tree[match[2]] = above[level - 1] if level else "Exception"
    return tree


def existing() -> Tree:
    """The tree of the classes of runtime/errors.py."""
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    found = [kind for kind in kinds if kind.__module__ == errors.__name__]
    return {kind.__name__: kind.__bases__[0].__name__ for kind in found}


def test_the_docstring_draws_the_classes_that_exist() -> None:
    assert drawn(errors.__doc__ or "") == existing()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("├── UsageError ", "├── UsedError "),
        ("│   ├── DamagedVideo", "├── DamagedVideo    "),
        ("└── ExportError  ", ""),
    ],
)
def test_another_drawing_is_noticed(before: str, after: str) -> None:
    text = errors.__doc__ or ""
    assert before in text
    assert drawn(text.replace(before, after)) != existing()


def unraised(sources: Iterable[Source]) -> set[str]:
    """The errors without heirs that no source makes; `raise E` and `raise E(...)` both make one."""
    tree = existing()
    made: set[str] = set()
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call):
                made.add(ast.unparse(node.func).split(".")[-1])
            elif isinstance(node, ast.Raise) and node.exc is not None:
                made.add(ast.unparse(node.exc).split(".")[-1])
    return {name for name in tree if name not in tree.values()} - made


def test_every_error_is_raised_somewhere() -> None:
    assert unraised(of_product()) == set()


def test_an_error_that_nobody_raises_is_noticed() -> None:
    silent = [Source(source.path, source.text.replace("BundleTooOld(", "BundleTooNew(")) for source in of_product()]
    assert unraised(silent) == {"BundleTooOld"}


def test_every_error_has_a_sentence_and_an_exit_code() -> None:
    for name in existing():
        kind = getattr(errors, name)
        assert kind.__doc__
        assert kind.__doc__.endswith(".")
        assert kind.exit_code == 2
