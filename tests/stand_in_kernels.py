"""Kernels as pycuda shows them: the same sources compiled for this processor, launched on streams that are threads."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from kernels import build
from kernels.layout import BLOCK
from runtime.device import Launch
from tests.machines import host

Dim = tuple[int, int, int]

_MAGIC = b"\x50\xed\x55\xba"  # how every fatbin begins


class Queue(Protocol):
    """A stream."""

    def put(self, operation: Callable[[], None], /) -> None: ...


class FakeModule:
    """What a fatbin becomes when it is loaded."""

    def __init__(self, launched: dict[str, int], error: type[Exception]) -> None:
        """`launched` counts launches by kernel; `error` is raised where there is no such kernel."""
        self._launched, self._error = launched, error

    def get_function(self, name: str) -> FakeFunction:
        if name not in build.entry_points(build.FOLDER):
            raise self._error("cuModuleGetFunction failed: named symbol not found")
        return FakeFunction(self._launched, name)


class FakeFunction:
    """One kernel."""

    def __init__(self, launched: dict[str, int], name: str) -> None:
        self._launched, self._name, self._format = launched, name, ""

    def prepare(self, types: Sequence[str]) -> FakeFunction:
        self._format = "".join(types)
        return self

    def prepared_async_call(self, grid: Dim, block: Dim, stream: Queue, *arguments: bytes) -> None:
        """Launch; as in the driver the arguments are copied at once."""
        assert block == BLOCK
        packed = struct.pack(self._format, *arguments)
        launch = Launch(self._name, packed, grid[0] * block[0], grid[1] * block[1])
        self._launched[self._name] = self._launched.get(self._name, 0) + 1
        stream.put(lambda: host().run(launch))


def is_fatbin(data: bytes) -> bool:
    """Whether it begins as one."""
    return data.startswith(_MAGIC)
