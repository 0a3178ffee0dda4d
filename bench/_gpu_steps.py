"""Steps of a check, each a process of its own with a time limit; one that fails stops those that rest on it alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

State = Literal["passed", "failed", "not run"]
Say = Callable[[str], None]

_TOLD_EVERY_S = 10.0
_NO_TESTS = 5  # pytest's exit code where nothing was selected


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that a step measured."""

    name: str
    value: float
    unit: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One process, decided beforehand."""

    name: str
    command: tuple[str, ...] = ()
    limit_s: float = 600.0
    after: tuple[str, ...] = ()  # steps without whose success it is not run
    made: Path | None = None  # where that is there, the step was done before
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    missing: str | None = None  # what this machine lacks for it, in one sentence
    tests: bool = False  # it runs tests, of which there may be none


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step."""

    step: str
    state: State
    said: str = ""  # in one line: its last words, why it failed, or why it was not run
    figures: tuple[Figure, ...] = ()
    seconds: float = 0.0


def run_all(steps: Iterable[Step], root: Path, logs: Path, say: Say) -> Iterator[Outcome]:
    """Run the steps in their order, in folder `root`; what each prints lies in `logs`."""
    states: dict[str, State] = {}
    for step in steps:
        lacking = next((name for name in step.after if states.get(name) != "passed"), None)
        if step.made is not None and step.made.exists():
            outcome = Outcome(step.name, "passed", f"there already: {step.made}")
        elif step.missing is not None:
            outcome = Outcome(step.name, "not run", step.missing)
        elif lacking is not None:
            outcome = Outcome(step.name, "not run", f"it needs '{lacking}', which was not done")
        else:
            outcome = run(step, root, logs, say)
        states[step.name] = outcome.state
        say(f"{step.name}: {outcome.state}{': ' if outcome.said else ''}{outcome.said}")
        yield outcome


def run(step: Step, root: Path, logs: Path, say: Say) -> Outcome:
    """Run one step to its end or its time limit; nothing that it started outlives it."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{step.name.replace(' ', '-')}.log"
    started = time.monotonic()
    with log.open("wb") as errors, log.with_suffix(".out").open("wb") as output:
        try:
            child = subprocess.Popen(
                step.command,
                cwd=root,
                env={**os.environ, **step.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # so that all of it can be ended together
            )
        except OSError as error:
            return Outcome(step.name, "failed", f"{step.command[0]} cannot be started: {error.strerror}")
        try:
            code = _wait(child, step, started, say)
        finally:
            _end(child)
    seconds = time.monotonic() - started
    told, figures = read_output(log.with_suffix(".out").read_text(encoding="utf-8", errors="replace"))
    if code is None:
        return Outcome(step.name, "failed", f"not through after {step.limit_s:.0f} s; see {log}", figures, seconds)
    if step.tests and code == _NO_TESTS:
        return Outcome(step.name, "not run", "there are no such tests", (), seconds)
    if code != 0:
        words = _last_line(log.read_text(encoding="utf-8", errors="replace")) or told or "it said nothing"
        ended = f"code {code}" if code > 0 else signal.Signals(-code).name
        return Outcome(step.name, "failed", f"{words} ({ended}; see {log})", figures, seconds)
    return Outcome(step.name, "passed", told, figures, seconds)


def read_output(text: str) -> tuple[str, tuple[Figure, ...]]:
    """The last line of what a step printed: JSON with its figures and a word about them, or the word alone."""
    last = _last_line(text)
    try:
        document: object = json.loads(last)
    except ValueError:
        return last, ()
    if not isinstance(document, dict):
        return last, ()
    if "figures" not in document:  # infer.py's summary, which is for other eyes
        return "", ()
    told = cast("dict[str, list[dict[str, object]] | str]", document)
    figures = tuple(Figure(**figure) for figure in cast("list[dict[str, object]]", told["figures"]))  # pyright: ignore[reportArgumentType]
    return str(told.get("said", "")), figures


def write_output(figures: Sequence[Figure], said: str) -> str:
    """What `read_output` reads."""
    told = [{"name": each.name, "value": each.value, "unit": each.unit, "note": each.note} for each in figures]
    return json.dumps({"figures": told, "said": said})


def _wait(child: subprocess.Popen[bytes], step: Step, started: float, say: Say) -> int | None:
    """The exit code, or None when the time is over."""
    while True:
        left = step.limit_s - (time.monotonic() - started)
        if left <= 0:
            return None
        try:
            return child.wait(timeout=min(_TOLD_EVERY_S, left))
        except subprocess.TimeoutExpired:
            say(f"{step.name}, {time.monotonic() - started:.0f} of {step.limit_s:.0f} s")


def _end(child: subprocess.Popen[bytes]) -> None:
    """End what is left of the child's session, itself and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
