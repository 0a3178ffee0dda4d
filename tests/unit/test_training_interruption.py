"""A run that is asked to stop, in every way that a system asks."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from training.interruption import SIGNALS, Interruption


@pytest.fixture(autouse=True)
def _as_they_were() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_wish_and_its_handler_comes_back(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_DFL)
    with Interruption() as interruption:
        assert not interruption.asked
        signal.raise_signal(number)
        assert interruption.asked
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_second_ctrl_c_stops_at_once() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with Interruption(), pytest.raises(KeyboardInterrupt):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP on this system")
def test_what_nohup_set_aside_stays_aside_unless_torchrun_passes_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGHUP)
        assert not interruption.asked
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")  # torchrun kills who is deaf to it
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGHUP)
        assert interruption.asked
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
