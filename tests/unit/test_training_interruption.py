"""A run that is asked to stop, in every way that a system asks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from models._spec import Size
from tests.guard.sources import ROOT
from training.interruption import SIGNALS, Interruption
from training.sample import Drawn


@dataclass(frozen=True, slots=True)
class Slow:
    """A `ClipSource` that takes longer than a signal."""

    def __len__(self) -> int:
        return 1

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        """See `ClipSource`."""
        time.sleep(0.5)
        return Drawn(np.zeros((frames, size.height, size.width, 3), np.uint8), tuple(range(frames)), frames)


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


_WAITING = """
import signal
from models._spec import Size
from tests.unit.test_training_interruption import Slow
from training.dataset import Samples, Weighted, batches
from training.interruption import SIGNALS, Interruption
for number in SIGNALS:  # whatever started the tests: under nohup SIGHUP is no wish
    signal.signal(number, signal.SIG_DFL)
with Interruption() as interruption:
    made = batches(Samples([Weighted(Slow(), 1)], Size(32, 20), 1, seed=0), 0, 1, workers=1)
    for _ in range(6):
        next(made)
        print(interruption.asked, flush=True)
    made.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals a group of processes, which Windows has not")
@pytest.mark.parametrize("number", SIGNALS[1:])
def test_a_whole_group_that_is_told_to_end_finishes_its_step(number: signal.Signals) -> None:
    """As torchrun and service managers do it; what starts workers is in the group, and used to take them along."""
    command = [sys.executable, "-c", _WAITING]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "False\n"
        os.killpg(process.pid, number)
        out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    said = out.split()
    assert (len(said), said[-1]) == (5, "True")
