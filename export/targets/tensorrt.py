"""Engines of TensorRT 8.5 to 11, for the GPU of the machine that builds them."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.targets._target import Arrays, Built, Options, Order, Say, Serving
from export.targets._trt import Limits, build_in_child, refuse, why_not_imported, why_not_run
from export.targets._trt_config import numbers
from export.targets._trt_trial import run_in_child
from runtime.bundle import Compute
from runtime.errors import UsageError
from runtime.machine import gpus

_OLDEST = (8, 5)
_COMPATIBLE = (8, 6)  # the first with optimisation levels and compatible engines
_BFLOAT16 = (9, 0)
_STRONG = (10, 0)
_NO_INT8 = "is given no int8 graphs here: before 10 types are allowed, not demanded; upgrade it, or take --fp16"


def library() -> Any:
    """The module."""
    return importlib.import_module("tensorrt")


def gpu() -> tuple[str, str] | None:
    """The GPU that is built on: CUDA's first."""
    found = gpus()
    return (found[0].name, found[0].capability) if found else None


def limits_of(version: tuple[int, ...], title: str) -> Limits:
    """What a release can do."""
    return Limits(
        title=title,
        compatible=version >= _COMPATIBLE,
        levels=version >= _COMPATIBLE,
        cache=True,
        bfloat16=version >= _BFLOAT16,
        no_int8=None if version >= _STRONG else _NO_INT8,
        ranges=version >= _STRONG,
        capabilities=(),
    )


class _TensorRt:
    name = "tensorrt"
    suffix = ".plan"
    fixed_window = True
    portable = False
    serving = Serving("tensorrt_plan", "model.plan", "KIND_GPU", cuda_graphs=True)

    @property
    def compiler(self) -> _TensorRt:
        return self

    def why_not(self) -> str | None:
        if not self.installed():
            return "TensorRT is not installed: pip install tensorrt (--target tensorrt_rtx builds without a GPU)."
        if reason := why_not_imported(library, "TensorRT", "pip install tensorrt"):
            return reason
        if numbers(library()) < _OLDEST:
            return f"TensorRT {self.version()} is too old, 8.5 is the first that is known to work: upgrade it."
        if gpu() is None:
            return (
                "TensorRT builds on the GPU that the engine is for, and there is none here; --target tensorrt_rtx does."
            )
        return None

    def installed(self) -> bool:
        return importlib.util.find_spec("tensorrt") is not None

    def version(self) -> str:
        return str(library().__version__)

    def refuse(self, options: Options, compute: Compute) -> str | None:
        return refuse(options, compute, limits_of(numbers(library()), f"TensorRT {self.version()}"))

    def build(self, order: Order, plan: Path, say: Say) -> Built:
        if reason := self.refuse(order.options, order.compute):
            raise UsageError(f"target '{self.name}': {reason}")
        return build_in_child(self.name, order, plan, say)

    def why_not_run(self, order: Order) -> str | None:
        return why_not_run(order)

    def run(self, order: Order, plan: Path, feeds: Sequence[Arrays]) -> list[Arrays]:
        return run_in_child(self.name, order, plan, feeds)


TARGET = _TensorRt()
