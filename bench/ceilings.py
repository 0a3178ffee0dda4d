"""What this machine reaches at best: large matrix products in each type, and copies of memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from runtime.backends.openvino import core

_SIDE = 2048  # of the product's matrices: far more operations than bytes
_COPIED_BYTES = 256 << 20  # by each thread: far more than the caches hold
_REPEATS = 5  # the fastest counts: others on the machine only ever slow one down


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Operations and bytes a second that nothing here exceeds."""

    operations: dict[str, float]  # by type, as OpenVINO calls it; only those that the processor computes in
    bytes_moved: float  # read and written, all cores at once


def measure(library: Any) -> Ceilings:
    """Products through OpenVINO, whose module `library` is, and copies through NumPy; takes some seconds."""
    able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    kinds = {"f32": _float_product(library)}
    if "BF16" in able:
        kinds["bf16"] = kinds["f32"]
    if "INT8" in able:
        kinds["i8"] = _int8_product(library)
    found = {kind: _product_rate(core(), model, "bf16" if kind == "bf16" else "f32") for kind, model in kinds.items()}
    return Ceilings(found, _copy_rate())


def _float_product(library: Any) -> Any:
    ops = library.opset13
    left = ops.parameter([_SIDE, _SIDE], np.float32)
    right = ops.constant(_noise(np.float32))
    return library.Model([ops.matmul(left, right, False, True)], [left])


def _int8_product(library: Any) -> Any:
    """Numbers made whole by a quantiser, times whole weights: how OpenVINO is told to compute in int8."""
    ops = library.opset13
    left = ops.parameter([_SIDE, _SIDE], np.float32)
    low, high = (ops.constant(np.array(value, np.float32)) for value in (-1.28, 1.27))
    whole = ops.fake_quantize(left, low, high, low, high, 256)
    right = ops.multiply(ops.convert(ops.constant(_noise(np.int8)), "f32"), ops.constant(np.array(0.01, np.float32)))
    return library.Model([ops.matmul(whole, right, False, True)], [left])


def _noise(kind: type[np.float32 | np.int8]) -> npt.NDArray[Any]:
    numbers = np.random.default_rng(0).uniform(-1, 1, (_SIDE, _SIDE))
    return (numbers * 127).astype(np.int8) if kind is np.int8 else numbers.astype(np.float32)


def _product_rate(core: Any, model: Any, precision: str) -> float:
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    numbers = _noise(np.float32)
    request.infer([numbers])
    return 2 * _SIDE**3 / _fastest(lambda: request.infer([numbers]))


def _copy_rate() -> float:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pairs = [(np.ones(_COPIED_BYTES, np.uint8), np.ones(_COPIED_BYTES, np.uint8)) for _ in range(cores)]
    with ThreadPoolExecutor(cores) as pool:

        def copy_all() -> None:
            for copied in [pool.submit(np.copyto, source, target) for source, target in pairs]:
                copied.result()

        return 2 * cores * _COPIED_BYTES / _fastest(copy_all)


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    times: list[float] = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
