"""Which graphs of a program are kept, and that others are freed; and in what order all that a program has ends."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from runtime._device.gpu import CudaTensor, Held
from runtime._device.graph import Graph
from runtime.backends import _trt_graphs
from runtime.backends._trt_engine import Log
from runtime.backends._trt_graphs import Graphs
from runtime.backends._trt_program import TrtProgram
from runtime.bundle import StageSpec
from runtime.errors import DeviceFailed
from runtime.program import Request


@dataclass(frozen=True)
class Named:
    """A call of some shapes with some memory."""

    memory: Held
    shapes: tuple[int, ...] = (1,)

    @property
    def gone(self) -> bool:
        return self.memory.gone


HELD = Held(object())


class Recorded:
    """A graph."""

    def __init__(self, alive: list[Recorded]) -> None:
        self._alive = alive
        alive.append(self)

    def launch(self, stream: int) -> None:
        assert self in self._alive

    def close(self) -> None:
        self._alive.remove(self)


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    """The graphs that were not freed."""
    found: list[Recorded] = []

    def capture(_: Any, stream: int, work: Callable[[int], None]) -> Recorded:
        work(stream)
        return Recorded(found)

    monkeypatch.setattr(_trt_graphs, "load_driver", lambda: None)
    monkeypatch.setattr(_trt_graphs, "capture", capture)
    return found


def ran(graphs: Graphs[Named], *calls: Named) -> None:
    """Each twice, so that it is recorded."""
    for call in calls:
        for _ in range(2):
            graphs.run(call, lambda handle: None, 7)


def made() -> Graphs[Named]:
    return Graphs("encoder", print, lambda handle: True)


def test_graphs_of_memory_that_was_freed_are_freed_when_other_memory_comes(alive: list[Recorded]) -> None:
    graphs, held = made(), [Held(object()) for _ in range(3)]
    ran(graphs, *(Named(each) for each in held[:2]))
    assert len(alive) == 2
    held[0].give_up()
    ran(graphs, Named(held[1]))
    assert len(alive) == 2  # nothing new came, and nothing was looked through
    ran(graphs, Named(held[2]))
    assert len(alive) == 2  # that of the second and that of the third
    assert [call.memory for call in graphs._known] == held[1:]


def test_graphs_of_other_shapes_are_freed(alive: list[Recorded]) -> None:
    graphs, held = made(), [Held(object()) for _ in range(3)]
    ran(graphs, *(Named(each) for each in held))
    ran(graphs, Named(held[0], (2,)))
    assert len(alive) == 1
    ran(graphs, Named(held[0]))
    assert len(alive) == 1
    graphs.clear()
    assert alive == []


def test_where_a_graph_cannot_be_launched_the_work_is_enqueued_and_it_is_said_once(
    alive: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_graph: Recorded, _stream: int) -> None:
        raise DeviceFailed("cuGraphLaunch: error 2 (CUDA_ERROR_OUT_OF_MEMORY); wanted 0")

    monkeypatch.setattr(Recorded, "launch", fails)
    told: list[str] = []
    done: list[int] = []
    graphs = Graphs[Named]("encoder", told.append, lambda handle: True)
    for _ in range(4):
        graphs.run(Named(HELD), done.append, 7)
    # the second call is recorded, by doing it on a stream that only notes it, before the graph is launched in vain
    assert done == [7] * 5
    assert alive == []
    assert len(told) == 1
    assert "enqueued anew each time: cuGraphLaunch: error 2" in told[0]


def test_no_more_than_so_many_are_kept(alive: list[Recorded], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trt_graphs, "MOST", 5)
    ran(made(), *(Named(Held(object())) for _ in range(40)))
    assert len(alive) == 5


class Destroying:
    """A driver that cannot destroy executable graphs."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def cuGraphExecDestroy(self, graph: Any) -> int:  # noqa: N802
        self.called.append("executable")
        return 719

    def cuGraphDestroy(self, graph: Any) -> int:  # noqa: N802
        self.called.append("graph")
        return 0

    def cuGetErrorName(self, code: Any, text: Any) -> int:  # noqa: N802
        return 0


def test_a_graph_whose_executable_form_cannot_be_freed_is_freed_itself() -> None:
    driver = Destroying()
    with pytest.raises(DeviceFailed, match="cuGraphExecDestroy: error 719"):
        Graph(driver, ctypes.c_void_p(1), ctypes.c_void_p(2)).close()
    assert driver.called == ["executable", "graph"]


class Telling:
    """Says when it ends."""

    def __init__(self, name: str, ended: list[str]) -> None:
        self._name, self._ended = name, ended

    def __del__(self) -> None:
        self._ended.append(self._name)


def test_a_program_ends_graphs_then_its_context_then_what_that_was_made_of() -> None:
    ended, calls = list[str](), list[Callable[[], None]]()
    request = Request(Path("e.plan"), cast("StageSpec", _Encoder()), {}, "auto", at_end=calls.append)
    owners = tuple(Telling(name, ended) for name in ("logger", "runtime", "engine", "cache"))
    program = TrtProgram(Telling("context", ended), (), request, "TensorRT", Log(), owners)
    del owners
    assert program._graphs is not None
    program._graphs.clear = lambda: ended.append("graphs")  # type: ignore[method-assign]
    for _ in range(2):
        calls[0]()
    assert ended[:6] == ["graphs", "context", "cache", "engine", "runtime", "logger"]


class _Encoder:
    name = "encoder"
    inputs = outputs = ()


def test_a_call_knows_the_memory_behind_its_addresses() -> None:
    calls: list[Any] = []
    request = Request(Path("e.plan"), cast("StageSpec", _Encoder()), {}, "auto")
    program = TrtProgram(object(), (), request, "TensorRT", Log(), ())
    program._start = lambda call, handle: calls.append(call)  # type: ignore[method-assign]
    held = Held(object())
    tensor = CudaTensor(4, (1,), cast("Any", None), held)

    class Launching:
        def launch(self, work: Callable[[int], None]) -> None:
            work(7)

    program.enqueue({"rgb": tensor}, {}, cast("Any", Launching()))
    assert not calls[0].gone
    held.give_up()
    assert calls[0].gone
