"""The C library's allocator, told how this program uses memory."""

from __future__ import annotations

import ctypes
import platform

_M_ARENA_MAX = -8  # glibc's malloc.h


def share_one_arena() -> None:
    """Let every thread allocate from one arena, where the C library is glibc; for a process of its own to call.

    Frames are allocated in one thread and freed in another.  With an arena for each thread what is freed in one cannot
    serve another, and at 4K a process grows by hundreds of megabytes over a thousand frames without holding anything
    more; with one it stops growing.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
