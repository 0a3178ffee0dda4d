"""ONNX graphs through OpenVINO on the CPU; bf16 where the CPU computes in it."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from typing import Any

import numpy as np

from runtime import cores
from runtime.backends._graph_ports import check_ports
from runtime.bundle import Compute, StageSpec
from runtime.device import Memory, Stream, host_array
from runtime.errors import BackendUnavailable, DeviceFailed, first_line
from runtime.program import Precision, Request, Tensors

_OPENVINO_TYPE = {"fp32": "f32", "bf16": "bf16"}
_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OV_CPU_MAX_ISA")  # of instructions; it obeys all three


class _Program:
    compute: Compute = "float32"

    def __init__(self, library: Any, compiled: Any, stage: StageSpec) -> None:
        self._tensor = library.Tensor
        self._request = compiled.create_infer_request()
        # where nodes behind an input change nothing, the library drops them and gives it their names besides its own
        self._inputs = {spec.name for port in compiled.inputs for spec in stage.inputs if spec.name in port.names}

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        stream.run(partial(self._run, inputs, outputs))

    def _run(self, inputs: Tensors, outputs: Tensors) -> None:
        for name in self._inputs:  # an input that the open sizes made constant is no longer one
            self._request.set_tensor(name, self._tensor(host_array(inputs[name]), shared_memory=True))
        for name, tensor in outputs.items():
            self._request.set_tensor(name, self._tensor(host_array(tensor), shared_memory=True))
        try:
            self._request.infer()
        except RuntimeError as error:
            raise DeviceFailed(
                f"OpenVINO failed at work: {_last_line(error)} Run again with --backend onnxruntime"
            ) from error


class _Backend:
    target = "onnx"
    memory: Memory = "host"
    graphs: tuple[Compute, ...] = ("float32",)
    rank = 10

    def why_not(self) -> str | None:
        if importlib.util.find_spec("openvino") is None:
            return "the package openvino is not installed: pip install openvino."
        try:
            _library()
            core()
        except (
            ImportError,
            OSError,
            AttributeError,
            RuntimeError,
        ) as error:  # what it links to is missing, or of another release
            return f"openvino cannot be imported ({first_line(error)}): pip install --force-reinstall openvino."
        return None

    def machine(self) -> None:
        return None

    def traits(self) -> tuple[str, ...]:
        library = _library()
        able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return (str(library.__version__), *able, *(f"{name}={os.environ.get(name, '')}" for name in _LIMITS))

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        able = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "bf16" if asked == "auto" and "BF16" in able and not _below_avx512() else "fp32"

    def open(self, request: Request) -> _Program:
        library = _library()
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _OPENVINO_TYPE[self.precision(request.precision)],
            "ENABLE_CPU_PINNING": "NO",  # pinned, two processes with one thread each both sit on the first core
        }
        if threads := cores.threads(request.threads):
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            model = core().read_model(str(request.path))
            check_ports(request, _ports(model.inputs), _ports(model.outputs))
            fix_sizes(library, model, request)
            return _Program(library, compiled(model, settings), request.stage)
        except (RuntimeError, MemoryError) as error:
            raise BackendUnavailable(
                f"{request.path}: OpenVINO {library.__version__} cannot load this graph: "
                f"{_last_line(error)} Try --backend onnxruntime, or upgrade openvino."
            ) from error


def _below_avx512() -> bool:
    """Whether a limit of instructions leaves no kernels for bf16: OpenVINO names it all the same, and then fails."""
    limits = [os.environ.get(name, "").upper() for name in _LIMITS]
    return any(limit.startswith(("SSE", "AVX")) and not limit.startswith(("AVX512", "AVX10")) for limit in limits)


def _library() -> Any:
    return importlib.import_module("openvino")


@cache
def core() -> Any:
    """OpenVINO's core, one for the life of the process.

    Each core's CPU plugin gives the thread that loads it a stack for signal handlers, and restores the one before when
    it goes.  Where of two cores the earlier one goes first, the later restores the earlier one's, which is unmapped by
    then, and the next signal, a Ctrl-C or the end of a child, kills the process (seen with OpenVINO 2026.4).
    """
    return _library().Core()


def compiled(model: Any, settings: Mapping[str, str]) -> Any:
    """`model` ready to run on the CPU; raises `RuntimeError`.

    Where attention fits into memory its two products are left unfused: OpenVINO's plain products are the faster ones
    (docs/measurements.md, Types).  In a window of any length they would need scores of any size.  In bf16 on AMX nobody
    has measured which are, and there OpenVINO does as it likes.  With int8 it does not fuse them anyway, and this
    setting made it compute something else altogether (2026.4; docs/adr/0015).
    """
    if _unfused(settings.get("INFERENCE_PRECISION_HINT", "")) and not model.is_dynamic() and not _quantised(model):
        with suppress(RuntimeError):  # of a release that does not know the setting; another error comes again below
            return core().compile_model(model, "CPU", {**settings, "SNIPPETS_MODE": "DISABLE"})
    return core().compile_model(model, "CPU", settings)


def _unfused(hint: str) -> bool:
    return hint == "f32" or (hint == "bf16" and "amx_bf16" not in " ".join(cores.processor()).split())


def _ports(ports: Any) -> dict[str, list[int | None] | None]:
    """The shape of each port by all of its names."""
    found: dict[str, list[int | None] | None] = {}
    for port in ports:
        shape = port.get_partial_shape()
        sides = [side.get_length() if side.is_static else None for side in shape] if shape.rank.is_static else None
        found.update({str(name): sides for name in port.get_names()})
    return found


def _last_line(error: Exception) -> str:
    """What the library's error says last, which is the reason."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _quantised(model: Any) -> bool:
    return any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())


def fix_sizes(library: Any, model: Any, request: Request) -> None:
    """Make the known axes static: kernels are then chosen and memory is planned once, at load.

    An input that only carries the length of an axis becomes a constant where that length is known.
    """
    sizes = request.sizes
    specs = {spec.name: spec for spec in request.stage.inputs}
    for parameter in list(model.get_parameters()):
        axis = specs[parameter.output(0).get_any_name()].holds
        if axis is not None and axis in sizes:
            constant = library.opset13.constant(np.array(sizes[axis], np.int64))
            parameter.output(0).replace(constant.output(0))
            model.remove_parameter(parameter)
    shapes = {
        name: [sizes.get(axis, -1) if isinstance(axis, str) else axis for axis in specs[name].shape]
        for name in (parameter.output(0).get_any_name() for parameter in model.get_parameters())
    }
    model.reshape(shapes)


BACKEND = _Backend()
