"""An engine run once, in a process of its own, so that a crash of the library is one line here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.targets._target import Arrays, Order
from export.targets._trt import ROOT, environment, read_result
from runtime.bundle import Compute
from runtime.errors import ExportError
from runtime.numbers import NUMPY_NAMES, floats, to_bfloat16

_LIMIT_S = 600  # of a run, loading included
_FLOAT = np.dtype(np.float32)


def run_in_child(target: str, order: Order, plan: Path, feeds: Sequence[Arrays]) -> list[Arrays]:
    """The outputs of the engine `plan` for each of `feeds`, as float32; raises `ExportError`."""
    where = f"target '{target}', stage '{order.stage}': the engine"
    with tempfile.TemporaryDirectory() as folder:
        request, result, log, given, outputs = (
            Path(folder) / name for name in ("request.json", "result.json", "log", "given.npz", "outputs.npz")
        )
        save(given, [{name: narrowed(values, order.compute) for name, values in feed.items()} for feed in feeds])
        files = {"plan": str(plan.resolve()), "given": str(given), "outputs": str(outputs)}
        host_code = order.options.version_compat
        request.write_text(json.dumps({"target": target, "host_code": host_code, **files}), encoding="utf-8")
        command = [sys.executable, "-m", "export.targets._trt_run", str(request), str(result)]
        with log.open("wb") as output:
            try:
                done = subprocess.run(
                    command, cwd=ROOT, env=environment(), stdout=output, stderr=output, timeout=_LIMIT_S, check=False
                )
            except subprocess.TimeoutExpired:
                raise ExportError(f"{where} did not answer within {_LIMIT_S} s; is the GPU in use?") from None
        read_result(result, done.returncode, log, where)
        return [{name: widened(values) for name, values in found.items()} for found in load(outputs)]


def save(path: Path, calls: Sequence[Arrays]) -> None:
    """The arrays of several calls in one file."""
    np.savez(path, **{f"{index} {name}": values for index, call in enumerate(calls) for name, values in call.items()})


def load(path: Path) -> list[dict[str, npt.NDArray[Any]]]:
    """What `save` wrote."""
    calls: list[dict[str, npt.NDArray[Any]]] = []
    with np.load(path, allow_pickle=False) as opened:
        for key in opened.files:
            index, _, name = key.partition(" ")
            calls += [{} for _ in range(int(index) + 1 - len(calls))]
            calls[int(index)][name] = opened[key]
    return calls


def narrowed(values: npt.NDArray[Any], compute: Compute) -> npt.NDArray[Any]:
    """Floats as an engine of type `compute` takes them."""
    if values.dtype != _FLOAT:
        return values
    return to_bfloat16(values) if compute == "bfloat16" else values.astype(NUMPY_NAMES[compute])


def widened(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """What an engine gives as float32; exact."""
    return floats(values).astype(np.float32)
