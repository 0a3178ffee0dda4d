"""What lies in a device's memory."""

from __future__ import annotations

from contextlib import closing

from runtime.device import Device, HostArray, Tensor


def contents(device: Device, tensor: Tensor) -> HostArray:
    """A copy of the tensor, read through a stream of its own."""
    seen: list[HostArray] = []
    with closing(device.stream("read")) as stream:
        stream.read(tensor, lambda array: seen.append(array.copy()))
        stream.mark().wait()
    return seen[0]
