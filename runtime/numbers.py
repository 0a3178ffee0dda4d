"""The types that tensors have between stages, and bfloat16, which NumPy lacks.

Sixteen bits of a bfloat16 are the upper half of a float32's; between stages they travel as uint16.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import cast

import numpy as np
import numpy.typing as npt

from runtime.bundle import Compute
from runtime.device import Array, HostArray

NUMPY_NAMES: Mapping[Compute, str] = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "uint16",
    "int8": "float32",  # what computes in it takes and gives float32
}
_QUIET = np.uint32(0x400000)  # the bit that keeps a NaN one when the lower half is cut off


def to_bfloat16(values: Array) -> npt.NDArray[np.uint16]:
    """Nearest, ties to even; a NaN stays one, and what lies beyond the largest number becomes infinite."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (np.where(np.isnan(values), bits | _QUIET, rounded) >> np.uint32(16)).astype(np.uint16)


def from_bfloat16(bits: npt.NDArray[np.uint16]) -> Array:
    """Exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def floats(values: HostArray) -> Array:
    """Numbers between stages as floats that NumPy computes with: float16 and float32 as they are."""
    return from_bfloat16(values) if values.dtype == np.uint16 else cast(Array, values)


@contextmanager
def as_floats(out: HostArray) -> Generator[Array, None, None]:
    """An array to fill, whose numbers become those of `out`, rounded once."""
    if out.dtype != np.uint16:
        yield cast(Array, out)
        return
    wide = np.empty(out.shape, np.float32)
    yield wide
    out[...] = to_bfloat16(wide)
