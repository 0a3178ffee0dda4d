"""Which NVIDIA GPUs this machine has, asked of the driver's own program; and which of them CUDA shows first."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from dataclasses import dataclass

from runtime._device.graph import load_driver
from runtime.errors import DeviceFailed

_QUERY = ("--query-gpu=pci.bus_id,compute_cap,name", "--format=csv,noheader")
_PCI_TEXT = 32  # bytes, of which 13 are used
_PATIENCE_S = 20  # a driver that has gone astray answers never


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver names it."""

    name: str
    capability: str  # such as 8.9


def gpus() -> tuple[Gpu, ...]:
    """The GPUs, none where there is no driver, or where it does not answer.

    First comes the one that CUDA shows first to this process, on which everything runs: it may be another than the
    driver's first, by its speed, CUDA_DEVICE_ORDER or CUDA_VISIBLE_DEVICES.  The others follow in the driver's order.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        done = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode != 0:
        return ()
    rows = [line.split(",", 2) for line in done.stdout.splitlines() if line.count(",") >= 2]
    found = [(_place(bus), Gpu(name.strip(), capability.strip())) for bus, capability, name in rows]
    first = _first_of_cuda() if len(found) > 1 else None
    return tuple(gpu for _, gpu in sorted(found, key=lambda each: each[0] != first))


def _first_of_cuda() -> str | None:
    """The place on the bus of CUDA's first device; None where the driver does not tell."""
    device, text = ctypes.c_int(), ctypes.create_string_buffer(_PCI_TEXT)
    try:
        driver = load_driver()
    except DeviceFailed:
        return None
    failed = driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0)
    if failed or driver.cuDeviceGetPCIBusId(text, len(text), device):
        return None
    return _place(text.value.decode())


def _place(bus: str) -> str:
    """`00000000:C1:00.0` as nvidia-smi and `0000:c1:00.0` as CUDA write it, in one form."""
    domain, _, rest = bus.strip().lower().partition(":")
    return f"{domain.lstrip('0')}:{rest}"
