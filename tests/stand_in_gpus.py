"""As much of the CUDA driver as tells which GPUs there are."""

from __future__ import annotations

from typing import Any

from runtime.machine import Gpu

_FIRST = 7  # number of the driver's first device: no ordinal


class Driver:
    """libcuda.so.1 on a machine with these GPUs, where the function named `fails` does."""

    def __init__(self, *gpus: Gpu, fails: str = "") -> None:
        self._gpus, self._fails = gpus, fails

    def __getattr__(self, name: str) -> Any:
        function = getattr(type(self), f"_{name}")
        return lambda *arguments: 999 if name == self._fails else function(self, *arguments)

    def _cuInit(self, flags: int) -> int:  # noqa: N802  (the driver's names)
        return flags

    def _cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self._gpus)
        return 0

    def _cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        device._obj.value = _FIRST + ordinal
        return 101 * (not 0 <= ordinal < len(self._gpus))

    def _cuDeviceGetName(self, text: Any, length: int, device: Any) -> int:  # noqa: N802
        name = self._gpus[device.value - _FIRST].name.encode()
        assert length > len(name)
        text.value = name
        return 0

    def _cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:  # noqa: N802
        place = {75: 0, 76: 1}[attribute]  # compute capability, major and minor
        value._obj.value = int(self._gpus[device.value - _FIRST].capability.split(".")[place])
        return 0
