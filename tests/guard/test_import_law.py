"""The import law: what may know what."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guard.sources import ROOT

PACKAGES = ("bench", "calib", "export", "kernels", "models", "runtime", "training")

BROKEN = {
    "runtime/session.py": "import torch",
    "runtime/job.py": "from export import build",
    "runtime/masks.py": "import calib",
    "runtime/bundle.py": "import numpy",
    "models/network.py": "from runtime import frame",
    "calib/metrics.py": "import models",
    "calib/demo.py": "import onnx",
    "export/plan.py": "import bench.row",
    "training/loop.py": "import export",
    "calib/baselines.py": "import training",
    "kernels/layout.py": "import runtime",
}

# Run in a fresh interpreter: refuse what a machine that only repairs videos does not have, then import all of runtime.
PURE = """
import importlib, pkgutil, sys

REFUSED = {"torch", "onnx", "polygraphy", "safetensors", "pycuda", "onnxruntime", "openvino", "tensorrt",
           "tensorrt_rtx", "PyNvVideoCodec", "models", "export", "calib", "training", "bench"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"{name} is not to be imported", name=name)

sys.meta_path.insert(0, Refuse())
sys.path.insert(0, sys.argv[1])
import runtime
seen = [module.name for module in pkgutil.walk_packages(runtime.__path__, "runtime.")]
for name in seen:
    importlib.import_module(name)
print(*seen)
"""


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def import_runtime(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PURE, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_every_contract_is_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_empty_modules_break_no_contract(tmp_path: Path) -> None:
    _lay_out(tmp_path)
    assert lint_imports(tmp_path).returncode == 0


@pytest.mark.parametrize("path", BROKEN)
def test_a_broken_contract_is_noticed(path: str, tmp_path: Path) -> None:
    _lay_out(tmp_path)
    with (tmp_path / path).open("a") as file:
        file.write(BROKEN[path] + "\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 broken" in done.stdout or "2 broken" in done.stdout


def test_all_of_runtime_imports_without_torch_onnx_and_vendors() -> None:
    done = import_runtime(ROOT)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.split()
    assert {"runtime.session", "runtime.cli", "runtime.backends.openvino", "runtime.backends.null"} <= set(modules)


def test_the_contracts_are_over_every_package() -> None:
    found = tuple(sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))
    assert found == PACKAGES
    assert f"root_packages = {list(found)}".replace("'", '"') in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_backends_say_what_is_missing_where_no_vendor_library_is_installed() -> None:
    vendors = ("onnxruntime", "openvino", "pycuda", "tensorrt", "tensorrt_rtx")
    text = f"import sys; sys.modules.update(dict.fromkeys({vendors}))\nfrom runtime.cli import main\n"
    command = [sys.executable, "-c", f"{text}sys.exit(main(['--list-backends']))"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    verdicts = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert verdicts.pop("null").startswith("can run here")
    assert verdicts
    assert not [name for name, verdict in verdicts.items() if "cannot run here: the package" not in verdict]


@pytest.mark.parametrize("line", ["import torch", "from onnx import ModelProto", "import openvino", "import export"])
def test_an_import_that_runtime_must_not_have_is_noticed(line: str, tmp_path: Path) -> None:
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__init__.py").touch()
    (tmp_path / "runtime" / "pixels.py").write_text(line)
    done = import_runtime(tmp_path)
    assert done.returncode != 0
    assert "is not to be imported" in done.stderr


def _lay_out(folder: Path) -> None:
    """Empty packages of our names with the modules that the contracts speak of, under our contracts."""
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in PACKAGES:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    modules = {
        *BROKEN,
        "runtime/_bundle_records.py",
        "runtime/_bundle_rules.py",
        "runtime/_strict.py",
        "runtime/errors.py",
        "runtime/frame.py",
        "export/build.py",
        "bench/row.py",
    }
    for path in modules:
        (folder / path).touch()
