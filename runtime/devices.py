"""The device that a backend's tensors live on."""

from __future__ import annotations

from collections.abc import Callable

from runtime._device.cuda import CudaDevice
from runtime._device.host import HostDevice
from runtime.clock import Clock
from runtime.device import Device, Memory

MakeDevice = Callable[[Memory, Clock, int], Device]


def open_device(memory: Memory, clock: Clock, windows: int) -> Device:
    """The device with `memory`, for `windows` in flight at once; raises `DeviceFailed` where there is none.

    With one window in flight the host's streams work inline: its inference libraries use every core for one call, and
    a thread beside them has none to run on.
    """
    if memory == "host":
        return HostDevice(clock, threads=windows > 1)
    return CudaDevice(clock)
