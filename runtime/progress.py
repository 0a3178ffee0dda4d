"""Progress on a terminal: what is being done, frames, frames a second, time left."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from runtime.interruption import insist

T = TypeVar("T")

Progress = Callable[[str, int, int | None], None]  # what is being done, how much of it, of how much where that is known


def silent(phase: str, done: int, total: int | None) -> None:
    """Progress that nobody looks at."""


def counted(items: Iterable[T], phase: str, total: int | None, progress: Progress) -> Iterator[T]:
    """`items`, each one told to `progress` as it goes by."""
    for done, item in enumerate(items, start=1):
        yield item
        progress(phase, done, total)


@contextmanager
def shown(title: str) -> Generator[Progress, None, None]:
    """A bar on standard error while the block runs; nothing where that is no terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]} fps"),
        TimeRemainingColumn(compact=True),
    )
    with rich_progress.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, rich_progress.TaskID] = {}

        def report(phase: str, done: int, total: int | None) -> None:
            insist()
            if phase not in tasks:  # the bar of the phase before has served
                for finished in tasks.values():
                    bar.update(finished, visible=False)
                tasks[phase] = bar.add_task(f"{title}: {phase}", total=total, completed=done, fps="-")
            speed = bar.tasks[tasks[phase]].speed
            bar.update(tasks[phase], completed=done, total=total, fps="-" if speed is None else f"{speed:.1f}")

        yield report
