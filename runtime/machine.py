"""Which NVIDIA GPUs this process sees, asked of the driver; the first is the one that everything runs on."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from runtime._device.graph import load_driver
from runtime.errors import DeviceFailed

NO_GPU = "no NVIDIA GPU here: the driver shows none."

_NAME_BYTES = 256
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver names it."""

    name: str
    capability: str  # such as 8.9


def gpus() -> tuple[Gpu, ...]:
    """The GPUs in CUDA's order, none where there is no driver or where it does not answer.

    That is the order that CUDA_DEVICE_ORDER and CUDA_VISIBLE_DEVICES make, which nvidia-smi does not know; and Jetsons
    have no nvidia-smi that tells.  Nothing is started on a GPU by asking.
    """
    try:
        driver = load_driver()
    except DeviceFailed:
        return ()
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return ()
    found = (_gpu(driver, ordinal) for ordinal in range(count.value))
    return tuple(gpu for gpu in found if gpu is not None)


def _gpu(driver: Any, ordinal: int) -> Gpu | None:
    """The GPU of this number; None where the driver does not tell."""
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(_NAME_BYTES)
    failed = (
        driver.cuDeviceGet(ctypes.byref(device), ordinal)
        or driver.cuDeviceGetName(name, len(name), device)
        or driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device)
        or driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device)
    )
    return None if failed else Gpu(name.value.decode(errors="replace"), f"{major.value}.{minor.value}")
