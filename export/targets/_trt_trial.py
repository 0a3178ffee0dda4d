"""An engine run once, in a process of its own, so that a crash of the library is one line here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.targets._target import Order
from export.targets._trt import ROOT, environment, read_result
from runtime.bundle import Compute
from runtime.errors import ExportError

_LIMIT_S = 600  # of a run, loading included
_FLOAT = np.dtype(np.float32)


def run_in_child(
    target: str, order: Order, plan: Path, feed: Mapping[str, npt.NDArray[Any]]
) -> dict[str, npt.NDArray[Any]]:
    """The outputs of the engine `plan` for `feed`, as float32; raises `ExportError`."""
    where = f"target '{target}', stage '{order.stage}': the engine"
    with tempfile.TemporaryDirectory() as folder:
        request, result, log, given, outputs = (
            Path(folder) / name for name in ("request.json", "result.json", "log", "given.npz", "outputs.npz")
        )
        arrays: dict[str, Any] = {name: narrowed(values, order.compute) for name, values in feed.items()}
        np.savez(given, **arrays)
        files = {"plan": str(plan.resolve()), "given": str(given), "outputs": str(outputs)}
        request.write_text(json.dumps({"target": target, "compute": order.compute, **files}), encoding="utf-8")
        command = [sys.executable, "-m", "export.targets._trt_run", str(request), str(result)]
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=environment(), stdout=output, stderr=output, timeout=_LIMIT_S, check=False
                )
            except subprocess.TimeoutExpired:
                raise ExportError(f"{where} did not answer within {_LIMIT_S} s; is the GPU in use?") from None
        read_result(result, done.returncode, log, where)
        with np.load(outputs, allow_pickle=False) as found:
            return {name: widened(found[name], order.compute) for name in found.files}


def narrowed(values: npt.NDArray[Any], compute: Compute) -> npt.NDArray[Any]:
    """Floats in the engine's type; bfloat16, which NumPy lacks, as the 16 bits that are its numbers."""
    if values.dtype != _FLOAT or compute == "float32":
        return values
    if compute == "float16":
        return values.astype(np.float16)
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))  # to nearest, ties to even
    return (rounded >> np.uint32(16)).astype(np.uint16)


def widened(values: npt.NDArray[Any], compute: Compute) -> npt.NDArray[Any]:
    """The engine's numbers as float32; exact."""
    if compute == "bfloat16":
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(np.float32)
