"""`composite` by a device's kernels: the part of the frame that changes goes there and comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from kernels.layout import LAYER
from runtime import kernels
from runtime._composite.layers import area_of
from runtime.afterwards import afterwards
from runtime.bundle import PixelRule
from runtime.clock import Clock
from runtime.device import Device, Kernels
from runtime.filters import Filters
from runtime.frame import Frame
from runtime.kernels import Fill
from runtime.parcel import Parcel, Parts, pack, room
from runtime.patch import Crop, Patch
from runtime.pool import Buffer, Pool
from runtime.resize import Area


@dataclass(frozen=True, slots=True)
class _Layer:
    """A patch that shows, and where it lies in what is sent."""

    patch: Patch
    part: int  # of the frame's parts, the one it writes to
    fill: int  # place in the parcel
    hole: int  # likewise


class DeviceComposite:
    """Frame by frame, each one waited for; for the one thread that makes it, calls it and closes it.

    A copy there (planes, fills, holes, the layers' structs), a launch for each part that changes, and a copy back.
    """

    def __init__(self, device: Device, loaded: Kernels, rule: PixelRule, feather: int, clock: Clock) -> None:
        self._device, self._kernels, self._clock = device, loaded, clock
        self._rule, self._feather = rule, feather
        self._pool = Pool(device)
        with device.bound():
            self._stream = device.stream("composite")
        self._filters = Filters(loaded, self._pool, self._stream)

    def composite(self, frame: Frame, patches: Sequence[Patch]) -> Frame:
        """What `runtime.composite.composite` gives without grain, byte for byte."""
        with self._clock.busy("composite"):
            shown = [(patch, area) for patch in patches if (area := area_of(frame, patch, self._feather)) is not None]
            if not shown:
                return frame
            written = replace(frame, planes=tuple(plane.copy() for plane in frame.planes))
        with self._device.bound():
            self._write(frame, shown, written)
        return written

    def close(self) -> None:
        """End the stream, and free what it worked on."""
        with self._device.bound(), afterwards(self._pool.close), afterwards(self._filters.close):
            self._stream.close()

    def _write(self, frame: Frame, shown: Sequence[tuple[Patch, Area]], written: Frame) -> None:
        parcel, stream, address_of = Parcel(), self._stream, self._kernels.address_of
        parts = pack(frame, [area for _, area in shown], parcel)
        of_planes = parcel.close().shape[0]
        layers = sorted((_placed(patch, parts.holding(area), parcel) for patch, area in shown), key=lambda it: it.part)
        table = np.zeros(len(layers) * LAYER.itemsize, np.uint8)
        table_at = parcel.add(table)
        sent, soft = self._pool.take(parcel.close(), stream), self._room_for_opacity(layers)
        fills = self._fills(layers, parts, address_of(sent.tensor), None if soft is None else address_of(soft.tensor))
        table[:] = np.frombuffer(kernels.layers(fills, self._rule, self._filters.axis), np.uint8)
        stream.write(sent.tensor, parcel.fill)
        if soft is not None:
            self._soften(fills, sent, soft)
        numbers = [layer.part for layer in layers]
        reads = [sent.tensor] if soft is None else [sent.tensor, soft.tensor]
        for number, area in enumerate(parts.areas):
            here = Area(0, 0, area.right - area.left, area.bottom - area.top)
            first = address_of(sent.tensor) + table_at + numbers.index(number) * LAYER.itemsize
            picture = parts.picture(number, address_of(sent.tensor))
            launch = kernels.composite(picture, here, (first, numbers.count(number)), soft=soft is not None)
            self._kernels.enqueue(launch, reads, [sent.tensor], stream)
        stream.read(sent.tensor[0:of_planes], partial(parts.unpack, frame=written))
        stream.mark().wait()
        for buffer in (sent, soft):
            if buffer is not None:
                buffer.release()
        self._filters.trim()

    def _room_for_opacity(self, layers: Sequence[_Layer]) -> Buffer | None:
        """For the opacity of every crop's pixels and what it is made of, both u16; None where edges are hard."""
        if not self._feather:
            return None
        return self._pool.take(room(sum(4 * _pixels(layer.patch.crop) for layer in layers)), self._stream)

    def _fills(self, layers: Sequence[_Layer], parts: Parts, sent: int, soft: int | None) -> list[Fill]:
        fills: list[Fill] = []
        place = 0
        for layer in layers:
            crop, area = layer.patch.crop, parts.areas[layer.part]
            inside = replace(crop, left=crop.left - area.left, top=crop.top - area.top)
            fills.append(Fill(inside, sent + layer.fill, sent + layer.hole, 0 if soft is None else soft + place))
            place += 4 * _pixels(crop)
        return fills

    def _soften(self, fills: Sequence[Fill], sent: Buffer, soft: Buffer) -> None:
        """The opacity of every fill; behind it lies as much room to work in."""
        for fill in fills:
            scratch = fill.opacity + 2 * _pixels(fill.crop)
            launches = kernels.feather(fill.hole, fill.crop, self._rule, self._feather, scratch, fill.opacity)
            for launch in launches:
                self._kernels.enqueue(launch, [sent.tensor, soft.tensor], [soft.tensor], self._stream)


def _placed(patch: Patch, part: int, parcel: Parcel) -> _Layer:
    fill = np.moveaxis(patch.fill, -1, 0)  # channel after channel, as a download leaves it
    return _Layer(patch, part, parcel.add(fill), parcel.add(patch.hole))


def _pixels(crop: Crop) -> int:
    return crop.width * crop.height
