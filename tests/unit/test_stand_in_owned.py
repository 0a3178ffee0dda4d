"""The stand-in driver notices what pycuda would only print a line about, or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.stand_in_cuda import FakeCuda
from tests.stand_in_driver import Error


@contextmanager
def in_context(cuda: FakeCuda) -> Generator[Any, None, None]:
    """The driver, its context retained and current; its threads end afterwards."""
    driver = cuda.module()
    context = driver.Device(0).retain_primary_context()
    context.push()
    yield driver
    if cuda.here.depth:
        driver.Context.pop()
    context.detach()
    for stream in cuda.streams.values():
        stream.end()


KINDS: dict[str, Callable[[Any], Any]] = {
    "memory": lambda driver: driver.mem_alloc(8),
    "stream": lambda driver: driver.Stream(1),
    "event": lambda driver: driver.Event(driver.event_flags.BLOCKING_SYNC),
    "pinned memory": lambda driver: driver.pagelocked_empty((2,), "uint8"),
}


@pytest.mark.parametrize(("kind", "make"), KINDS.items(), ids=KINDS)
def test_what_is_kept_is_noticed_and_what_is_freed_where_no_context_is(kind: str, make: Callable[[Any], Any]) -> None:
    cuda = FakeCuda()
    with in_context(cuda) as driver:
        kept = [make(driver)]
        with pytest.raises(AssertionError, match=f"left: {{'{kind}': 1}}"):
            cuda.owned.check()
        driver.Context.pop()
        kept.clear()  # as pycuda frees: wherever nobody holds it any more
    assert cuda.owned.faults == [f"{kind}: freed by thread MainThread, which has no context"]


@pytest.mark.parametrize(("kind", "make"), KINDS.items(), ids=KINDS)
def test_what_outlives_its_context_is_noticed(kind: str, make: Callable[[Any], Any]) -> None:
    cuda = FakeCuda()
    with in_context(cuda) as driver:
        kept = make(driver)
    assert cuda.owned.faults == [f"the context was given back before {{'{kind}': 1}}"]
    del kept


@pytest.mark.parametrize(("kind", "make"), KINDS.items(), ids=KINDS)
def test_what_is_freed_on_a_lost_gpu_is_noticed(kind: str, make: Callable[[Any], Any]) -> None:
    cuda = FakeCuda()
    with in_context(cuda) as driver:
        kept = [make(driver)]
        cuda.left = -1
        with pytest.raises(Error, match="unspecified launch failure"):
            driver.Context.synchronize()
        kept.clear()
    assert [fault.split(":")[0] for fault in cuda.owned.faults] == [kind]


def test_what_is_freed_twice_or_used_afterwards_is_noticed() -> None:
    cuda = FakeCuda()
    with in_context(cuda) as driver:
        stream, memory = driver.Stream(1), driver.mem_alloc(8)
        address = int(memory)
        memory.free()
        with pytest.raises(Error, match="invalid resource handle"):
            memory.free()
        driver.memset_d8_async(address, 0, 8, stream)
        stream.synchronize()
        del stream
    assert cuda.owned.faults == ["memory is used that was freed"]


def test_a_context_that_is_current_is_not_given_back() -> None:
    cuda = FakeCuda()
    context = cuda.module().Device(0).retain_primary_context()
    context.push()
    context.detach()
    assert cuda.owned.faults == ["the context was given back by a thread that has it current"]


def test_what_is_as_it_should_be_passes() -> None:
    cuda = FakeCuda()
    with in_context(cuda) as driver:
        kept = [make(driver) for make in KINDS.values()]
        kept.clear()
    cuda.owned.check()
    assert set(cuda.owned.made) == set(KINDS)
