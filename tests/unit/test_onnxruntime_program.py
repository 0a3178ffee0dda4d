"""What onnxruntime computes on the GPU has its place between what its caller enqueued before and enqueues behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runtime.backends._onnxruntime import CudaProgram
from runtime.bundle import StageSpec
from runtime.device import Stream
from runtime.errors import DeviceFailed
from runtime.program import Request

STAGE = StageSpec("encoder", (), (), {})


class Told:
    """A stream that writes down what it is asked for."""

    def __init__(self, name: str, calls: list[str], *, fails: bool = False) -> None:
        self.name, self.calls, self._fails = name, calls, fails

    def mark(self) -> str:
        self.calls.append(f"{self.name} marks")
        return self.name

    def wait(self, event: str) -> None:
        self.calls.append(f"{self.name} waits for {event}")

    def launch(self, work: Callable[[int], None]) -> None:
        self.calls.append(f"{self.name} works")
        if self._fails:
            raise DeviceFailed("lost")

    def rest(self) -> None:
        self.calls.append(f"{self.name} rests")


IN_ORDER = ["clip's marks", "own waits for clip's", "own works", "own marks", "clip's waits for own"]


def program(calls: list[str], made: list[str], *, fails: bool = False) -> CudaProgram:
    def stream(name: str) -> Stream:
        made.append(name)
        return cast("Stream", Told("own", calls, fails=fails))

    options = SimpleNamespace(add_run_config_entry=lambda *_: None)
    library: Any = SimpleNamespace(RunOptions=lambda: options)
    request = Request(Path("encoder.onnx"), STAGE, {}, "auto", stream=stream)
    return CudaProgram(library, request, lambda _: [])


def test_its_own_stream_waits_for_the_callers_and_the_callers_for_it() -> None:
    calls, made = list[str](), list[str]()
    opened = program(calls, made)
    assert not made, "the thread that opens stages may have no device yet"
    for _ in range(2):
        opened.enqueue({}, {}, cast("Stream", Told("clip's", calls)))
    assert calls == IN_ORDER * 2
    assert made == ["encoder"]


def test_the_caller_waits_for_what_was_enqueued_before_an_error() -> None:
    """Its buffers are freed next, and some of the work may be under way."""
    calls = list[str]()
    with pytest.raises(DeviceFailed, match="lost"):
        program(calls, [], fails=True).enqueue({}, {}, cast("Stream", Told("clip's", calls)))
    assert calls == IN_ORDER
