"""What a CUDA device's streams and the device itself have of the driver: how much of it, and when it is given back.

Whole runs are in tests/contract/test_owned.py.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import pytest

from kernels.record import FOLDER, fatbin
from runtime._device.cuda import CudaDevice
from runtime.clock import Clock
from runtime.device import Form, KernelImage, Launch
from runtime.errors import DeviceFailed
from tests.devices import contents, filled, passing
from tests.stand_in_cuda import FakeCuda


def installed(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", cuda.module())
    return cuda


def checked(cuda: FakeCuda) -> None:
    """Nothing is left, and its threads end."""
    cuda.owned.check()
    for stream in cuda.streams.values():
        stream.end()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    made = installed(FakeCuda(delays=(0.0, 0.002, 0.0, 0.001)), monkeypatch)
    yield made
    checked(made)


@pytest.fixture
def device(cuda: FakeCuda) -> Iterator[CudaDevice]:
    assert not cuda.streams
    with closing(CudaDevice(Clock())) as made, made.bound():
        yield made


def test_marks_use_the_drivers_events_again(device: CudaDevice, cuda: FakeCuda) -> None:
    with closing(device.stream("any")) as stream:
        marks = [stream.mark() for _ in range(3)]
        marks[-1].wait()
        before = cuda.owned.made["event"]
        for _ in range(200):
            stream.mark().wait()
        assert cuda.owned.made["event"] <= before + 1
        assert all(mark.done() for mark in marks)
    for mark in marks:
        mark.wait()


def test_a_mark_that_is_kept_tells_of_its_own_point_when_its_event_stands_for_a_later_one(device: CudaDevice) -> None:
    gate = threading.Event()
    with closing(device.stream("one")) as one, closing(device.stream("other")) as other:
        early = one.mark()
        early.wait()
        later = one.mark()  # which may have taken the driver's event over
        later.wait()
        one.run(passing(gate))
        last = one.mark()
        assert early.done()
        other.wait(early)
        other.mark().wait()
        assert not last.done()
        gate.set()


def test_a_mark_of_a_stream_that_was_lost_says_so_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = installed(FakeCuda(lost_after=1), monkeypatch)
    device = CudaDevice(Clock())
    with device.bound():
        stream = device.stream("any")
        mark = stream.mark()
        with pytest.raises(DeviceFailed, match="finish a stream"):
            stream.close()
        stream.close()
        for ask in (mark.wait, mark.done):
            with pytest.raises(DeviceFailed, match="unspecified launch failure"):
                ask()
    device.close()
    checked(cuda)


def test_a_stream_that_is_closed_gets_no_work_for_the_default_stream(device: CudaDevice) -> None:
    tensor, stream = device.allocate(Form((5,))), device.stream("any")
    stream.close()
    for work in (lambda: stream.zero(tensor), stream.mark, lambda: stream.write(tensor, filled(1))):
        with pytest.raises(ValueError, match=r"closed|given back"):
            work()


def test_pinned_memory_of_many_sizes_is_bounded(
    device: CudaDevice, cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime._device.pinned._IDLE_BYTES", 1000)
    with closing(device.stream("upload")) as stream:
        for size in range(100, 400, 3):
            stream.write(device.allocate(Form((size,), "uint8")), filled(1))
            assert (1 << 30) - cuda.free_pinned_bytes <= 1000 + size
    assert cuda.owned.alive["pinned memory"] == 0


def test_where_no_more_can_be_pinned_what_is_not_in_use_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = installed(FakeCuda(pinned_bytes=600), monkeypatch)
    with closing(CudaDevice(Clock())) as device, device.bound(), closing(device.stream("upload")) as stream:
        for size in (200, 250, 300):
            tensor = device.allocate(Form((size,), "uint8"))
            stream.write(tensor, filled(size % 200))
            stream.mark().wait()
        assert float(contents(device, tensor)[0]) == 100
    checked(cuda)


def test_what_nobody_freed_the_device_frees_and_streams_that_are_open_first(cuda: FakeCuda) -> None:
    device = CudaDevice(Clock())
    with device.bound():
        tensor, stream = device.allocate(Form((5,))), device.stream("any")
        stream.read(tensor, lambda array: None)
        freed = device.allocate(Form((5,)))
        device.free(freed)
    device.close()
    cuda.owned.check()
    device.free(tensor)  # late, and in vain
    with pytest.raises(ValueError, match="closed"):
        device.bound()


def test_an_error_that_is_still_known_keeps_nothing_of_the_drivers(cuda: FakeCuda) -> None:
    """pycuda launches by a function of Python's, whose frame has the stream and the kernel in variables."""
    cuda.refused.add("accumulate")
    said = "run a kernel of the any: cuLaunchKernel failed"
    with closing(CudaDevice(Clock())) as device, device.bound(), pytest.raises(DeviceFailed, match=said) as caught:
        loaded = device.kernels(lambda: KernelImage(FOLDER, fatbin(FOLDER), "13.0"))
        assert loaded is not None
        with closing(device.stream("any")) as stream:
            loaded.enqueue(Launch("accumulate", b"", 1, 1), [], [], stream)
    cuda.owned.check()
    assert caught.tb is not None
