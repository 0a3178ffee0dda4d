"""Memory on the host: buffers that return to their pool."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]


class Buffer:
    """A float32 array on lease from a pool; `release` gives it back, after which nobody may touch `array`."""

    __slots__ = ("_pool", "array")

    def __init__(self, array: Array, pool: Pool) -> None:
        self.array = array
        self._pool = pool

    def release(self) -> None:
        """Return the memory to the pool."""
        self._pool.put(self)


class Pool:
    """Buffers by shape, made when none is free: their number is the largest that was ever on lease at once.

    Not thread-safe: a pool belongs to the one thread that runs its stages.
    """

    def __init__(self) -> None:
        self._free: dict[Shape, list[Buffer]] = {}
        self._leased: set[int] = set()
        self._leased_bytes = 0

    @property
    def leased(self) -> int:
        """How many buffers have not come back."""
        return len(self._leased)

    @property
    def leased_bytes(self) -> int:
        """The memory of those buffers."""
        return self._leased_bytes

    def take(self, shape: Shape) -> Buffer:
        """A buffer of `shape` with undefined contents."""
        free = self._free.get(shape)
        buffer = free.pop() if free else Buffer(np.empty(shape, np.float32), self)
        self._leased.add(id(buffer))
        self._leased_bytes += buffer.array.nbytes
        return buffer

    def put(self, buffer: Buffer) -> None:
        """Take `buffer` back; raises `ValueError` when it is not on lease."""
        if id(buffer) not in self._leased:
            raise ValueError("a buffer was released that is not on lease from this pool")
        self._leased.remove(id(buffer))
        self._leased_bytes -= buffer.array.nbytes
        self._free.setdefault(buffer.array.shape, []).append(buffer)
