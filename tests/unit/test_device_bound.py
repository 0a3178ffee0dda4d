"""A stream's thread that may not use the device: whoever waits for it is told, and nobody waits for ever."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from types import ModuleType

import pytest

from runtime._device.cuda import CudaDevice
from runtime._device.host import StreamStopped, WorkerStream
from runtime.clock import Clock
from runtime.device import Form
from runtime.errors import DeviceFailed
from tests.stand_in_cuda import FakeCuda

PATIENCE_S = 30.0  # for what must happen; a failure takes this long, a success no time


@contextmanager
def refused() -> Generator[None, None, None]:
    raise DeviceFailed("cannot take up the context")
    yield


@contextmanager
def held_fast() -> Generator[None, None, None]:
    yield
    raise DeviceFailed("cannot put down the context")


def in_time(call: Callable[[], object]) -> BaseException | None:
    """What `call` raised; fails where it does not return."""
    raised: list[BaseException | None] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  (handed to the test, whatever it is)
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert raised, "still waiting"
    return raised[0]


def test_a_thread_that_cannot_use_the_device_tells_whoever_waits() -> None:
    stream, done = WorkerStream("worker", Clock(), refused), list[str]()
    stream.run(lambda: done.append("worked"))
    for _ in range(3):
        assert str(in_time(stream.mark().wait)) == "cannot take up the context"
    other = WorkerStream("other", Clock())
    other.wait(stream.mark())
    assert str(in_time(other.mark().wait)) == "cannot take up the context"
    for each in (stream, other):
        assert in_time(each.close) is None
    assert done == []


def test_a_thread_that_cannot_let_go_of_the_device_tells_whoever_ends_it() -> None:
    stream, done = WorkerStream("worker", Clock(), held_fast), list[str]()
    stream.run(lambda: done.append("worked"))
    assert in_time(stream.mark().wait) is None
    assert str(in_time(stream.rest)) == "cannot put down the context"
    assert in_time(stream.close) is None
    assert done == ["worked"]


def test_an_event_behind_the_end_of_a_stream_is_told_of_it() -> None:
    stream = WorkerStream("worker", Clock())
    stream.close()
    assert isinstance(in_time(stream.mark().wait), StreamStopped)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("what", "said"), [("push", "take up"), ("pop", "put down")])
def test_so_it_is_with_the_thread_of_a_gpus_stream(what: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(unbindable=what)
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", cuda.module())
    with closing(CudaDevice(Clock())) as device, device.bound():
        stream, tensor = device.stream("download"), device.allocate(Form((4,)))
        stream.read(tensor, lambda array: None)
        failed = _raised_by(stream.mark().wait) or _raised_by(stream.close)
        assert isinstance(failed, DeviceFailed)
        assert f"failed to {said} the context: " in str(failed)
    cuda.owned.check()
    for fake in cuda.streams.values():
        fake.end()


def _raised_by(call: Callable[[], object]) -> BaseException | None:
    try:
        call()
    except DeviceFailed as error:
        return error
    return None
