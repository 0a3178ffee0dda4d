"""How the pictures that several windows paint of one frame become one picture."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from runtime.bundle import PixelRule
from runtime.device import Array
from runtime.frame import RGB
from runtime.schedule import FrameWindow

Samples = npt.NDArray[np.float32]  # [H, W, 3] in 0..255, red first


class Blend(Protocol):
    """The picture of one frame as its windows go by."""

    def add(self, painted: Samples, window: FrameWindow, index: int) -> None:
        """Take what `window` painted of frame `index`; `painted` belongs to the caller afterwards."""
        ...

    def result(self) -> RGB:
        """The finished picture, `[H, W, 3]`."""
        ...


class PublishedAverage:
    """The published program's: truncated to 8 bits, each later visit averaged half and half with what is there.

    Order matters: the last window counts most.  Source: the released test program of STTN.
    """

    def __init__(self) -> None:
        self._stored: Samples | None = None

    def add(self, painted: Samples, window: FrameWindow, index: int) -> None:
        """First visit stores, each later one halves."""
        truncated: Samples = np.trunc(painted)
        if self._stored is None:
            self._stored = truncated
        else:
            self._stored += truncated
            self._stored *= 0.5

    def result(self) -> RGB:
        """Truncated once more; raises `ValueError` when nothing was added."""
        if self._stored is None:
            raise ValueError("no window painted this frame")
        return self._stored.astype(np.uint8)


class CentredAverage:
    """A mean in float, weighted by how near the frame lies to each window's centre, rounded once at the end.

    With targets c-5 .. c+5 the weights are 1 2 3 4 5 6 5 4 3 2 1.
    """

    def __init__(self) -> None:
        self._sum: Samples | None = None
        self._weight = 0.0

    def add(self, painted: Samples, window: FrameWindow, index: int) -> None:
        """Add the weighted picture."""
        weight = weight_of(window, index)
        weighted = painted * np.float32(weight)
        if self._sum is None:
            self._sum = weighted
        else:
            self._sum += weighted
        self._weight += weight

    def result(self) -> RGB:
        """floor(mean + 1/2), clipped to 0..255; raises `ValueError` when nothing was added."""
        if self._sum is None:
            raise ValueError("no window painted this frame")
        mean = self._sum / np.float32(self._weight)
        return np.clip(np.floor(mean + np.float32(0.5)), 0, 255).astype(np.uint8)


def weight_of(window: FrameWindow, index: int) -> float:
    """How much what `window` painted of frame `index` counts: the less, the farther the frame from the middle."""
    return (window.targets[-1] - window.targets[0]) / 2 + 1 - abs(index - window.centre)


def shown_by(pixels: Array, rule: PixelRule) -> RGB:
    """What the encoder's input `[3, H, W]` was made of, `[H, W, 3]`; exact in float32 and float16, where not blank."""
    return np.clip(np.floor(samples(pixels, rule) + np.float32(0.5)), 0, 255).astype(np.uint8)


def samples(painted: Array, rule: PixelRule) -> Samples:
    """The decoder's `[3, H, W]` in low..high as `[H, W, 3]` in 0..255, red first.

    The arithmetic is the published one, (x - low) / (high - low) * 255 in float32, since truncation follows.
    """
    planes = painted[::-1] if rule.colour_order == "bgr" else painted
    scaled = (planes - np.float32(rule.low)) / np.float32(rule.high - rule.low) * np.float32(255)
    return np.ascontiguousarray(scaled.transpose(1, 2, 0))
