"""The CUDA device against a driver that is none: what it asks for, and in which order.

What only a GPU shows is in tests/gpu.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType

import numpy as np
import pytest

from runtime._device.cuda import CudaDevice
from runtime._device.gpu import CudaTensor
from runtime._device.host import HostDevice
from runtime.clock import Clock
from runtime.device import Form, HostArray
from runtime.devices import open_device
from runtime.errors import DeviceFailed
from tests.devices import contents, filled, passing
from tests.stand_in_cuda import FakeCuda

LATE = (0.0, 0.002, 0.0, 0.001)


def installed(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", cuda.module())
    return cuda


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    made = installed(FakeCuda(delays=LATE), monkeypatch)
    yield made
    made.owned.check()
    for stream in made.streams.values():
        stream.end()


@pytest.fixture
def device(cuda: FakeCuda) -> Iterator[CudaDevice]:
    assert not cuda.streams
    made = CudaDevice(Clock())
    with made.bound():
        yield made
    made.close()


def test_rows_of_a_tensor_are_at_their_own_address() -> None:
    tensor = CudaTensor(1000, (4, 3, 2), np.dtype(np.float16), None)
    part = tensor[1:3]
    assert (part.address, part.shape, part.nbytes) == (1012, (2, 3, 2), 24)
    assert tensor[4:9].nbytes == 0
    with pytest.raises(ValueError, match="consecutive"):
        tensor[::2]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
def test_what_is_written_copied_and_cleared_is_read(dtype: str, device: CudaDevice) -> None:
    whole, part = device.allocate(Form((3, 2), dtype)), device.allocate(Form((1, 2), dtype))
    with closing(device.stream("any")) as stream:
        stream.zero(whole)
        stream.write(part, filled(7))
        stream.copy(part, whole[1:2])
    found = contents(device, whole)
    assert found.dtype == dtype
    assert found.tolist() == [[0, 0], [7, 7], [0, 0]]


def test_a_copy_changes_neither_shape_nor_type(device: CudaDevice) -> None:
    with closing(device.stream("any")) as stream, pytest.raises(TypeError, match=r"float32 .* float16"):
        stream.copy(device.allocate(Form((2,))), device.allocate(Form((2,), "float16")))


def test_memory_of_the_host_is_refused(device: CudaDevice) -> None:
    tensor = HostDevice(Clock(), threads=False).allocate(Form((2,)))
    with closing(device.stream("any")) as stream, pytest.raises(TypeError, match="not in the GPU's memory"):
        stream.zero(tensor)


def test_pinned_memory_is_not_filled_again_before_it_was_copied(device: CudaDevice) -> None:
    """A stream that is late must still find what was meant for it: twenty uploads through four arrays."""
    tensors = [device.allocate(Form((5,))) for _ in range(20)]
    with closing(device.stream("upload")) as stream:
        for number, tensor in enumerate(tensors):
            stream.write(tensor, filled(number))
    assert [float(contents(device, tensor)[0]) for tensor in tensors] == list(range(20))


def test_pinned_memory_is_not_overwritten_before_it_was_taken(device: CudaDevice) -> None:
    tensor, taken = device.allocate(Form((5,))), list[float]()

    def take(array: HostArray) -> None:
        time.sleep(0.03)  # the GPU is far ahead by then
        taken.append(float(array[0]))

    with closing(device.stream("any")) as stream:
        for number in range(20):
            stream.write(tensor, filled(number))
            stream.read(tensor, take)
        stream.mark().wait()
    assert taken == list(range(20))


def test_a_stream_waits_for_another(device: CudaDevice) -> None:
    tensor = device.allocate(Form((5,)))
    with closing(device.stream("one")) as one, closing(device.stream("other")) as other:
        for number in range(10):
            one.write(tensor, filled(number))
            other.wait(one.mark())
            seen: list[float] = []
            one.wait(other.read(tensor, lambda array, seen=seen: seen.append(float(array[0]))))
            other.mark().wait()
            assert seen == [number]


def test_a_stream_waits_for_what_the_host_does_in_another(device: CudaDevice) -> None:
    order: list[str] = []

    def slow() -> None:
        time.sleep(0.02)
        order.append("first")

    with closing(device.stream("one")) as one, closing(device.stream("other")) as other:
        one.run(slow)
        other.wait(one.mark())
        other.run(lambda: order.append("second"))
        other.mark().wait()
    assert order == ["first", "second"]


def test_work_of_the_host_is_done_in_the_streams_order(device: CudaDevice) -> None:
    tensor, order = device.allocate(Form((5,))), list[str]()
    with closing(device.stream("any")) as stream:
        stream.write(tensor, filled(1))
        stream.read(tensor, lambda array: order.append(f"read {array[0]:.0f}"))
        stream.run(lambda: order.append(threading.current_thread().name))
        stream.mark().wait()
    assert order == ["read 1", "any"]


def test_a_stream_marks_what_the_host_still_does(device: CudaDevice) -> None:
    gate = threading.Event()
    with closing(device.stream("any")) as stream:
        stream.run(passing(gate))
        event = stream.mark()
        assert not event.done()
        gate.set()
        event.wait()
        assert event.done()


def test_an_error_of_the_hosts_part_arrives(device: CudaDevice) -> None:
    def fail() -> None:
        raise OSError("the disk is gone")

    with closing(device.stream("any")) as stream:
        stream.run(fail)
        with pytest.raises(OSError, match="the disk is gone"):
            stream.mark().wait()


def test_the_clock_hears_what_the_gpu_did(cuda: FakeCuda) -> None:
    clock = Clock()
    with closing(CudaDevice(clock)) as made, made.bound(), closing(made.stream("encoder")) as stream:
        for _ in range(10):
            stream.launch(lambda handle: cuda.streams[handle].put(lambda: None))
    assert clock.seconds()["encoder"] >= sum(LATE)
    assert not clock._overlap._open


def test_closing_waits_for_the_gpu_and_leaves_no_thread(device: CudaDevice, cuda: FakeCuda) -> None:
    tensor = device.allocate(Form((5,)))
    before = threading.active_count()
    with closing(device.stream("any")) as stream:
        stream.read(tensor, lambda array: None)
    assert threading.active_count() == before + 1  # the stand-in's own
    assert next(reversed(cuda.streams.values()))._queue.empty()


def test_without_pycuda_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(DeviceFailed, match=r"^CUDA: pycuda cannot be imported [^\n]*--backend onnxruntime$"):
        open_device("cuda", Clock(), 2)


def test_too_little_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = installed(FakeCuda(memory_bytes=100), monkeypatch)
    device = CudaDevice(Clock())
    with device.bound(), pytest.raises(DeviceFailed, match=r"^Fake GPU: out of memory [^\n]*allocate 400 bytes[^\n]*$"):
        device.allocate(Form((100,)))
    device.close()
    cuda.owned.check()


def test_a_gpu_that_is_lost_is_one_line_and_nothing_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = installed(FakeCuda(lost_after=12), monkeypatch)
    clock = Clock()
    device = CudaDevice(clock)
    with device.bound():
        tensor = device.allocate(Form((5,)))
        lost = r"^Fake GPU: failed to [^\n]*unspecified launch failure[^\n]*--resume"
        with pytest.raises(DeviceFailed, match=lost), closing(device.stream("any")) as stream:
            for _ in range(100):
                stream.write(tensor, filled(1))
                stream.mark().wait()
    assert not clock._overlap._open
    device.close()
    cuda.owned.check()
    for fake in cuda.streams.values():
        fake.end()


@pytest.mark.usefixtures("cuda")
def test_a_thread_that_does_not_bind_the_device_is_refused() -> None:
    with closing(CudaDevice(Clock())) as device, pytest.raises(DeviceFailed, match="invalid device context"):
        device.allocate(Form((1,)))
