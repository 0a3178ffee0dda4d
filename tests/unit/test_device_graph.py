"""Capture: what the driver is asked for, and that a capture that fails leaves the stream usable and nothing behind."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from runtime._device.graph import capture
from runtime.errors import DeviceFailed

GRAPH, EXECUTABLE, STREAM = 11, 22, 33


class FakeDriver:
    """Answers as libcuda does; `fails` is the function that gives error 900."""

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            if name == "cuGetErrorName":
                arguments[1]._obj.value = b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
                return 0
            plain = [each.value for each in arguments if isinstance(each, ctypes._SimpleCData)]
            self.calls.append((name, *plain))
            if name == self.fails:
                return 900
            made = {"cuStreamEndCapture": (1, GRAPH), "cuGraphInstantiateWithFlags": (0, EXECUTABLE)}
            if name in made:
                place, value = made[name]
                arguments[place]._obj.value = value
            return 0

        return call


def test_what_is_enqueued_meanwhile_is_recorded_and_launched_as_one() -> None:
    driver, seen = FakeDriver(), list[int]()
    graph = capture(driver, STREAM, seen.append)
    graph.launch(STREAM + 1)
    graph.close()
    assert seen == [STREAM]
    assert driver.calls == [
        ("cuStreamBeginCapture_v2", STREAM, 1),
        ("cuStreamEndCapture", STREAM),
        ("cuGraphInstantiateWithFlags", GRAPH, 0),
        ("cuGraphLaunch", EXECUTABLE, STREAM + 1),
        ("cuGraphExecDestroy", EXECUTABLE),
        ("cuGraphDestroy", GRAPH),
    ]


def test_work_that_fails_ends_the_capture_first() -> None:
    def work(stream: int) -> None:
        raise OSError(f"no such layer on {stream}")

    driver = FakeDriver()
    with pytest.raises(OSError, match="no such layer"):
        capture(driver, STREAM, work)
    assert [name for name, *_ in driver.calls] == ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy"]


@pytest.mark.parametrize(
    ("fails", "last"),
    [
        ("cuStreamBeginCapture_v2", "cuStreamBeginCapture_v2"),
        ("cuStreamEndCapture", "cuStreamEndCapture"),
        ("cuGraphInstantiateWithFlags", "cuGraphDestroy"),
    ],
)
def test_a_driver_that_refuses_is_one_line(fails: str, last: str) -> None:
    driver = FakeDriver(fails)
    with pytest.raises(DeviceFailed, match=rf"^{fails}: error 900 \(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED\)[^\n]*$"):
        capture(driver, STREAM, lambda stream: None)
    assert driver.calls[-1][0] == last
