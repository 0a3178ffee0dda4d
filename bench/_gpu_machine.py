"""What a machine has for the checks on a GPU: the GPU, and what each of its interpreters can do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.errors import UsageError
from runtime.machine import Gpu, gpus

ROOT = Path(__file__).resolve().parent.parent
ENGINE, TORCH = "ENGINE_PYTHON", "TORCH_PYTHON"  # environment variables that name the interpreters
_PATIENCE_S = 120  # to import torch from a cold disk
_DRIVER = ("--query-gpu=driver_version", "--format=csv,noheader")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python and what it has; the variable that names it is how people know it."""

    variable: str
    program: str
    python: str = ""  # its version
    modules: Mapping[str, str] = field(default_factory=dict[str, str])  # versions, "" where unknown
    torch_cuda: bool = False
    backends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    compilers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    fault: str | None = None  # why it is of no use

    def lacks(self, modules: Iterable[str]) -> list[str]:
        """Those of `modules` that it has not."""
        return [name for name in modules if name not in self.modules]


@dataclass(frozen=True, slots=True)
class Machine:
    """All that the plan depends on."""

    gpu: Gpu | None
    driver: str
    interpreters: tuple[Interpreter, ...]  # the one for engines first
    sanitizer: str | None  # NVIDIA's compute-sanitizer
    commit: str

    def able(self, modules: Iterable[str]) -> Interpreter | str:
        """The first interpreter that has all of `modules`, or what each of them lacks."""
        wanted = list(modules)
        for interpreter in self.interpreters:
            if not interpreter.lacks(wanted):
                return interpreter
        return "; ".join(f"{each.variable} lacks {', '.join(each.lacks(wanted))}" for each in self.interpreters)


def look(environment: Mapping[str, str]) -> Machine:
    """The machine that this runs on, with the interpreters that the environment names; unnamed it is this one.

    Raises `UsageError` when one of them cannot be used.
    """
    named = {variable: environment.get(variable) or sys.executable for variable in (ENGINE, TORCH)}
    gpu = next(iter(gpus()), None)
    if named[ENGINE] == named[TORCH]:
        named = {f"{ENGINE} and {TORCH}": named[ENGINE]}
    interpreters = tuple(probe(variable, program, gpu) for variable, program in named.items())
    for each in interpreters:
        if each.fault is not None:
            raise UsageError(f"{each.variable} {each.fault}; wanted a Python of 3.10 or later")
    return Machine(gpu, _driver(), interpreters, _sanitizer(), _commit())


def probe(variable: str, program: str, gpu: Gpu | None) -> Interpreter:
    """Ask an interpreter what it has, and what it could do with `gpu`; `fault` says why one cannot answer."""
    try:
        done = subprocess.run(
            [program, "-m", "bench._gpu_probe", gpu.capability if gpu else ""],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
            cwd=ROOT,
        )
        if done.returncode == 0:
            return Interpreter(variable, program, **json.loads(done.stdout.splitlines()[-1]))
        fault = (done.stderr.strip().splitlines() or [f"ends with code {done.returncode}"])[-1]
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError, TypeError) as error:
        fault = " ".join(str(error).split())
    return Interpreter(variable, program, fault=f"({program}) is of no use: {fault}")


def _driver() -> str:
    program = shutil.which("nvidia-smi")
    return "" if program is None else _said([program, *_DRIVER])


def _sanitizer() -> str | None:
    """On the path, or where the toolkit puts it."""
    homes = [Path(home) / "bin" for home in (os.environ.get("CUDA_HOME", "/usr/local/cuda"),)]
    return shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path=os.pathsep.join(map(str, homes)))


def _commit() -> str:
    git = shutil.which("git")
    return ("" if git is None else _said([git, "rev-parse", "--short", "HEAD"])) or "unknown"


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, cwd=ROOT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else ""
