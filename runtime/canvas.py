"""The picture of one frame while windows add to it: blended on the host, or by kernels beside the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from runtime import kernels
from runtime.blend import Blend, samples, weight_of
from runtime.bundle import PixelRule
from runtime.device import Form, HostArray, Kernels
from runtime.frame import RGB
from runtime.kernels import Visit
from runtime.numbers import floats
from runtime.parts import Part
from runtime.pool import Buffer, Pool
from runtime.resize import Area
from runtime.schedule import FrameWindow
from runtime.streams import Streams


class Canvas(Protocol):
    """One frame's picture in one region."""

    def add(self, painted: Buffer, window: FrameWindow, index: int, streams: Streams, *, last: bool) -> None:
        """Enqueue that the picture of `window` is added, and end its lease; `last`: no window after it does."""
        ...

    def result(self) -> RGB:
        """The finished picture, `[H, W, 3]`, once the download stream has done what it was given with the last."""
        ...


class HostCanvas:
    """Every window's picture is downloaded and blended there; all of them show the same part, None: everything."""

    def __init__(self, blend: Blend, rule: PixelRule, part: Part | None = None) -> None:
        self._blend = blend
        self._rule = rule
        self._part = part

    def add(self, painted: Buffer, window: FrameWindow, index: int, streams: Streams, *, last: bool) -> None:
        """Download the picture; the download's thread blends it."""
        streams.download.wait(painted.ready)
        painted.hold(streams.download.read(painted.tensor, partial(self._take, window, index)))
        painted.release()

    def result(self) -> RGB:
        """What the blend gives, black around the part."""
        blended = self._blend.result()
        if self._part is None:
            return blended
        picture = np.zeros((self._rule.height, self._rule.width, 3), np.uint8)
        picture[_box(self._part.exact)] = blended
        return picture

    def _take(self, window: FrameWindow, index: int, painted: HostArray) -> None:
        picture = painted[0] if self._part is None else painted[0][(slice(None), *_box(self._part.shown))]
        self._blend.add(samples(floats(picture), self._rule), window, index)


def _box(area: Area) -> tuple[slice, slice]:
    return slice(area.top, area.bottom), slice(area.left, area.right)


@dataclass(frozen=True, slots=True)
class Easel:
    """What all canvases of a device share."""

    device: Kernels
    rule: PixelRule
    halving: bool  # the published average instead of the centred mean
    pool: Pool


class DeviceCanvas:
    """Sums stay on the device, where the decoder's stream adds to them; the finished bytes alone are downloaded."""

    def __init__(self, easel: Easel) -> None:
        self._easel = easel
        self._sums: Buffer | None = None
        self._total = 0.0
        self._fill: RGB | None = None

    def add(self, painted: Buffer, window: FrameWindow, index: int, streams: Streams, *, last: bool) -> None:
        """Add the picture behind the decoder's own work; with the last one, round and download."""
        easel, shape = self._easel, (3, self._easel.rule.height, self._easel.rule.width)
        first = self._sums is None
        if self._sums is None:
            self._sums = easel.pool.take(Form(shape), streams.decoder)
        weight = weight_of(window, index)
        self._total += weight
        fill = easel.pool.take(Form(shape, "uint8"), streams.decoder) if last else None
        self._enqueue(painted, self._sums, fill, Visit(weight, self._total, first, easel.halving), streams)
        painted.release()
        if fill is not None:
            self._sums.release()
            fill.ready = streams.decoder.mark()
            streams.download.wait(fill.ready)
            fill.hold(streams.download.read(fill.tensor, self._take))
            fill.release()

    def result(self) -> RGB:
        """The bytes that came; raises `ValueError` before the last window's."""
        if self._fill is None:
            raise ValueError("this frame's last window was not painted")
        return self._fill

    def _enqueue(self, painted: Buffer, sums: Buffer, fill: Buffer | None, visit: Visit, streams: Streams) -> None:
        easel, address_of = self._easel, self._easel.device.address_of
        source = (address_of(painted.tensor), painted.form.dtype == "float16")
        out = 0 if fill is None else address_of(fill.tensor)
        launch = kernels.accumulate(source, address_of(sums.tensor), out, easel.rule, visit)
        reads = [painted.tensor] if visit.first else [painted.tensor, sums.tensor]
        writes = [sums.tensor] if fill is None else [sums.tensor, fill.tensor]
        easel.device.enqueue(launch, reads, writes, streams.decoder)

    def _take(self, fill: HostArray) -> None:
        self._fill = np.moveaxis(fill.copy(), 0, -1)  # channels stay apart in memory; nobody needs them together
