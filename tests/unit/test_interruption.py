"""Ctrl-C and a polite kill: one stop, its clean-up undisturbed, no traceback while libraries are loaded."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.interruption import INTERRUPTED, interruptible, run_main

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def as_a_program_starts() -> Iterator[None]:
    """SIGINT as Python sets it, whatever started the tests."""
    previous = [signal.signal(number, signal.default_int_handler) for number in SIGNALS]
    yield
    for number, handler in zip(SIGNALS, previous, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_stops_and_the_second_leaves_the_clean_up_alone(number: signal.Signals) -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            signal.raise_signal(number)
            steps.append("went on")
        finally:
            signal.raise_signal(number)
            steps.append("cleaned up")
    assert steps == ["cleaned up"]


def test_a_third_signal_stops_the_clean_up() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


def test_what_was_there_before_is_there_afterwards() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(number) for number in SIGNALS] == [signal.default_int_handler] * 2


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and shells do for what runs in the background
    with interruptible():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_an_interruption_while_a_program_is_loaded_is_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_load.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_main("slow_to_load", []) == INTERRUPTED


def test_a_program_gets_its_arguments_and_gives_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_program.py").write_text("def main(arguments):\n    return len(arguments)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_main("a_program", ["one", "two", "three"]) == 3
    sys.modules.pop("a_program")
