"""Processes that train together, when one of them cannot go on: all end, with a line."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from models.sttn import SPEC
from runtime.errors import InputError, OutputError, VidmendError
from tests.trained import CONFIG, Onlooker, WaveFeed, add_tiny_variant
from training import checkpoints
from training.distributed import World, joined
from training.log import Log
from training.loop import Run, Setting
from training.sample import Batch
from training.schedule import Stretch
from training.state import first_state

SELDOM = replace(CONFIG, record=replace(CONFIG.record, checkpoint=1000))


@dataclass
class DryingFeed(WaveFeed):
    """Gives out after two steps, in the second process alone."""

    def training(self, stretch: Stretch, world: World) -> Iterator[Batch]:
        """See `Feed`."""
        made = WaveFeed.training(self, stretch, world)
        if world.leads:
            yield from made
        yield from islice(made, 2)
        raise InputError("50 samples in a row were broken")


@dataclass
class FullDisk(Onlooker):
    """Ends the leading process alone, in its second step."""

    def stepped(self, step: int) -> None:
        """See `Watcher`."""
        if step == 2:
            raise OutputError("log.csv: no space left")


def _member(rank: int, port: int, folder: Path, *, dries: bool) -> None:
    """A process of two; what it would say ends in a file of its number."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "RANK": str(rank)}
    with pytest.MonkeyPatch.context() as patch:
        add_tiny_variant(patch)
        try:
            with joined("cpu") as world:
                log = Log(folder, 0, tensorboard=False) if world.leads else None
                feed = DryingFeed() if dries else WaveFeed()
                watcher = FullDisk() if world.leads and not dries else Onlooker()
                Run(Setting(SELDOM, feed, folder, world, watcher), first_state(SELDOM), log).go(3, lambda: False)
        except VidmendError as error:
            (folder / f"{rank}.txt").write_text(str(error))


def _ended(folder: Path, *, dries: bool) -> list[str]:
    """What both said in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_member, args=(rank, port, folder), kwargs={"dries": dries}) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        process.kill()  # one that waits for ever would be waited for at the end of the tests
    assert [process.exitcode for process in both] == [0, 0]
    return [(folder / f"{rank}.txt").read_text() for rank in range(2)]


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch trains in one process only")
def test_when_one_has_no_samples_any_more_all_steps_are_saved(tmp_path: Path) -> None:
    told = ["process 0: another one has no samples any more; what it wrote says why", "50 samples in a row were broken"]
    assert _ended(tmp_path, dries=True) == told
    assert checkpoints.read(tmp_path, SPEC, adversarial=True).step == 2


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="this PyTorch trains in one process only")
def test_when_one_fails_the_others_do_not_wait_for_it(tmp_path: Path) -> None:
    leader, other = _ended(tmp_path, dries=False)
    assert leader == "log.csv: no space left"
    assert other.startswith("process 1: another one is gone, or silent for half an hour; what it wrote says why. Go on")
