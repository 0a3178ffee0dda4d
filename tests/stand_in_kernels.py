"""Kernels as pycuda shows them: the same sources compiled for this processor, launched on streams that are threads."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from kernels import build
from kernels.layout import BLOCK
from runtime.device import Launch
from tests.machines import host
from tests.stand_in_owned import Owned

Dim = tuple[int, int, int]

_MAGIC = b"\x50\xed\x55\xba"  # how every fatbin begins


class Queue(Protocol):
    """A stream."""

    def put(self, operation: Callable[[], None], /) -> None: ...


class FakeModule:
    """What a fatbin becomes when it is loaded."""

    def __init__(self, launched: dict[str, int], refused: set[str], error: type[Exception], owned: Owned) -> None:
        """`launched` counts launches by kernel; `error` is raised by those in `refused`, and where there is no such."""
        self._launched, self.refused, self.error = launched, refused, error
        self._owned, self._number = owned, owned.make("module")

    def __del__(self) -> None:
        self._owned.end(self._number)

    def get_function(self, name: str) -> FakeFunction:
        if name not in build.entry_points(build.FOLDER):
            raise self.error("cuModuleGetFunction failed: named symbol not found")
        return FakeFunction(self, self._launched, name)


class FakeFunction:
    """One kernel."""

    def __init__(self, module: FakeModule, launched: dict[str, int], name: str) -> None:
        self.module = module  # a function keeps its module
        self._launched, self._name, self._format = launched, name, ""

    def prepare(self, types: Sequence[str]) -> FakeFunction:
        self._format = "".join(types)
        return self

    def prepared_async_call(self, grid: Dim, block: Dim, stream: Queue, *arguments: bytes) -> None:
        """Launch; as in the driver the arguments are copied at once."""
        assert block == BLOCK
        if self._name in self.module.refused:
            raise self.module.error("cuLaunchKernel failed: invalid argument")
        packed = struct.pack(self._format, *arguments)
        launch = Launch(self._name, packed, grid[0] * block[0], grid[1] * block[1])
        self._launched[self._name] = self._launched.get(self._name, 0) + 1
        stream.put(lambda: host().run(launch))


def is_fatbin(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith(_MAGIC)
