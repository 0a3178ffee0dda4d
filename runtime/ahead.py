"""The one thread boundary: let an iterator run ahead of its consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None  # what stopped the producer, None when it was through


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield `items` as they come, made by a thread of their own that is at most `depth` items ahead.

    An error of the producer is raised at the consumer, after the items before it.  Closing the generator (leaving the
    loop, an error, Ctrl-C) stops the producer at its next item, closes it where it ran, and waits for it.
    """
    results: queue.Queue[_Item[T] | _End] = queue.Queue(depth)
    stop = threading.Event()
    begun = threading.Lock()  # taken by the producer, or by a consumer that leaves before there is one

    def run() -> None:
        if begun.acquire(blocking=False):
            _produce(items, results, stop)

    thread = threading.Thread(target=run, name="ahead", daemon=True)
    try:
        thread.start()  # Ctrl-C may end it before or after the thread began
        while isinstance(result := results.get(), _Item):
            yield result.value
        if result.error is not None:
            raise result.error
    finally:
        stop.set()
        if not begun.acquire(blocking=False):
            _join(thread, results)


def _produce(items: Iterable[T], results: queue.Queue[_Item[T] | _End], stop: threading.Event) -> None:
    iterator = iter(items)
    end = _End(None)
    try:
        for value in iterator:
            results.put(_Item(value))
            if stop.is_set():
                break
    except BaseException as error:  # noqa: BLE001  (crosses to the consumer, whatever it is)
        end = _End(error)
    finally:
        # A generator must be closed in the thread that ran it, so that what it holds is released before we return.
        close = getattr(iterator, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:  # noqa: BLE001  (the first error is the one that explains)
                end = end if end.error else _End(error)
    results.put(end)


def _join(thread: threading.Thread, results: queue.Queue[_Item[T] | _End]) -> None:
    while thread.is_alive():  # it may be waiting for room
        _drain(results)
        thread.join(timeout=0.01)


def _drain(results: queue.Queue[_Item[T] | _End]) -> None:
    try:
        while True:
            results.get_nowait()
    except queue.Empty:
        return
