"""A TensorRT and a pycuda for a child process, on the host: engines that double their input, and those that fail.

The plan's own text is how its engine behaves.
"""

from __future__ import annotations

import os
import signal
import sys
from enum import Enum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.stand_in_cuda import bytes_at

MODULES = {
    "pycuda/__init__.py": "",
    "pycuda/driver.py": "from tests.stand_in_cuda import FakeCuda\n"
    "FAKE = FakeCuda(1 << 20)\nglobals().update(vars(FAKE.module()))\n",
    "tensorrt.py": "__version__ = '8.6.1'\nfrom tests.stand_in_trials import Logger, Runtime\n",
    "tensorrt_rtx.py": "__version__ = '1.7.1'\nfrom tests.stand_in_trials import Logger, Runtime\n"
    "from tests.stand_in_trials import Strategy as ExecutionContextAllocationStrategy\n",
}
SHAPE = (1, 2, 4)
HALF = "DataType.HALF"  # as it is printed


class Logger:
    """Says nothing."""

    ERROR = 1

    def __init__(self, severity: int) -> None:
        self.severity = severity


class Strategy(Enum):
    """Whose memory contexts work in."""

    STATIC = 0
    USER_MANAGED = 2


class Runtime:
    """Reads plans."""

    engine_host_code_allowed = False

    def __init__(self, logger: Logger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Any:
        """An engine that does as its plan says."""
        mode = plan.decode()
        if mode == "unreadable" or (mode == "brings code") != self.engine_host_code_allowed:
            return None

        def context(strategy: Strategy = Strategy.STATIC) -> _Context | None:
            given = mode in ("given memory", "given memory, no context")
            if given != (strategy is Strategy.USER_MANAGED) or mode.endswith("no context"):
                return None
            return _Context(mode)

        return SimpleNamespace(
            num_io_tensors=2,
            get_tensor_name=("rgb", "features").__getitem__,
            get_tensor_dtype=lambda name: HALF,
            device_memory_size_v2=100,
            create_execution_context=context,
        )


class _Context:
    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.addresses: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.memory = 0

    def set_device_memory(self, memory: int, size: int) -> None:
        bytes_at(memory, size).fill(1)
        self.memory = memory

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return shape[0] == 1  # static engines take one frame

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes["rgb"] if self.mode != "another shape" else (1, 2, 2)

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, handle: int) -> bool:
        if self.mode == "refuses" or (self.mode == "given memory" and not self.memory):
            return False
        if self.mode == "crashes":
            os.kill(os.getpid(), signal.SIGSEGV)
        cuda: Any = sys.modules["pycuda.driver"]
        cuda.FAKE.streams[handle].put(self._compute)
        return True

    def _compute(self) -> None:
        count = int(np.prod(self.shapes["rgb"])) * 2
        given = bytes_at(self.addresses["rgb"], count).view(np.float16)
        found = given * np.float16(2)
        if self.mode == "one level off":
            found[3] *= np.float16(1.5)
        if self.mode == "gives NaN":
            found[:2] = np.nan, np.inf
        size = found.nbytes // (2 if self.mode == "another shape" else 1)
        bytes_at(self.addresses["features"], size)[:] = found.view(np.uint8)[:size]


def lay(folder: Path) -> None:
    """Put the modules where a search path finds them."""
    for name, text in MODULES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
