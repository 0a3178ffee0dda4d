"""A stage on real frames: what goes in, and how far what comes out is from float32.  NumPy only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from runtime.bundle import ParityRecord
from runtime.keys import SILENCED

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]

EQUAL_DB = 200.0  # what stands for infinity when nothing differs

# A frame is wanted within 50 dB of float32, and the errors of three stages add up to 5 dB. No single value may be off
# by more than this share of the largest, about five levels of 255.
WANTED_DB = 56.0
LARGEST_SHARE = 0.02


class Input(Protocol):
    """One input of a stage, as networks and manifests describe it."""

    @property
    def name(self) -> str:
        """The graph's name for it."""
        ...

    @property
    def shape(self) -> tuple[int | str, ...]:
        """A text names a symbolic axis."""
        ...

    @property
    def holds(self) -> str | None:
        """The symbolic axis whose length it carries."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """A stage's inputs, and what it makes of them in float32."""

    feed: Feed
    wanted: Array
    frames: str  # which they are, for people
    graph: ParityRecord | None = None  # of the graph that is tried, where that is far from float32 by itself


def make_feed(inputs: Sequence[Input], value: Array, targets: int) -> Feed:
    """A stage's inputs: `value` first, then numbers of targets, and biases.

    Every frame is real, so that biases over tokens alone are zeros; where they have the patches' own axes they say
    what is hole, and every third patch is.
    """
    first, *others = inputs
    feed: dict[str, Array] = {first.name: np.ascontiguousarray(value)}
    for port in others:
        if port.holds is not None:
            feed[port.name] = np.array(targets, np.int64)
            continue
        feed[port.name] = np.zeros([side if isinstance(side, int) else len(value) for side in port.shape], np.float32)
        if len(port.shape) > 1:
            feed[port.name].reshape(-1)[1::3] = SILENCED
    return feed


def tolerance(wanted: Array) -> float:
    """The largest difference that half precision may make of a single value."""
    return LARGEST_SHARE * max(1.0, float(np.abs(wanted).max()))


def measure(found: Array, wanted: Array) -> ParityRecord:
    """How far onnxruntime's `found` is from `wanted`; the caller adds the stage, the frames and what is allowed."""
    return ParityRecord(
        stage="",
        runner="onnxruntime",
        frames="",
        max_abs=_finite_max(np.abs(found - wanted)),
        tolerance=0.0,
        psnr_db=_psnr_db(found.astype(np.float64), wanted.astype(np.float64)),
        nan_count=int(np.count_nonzero(~np.isfinite(found))),
    )


def _finite_max(difference: Array) -> float:
    finite = difference[np.isfinite(difference)]
    return float(finite.max()) if finite.size else 0.0


def _psnr_db(found: Array, wanted: Array) -> float:
    """Peak signal-to-noise ratio against the range of `wanted`; `EQUAL_DB` when nothing differs, 0 beside NaN."""
    error = float(np.mean((found - wanted) ** 2))
    span = float(wanted.max() - wanted.min())
    if not math.isfinite(error) or span == 0.0:
        return EQUAL_DB if error == 0.0 else 0.0
    return EQUAL_DB if error == 0.0 else min(EQUAL_DB, 20 * math.log10(span) - 10 * math.log10(error))
