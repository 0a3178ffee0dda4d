"""Page-locked arrays of the host, from and to which a GPU copies beside other work."""

from __future__ import annotations

from collections import deque

from runtime._device.gpu import CudaTensor, Gpu, Held
from runtime.device import Event, Form, HostArray
from runtime.errors import DeviceFull

_OF_A_FORM = 4  # one is filled or shown while others are copied
_IDLE_BYTES = 256 << 20  # that arrays of other forms may hold when another one is made


class PinnedArrays:
    """One stream's, used again and freed with it; few of a form, and of forms that nobody asks for any more 256 MiB."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._made: dict[int, Held] = {}  # by identity of the array
        self._free: dict[Form, deque[tuple[HostArray, Event]]] = {}  # the form that came back last is the last one
        self._nbytes = 0  # of all that were made
        self._closed = False

    def take(self, tensor: CudaTensor) -> tuple[Form, HostArray]:
        """An array like `tensor` that nothing reads or writes any more, and under which form it is put back."""
        if self._closed:
            raise ValueError("a stream is used that was closed")
        form = Form(tensor.shape, tensor.dtype.name)
        free = self._free.get(form)
        if free and (len(free) >= _OF_A_FORM or free[0][1].done()):
            array, last_use = free.popleft()
            last_use.wait()
            return form, array
        self._trim(_IDLE_BYTES, form)
        try:
            return form, self._pinned(tensor)
        except DeviceFull:
            if not any(self._free.values()):
                raise
        self._trim(0)
        return form, self._pinned(tensor)

    def put(self, form: Form, array: HostArray, last_use: Event) -> None:
        """Take it back; it is free again after `last_use`."""
        free = self._free.pop(form, None)
        self._free[form] = deque() if free is None else free
        self._free[form].append((array, last_use))

    def close(self) -> None:
        """Free all of them, when the stream is at rest."""
        self._closed = True
        self._gpu.free(*self._made.values())
        self._made.clear()
        self._free.clear()

    def _pinned(self, tensor: CudaTensor) -> HostArray:
        with self._gpu.one_line(f"pin {tensor.nbytes} bytes of the host's memory"):
            array: HostArray = self._gpu.driver.pagelocked_empty(tensor.shape, tensor.dtype)
        self._made[id(array)] = Held(array.base)
        self._nbytes += array.nbytes
        return array

    def _trim(self, most_bytes: int, kept: Form | None = None) -> None:
        """Free those first whose form was not used for longest, but for `kept`, until all hold `most_bytes` at most."""
        for form in [form for form in self._free if form != kept]:
            free = self._free[form]
            while free and self._nbytes > most_bytes:
                array, last_use = free.popleft()
                last_use.wait()
                self._nbytes -= array.nbytes
                self._gpu.free(self._made.pop(id(array)))
            if not free:
                del self._free[form]
