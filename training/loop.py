"""The run: phases of steps, and what is written between them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor

from runtime.errors import VidmendError
from training import checkpoints
from training.config import Config, Phase
from training.distributed import World
from training.feed import Feed
from training.growth import grown
from training.log import Entry, Log
from training.networks import view_of
from training.sample import Batch
from training.schedule import Stretch, rate, samples_before, stretches
from training.sheet import make_sheet
from training.state import State
from training.step import LOSSES, Trainer
from training.validation import measure, restore


class Watcher(Protocol):
    """Who looks on."""

    def began(self, stretch: Stretch) -> None:
        """A phase begins, or goes on."""
        ...

    def stepped(self, step: int) -> None:
        """So many steps are done."""
        ...

    def logged(self, entry: Entry) -> None:
        """An entry was written to the log."""
        ...

    def note(self, line: str) -> None:
        """Something that the user should read."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run is made of, beside its state."""

    config: Config
    feed: Feed
    folder: Path  # where it writes
    world: World
    watcher: Watcher


class Run:
    """A run from `state` on; `log` is there in the leading process alone, which is the one that writes."""

    def __init__(self, setting: Setting, state: State, log: Log | None) -> None:
        self.setting, self.log = setting, log
        self._state = state
        self._best_db = state.best_db
        self._saved = state.step
        self._tally = Tally(setting.world)
        self._complained: set[str] = set()

    def go(self, until: int, asked_to_stop: Callable[[], bool]) -> int:
        """Train until `until` steps are done, or somebody asked to stop; returns the steps done, which are saved.

        Raises `VidmendError` when a loss is no number any more, when the samples give out, or nothing can be written.
        """
        setting = self.setting
        self._rehearse()
        for stretch in stretches(setting.config.phases, self._state.step, until):
            setting.watcher.began(stretch)
            self._state = _begun(self._state, setting.config.phases, stretch)
            trainer = Trainer(setting.config, stretch.phase, setting.world, self._state)
            finished = self._train(trainer, stretch, asked_to_stop)
            self._state = trainer.state()
            if not finished or stretch.last == until:
                self._save(trainer)
                break
        return self._state.step

    def _train(self, trainer: Trainer, stretch: Stretch, asked_to_stop: Callable[[], bool]) -> bool:
        """All steps of a stretch; False when somebody asked to stop."""
        config, world = self.setting.config, self.setting.world
        batches = self.setting.feed.training(stretch, world)
        tally = self._tally
        for step in range(stretch.first, stretch.last):
            now = rate(config.optimiser, step, config.steps)
            tally.begin()
            batch = self._next(batches, trainer, stretch)
            tally.add(trainer.step(batch, now), batch)
            self._complain(batch)
            self.setting.watcher.stepped(trainer.done)
            stop = world.total(int(asked_to_stop())) > 0  # all processes stop after the same step
            saves = _due(trainer.done, config.record.checkpoint) or trainer.done == stretch.last or stop
            if saves or _due(trainer.done, config.record.log):  # nothing is saved whose losses nobody has seen
                self._enter(tally.entry(trainer.done, stretch, now))
            if _due(trainer.done, config.record.sheet):
                self._show(trainer, stretch, batch)
            every = config.validation.every
            if _due(trainer.done, every) or (every and trainer.done == config.steps):
                self._validate(trainer)
            if _due(trainer.done, config.record.checkpoint):
                self._save(trainer)
            if stop:
                return False
        return True

    def _next(self, batches: Iterator[Batch], trainer: Trainer, stretch: Stretch) -> Batch:
        """The next batch; where one process has none any more the steps done are saved before the error goes on."""
        made: Batch | VidmendError
        try:
            made = next(batches)
        except VidmendError as error:
            made = error
        world = self.setting.world
        if not world.total(int(isinstance(made, VidmendError))) and isinstance(made, Batch):
            return made
        if self._tally.any:
            config = self.setting.config
            last = rate(config.optimiser, trainer.done - 1, config.steps)
            self._enter(self._tally.entry(trainer.done, stretch, last))
        self._save(trainer)
        world.total(0)  # nobody leaves before it is saved
        if isinstance(made, VidmendError):
            raise made
        raise VidmendError(f"process {world.rank}: another one has no samples any more; what it wrote says why")

    def _enter(self, entry: Entry) -> None:
        for name, loss in entry.losses.items():
            if not math.isfinite(loss):
                raise VidmendError(
                    f"{self.setting.folder}: {name} is {loss} by step {entry.step}; lower optimiser.rate or set "
                    f"optimiser.clip, and go on from the last checkpoint with --resume"
                )
        if self.log is not None:
            self.log.add(entry)
            self.setting.watcher.logged(entry)

    def _complain(self, batch: Batch) -> None:
        for line in batch.skipped:
            if line not in self._complained:  # a broken clip is met again in every epoch
                self._complained.add(line)
                self.setting.watcher.note(f"skipped: {line}")

    def _show(self, trainer: Trainer, stretch: Stretch, batch: Batch) -> None:
        """The averaged network's work on the first sample of this step."""
        if self.log is None:
            return
        config, device = self.setting.config, self.setting.world.device
        frames, masks = (each[:1] for each in batch.on(device))
        network = view_of(trainer.average.state, config.model, stretch.phase.size, stretch.phase.patches)
        prediction = restore(network, frames, masks, config.speed)
        self.log.show(trainer.done, make_sheet(prediction[0], frames[0], masks[0]))

    def _rehearse(self) -> None:
        """Read what validation will read, so that what is wrong with it ends the run now and not in some hours."""
        config = self.setting.config
        if self.log is not None and config.validation.every:
            for _ in self.setting.feed.validation(config.validated_size):
                pass

    def _validate(self, trainer: Trainer) -> None:
        """Measured by the leading process; the others wait for it in their next step."""
        if self.log is None:
            return
        config = self.setting.config
        size = config.validated_size
        found = measure(config, trainer.average.state, size, self.setting.feed.validation(size))
        self.log.validated(trainer.done, found)
        self.setting.watcher.note(f"step {trainer.done}: {found:.2f} dB in the holes of held-out clips")
        if self._best_db is None or found > self._best_db:
            self._best_db = found
            checkpoints.save_best(self.setting.folder, trainer.average.state, config.model.variant)

    def _save(self, trainer: Trainer) -> None:
        if self.log is None or trainer.done == self._saved:
            return
        config = self.setting.config
        epoch = samples_before(config.phases, trainer.done) // self.setting.feed.clips
        state = replace(trainer.state(), best_db=self._best_db, config=config.described())
        checkpoints.save(self.setting.folder, state, config.model.variant, epoch, config.record.keep)
        self._saved = trainer.done


