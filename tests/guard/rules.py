"""The house rules that a parsed file can be held against; each gives its complaints as `path:line: what`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.guard.sources import ROOT, Source, at_import_time, imports

FILE_LINES = 300  # a file stays below
FUNCTION_LINES = 40  # a function stays below, decorators not counted

_CARRIERS = {"runtime/ahead.py", "runtime/_device/host.py"}  # where threads are, and nowhere else
_PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
_VENDORS = {"onnxruntime", "openvino", "tensorrt", "tensorrt_rtx", "pycuda", "PyNvVideoCodec"}
_BOUNDS = {"abs", "rel", "atol", "rtol", "tol", "tolerance", "decimal", "places", "delta", "significant"}


def stays_short(source: Source) -> Iterator[str]:
    """A file under 300 lines, a function under 40."""
    lines = source.text.count("\n")
    if lines >= FILE_LINES:
        yield f"{source.path}: {lines} lines, wanted fewer than {FILE_LINES}"
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length >= FUNCTION_LINES:
                yield source.at(node, f"{node.name} has {length} lines, wanted fewer than {FUNCTION_LINES}")


def raises_instead_of_asserting(source: Source) -> Iterator[str]:
    """No assert: python -O drops it, and its message helps nobody."""
    yield from (source.at(node, "assert") for node in ast.walk(source.tree) if isinstance(node, ast.Assert))


def lets_no_error_pass(source: Source) -> Iterator[str]:
    """Whoever catches everything raises again; only `ahead` and a stream carry errors to another thread instead."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler) and source.path not in _CARRIERS:
            caught = "" if node.type is None else ast.unparse(node.type)
            broad = node.type is None or re.search(r"\b(Base)?Exception\b", caught) is not None
            if broad and not isinstance(node.body[-1], ast.Raise):
                yield source.at(node, f"except {caught} that goes on")


def keeps_no_pickles(source: Source) -> Iterator[str]:
    """Nothing that could run code from a file: no pickles, no torch.load but with weights_only."""
    for node, name in imports(source.tree):
        if name.split(".")[0] in _PICKLES:
            yield source.at(node, f"imports {name}")
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load" and given.get("weights_only") != "True":
                yield source.at(node, "torch.load without weights_only=True")
            if given.get("allow_pickle", "False") != "False":
                yield source.at(node, "allow_pickle")


