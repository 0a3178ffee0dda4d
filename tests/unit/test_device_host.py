"""Streams of the host: order, events, errors and cancellation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager

import numpy as np
import pytest

from runtime._device.host import HostDevice, HostEvent, InlineStream, StreamStopped, WorkerStream
from runtime.clock import Clock
from runtime.device import REACHED, Form, Stream, host_array
from runtime.pool import Buffer, Pool
from runtime.streams import open_streams

PATIENCE_S = 30.0  # for what must happen; a failure takes this long, a success no time


def fail() -> None:
    raise ZeroDivisionError


def pass_when(gate: threading.Event) -> Callable[[], None]:
    """Work that waits for `gate`."""

    def wait() -> None:
        assert gate.wait(PATIENCE_S)

    return wait


@pytest.fixture
def stream() -> Iterator[WorkerStream]:
    with closing(WorkerStream("worker", Clock())) as made:
        yield made


@pytest.fixture
def other() -> Iterator[WorkerStream]:
    with closing(WorkerStream("other", Clock())) as made:
        yield made


def test_an_inline_stream_is_done_when_the_call_returns() -> None:
    done: list[str] = []
    stream = InlineStream("inline", Clock())
    stream.run(lambda: done.append(threading.current_thread().name))
    assert done == [threading.current_thread().name]
    assert stream.mark() is REACHED


def test_an_inline_stream_raises_where_the_error_was_caused() -> None:
    with pytest.raises(ZeroDivisionError):
        InlineStream("inline", Clock()).run(fail)


def test_an_inline_stream_waits_for_a_thread(stream: WorkerStream) -> None:
    seen: list[int] = []
    stream.run(lambda: time.sleep(0.02))
    stream.run(lambda: seen.append(1))
    inline = InlineStream("inline", Clock())
    inline.wait(stream.mark())
    inline.run(lambda: seen.append(2))
    assert seen == [1, 2]


@pytest.mark.parametrize("threads", [False, True])
def test_work_is_done_in_order_and_the_four_kinds_of_it_do_what_they_say(threads: bool) -> None:
    device = HostDevice(Clock(), threads=threads)
    with closing(device.stream("any")) as stream:
        one, other = device.allocate(Form((2, 3))), device.allocate(Form((1, 3)))
        seen: list[np.ndarray] = []
        stream.zero(one)
        stream.write(other, lambda array: array.fill(7))
        stream.copy(other, one[1:2])
        stream.read(one, lambda array: seen.append(array.copy())).wait()
        assert seen[0].tolist() == [[0, 0, 0], [7, 7, 7]]


def test_a_copy_changes_no_type() -> None:
    device = HostDevice(Clock(), threads=False)
    with pytest.raises(TypeError):
        device.stream("any").copy(device.allocate(Form((2,))), device.allocate(Form((2,), "float16")))


def test_nothing_is_enqueued_with_memory_of_another_device() -> None:
    with pytest.raises(TypeError, match="not in the host's memory"):
        host_array(Form((1,)))  # type: ignore[arg-type]


def test_work_behind_a_wait_begins_after_the_event(stream: WorkerStream, other: WorkerStream) -> None:
    gate, order = threading.Event(), list[str]()
    stream.run(pass_when(gate))
    stream.run(lambda: order.append("first"))
    other.wait(stream.mark())
    other.run(lambda: order.append("second"))
    last = other.mark()
    assert not last.done()
    gate.set()
    last.wait()
    assert order == ["first", "second"]


def test_streams_work_beside_each_other(stream: WorkerStream, other: WorkerStream) -> None:
    meeting, met = threading.Barrier(2), list[int]()

    def meet() -> None:
        met.append(meeting.wait(PATIENCE_S))

    for each in (stream, other):
        each.run(meet)
    stream.mark().wait()
    other.mark().wait()
    assert sorted(met) == [0, 1]


def test_an_error_skips_the_rest_and_goes_to_whoever_waits(stream: WorkerStream, other: WorkerStream) -> None:
    done: list[str] = []
    before = stream.mark()
    stream.run(fail)
    stream.run(lambda: done.append("behind the error"))
    other.wait(stream.mark())
    other.run(lambda: done.append("behind the wait"))
    before.wait()
    for event in (stream.mark(), other.mark()):
        with pytest.raises(ZeroDivisionError):
            event.wait()
    assert done == []


def test_who_waits_for_a_failed_stream_learns_it_while_enqueuing(stream: WorkerStream, other: WorkerStream) -> None:
    stream.run(fail)
    event = stream.mark()
    while not event.done():
        time.sleep(0.001)
    with pytest.raises(ZeroDivisionError):
        other.wait(event)


def test_closing_drops_what_is_enqueued_but_not_those_who_wait(stream: WorkerStream) -> None:
    began, gate, done = threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        began.set()
        gate.wait(PATIENCE_S)
        done.append("under way")

    stream.run(first)
    stream.run(lambda: done.append("dropped"))
    event = stream.mark()
    began.wait(PATIENCE_S)
    stream.cancel()
    gate.set()
    with pytest.raises(StreamStopped, match="'worker'"):
        event.wait()
    stream.close()
    assert done == ["under way"]


def test_streams_that_wait_for_each_other_are_closed_all_the_same() -> None:
    """Those that are closed first wait for an event of the last, whose stream has far too much to do."""
    before = threading.active_count()
    device = HostDevice(Clock(), threads=True)
    began = time.monotonic()
    with open_streams(device) as streams:
        for _ in range(1000):
            streams.upload.run(lambda: time.sleep(0.1))
        event = streams.upload.mark()
        for stream in (streams.encoder, streams.transformer, streams.decoder, streams.download):
            stream.wait(event)
    assert threading.active_count() == before
    assert time.monotonic() - began < PATIENCE_S


def test_an_error_inside_closes_the_streams() -> None:
    before = threading.active_count()
    with pytest.raises(OSError, match="gone"), open_streams(HostDevice(Clock(), threads=True)):
        raise OSError("gone")
    assert threading.active_count() == before


def test_a_stream_that_cannot_be_opened_closes_those_before_it() -> None:
    class Poor(HostDevice):
        def stream(self, name: str) -> Stream:
            if name == "transformer":
                raise OSError("no thread left")
            return super().stream(name)

    before = threading.active_count()
    with pytest.raises(OSError, match="no thread left"), open_streams(Poor(Clock(), threads=True)):
        pass
    assert threading.active_count() == before


def test_streams_are_ended_together_and_programs_are_told_when_all_are_at_rest_and_none_is_gone() -> None:
    order: list[str] = []

    class Telling(HostDevice):
        def stream(self, name: str) -> Stream:
            made = super().stream(name)
            for verb in ("cancel", "rest", "close"):
                call = getattr(made, verb)
                setattr(made, verb, lambda verb=verb, call=call: (order.append(verb), call()))
            return made

    @contextmanager
    def told() -> Generator[None, None, None]:
        yield
        order.append("told")

    with open_streams(Telling(Clock(), threads=False), told()):
        order.append("work")
    assert order == ["work", *["cancel"] * 5, *["rest"] * 5, "told", *["close"] * 5]


def test_a_streams_work_is_counted_by_the_clock() -> None:
    clock = Clock()
    with closing(WorkerStream("encoder", clock)) as stream:
        stream.run(lambda: time.sleep(0.02))
        stream.mark().wait()
    assert clock.seconds()["encoder"] >= 2 / 100


def held(pool: Pool, stream: Stream) -> tuple[Buffer, HostEvent]:
    """A buffer that came back and is still read."""
    buffer, event = pool.take(Form((4,)), stream), HostEvent()
    buffer.hold(event)
    buffer.release()
    return buffer, event


def test_a_buffer_that_is_held_is_passed_over_while_there_may_be_another(stream: WorkerStream) -> None:
    pool = Pool(HostDevice(Clock(), threads=True))
    first, first_read = held(pool, stream)
    second, second_read = held(pool, stream)
    assert second is not first
    again = pool.take(Form((4,)), stream)  # two are held: the one that came back first is taken, and waited for
    assert again is first
    written = stream.mark()
    time.sleep(0.05)
    assert not written.done()
    first_read.reach(None)
    written.wait()
    second_read.reach(None)
    assert pool.take(Form((4,)), stream) is second


def test_streams_share_no_buffer(stream: WorkerStream, other: WorkerStream) -> None:
    """One that took over the other's would wait for whoever reads there."""
    pool = Pool(HostDevice(Clock(), threads=True))
    buffer, event = held(pool, stream)
    event.reach(None)
    assert pool.take(Form((4,)), other) is not buffer
    assert pool.take(Form((4,)), stream) is buffer


def test_a_pool_makes_no_more_than_two_spares(stream: WorkerStream) -> None:
    pool = Pool(HostDevice(Clock(), threads=True))
    buffers = {id(held(pool, stream)[0]) for _ in range(50)}
    assert len(buffers) == 2
    stream.cancel()


def test_forms_of_another_type_are_another_buffer() -> None:
    device = HostDevice(Clock(), threads=False)
    pool, stream = Pool(device), device.stream("inline")
    pool.take(Form((2, 3)), stream).release()
    assert host_array(pool.take(Form((2, 3), "float16"), stream).tensor).dtype == np.float16
