"""What a run shows on standard error: a bar on a terminal, a line an entry elsewhere."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from training.log import Entry
from training.schedule import Stretch


class _Console(Console):
    """One whose reader may go: that ends no run."""

    def on_broken_pipe(self) -> None:
        """Where rich would end the program."""
        self.quiet = True


class ConsoleWatcher:
    """A `Watcher` for people; silent in all processes but the leading one."""

    def __init__(self, done: int, until: int, *, leads: bool) -> None:
        self._console = _Console(stderr=True, soft_wrap=True, highlight=False, quiet=not leads)
        self._shown = self._console.is_terminal and leads
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}", markup=False),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not self._shown)
        self._task: TaskID = self._bar.add_task("training", total=until, completed=done, losses="")
        self._until = until
        self._seconds_a_step = 0.0

    def __enter__(self) -> ConsoleWatcher:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._heard():
            self._bar.stop()

    def began(self, stretch: Stretch) -> None:
        """See `Watcher`."""
        phase = stretch.phase
        what = f"phase {stretch.number}: {phase.size}, {phase.batch} x {phase.frames} frames"
        self._bar.update(self._task, description=what)
        if not self._shown:
            self.note(f"{what}, steps {stretch.first + 1} to {stretch.last}")

    def stepped(self, step: int) -> None:
        """See `Watcher`."""
        self._bar.update(self._task, completed=step)

    def logged(self, entry: Entry) -> None:
        """See `Watcher`."""
        hole, valid = entry.losses["hole"], entry.losses["valid"]
        losses = f"hole {hole:.4f} valid {valid:.4f} {entry.samples_per_s:.2f} samples/s"
        self._bar.update(self._task, losses=losses)
        if not self._shown:
            self.note(f"step {entry.step} of {self._until}: {losses}")

    def note(self, line: str) -> None:
        """See `Watcher`."""
        with self._heard():
            self._console.print(line, markup=False)

    @contextmanager
    def _heard(self) -> Generator[None, None, None]:
        """Where nobody is left to see what is shown, as when a terminal has closed, the run goes on and saves."""
        try:
            yield
        except OSError:
            self._console.quiet = True
