"""What tensorrt and tensorrt_rtx are to the runtime, on the host: engines that run a bundle's graph with onnxruntime.

Work is put on the streams of `FakeCuda` and touches tensors by address alone, when its turn comes and in the engine's
own type.  What the library refuses on a GPU is refused here: addresses that were never set, shapes outside the profile,
plans of another version.  It shows nothing of speed, nor that TensorRT behaves so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any
from unittest.mock import patch
from weakref import WeakSet

import numpy as np
import onnxruntime
import torch

from runtime.device import HostArray
from tests.engined import GPU, KINDS, VERSION, Shape
from tests.engines import enumeration
from tests.stand_in_cuda import FakeCuda, bytes_at
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_rtx import SPECIALIZATIONS, STRATEGIES, RuntimeConfig


@dataclass
class Faults:
    """What is to go wrong."""

    context: str | None = None  # the library's words when a context is made
    fails_at: int | None = None  # the call of execute_async_v3, of any engine, that fails
    uncapturable: int = 0  # how often a context says that it cannot be captured yet
    keeps_nothing: bool = False  # whether what was compiled cannot be had


@dataclass
class FakeTensorRt:
    """The library; `contexts` are those it made, `runs` how often one of them was asked to enqueue."""

    cuda: FakeCuda
    version: str = VERSION
    faults: Faults = field(default_factory=Faults)
    contexts: list[_Context] = field(default_factory=list["_Context"])
    engines: WeakSet[_Engine] = field(default_factory=WeakSet["_Engine"])  # that live
    runs: int = 0
    compiled: int = 0  # engines whose kernels were in no cache
    trusted: int = 0  # plans whose own code was run on the host
    made_for: tuple[str, ...] = ("SM89", "SM90")  # GPUs; it is RTX alone that says so

    def module(self, name: str) -> ModuleType:
        """To be found as tensorrt or tensorrt_rtx."""
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        members = {
            "__version__": self.version,
            "ILogger": _Logger,
            "Runtime": partial(_Runtime, self),
            "ExecutionContextAllocationStrategy": STRATEGIES,
            "DynamicShapesKernelSpecializationStrategy": SPECIALIZATIONS,
            "ComputeCapability": enumeration("ComputeCapability", *self.made_for),
        }
        for key, value in members.items():
            setattr(module, key, value)
        return module


@contextmanager
def machine_with(library: FakeTensorRt, driver: FakeGraphs, name: str = "tensorrt") -> Generator[None, None, None]:
    """A machine with a GPU, pycuda and the library under its module's name; the GPU's threads end with it."""
    pycuda = ModuleType("pycuda")
    pycuda.__spec__ = ModuleSpec("pycuda", None)
    modules = {"pycuda": pycuda, "pycuda.driver": library.cuda.module(), name: library.module(name)}
    before = {key: sys.modules.get(key) for key in modules}
    sys.modules.update(modules)  # not by patch.dict: it would take away what is imported meanwhile
    try:
        with (
            patch("runtime.backends._trt.gpus", lambda: (GPU,)),
            patch("runtime.backends._trt_graphs.load_driver", lambda: driver),
        ):
            yield
        library.cuda.owned.check()
    finally:
        for key, value in before.items():
            sys.modules.pop(key)
            if value is not None:
                sys.modules[key] = value
        for stream in library.cuda.streams.values():
            stream.end()


class _Logger:
    ERROR, INTERNAL_ERROR, WARNING = 1, 0, 2

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


class _Runtime:
    """Refuses attributes that it does not know, as bindings do."""

    __slots__ = ("_library", "_logger", "engine_host_code_allowed")

    def __init__(self, library: FakeTensorRt, logger: Any) -> None:
        self._library, self._logger = library, logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, plan: bytes) -> _Engine | None:
        self._library.cuda.need_context()
        self._logger.log(_Logger.WARNING, "a warning is no reason")
        try:
            read = json.loads(plan)
        except ValueError:
            self._logger.log(_Logger.ERROR, "Serialization assertion failed.\nMagic tag does not match")
            self._logger.log(_Logger.ERROR, "Engine deserialization failed.")
            return None
        if read["host code"] and not self.engine_host_code_allowed:
            self._logger.log(
                _Logger.ERROR,
                "Cannot deserialize engine with lean runtime since IRuntime::getEngineHostCodeAllowed() is false.",
            )
            return None
        self._library.trusted += self.engine_host_code_allowed
        if read["version"] != self._library.version and not read["host code"]:
            self._logger.log(_Logger.ERROR, "Version tag does not match")
            return None
        engine = _Engine(self._library, self._logger, read)
        self._library.engines.add(engine)
        return engine


class _Engine:
    def __init__(self, library: FakeTensorRt, logger: Any, plan: dict[str, Any]) -> None:
        self.library, self.logger = library, logger
        self.ports: dict[str, dict[str, Any]] = plan["ports"]
        self.frames: Sequence[int] | None = plan["frames"]
        self.given_memory: bool = plan["given memory"]
        self.device_memory_size_v2 = 1000
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(plan["graph"], options, providers=["CPUExecutionProvider"])
        self.num_io_tensors = len(self.ports)

    def get_tensor_name(self, index: int) -> str:
        return list(self.ports)[index]

    def get_tensor_shape(self, name: str) -> Shape:
        return tuple(self.ports[name]["shape"])

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[Shape]:
        assert self.frames is not None
        assert profile == 0
        rest = self.get_tensor_shape(name)[1:]
        return [(side, *rest) for side in (self.frames[0], *self.frames)]

    def get_tensor_mode(self, name: str) -> Any:
        return enumeration("TensorIOMode", "NONE", "INPUT", "OUTPUT")[
            "INPUT" if self.ports[name]["input"] else "OUTPUT"
        ]

    def get_tensor_location(self, name: str) -> Any:
        return enumeration("TensorLocation", "DEVICE", "HOST")["HOST" if self.ports[name]["host"] else "DEVICE"]

    def get_tensor_dtype(self, name: str) -> Any:
        return enumeration("DataType", *KINDS.values())[self.ports[name]["kind"]]

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig(self.library.faults.keeps_nothing)

    def create_execution_context(self, runtime_config: RuntimeConfig | None = None) -> _Context | None:
        if self.library.faults.context is not None:
            self.logger.log(_Logger.ERROR, self.library.faults.context)
            return None
        if self.given_memory and (runtime_config is None or not runtime_config.given_memory):
            self.logger.log(
                _Logger.ERROR,
                "Engine was built with BuilderFlag::kREQUIRE_USER_ALLOCATION. Execution context creation requires "
                "ExecutionContextAllocationStrategy::kUSER_MANAGED allocation strategy.",
            )
            return None
        if runtime_config is not None:
            assert runtime_config.cache is not None
            # else a graph keeps general kernels, and frames hang on when the others are there
            assert runtime_config.dynamic_shapes_kernel_specialization_strategy == SPECIALIZATIONS["EAGER"]
            self.library.compiled += not runtime_config.cache.kernels
            runtime_config.cache.kernels = b"kernels of " + str(sorted(self.ports)).encode()
        self.library.contexts.append(_Context(self))
        return self.library.contexts[-1]


class _Context:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, Shape] = {}
        self.handles: set[int] = set()
        self.memory: tuple[int, int] | None = None

    def set_device_memory(self, memory: int, size: int) -> None:
        bytes_at(memory, size).fill(1)
        self.memory = memory, size

    def is_stream_capturable(self, handle: int) -> bool:
        self._engine.library.faults.uncapturable -= 1
        return self._engine.library.faults.uncapturable < 0

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        self.shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return name in self._engine.ports

    def execute_async_v3(self, handle: int) -> bool:
        library, engine = self._engine.library, self._engine
        library.runs += 1
        self.handles.add(handle)
        if library.runs == library.faults.fails_at:
            engine.logger.log(_Logger.ERROR, "Cuda Runtime (unspecified launch failure)")
            return False
        assert self.addresses.keys() == engine.ports.keys()
        assert not engine.given_memory or self.memory
        feed, results = dict(self.addresses), {}
        lengths = {name: int(np.int64(bytes_at(feed[name], 8).view(np.int64)[0])) for name in _hosted(engine)}
        for name, port in engine.ports.items():
            shape = self.shapes.get(name, engine.get_tensor_shape(name))
            shape = tuple(lengths.get("targets", -1) if side == -1 else side for side in shape)
            results[name] = (feed[name], port["kind"], shape)
        library.cuda.streams[handle].put(partial(_compute, engine, results, lengths))
        return True


def _hosted(engine: _Engine) -> list[str]:
    return [name for name, port in engine.ports.items() if port["host"]]


def _compute(engine: _Engine, places: Mapping[str, tuple[int, str, Shape]], lengths: Mapping[str, int]) -> None:
    feed: dict[str, HostArray] = {name: np.array(value, np.int64) for name, value in lengths.items()}
    for name, place in places.items():
        if engine.ports[name]["input"] and name not in feed:
            feed[name] = _read(*place)
    wanted = [name for name, port in engine.ports.items() if not port["input"]]
    for name, found in zip(wanted, engine.session.run(wanted, feed), strict=True):
        assert isinstance(found, np.ndarray)
        _write(found, *places[name])


_TYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "BF16": torch.bfloat16}


def _read(address: int, kind: str, shape: Shape) -> HostArray:
    count = int(np.prod(shape))
    found = torch.from_numpy(bytes_at(address, count * _TYPES[kind].itemsize).copy()).view(_TYPES[kind])
    return found.to(torch.float32).reshape(shape).numpy()


def _write(values: HostArray, address: int, kind: str, shape: Shape) -> None:
    assert values.shape == shape, (values.shape, shape)
    narrow = torch.from_numpy(np.ascontiguousarray(values)).to(_TYPES[kind]).reshape(-1).view(torch.uint8).numpy()
    bytes_at(address, narrow.nbytes)[:] = narrow
