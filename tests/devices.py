"""What lies in a device's memory, and work for its streams."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from runtime.device import Device, HostArray, Tensor


def contents(device: Device, tensor: Tensor) -> HostArray:
    """A copy of the tensor, read through a stream of its own."""
    seen: list[HostArray] = []
    with closing(device.stream("read")) as stream:
        stream.read(tensor, lambda array: seen.append(array.copy()))
        stream.mark().wait()
    return seen[0]


def filled(value: float) -> Any:
    """What fills an array."""
    return lambda array: array.fill(value)


def passing(gate: threading.Event) -> Callable[[], None]:
    """Work that waits for `gate`."""

    def wait() -> None:
        assert gate.wait(30)

    return wait
