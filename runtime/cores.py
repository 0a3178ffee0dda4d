"""The processor, and how much of it this process may use."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")
_TELLING = ("model name", "flags", "CPU implementer", "CPU part", "Features")  # of /proc/cpuinfo, on x86 and on Arm


def threads(asked: int | None, root: Path = _ROOT) -> int | None:
    """How many threads an inference library is to compute with; None: as many as it likes.

    What is `asked`, else OMP_NUM_THREADS, else the cores that the process may use where those are not all: libraries
    count the machine's, and in a container with fewer their threads wait for each other.  `root` holds proc and sys.
    """
    if asked is not None:
        return asked
    told = os.environ.get("OMP_NUM_THREADS", "")
    if re.fullmatch(r"0*[1-9][0-9]{0,3}", told):
        return int(told)
    allowed = _affinity()
    cores, quota = _cores(allowed, root), _quota(root)
    if len(allowed) == (os.cpu_count() or 1) and (quota is None or quota >= cores):
        return None
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def processor(root: Path = _ROOT) -> tuple[str, ...]:
    """What the system calls the processor, and what it says it can compute; `root` holds proc."""
    with suppress(OSError):
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        first = lines[: lines.index("")] if "" in lines else lines
        pairs = (line.partition(":") for line in first)
        return tuple(value.strip() for name, _, value in pairs if name.strip() in _TELLING)
    return (platform.machine(), platform.processor())


def _affinity() -> set[int]:
    """Numbers of the logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _cores(logical: set[int], root: Path) -> int:
    """Cores among logical processors: two threads of one core share the unit that multiplies."""
    cores: set[str] = set()
    for number in logical:
        siblings = root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list"
        try:
            cores.add(siblings.read_text(encoding="ascii").strip())
        except (OSError, UnicodeDecodeError):
            cores.add(str(number))
    return max(1, len(cores))


def _quota(root: Path) -> float | None:
    """Processors' worth of time that the control groups of this process grant; None: no limit.

    Source: Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max), and scheduler/sched-bwc.rst for version 1.
    """
    granted: list[float] = []
    for folder in _groups(root):
        with suppress(OSError, ValueError, ZeroDivisionError):
            if (folder / "cpu.max").exists():
                quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            else:
                quota, period = (
                    (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
                )
            if quota != "max" and int(quota) > 0:
                granted.append(int(quota) / int(period))
    return min(granted, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that this process is in and of those around them.

    A container may see itself by the host's path, which is not there in it; its own limits are then at the top.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        inner = top / path.strip("/")
        yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir())
