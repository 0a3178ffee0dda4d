"""The weights of resizes in a device's memory, for kernels."""

from __future__ import annotations

from collections import OrderedDict

from kernels.resize import taps_of
from runtime.device import Kernels, Stream
from runtime.kernels import Axis
from runtime.parcel import Parcel
from runtime.pool import Buffer, Pool

_MOST = 128  # filters, some 30 kB each; a crop takes up to four, and crops come and go


class Filters:
    """Uploaded when they are first asked for.

    One stream writes them and launches all that reads them: its order is enough, and no launch names them as inputs.
    """

    def __init__(self, kernels: Kernels, pool: Pool, stream: Stream) -> None:
        self.stream = stream
        self._kernels, self._pool = kernels, pool
        self._held: OrderedDict[tuple[int, int, bool], tuple[Buffer, Axis]] = OrderedDict()  # the last used comes last

    def axis(self, source: int, count: int, deep: bool) -> Axis:
        """From `source` samples to `count`; valid for what the stream is given before the next frame."""
        key = (source, count, deep)
        if key not in self._held:
            self._held[key] = self._uploaded(source, count, deep)
        self._held.move_to_end(key)
        return self._held[key][1]

    def trim(self) -> None:
        """Give up the filters that were not used for longest, where there are many; after each frame."""
        while len(self._held) > _MOST:
            self._held.popitem(last=False)[1][0].release()

    def close(self) -> None:
        """Give up all of them."""
        for buffer, _ in self._held.values():
            buffer.release()
        self._held.clear()

    def _uploaded(self, source: int, count: int, deep: bool) -> tuple[Buffer, Axis]:
        taps, parcel = taps_of(source, count, deep=deep), Parcel()
        first, weights = parcel.add(taps.first), parcel.add(taps.weights)
        buffer = self._pool.take(parcel.close(), self.stream)
        self.stream.write(buffer.tensor, parcel.fill)
        address = self._kernels.address_of(buffer.tensor)
        return buffer, Axis(address + first, address + weights, count, taps.weights.shape[0])