def names_its_parameters(source: Source) -> Iterator[str]:
    """No `**kwargs` that is passed on: what a function takes stands in its signature."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.args.kwarg is not None:
            name = node.args.kwarg.arg
            for inner in ast.walk(node):
                if isinstance(inner, ast.keyword) and inner.arg is None and ast.unparse(inner.value) == name:
                    yield source.at(node, f"{node.name} passes **{name} through")


def holds_no_globals(source: Source) -> Iterator[str]:
    """No `global`: Session and Pool alone hold state."""
    yield from (source.at(node, "global") for node in ast.walk(source.tree) if isinstance(node, ast.Global))


def does_nothing_at_import(source: Source) -> Iterator[str]:
    """Importing a module runs no call for its effect, no loop, and sets nothing outside it."""
    for node in at_import_time(source.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield source.at(node, f"calls {ast.unparse(node.value.func)} at import")
        elif isinstance(node, (ast.For, ast.While, ast.With)):
            yield source.at(node, f"runs a {type(node).__name__.lower()} at import")
        elif isinstance(node, ast.Assign) and not all(isinstance(name, (ast.Name, ast.Tuple)) for name in node.targets):
            yield source.at(node, f"assigns {ast.unparse(node.targets[0])} at import")


def leaves_video_to_the_video_files(source: Source) -> Iterator[str]:
    """PyAV is imported by runtime/video.py and its helpers, and by the script that made the demo clip."""
    allowed = source.path == "assets/demo/make_demo.py" or re.fullmatch(r"runtime/(video|_video/\w+)\.py", source.path)
    for node, name in imports(source.tree):
        if name.split(".")[0] == "av" and not allowed:
            yield source.at(node, "imports av")


def leaves_vendors_to_their_files(source: Source) -> Iterator[str]:
    """A vendor library is imported, in a function, by the backend or target of its name."""
    if source.path.startswith("bench/"):  # it compares libraries, and nothing imports it
        return
    eager = {id(statement) for statement in at_import_time(source.tree)}
    for node, name in imports(source.tree):
        library = name.split(".")[0]
        if library not in _VENDORS:
            continue
        homes = {f"runtime/backends/{library}.py", f"export/targets/{library}.py"}
        homes |= {"runtime/_device/gpu.py"} if library == "pycuda" else set()
        homes = {"runtime/nvdec.py"} if library == "PyNvVideoCodec" else homes
        homes |= {"export/_int8_qdq.py"} if library == "onnxruntime" else set()  # its passes over graphs, docs/adr/0015
        if source.path not in homes:
            yield source.at(node, f"imports {library}, which belongs in {' or '.join(sorted(homes))}")
        elif id(node) in eager:
            yield source.at(node, f"imports {library} when it is imported itself")


def knows_no_network_by_name(source: Source) -> Iterator[str]:
    """No name or text of the code is a network's, outside four folders and runtime/bundle.py's DEFAULT.

    Comments and docstrings may cite one as their source; bench/ and training/ take them by name, and are not imported.
    """
    if source.path.startswith(("models/", "assets/", "bench/", "training/")):
        return
    networks = [path.stem for path in (ROOT / "models").glob("[!_]*.py")]
    pattern = re.compile(rf"(?i)({'|'.join(networks)})")
    cited = _docstrings(source.tree)
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Assign)
            and source.path == "runtime/bundle.py"
            and ast.unparse(node.targets[0]) == "DEFAULT"
        ):
            cited.add(id(node.value))
        for text in _words(node):
            if id(node) not in cited and pattern.search(text):
                yield f"{source.path}:{getattr(node, 'lineno', '?')}: names a network: {text.strip()[:60]!r}"


def takes_tolerances_from_the_table(source: Source) -> Iterator[str]:
    """No tolerance is a literal: neither an argument that says so, nor a fraction that an assert compares with."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.keyword) and node.arg in _BOUNDS and _is_number(node.value):
            yield source.at(node.value, f"{node.arg}={ast.unparse(node.value)}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("approx") and len(node.args) > 1:
            yield source.at(node, f"{ast.unparse(node)} has its tolerance as a position")
        elif isinstance(node, ast.Assert):
            yield from _literal_bounds(source, node)


def gives_a_reason_for_every_skip(source: Source) -> Iterator[str]:
    """A skip says what is missing."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.Attribute, ast.Call)):
            called = ast.unparse(node.func if isinstance(node, ast.Call) else node)
            if not re.search(r"(^|\.)(skip|skipif|xfail|importorskip)$", called):
                continue
            if isinstance(node, ast.Call) and not _has_reason(node, called):
                yield source.at(node, f"{called} without a reason")
            elif isinstance(node, ast.Attribute) and f"@{called}\n" in source.text:
                yield source.at(node, f"@{called} without a reason")


def can_fail(source: Source) -> Iterator[str]:
    """A test asserts, expects an error, or hands over to something whose name begins with assert or check."""
    if not PurePosixPath(source.path).name.startswith("test_"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            inner = list(ast.walk(node))
            calls = [ast.unparse(call.func).split(".")[-1] for call in inner if isinstance(call, ast.Call)]
            asserts = any(isinstance(statement, ast.Assert) and not _is_true(statement.test) for statement in inner)
            if not asserts and not any(re.match(r"_?(assert|check|raises|fail)", name) for name in calls):
                yield source.at(node, f"{node.name} cannot fail")


def _docstrings(tree: ast.Module) -> set[int]:
    """Ids of the constants that are documentation."""
    found: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and body and isinstance(body[0], ast.Expr):
            found.add(id(body[0].value))
    return found


def _words(node: ast.AST) -> Iterator[str]:
    """What the node calls things, and the text that it holds."""
    for field in ("id", "name", "attr", "arg", "module", "asname", "value"):
        text = getattr(node, field, None)
        if isinstance(text, str):
            yield text


def _literal_bounds(source: Source, node: ast.Assert) -> Iterator[str]:
    for inner in ast.walk(node.test):
        if isinstance(inner, ast.Compare) and isinstance(inner.ops[0], (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
            for side in (inner.left, *inner.comparators):
                if isinstance(side, ast.Constant) and isinstance(side.value, float) and side.value not in (0.0, 1.0):
                    yield source.at(side, f"compares with {side.value}")


def _has_reason(node: ast.Call, called: str) -> bool:
    by_name = any(keyword.arg == "reason" and ast.unparse(keyword.value) != "''" for keyword in node.keywords)
    return by_name or (called.endswith(".skip") and "mark" not in called and bool(node.args))


def _is_number(node: ast.expr) -> bool:
    """Whether `node` is made of numbers only; zero is no tolerance but equality."""
    parts = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop)
    return ast.unparse(node) not in {"0", "0.0"} and all(isinstance(part, parts) for part in ast.walk(node))


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and bool(node.value)
