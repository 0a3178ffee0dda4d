"""Which NVIDIA GPUs this machine has, asked of the driver's own program."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

_QUERY = ("--query-gpu=name,compute_cap", "--format=csv,noheader")
_PATIENCE_S = 20  # a driver that has gone astray answers never


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as the driver names it."""

    name: str
    capability: str  # such as 8.9


def gpus() -> tuple[Gpu, ...]:
    """The GPUs in the driver's order; none where there is no driver, or where it does not answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    try:
        done = subprocess.run([program, *_QUERY], capture_output=True, text=True, timeout=_PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if done.returncode != 0:
        return ()
    lines = (line.rpartition(",") for line in done.stdout.splitlines())
    return tuple(Gpu(name.strip(), capability.strip()) for name, comma, capability in lines if comma)
