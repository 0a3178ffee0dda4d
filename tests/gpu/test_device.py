"""The CUDA device on a GPU: what its streams, events and memory do there, and the pipelined run through it."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import numpy as np
import pytest

from runtime._device.cuda import CudaDevice
from runtime._device.graph import capture, load_driver
from runtime.clock import Clock
from runtime.device import Form
from runtime.errors import DeviceFailed
from runtime.pool import Pool
from runtime.streams import open_streams
from tests.devices import contents

pytestmark = pytest.mark.gpu

BIG = Form((1 << 26,))  # 256 MiB: its copies take milliseconds


@pytest.fixture
def device() -> Iterator[CudaDevice]:
    made = CudaDevice(Clock())
    with made.bound():
        yield made
    made.close()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
def test_what_is_written_copied_and_cleared_is_read(dtype: str, device: CudaDevice) -> None:
    whole, part = device.allocate(Form((3, 5), dtype)), device.allocate(Form((1, 5), dtype))
    values = np.arange(5).reshape(1, 5).astype(dtype)
    with closing(device.stream("any")) as stream:
        stream.zero(whole)
        stream.write(part, partial(np.copyto, src=values))
        stream.copy(part, whole[1:2])
        stream.mark().wait()
    found = contents(device, whole)
    assert (found[1] == values).all()
    assert not found[::2].any()


def test_enqueuing_returns_before_the_gpu_is_through(device: CudaDevice) -> None:
    one, other = device.allocate(BIG), device.allocate(BIG)
    with closing(device.stream("any")) as stream:
        for _ in range(200):
            stream.copy(one, other)
        event = stream.mark()
        assert not event.done()
        event.wait()
        assert event.done()


def test_a_stream_waits_for_the_event_of_another(device: CudaDevice) -> None:
    """Without the wait the second stream would read long before the first has written."""
    busy, target = [device.allocate(BIG) for _ in range(2)], device.allocate(Form((8,)))
    seen: list[float] = []
    with closing(device.stream("one")) as one, closing(device.stream("other")) as other:
        for number in range(1, 6):
            for _ in range(50):
                one.copy(busy[0], busy[1])
            one.write(target, lambda array, number=number: array.fill(number))
            other.wait(one.mark())
            one.wait(other.read(target, lambda array: seen.append(float(array[0]))))
        other.mark().wait()
    assert seen == [1, 2, 3, 4, 5]


def test_pinned_memory_is_filled_anew_only_after_it_was_copied(device: CudaDevice) -> None:
    tensors = [device.allocate(Form((1 << 20,))) for _ in range(20)]
    with closing(device.stream("upload")) as stream:
        for number, tensor in enumerate(tensors):
            stream.write(tensor, lambda array, number=number: array.fill(number))
    for number, tensor in enumerate(tensors):
        assert (contents(device, tensor) == number).all()


def test_buffers_of_a_pool_are_safe_across_streams(device: CudaDevice) -> None:
    """Upload and download beside each other, through buffers that are used again and again."""
    pool, form = Pool(device), Form((1 << 18,))
    taken: list[tuple[float, float]] = []
    with open_streams(device) as streams:
        for number in range(200):
            buffer = pool.take(form, streams.upload)
            streams.upload.write(buffer.tensor, lambda array, number=number: array.fill(number))
            buffer.ready = streams.upload.mark()
            streams.download.wait(buffer.ready)
            take = streams.download.read(
                buffer.tensor, lambda array: taken.append((float(array.min()), float(array.max())))
            )
            buffer.hold(take)
            buffer.release()
        streams.download.mark().wait()
    assert taken == [(number, number) for number in range(200)]


def test_uploads_and_copies_on_the_gpu_overlap_and_the_clock_says_so() -> None:
    clock = Clock()
    with closing(CudaDevice(clock)) as device, device.bound():
        one, other, uploaded = (device.allocate(BIG) for _ in range(3))
        began = time.perf_counter()
        with closing(device.stream("upload")) as upload, closing(device.stream("encoder")) as encoder:
            upload.write(uploaded, lambda array: array.fill(1))
            for _ in range(100):
                encoder.copy(one, other)
            upload.write(uploaded, lambda array: array.fill(2))
        wall_s = time.perf_counter() - began
    assert 0 < clock.overlap() <= wall_s
    assert 0 < clock.seconds()["encoder"] <= wall_s


def test_a_graph_does_again_what_was_captured(device: CudaDevice) -> None:
    driver = load_driver()
    source, target = device.allocate(Form((8,))), device.allocate(Form((8,)))

    def copied(handle: int) -> None:
        pointers = (ctypes.c_uint64(target.address), ctypes.c_uint64(source.address))  # type: ignore[attr-defined]
        assert driver.cuMemcpyDtoDAsync_v2(*pointers, ctypes.c_size_t(source.nbytes), ctypes.c_void_p(handle)) == 0

    with closing(device.stream("any")) as stream:
        graphs = []
        stream.launch(lambda handle: graphs.append(capture(driver, handle, copied)))
        for number in (3, 4):
            stream.write(source, lambda array, number=number: array.fill(number))
            stream.launch(graphs[0].launch)
            stream.mark().wait()
            assert (contents(device, target) == number).all()
        graphs[0].close()


def test_a_capture_that_fails_leaves_the_stream_usable(device: CudaDevice) -> None:
    driver = load_driver()

    def waits(handle: int) -> None:
        code = driver.cuStreamSynchronize(ctypes.c_void_p(handle))  # a bare number would lose half of its bits
        assert code != 0
        raise DeviceFailed(f"waiting is not allowed in a capture: error {code}")

    target = device.allocate(Form((8,)))
    with closing(device.stream("any")) as stream:
        with pytest.raises(DeviceFailed, match="not allowed"):
            stream.launch(lambda handle: capture(driver, handle, waits) and None)
        stream.write(target, lambda array: array.fill(5))
    assert (contents(device, target) == 5).all()


def test_too_much_memory_is_one_line(device: CudaDevice) -> None:
    with pytest.raises(DeviceFailed, match=r"out of memory [^\n]*--streams 1[^\n]*$"):
        device.allocate(Form((1 << 45,)))


def test_the_primary_context_is_shared_and_given_back() -> None:
    before = threading.active_count()
    device = CudaDevice(Clock())
    driver = device._gpu.driver
    with device.bound():
        assert driver.Context.get_current() is not None
        with closing(device.stream("any")) as stream:
            stream.run(lambda: None)
    assert driver.Context.get_current() is None
    device.close()
    assert threading.active_count() == before
