"""What TensorRT and TensorRT-RTX share: an engine of the bundle, deserialised, and its work put on a stream.

The modules are those of their own files to import; this one knows what 8.5 to 11 and RTX have in common.
"""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from runtime.backends._trt_cache import RuntimeCache
from runtime.backends._trt_engine import Log, brings_code, make_logger, read_ports
from runtime.backends._trt_memory import give_memory
from runtime.backends._trt_program import TrtProgram
from runtime.bundle import Compute, read_bundle
from runtime.device import Memory
from runtime.engines import Machine, remedy
from runtime.errors import DeviceFailed, EngineUnfit, VidmendError, first_line
from runtime.machine import NO_GPU, gpus
from runtime.program import LABELS, Precision, Request

_TOO_LITTLE_MEMORY = ("out of memory", "outofmemory", "could not be allocated")  # as releases put it


@dataclass(frozen=True, slots=True)
class TrtBackend:
    """One of the two libraries."""

    library: Callable[[], Any]
    modules: tuple[str, ...]  # names that it may be installed under
    title: str  # as people call it
    install: str  # command that brings it
    target: str
    rank: int
    oldest: tuple[int, ...]  # version that is known to work
    portable: bool  # whether it builds for GPUs that it is told of
    ranges_from: tuple[int, ...]  # version from which one engine may take windows of several lengths
    compiles: bool  # whether kernels are compiled when an engine is opened, and worth keeping
    host_code: bool  # whether engines for later versions bring code for the host, that of their own version

    memory: Memory = "cuda"
    graphs: tuple[Compute, ...] = ()

    def why_not(self) -> str | None:
        """As `Backend.why_not`."""
        if not any(importlib.util.find_spec(name) for name in self.modules):
            return f"the package {self.modules[0]} is not installed: {self.install}."
        try:
            version = str(self.library().__version__)
        except (ImportError, OSError) as error:  # what it links to is missing
            return f"{self.title} cannot be imported ({first_line(error)}): install it again: {self.install}."
        if _numbers(version) < self.oldest:
            wanted = ".".join(map(str, self.oldest))
            return f"{self.title} {version} is too old, {wanted} is the first that is known to work: {self.install}."
        if importlib.util.find_spec("pycuda") is None:
            return "the package pycuda is not installed: pip install pycuda."
        return self._no_gpu_of_its(version)

    def _no_gpu_of_its(self, version: str) -> str | None:
        gpu = next(iter(gpus()), None)
        if gpu is None:
            return NO_GPU
        known = self.library().ComputeCapability.__members__ if self.portable else None
        if known is not None and f"SM{gpu.capability.replace('.', '')}" not in known:
            return f"{self.title} {version} is not made for this GPU ({gpu.name}, SM {gpu.capability}); TensorRT is."
        return None

    def machine(self) -> Machine:
        """As `Backend.machine`; asked only where `why_not` is None."""
        gpu = next(iter(gpus()), None)
        version = str(self.library().__version__)
        ranges = _numbers(version) >= self.ranges_from
        return Machine(self.target, version, gpu and gpu.capability, gpu and gpu.name, self.portable, ranges)

    def traits(self) -> tuple[str, ...]:
        """As `Backend.traits`."""
        return (str(self.library().__version__),)

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        """The engine's own type."""
        return LABELS[compute]

    def open(self, request: Request) -> TrtProgram:
        """As `Backend.open`; raises `EngineUnfit`, or `DeviceFailed` where the GPU has too little memory."""
        library, log = self.library(), Log()
        title = f"{self.title} {library.__version__}"
        logger = make_logger(library, log)
        try:
            runtime = library.Runtime(logger)
        except (RuntimeError, TypeError) as error:  # of no runtime the bindings only know that it is none
            raise DeviceFailed(
                f"{request.path}: {title} cannot start on this GPU: {log.take()} ({first_line(error)}). Update the "
                f"driver, or use the CPU: --backend onnxruntime"
            ) from error
        try:
            return self._program(request, (logger, runtime), title, log)
        except BaseException as error:
            # An error keeps what its frames know: engine and context would go with it, after their device.
            traceback.clear_frames(error.__traceback__)
            del runtime
            raise

    def _program(self, request: Request, owners: tuple[Any, Any], title: str, log: Log) -> TrtProgram:
        _, runtime = owners
        plan = request.path.read_bytes()
        if self.host_code and brings_code(request, plan):
            runtime.engine_host_code_allowed = True
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._refusal(request, f"{title} cannot read this engine: {log.take()}")
        ports = read_ports(engine, request, partial(self._refusal, request))
        cache = self._cache(engine, request)
        context = engine.create_execution_context() if cache is None else cache.context(self.library())
        if context is None:
            raise self._refusal(request, f"{title} cannot run this engine: {log.take()}")
        if cache is not None:
            give_memory(context, engine, request)
            cache.keep_at_rest()
        return TrtProgram(context, ports, request, title, log, (*owners, engine, cache))

    def _cache(self, engine: Any, request: Request) -> RuntimeCache | None:
        """What is kept of what is compiled when an engine is opened; None where nothing is."""
        if not self.compiles:
            return None
        machine = self.machine()
        return RuntimeCache(engine, request, f"{machine.gpu} {machine.version}")

    def _refusal(self, request: Request, reason: str) -> VidmendError:
        """What befits the reason."""
        if any(sign in reason.lower() for sign in _TOO_LITTLE_MEMORY):
            return DeviceFailed(
                f"{request.path}: {reason}. Close what else runs on the GPU, or use the CPU: --backend onnxruntime"
            )
        return EngineUnfit(f"{request.path}: {reason}. {remedy(read_bundle(request.path.parent), self.machine())}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
