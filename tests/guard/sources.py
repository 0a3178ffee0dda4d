"""The files that the house rules are held against."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bench", "calib", "export", "kernels", "models", "runtime", "training")  # those that exist are read
SCRIPTS = ("bench.py", "evaluate.py", "export.py", "infer.py", "train.py")
OURS = frozenset({*PACKAGES, "tests"})


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: str  # from the repository's root, with forward slashes
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed."""
        return ast.parse(self.text)

    def at(self, node: ast.stmt | ast.expr | ast.excepthandler, complaint: str) -> str:
        """`complaint`, with where it was found."""
        return f"{self.path}:{node.lineno}: {complaint}"


@cache  # every rule reads them, and parsing takes a second
def of_product() -> tuple[Source, ...]:
    """The packages, the scripts at the root and those beside the assets."""
    folders = [ROOT / name for name in (*PACKAGES, "assets")]
    return (*_python_files(*folders), *(_source(ROOT / name) for name in SCRIPTS if (ROOT / name).is_file()))


@cache
def of_tests() -> tuple[Source, ...]:
    """All of tests/."""
    return tuple(_python_files(ROOT / "tests"))


def texts() -> Iterator[tuple[str, str]]:
    """Path and content of every text file of the repository, hidden caches and what is made by running it aside."""
    made = {".venv", ".git", ".hypothesis", ".pytest_cache", ".ruff_cache", "__pycache__", "build", "bundles"}
    suffixes = {".py", ".md", ".toml", ".json", ".cfg", ".txt", ".csv", ".yml", ".yaml", ""}
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        kept = parts[:2] == ("assets", "bundles") or not made.intersection(parts)
        if kept and path.suffix in suffixes and path.is_file() and not path.parent.name.endswith(".egg-info"):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8", errors="replace")


def imports(tree: ast.AST) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Every import below `tree`, `import_module("name")` too, with the module that it names, dots and all."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"importlib.import_module", "import_module"}:
            # a plug-in's name is no constant, and no vendor's
            yield from ((node, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def at_import_time(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported: not in functions, nor under `if __name__` or TYPE_CHECKING."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        statement = pending.pop()
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) or _is_guarded(statement):
            continue
        yield statement
        for name in ("body", "orelse", "finalbody"):
            pending.extend(getattr(statement, name, []))


def _is_guarded(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.If):
        return False
    test = ast.unparse(statement.test)
    return "__name__" in test or "TYPE_CHECKING" in test


def _python_files(*folders: Path) -> Iterator[Source]:
    for folder in folders:
        yield from (_source(path) for path in sorted(folder.rglob("*.py")))


def _source(path: Path) -> Source:
    return Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
