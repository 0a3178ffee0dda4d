"""What this machine reaches at best: a large matrix product and a convolution in each type, and copies of memory."""

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

_COPIED_BYTES = 256 << 20  # by each thread: far more than the caches hold
_REPEATS = 5  # the fastest counts: others on the machine only ever slow one down
_SEED = 0


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Operations and bytes a second that nothing here exceeds."""

    operations: dict[str, float]  # by type, as OpenVINO calls it; only those that the processor computes in
    bytes_moved: float  # read and written, all cores at once


@dataclass(frozen=True, slots=True)
class _Work:
    """A layer with far more operations than bytes, and how OpenVINO makes it of what goes in and of weights."""

    inputs: tuple[int, ...]
    weights: tuple[int, ...]
    operations: int
    made: Callable[[Any, Any, Any], Any]


# A library has kernels of its own for either, and which come nearer to what a processor can do differs.
_WORKS = (
    _Work((2048, 2048), (2048, 2048), 2 * 2048**3, lambda ops, left, right: ops.matmul(left, right, False, True)),
    _Work(
        (4, 512, 60, 108),
        (512, 512, 3, 3),
        2 * (4 * 60 * 108) * (512 * 512 * 9),
        lambda ops, left, right: ops.convolution(left, right, [1, 1], [1, 1], [1, 1], [1, 1]),
    ),
)


def measure(library: Any) -> Ceilings:
    """A product and a convolution through OpenVINO, whose module `library` is, and copies; takes some seconds."""
    able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    kinds = ["f32", *(kind for name, kind in (("BF16", "bf16"), ("INT8", "i8")) if name in able)]
    return Ceilings({kind: max(_rate(library, work, kind) for work in _WORKS) for kind in kinds}, _copy_rate())


def _rate(library: Any, work: _Work, kind: str) -> float:
    model = _int8_model(library, work) if kind == "i8" else _float_model(library, work)
    settings = {"INFERENCE_PRECISION_HINT": "bf16" if kind == "bf16" else "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core().compile_model(model, "CPU", settings).create_infer_request()
    numbers = _noise(work.inputs)
    request.infer([numbers])
    return work.operations / _fastest(lambda: request.infer([numbers]))


def _float_model(library: Any, work: _Work) -> Any:
    ops = library.opset13
    left = ops.parameter(list(work.inputs), np.float32)
    return library.Model([work.made(ops, left, ops.constant(_noise(work.weights)))], [left])


def _int8_model(library: Any, work: _Work) -> Any:
    """Numbers made whole by a quantiser, times whole weights: how OpenVINO is told to compute in int8."""
    ops = library.opset13
    left = ops.parameter(list(work.inputs), np.float32)
    low, high = (ops.constant(np.array(value, np.float32)) for value in (-1.28, 1.27))
    whole = ops.fake_quantize(left, low, high, low, high, 256)
    weights = ops.constant((_noise(work.weights) * 127).astype(np.int8))
    scaled = ops.multiply(ops.convert(weights, "f32"), ops.constant(np.array(0.01, np.float32)))
    return library.Model([work.made(ops, whole, scaled)], [left])


def _noise(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(_SEED).uniform(-1, 1, shape).astype(np.float32)


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
