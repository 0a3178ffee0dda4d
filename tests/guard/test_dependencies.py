"""pyproject.toml lists what is used, says why, and each part gets by on the extras that are its own."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pytest

from tests.guard.sources import OURS, ROOT, Source, imports, of_product, of_tests

MODULES = {  # by distribution, where the module is called otherwise
    "pillow": "PIL",
    "onnxruntime-gpu": "onnxruntime",
    "opencv-python-headless": "cv2",
    "scenedetect-headless": "scenedetect",
    "scikit-image": "skimage",
    "protobuf": "google",
}
TOOLS = {  # by distribution, what is run or configured instead of imported: the file and the text in it
    "setuptools": ("pyproject.toml", 'build-backend = "setuptools.build_meta"'),
    "pytest-xdist": ("Makefile", "-m pytest -q -n $(WORKERS)"),
    "pytest-timeout": ("pyproject.toml", "\ntimeout = "),
    "nvidia-cuda-nvcc": ("kernels/build.py", 'find_spec("nvidia")'),
    "nvidia-cuda-crt": ("kernels/build.py", 'find_spec("nvidia")'),
    "nvidia-nvvm": ("kernels/build.py", 'find_spec("nvidia")'),
    "nvidia-cuda-runtime": ("kernels/build.py", 'find_spec("nvidia")'),
    "nvidia-cuda-cccl": ("kernels/build.py", 'find_spec("nvidia")'),
    "tensorrt-rtx-cu13-libs": ("export/targets/tensorrt_rtx.py", '"tensorrt_rtx_bindings"'),
    "tensorrt-rtx-cu13-bindings": ("export/targets/tensorrt_rtx.py", '"tensorrt_rtx_bindings"'),
    "tensorboard": ("training/log.py", "from torch.utils.tensorboard"),
    "ruff": ("Makefile", "ruff check"),
    "pyright": ("Makefile", "/pyright"),
    "import-linter": ("Makefile", "lint-imports"),
}
EXTRAS = {  # by folder, the lists whose packages it may import; "" is what everybody has
    "runtime": ("", "cpu", "cuda", "tensorrt"),
    "calib": ("", "cpu", "evaluate"),
    "models": ("export",),
    "export": ("", "cpu", "export", "tensorrt"),
    "kernels": ("",),
    "training": ("", "export", "train"),
    "bench": ("", "cpu", "export", "test"),
    "tests": ("", "cpu", "evaluate", "export", "kernels", "test", "train"),
    "assets": ("",),  # the script that made the demo clip
}
SELF_EVIDENT = {"pytest", "ruff"}  # the list's own heading says what for
LATER = re.compile(r"\bno .* uses it yet$")
HEAD = re.compile(r"^(?:\[(?P<table>[^]]+)\]|(?P<name>[\w-]+) = \[(?P<rest>.*))")
LINE = re.compile(r'^\s*"(?P<name>[A-Za-z0-9_.-]+)[^"]*",?(?P<comment>\s*#.*)?$')


@dataclass(frozen=True)
class Dependency:
    """One line of pyproject.toml."""

    name: str
    extra: str  # the list it stands in; "" for what everybody has
    why: str

    @property
    def module(self) -> str:
        """What its users import."""
        return MODULES.get(self.name, self.name.replace("-", "_"))


def declared(text: str) -> Iterator[Dependency]:
    """Every dependency in the text of a pyproject.toml, one a line; read as text, since comments count."""
    table, extra = "", ""
    for line in text.splitlines():
        if head := HEAD.match(line):
            table = head["table"] or table
            extra = head["name"] or ""
            yield from _on_one_line(table, extra, head["rest"] or "")
        elif _lists_dependencies(table, extra) and (found := LINE.match(line)) and found["name"] != "vidmend":
            why = (found["comment"] or "").strip(" #")
            yield Dependency(found["name"], "" if extra == "dependencies" else extra, why)


def unexplained(dependencies: Iterable[Dependency]) -> list[str]:
    return [found.name for found in dependencies if not found.why and found.name not in SELF_EVIDENT]


def unused(dependencies: Iterable[Dependency], modules: set[str]) -> list[str]:
    """Those that nothing imports or runs; and those that say so although something does."""
    wrong: list[str] = []
    for found in dependencies:
        path, text = TOOLS.get(found.name, ("", ""))
        used = found.module in modules if not path else text in (ROOT / path).read_text(encoding="utf-8")
        if used == bool(LATER.search(found.why)):
            state = "used" if used else "unused"
            wrong.append(f"{found.name} in '{found.extra}': {state}, and its comment: {found.why}")
    return wrong


def undeclared(sources: Iterable[Source], dependencies: Iterable[Dependency]) -> list[str]:
    """Imports of packages that the importing folder's own lists do not bring."""
    lists = {extra: {found.module for found in dependencies if found.extra == extra} for extra in _extras(dependencies)}
    wrong: list[str] = []
    for source in sources:
        folder = source.path.split("/")[0]
        allowed: set[str] = set().union(*(lists.get(extra, set()) for extra in EXTRAS.get(folder, ("",))))
        for node, name in imports(source.tree):
            module = name.split(".")[0]
            if module not in allowed and module not in OURS and module not in sys.stdlib_module_names:
                wrong.append(source.at(node, f"imports {module}, which {folder}'s lists do not bring"))
    return wrong


