"""Ctrl-C and a polite kill: one stop, its clean-up undisturbed, no traceback while libraries are loaded."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.interruption import INTERRUPTED, insist, interruptible, run_main
from runtime.progress import shown

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


def test_what_a_library_makes_of_a_signal_while_it_is_loaded_is_an_interruption() -> None:
    def load() -> None:  # as C extensions do: what stopped their initialisation is not told
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    with pytest.raises(KeyboardInterrupt), interruptible():
        load()
    with pytest.raises(ImportError), interruptible():
        raise ImportError("no signal had a part in it, nor has the one of the block before")


def test_a_signal_that_was_swallowed_is_heard_when_progress_is_told() -> None:
    steps: list[int] = []
    with pytest.raises(KeyboardInterrupt), interruptible(), shown("city.mp4") as progress:
        for step in range(9):
            progress("repairing", step, 9)
            steps.append(step)
            if step == 3:
                with suppress(KeyboardInterrupt):
                    signal.raise_signal(signal.SIGINT)
    assert steps == [0, 1, 2, 3]
    insist()  # the block is over, and its signal with it


def test_blocks_within_blocks_count_together() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt), interruptible():
        try:
            with interruptible():
                signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            steps.append("cleaned up")
    assert steps == ["cleaned up"]


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
    (tmp_path / "a_c_extension.py").write_text(
        "import signal\n"
        "try:\n    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n    raise ImportError('initialization failed')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_main("slow_to_load", []) == INTERRUPTED
    assert run_main("a_c_extension", []) == INTERRUPTED


def test_a_program_gets_its_arguments_and_gives_its_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a_program.py").write_text("def main(arguments):\n    return len(arguments)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert run_main("a_program", ["one", "two", "three"]) == 3
    sys.modules.pop("a_program")
