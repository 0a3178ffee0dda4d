"""House rules on what a module may hold, import and decide by; complaints as in rules.py."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from itertools import chain

from tests.guard.sources import ROOT, Source, imports

READER = {  # the contract between all parts
    "runtime.bundle",
    "runtime._bundle_records",
    "runtime._bundle_rules",
    "runtime._strict",
    "runtime.errors",
}

_PLUGIN_FOLDERS = ("models", "export/targets", "runtime/backends")
_CONTAINERS = {"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"}
_MUTATORS = {"add", "append", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "update"}
_LITERALS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def keeps_no_state_in_modules(source: Source) -> Iterator[str]:
    """A container at module level is a table: named in capitals and never changed, neither here nor from elsewhere."""
    for statement in source.tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
        for target in targets:
            named = isinstance(target, ast.Name) and (target.id.isupper() or target.id == "__all__")
            if not named and _is_container(getattr(statement, "value", None)):
                yield source.at(statement, f"{ast.unparse(target)} is mutable")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.expr | ast.stmt) and (name := _changed_table(node)):
            yield source.at(node, f"changes the table {name}")


def turns_no_text_into_code(source: Source) -> Iterator[str]:
    """No eval, exec, compile."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"eval", "exec", "compile"}:
            yield source.at(node, f"calls {ast.unparse(node.func)}")


def suppresses_nothing_broad(source: Source) -> Iterator[str]:
    """`suppress` names the errors that may pass."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "suppress":
            broad = [argument for argument in node.args if ast.unparse(argument) in {"Exception", "BaseException"}]
            yield from (source.at(argument, ast.unparse(node)) for argument in broad)


def reads_bundles_alone(source: Source) -> Iterator[str]:
    """runtime/bundle.py and the files it rests on import the standard library and each other."""
    if source.path.removesuffix(".py").replace("/", ".") in READER:
        for node, name in imports(source.tree):
            if name not in READER and name.split(".")[0] not in sys.stdlib_module_names:
                yield source.at(node, f"imports {name}")


def follows_attributes_not_names(source: Source) -> Iterator[str]:
    """No comparison with the name of a plug-in: behaviour follows what it says of itself."""
    known = chain.from_iterable((ROOT / folder).glob("[!_]*.py") for folder in _PLUGIN_FOLDERS)
    plugins = {path.stem for path in known}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Compare):
            sides = list(chain.from_iterable(getattr(side, "elts", [side]) for side in (node.left, *node.comparators)))
            if any(isinstance(side, ast.Constant) and side.value in plugins for side in sides):
                yield source.at(node, ast.unparse(node))


def _is_container(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call):
        return ast.unparse(node.func).split(".")[-1] in _CONTAINERS
    return isinstance(node, _LITERALS)


def _changed_table(node: ast.expr | ast.stmt) -> str | None:
    """The name in capitals whose value `node` changes in place, if it does."""
    changed: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        changed = node.value
    elif isinstance(node, ast.AugAssign):
        changed = node.target
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
        changed = node.func.value
    name = "" if changed is None else ast.unparse(changed).split(".")[-1]
    return name if name.isupper() and name.isidentifier() else None