@pytest.fixture(scope="module")
def dependencies() -> list[Dependency]:
    return list(declared((ROOT / "pyproject.toml").read_text(encoding="utf-8")))


def test_every_dependency_says_why_it_is_there(dependencies: list[Dependency]) -> None:
    assert unexplained(dependencies) == []


def test_every_dependency_is_used_or_says_that_it_is_not_yet(dependencies: list[Dependency]) -> None:
    modules = {name.split(".")[0] for source in _every() for _, name in imports(source.tree)}
    assert unused(dependencies, modules) == []


def test_every_import_comes_with_the_importing_folders_own_lists(dependencies: list[Dependency]) -> None:
    assert undeclared(_every(), dependencies) == []


def test_the_lists_that_are_read_are_all_there_are(dependencies: list[Dependency]) -> None:
    assert _extras(dependencies) == {
        *("", "requires", "cpu", "cuda", "tensorrt", "export", "kernels", "evaluate", "train", "rtx", "test", "dev")
    }
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert len(dependencies) == len(re.findall(r'^ *(?:requires = \[)?"[\w.-]+(?:\[\w+\])?[=>]=', text, re.MULTILINE))


SYNTHETIC = """
[project]
dependencies = [
    "numpy>=2.2.6",   # every frame on the host
    "av>=17",
]
[project.optional-dependencies]
cuda = [
    "pycuda>=2026.1", # device memory; no runtime file uses it yet
]
[tool.x]
list = [
    "numbered",
]
"""


def test_a_dependency_without_a_reason_is_noticed() -> None:
    found = list(declared(SYNTHETIC))
    assert [(line.name, line.extra) for line in found] == [("numpy", ""), ("av", ""), ("pycuda", "cuda")]
    assert unexplained(found) == ["av"]


@pytest.mark.parametrize(
    ("modules", "name"),
    [({"numpy"}, "av"), ({"numpy", "av", "pycuda"}, "pycuda")],
    ids=["unused", "used although it says not yet"],
)
def test_a_dependency_that_misstates_its_use_is_noticed(modules: set[str], name: str) -> None:
    assert [line.split()[0] for line in unused(declared(SYNTHETIC), modules)] == [name]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("runtime/x.py", "import requests"),
        ("runtime/x.py", "def f():\n    import torch"),
        ("calib/x.py", "import torch"),
    ],
)
def test_an_import_that_no_list_brings_is_noticed(path: str, text: str, dependencies: list[Dependency]) -> None:
    assert undeclared([Source(path, text)], dependencies)


def _every() -> list[Source]:
    return [*of_product(), *of_tests()]


def _extras(dependencies: Iterable[Dependency]) -> set[str]:
    return {found.extra for found in dependencies}


def _lists_dependencies(table: str, extra: str) -> bool:
    return table == "project.optional-dependencies" or (table == "project" and extra == "dependencies")


def _on_one_line(table: str, extra: str, rest: str) -> Iterator[Dependency]:
    """The build system's list, which is short."""
    if table == "build-system" and extra == "requires":
        for name in re.findall(r'"([\w-]+)', rest):
            yield Dependency(name, extra, rest.partition("#")[2].strip())
