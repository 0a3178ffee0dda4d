"""The samples of a run, and those that it is measured by, from the sources that the configuration names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from models._spec import Size
from runtime.errors import UsageError
from training.archive import read_clips
from training.config import Config, Source
from training.dataset import Holing, Samples, Weighted, batches
from training.distributed import World
from training.sample import Batch
from training.schedule import Stretch


class Feed(Protocol):
    """Where a run's batches come from."""

    @property
    def clips(self) -> int:
        """How many there are; a pass over that many samples is an epoch."""
        ...

    def training(self, stretch: Stretch, world: World) -> Iterator[Batch]:
        """The process's share of the batches from the stretch's first sample on, without end."""
        ...

    def validation(self, size: Size) -> Iterator[Batch]:
        """The fixed samples to measure by, one a batch."""
        ...


class ConfiguredFeed:
    """The sources of a configuration; raises `InputError` and `UsageError` for those that cannot be used."""

    def __init__(self, config: Config) -> None:
        self._config = config
        data = config.data
        if not data.clips and not data.photographs:
            raise UsageError("data: found no sources, wanted [[data.clips]] or [[data.photographs]]")
        self._sources = _read(data.root, data.clips, data.smallest_crop, data.apart)
        for photographs in data.photographs:
            from training.photographs import read_photographs

            source = read_photographs(photographs.folder, photographs.stickers, data.apart)
            self._sources.append(Weighted(source, photographs.weight))
        self.clips = sum(len(weighted.source) for weighted in self._sources)
        # whole pictures: what is measured must not depend on how crops are drawn
        self._held_out = _read(data.root, config.validation.clips, 1.0) if config.validation.every else []

    def training(self, stretch: Stretch, world: World) -> Iterator[Batch]:
        """See `Feed`."""
        phase = stretch.phase
        data = self._config.data
        holes = Holing(data.holes, data.scattered)
        samples = Samples(self._sources, phase.size, phase.frames, self._config.seed, holes)
        share = phase.batch // world.size
        pin = world.device.type == "cuda"
        return batches(samples, stretch.sample, share, data.workers, world.rank, world.size, pin=pin)

    def validation(self, size: Size) -> Iterator[Batch]:
        """See `Feed`; the same samples whatever the run's seed."""
        asked = self._config.validation
        samples = Samples(self._held_out, size, asked.frames, VALIDATION_SEED)
        made = batches(samples, 0, 1, 0)
        return (next(made) for _ in range(asked.samples))


VALIDATION_SEED = 20_200_823  # any number; runs can be compared because they share it


def _read(root: Path, sources: Sequence[Source], smallest_crop: float, apart: int = 1) -> list[Weighted]:
    return [
        Weighted(read_clips(root, source.name, source.split, smallest_crop=smallest_crop, apart=apart), source.weight)
        for source in sources
    ]
