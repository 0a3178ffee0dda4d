"""What make gpu asks of an interpreter is what its steps import, and a broken library hides no other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import _gpu_plan, _gpu_probe
from bench._gpu_machine import Interpreter, Machine
from runtime.machine import Gpu
from tests.guard.sources import ROOT
from tests.interpreters import ENGINE_SIDE, answer

ENGINES = Interpreter("ENGINE_PYTHON", sys.executable, **answer(ENGINE_SIDE, engines=True))
MACHINE = Machine(Gpu("NVIDIA Made-Up", "9.0"), "999.99", (ENGINES,), "/s/compute-sanitizer", "abc1234")


def lacking(modules: tuple[str, ...], text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with no more than `modules`, of those that the probe looks for, runs `text`."""
    absent = sorted({*_gpu_probe.MODULES, "tensorrt_rtx_bindings"} - {*modules, "pytest_timeout"})
    command = [sys.executable, "-c", f"import sys; sys.modules.update(dict.fromkeys({absent}))\n{text}", *arguments]
    # as make gpu runs them: there a skip is no failure
    environment = {**os.environ, "VIDMEND_REQUIRE_GPU": "1", "VIDMEND_REQUIRE_ALL": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_engines_are_compiled_with_the_modules_that_the_plan_asks_for_and_no_fewer() -> None:
    text, asked = "import bench._gpu_compile, export.compile, export.inspection", _gpu_plan._COMPILE
    done = lacking(asked, text)
    assert done.returncode == 0, done.stderr
    for module in asked:
        assert lacking(tuple(name for name in asked if name != module), text).returncode == 1, module


def test_every_test_of_a_gpu_is_collected_or_skipped_with_the_modules_that_the_plan_asks_for(tmp_path: Path) -> None:
    steps = {step.name: step for step in _gpu_plan.plan(MACHINE, _gpu_plan.Request(tmp_path))}
    for name in ("tests", "sanitizer"):
        options = steps[name].command[steps[name].command.index("pytest") + 1 :]
        assert "--continue-on-collection-errors" in options
        text = "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
        done = lacking(_gpu_plan._TESTS, text, "--collect-only", "-rs", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        kernels = {path.name for path in (ROOT / "tests" / "unit").glob("test_kernels_*.py")}
        assert kernels
        assert kernels <= set(re.findall(r"tests/unit/(\w+\.py)::.*gpu", done.stdout))


class Broken:
    """A plug-in whose library is there and cannot be used."""

    memory = "host"

    def why_not(self) -> str | None:
        raise ImportError("libnvinfer.so.10: cannot open shared object file\nand more")


class Sound(Broken):
    """One that works."""

    def why_not(self) -> str | None:
        return None


class Listing:
    """A package of plug-ins, one of which cannot even be imported."""

    @staticmethod
    def names() -> tuple[str, ...]:
        return ("absent", "broken", "sound")

    @staticmethod
    def get(name: str) -> Broken:
        if name == "absent":
            raise ImportError(name)
        return Broken() if name == "broken" else Sound()


def test_a_plugin_that_breaks_says_so_and_the_others_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gpu_probe.importlib, "import_module", lambda _: Listing)
    assert _gpu_probe._plugins("any", ("memory",)) == {
        "broken": {"memory": "host", "why_not": "libnvinfer.so.10: cannot open shared object file"},
        "sound": {"memory": "host", "why_not": None},
    }
