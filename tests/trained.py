"""A run small enough to train within a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models._spec import Size
from models.sttn import SPEC
from tests.tiny import TINY
from training.config import Config, Data, Model, Objective, Optimiser, Phase, Record, Source, Speed, Validation
from training.dataset import Samples, Weighted, batches
from training.distributed import World
from training.log import Entry, Log
from training.loop import Run, Setting
from training.sample import Batch, Drawn
from training.schedule import Stretch
from training.state import State

HERE = World(0, 1, torch.device("cpu"))
SIZE = TINY.size
KINDS = ("gen", "dis", "opt", "ema")  # files of a checkpoint

CONFIG = Config(
    phases=(Phase(3, SIZE, frames=2, batch=2), Phase(3, Size(48, 48), frames=3, batch=1)),
    seed=3,
    model=Model(variant=TINY.name, initial="scaled"),
    data=Data(clips=(Source("clips"),), workers=0),
    objective=Objective(adversarial=0.01, discriminator_channels=4),
    optimiser=Optimiser(rate=1e-3, schedule="cosine", warmup=2, clip=1.0, average=0.9),
    speed=Speed(precision="float32"),
    record=Record(checkpoint=2, keep=2, log=1, sheet=0, tensorboard=False),
    validation=Validation(every=2, clips=(Source("held-out"),), samples=2, frames=2, size=Size(48, 48)),
)


def without_critic(config: Config) -> Config:
    """L1 alone."""
    return replace(config, objective=replace(config.objective, adversarial=0.0))


def add_tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the tests' own network one of the family, and PyTorch compute in one thread, in one order."""
    monkeypatch.setattr("models.sttn.SPEC", replace(SPEC, variants=(*SPEC.variants, TINY)))
    torch.set_num_threads(1)


@dataclass(frozen=True, slots=True)
class Waves:
    """Clips of coloured waves that move; a `ClipSource`."""

    clips: int = 4

    def __len__(self) -> int:
        return self.clips

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        """See `ClipSource`."""
        across, down, phase = generator.uniform(0.02, 0.1, 3), generator.uniform(0.02, 0.1, 3), generator.random(3)
        x, y, t = np.arange(size.width)[:, None], np.arange(size.height)[:, None, None], np.arange(frames)
        angle = across * x + down * y + phase * 6 + t[:, None, None, None] * 0.2
        return Drawn((127.5 + 127 * np.sin(angle)).astype(np.uint8), tuple(range(frames)), frames)


@dataclass(slots=True)
class WaveFeed:
    """A `Feed` of waves that tells which samples it was asked for."""

    seed: int = 3
    clips: int = 4
    asked: list[tuple[Size, int]] = field(default_factory=list[tuple[Size, int]])

    def training(self, stretch: Stretch, world: World) -> Iterator[Batch]:
        """See `Feed`."""
        phase = stretch.phase
        self.asked.append((phase.size, stretch.sample))
        samples = Samples([Weighted(Waves(), 1.0)], phase.size, phase.frames, self.seed)
        return batches(samples, stretch.sample, phase.batch // world.size, 0, world.rank, world.size)

    def validation(self, size: Size) -> Iterator[Batch]:
        """See `Feed`."""
        made = batches(Samples([Weighted(Waves(), 1.0)], size, 2, 99), 0, 1, 0)
        return (next(made) for _ in range(2))


@dataclass(slots=True)
class Onlooker:
    """A `Watcher` that remembers."""

    entries: list[Entry] = field(default_factory=list[Entry])
    notes: list[str] = field(default_factory=list[str])
    steps: list[int] = field(default_factory=list[int])

    def began(self, stretch: Stretch) -> None:
        """See `Watcher`."""

    def stepped(self, step: int) -> None:
        """See `Watcher`."""
        self.steps.append(step)

    def logged(self, entry: Entry) -> None:
        """See `Watcher`."""
        self.entries.append(entry)

    def note(self, line: str) -> None:
        """See `Watcher`."""
        self.notes.append(line)


def train(config: Config, folder: Path, state: State, until: int, stop_after: Sequence[int] = ()) -> Onlooker:
    """Train from `state` in `folder`, as if asked to stop after the steps given; returns what was shown."""
    folder.mkdir(exist_ok=True)
    onlooker = Onlooker()
    log = Log(folder, state.step, tensorboard=config.record.tensorboard)
    run = Run(Setting(config, WaveFeed(), folder, HERE, onlooker), state, log)
    run.go(until, lambda: bool(onlooker.steps) and onlooker.steps[-1] in stop_after)
    log.close()
    return onlooker


def tables(folder: Path, step: int) -> dict[str, object]:
    """All that a checkpoint holds."""
    return {kind: torch.load(folder / f"{kind}_{step:05d}.pth", weights_only=True) for kind in KINDS}


def assert_equal(found: object, wanted: object, where: str = "") -> None:
    """Nested tables with the same keys, texts, numbers and, bit for bit, tensors."""
    if isinstance(wanted, dict):
        assert isinstance(found, dict)
        assert list(found) == list(wanted), where
        for key, value in wanted.items():
            assert_equal(found[key], value, f"{where}/{key}")
    elif isinstance(wanted, torch.Tensor):
        assert isinstance(found, torch.Tensor)
        assert torch.equal(found, wanted), where
    else:
        assert found == wanted, where
