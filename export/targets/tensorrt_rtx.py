"""Engines of TensorRT-RTX: for any listed compute capability, on a machine with or without a GPU."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from export.targets._target import Arrays, Built, Options, Order, Say
from export.targets._trt import Limits, build_in_child, refuse, why_not_imported, why_not_run
from export.targets._trt_trial import run_in_child
from runtime.bundle import Compute
from runtime.errors import UsageError

_INSTALL = "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"
_MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # NVIDIA's own package, and the bindings' wheel by itself


def library() -> Any:
    """The module, whichever of its names it is installed under."""
    return importlib.import_module(next(name for name in _MODULES if importlib.util.find_spec(name)))


def gpu() -> None:
    """No build asks for one."""


class _Rtx:
    name = "tensorrt_rtx"
    suffix = ".plan"
    fixed_window = True
    portable = True
    serving = None

    @property
    def compiler(self) -> _Rtx:
        return self

    def why_not(self) -> str | None:
        if not self.installed():
            return f"TensorRT-RTX is not installed: {_INSTALL} (95 MB, needs no GPU)."
        return why_not_imported(library, "TensorRT-RTX", _INSTALL)

    def installed(self) -> bool:
        return any(importlib.util.find_spec(name) for name in _MODULES)

    def version(self) -> str:
        return str(library().__version__)

    def limits(self) -> Limits:
        """Strong types only; engines for one release, so that there is nothing compatible about them."""
        members = library().ComputeCapability.__members__
        known = sorted(int(name[2:]) for name in members if name.startswith("SM"))
        return Limits(
            title=f"TensorRT-RTX {self.version()}",
            compatible=False,
            levels=True,
            cache=False,  # its builder then asks for a GPU, and finds none
            bfloat16=True,
            no_int8="has no int8 activations, weights alone; --target tensorrt from 10 on has, or take --fp16",
            ranges=True,
            capabilities=tuple(f"{number // 10}.{number % 10}" for number in known),
        )

    def refuse(self, options: Options, compute: Compute) -> str | None:
        return refuse(options, compute, self.limits())

    def build(self, order: Order, plan: Path, say: Say) -> Built:
        if reason := self.refuse(order.options, order.compute):
            raise UsageError(f"target '{self.name}': {reason}")
        options = order.options
        if not options.capabilities:  # one plan serves all, and is hardly larger
            options = replace(options, capabilities=self.limits().capabilities)
        return build_in_child(self.name, replace(order, options=options), plan, say)

    def why_not_run(self, order: Order) -> str | None:
        return why_not_run(order)

    def run(self, order: Order, plan: Path, feeds: Sequence[Arrays]) -> list[Arrays]:
        return run_in_child(self.name, order, plan, feeds)


TARGET = _Rtx()
