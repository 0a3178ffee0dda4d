"""What a driver gave out and got back, held against its rules: each thing once, where its context is current, and all.

pycuda itself only prints a line where a rule is broken, or lets the memory go, and a run goes on as if nothing were.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable


class Owned:
    """Everything that lives; what was done wrong is kept, since destructors cannot raise."""

    def __init__(self, is_bound: Callable[[], bool], is_lost: Callable[[], bool]) -> None:
        """`is_bound`: whether the calling thread has a context; `is_lost`: whether anybody knows that the GPU is."""
        self._is_bound, self._is_lost = is_bound, is_lost
        self._alive: dict[int, str] = {}
        self._lock = threading.RLock()  # a destructor may run anywhere
        self._count = 0
        self.made: Counter[str] = Counter()
        self.faults: list[str] = []
        self.contexts = 0  # that are retained

    @property
    def alive(self) -> Counter[str]:
        """How much of each kind lives."""
        with self._lock:
            return Counter(self._alive.values())

    def make(self, kind: str) -> int:
        """A new thing; the number is for `end`."""
        with self._lock:
            self._count += 1
            self._alive[self._count] = kind
            self.made[kind] += 1
            return self._count

    def end(self, number: int, *, silently: bool = False) -> None:
        """It is freed, by a call or by its destructor; `silently` where that would print nothing on a lost GPU."""
        with self._lock:
            kind = self._alive.pop(number, None)
            if kind is None:
                self.faults.append("something was freed twice")
            elif not self.contexts:
                pass  # it went with its context, of which `given_back` has spoken
            elif self._is_lost() and not silently:
                self.faults.append(f"{kind}: pycuda prints a line for what is freed on a GPU that is lost")
            elif not self._is_bound():
                self.faults.append(f"{kind}: freed by thread {threading.current_thread().name}, which has no context")

    def lives(self, number: int) -> bool:
        """Whether it was not freed."""
        with self._lock:
            return number in self._alive

    def fault(self, text: str) -> None:
        """Something else was wrong."""
        self.faults.append(text)

    def given_back(self) -> None:
        """A context was."""
        with self._lock:
            self.contexts -= 1
            if self._is_bound():
                self.faults.append("the context was given back by a thread that has it current")
            if self._alive and not self._is_lost():
                self.faults.append(f"the context was given back before {dict(self.alive)}")

    def check(self) -> None:
        """Raises `AssertionError` unless everything was freed as it should be; a lost GPU takes its own with it."""
        with self._lock:
            left = {} if self._is_lost() and not self.contexts else dict(self.alive)
            if self.faults or left or self.contexts:
                raise AssertionError(f"{self.faults}; left: {left}; contexts that are retained: {self.contexts}")