def _begun(state: State, phases: Sequence[Phase], stretch: Stretch) -> State:
    """The state with the blocks that a phase brings in, where it begins."""
    before, now = phases[stretch.number - 2].blocks if stretch.number > 1 else 0, stretch.phase.blocks
    if not stretch.begins or not before or before == now:
        return state
    generator, average = (grown(weights, before, now) for weights in (state.generator, state.average))
    return replace(state, generator=generator, average=average)


class Tally:
    """What steps come to until the next entry; the losses stay on the device until then."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._skipped = 0
        self._begun = 0.0
        self._clear()

    def begin(self) -> None:
        """A step begins, with the wait for its batch."""
        self._begun = time.perf_counter()

    def add(self, losses: Tensor, batch: Batch) -> None:
        """It is done; on a GPU perhaps only handed over."""
        self._losses.append(losses)
        self._samples += batch.levels.shape[0]
        self._skipped += len(batch.skipped)
        self._seconds += time.perf_counter() - self._begun

    @property
    def any(self) -> bool:
        """Whether a step was added since the last entry."""
        return bool(self._losses)

    def entry(self, step: int, stretch: Stretch, rate: float) -> Entry:
        """Means since the last entry, over all processes, which must all call it."""
        asked = time.perf_counter()
        means = self._world.mean(torch.stack(self._losses).mean(0))
        losses = cast("list[float]", means.tolist())  # waits for the device
        seconds = self._seconds + time.perf_counter() - asked
        speed = self._samples * self._world.size / seconds
        skipped = self._world.total(self._skipped)
        self._clear()
        return Entry(step, stretch.number, dict(zip(LOSSES, losses, strict=True)), rate, speed, skipped)

    def _clear(self) -> None:
        self._losses: list[Tensor] = []
        self._samples = 0
        self._seconds = 0.0


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
