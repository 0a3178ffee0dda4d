"""From sources to samples to batches: each a function of the seed and its number, whatever makes it."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import count, islice
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext
from typing import cast

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from calib.random_masks import SMALLEST, random_hole
from models._spec import Size
from runtime.errors import InputError, UsageError, VidmendError, first_line
from training.interruption import SIGNALS
from training.sample import Batch, BrokenSample, ClipSource, Drawn, Holes, Packed, Sample, packed

MOST_BROKEN = 50  # candidates in a row; more are no accident


@dataclass(frozen=True, slots=True)
class Weighted:
    """A source and how often it is drawn from."""

    source: ClipSource
    weight: float  # over the sum of all weights


@dataclass(frozen=True, slots=True)
class Holing:
    """What is hidden of a sample; as published unless told."""

    shapes: int = 1  # at most, each with its own motion
    scattered: float = 0.0  # share of samples whose shapes are new in every frame, at new places


AS_PUBLISHED = Holing()


class Samples(Dataset[Sample]):
    """Endless: any number from 0 on gives a sample, the same one for the same seed, size and frames.

    Raises `UsageError` for what can give none.
    """

    def __init__(
        self, sources: Sequence[Weighted], size: Size, frames: int, seed: int, holes: Holing = AS_PUBLISHED
    ) -> None:
        weights = np.array([weighted.weight for weighted in sources], np.float64)
        if not (weights.size and np.isfinite(weights).all() and weights.min() >= 0 and weights.sum() > 0):
            raise UsageError(f"weights of the sources: {weights.tolist()}; wanted one above 0, and none below")
        if frames < 1 or min(size.width, size.height) < SMALLEST or seed < 0:
            raise UsageError(
                f"samples of {frames} frames of {size}, seed {seed}: wanted a frame at least, {SMALLEST} pixels a side "
                f"and a seed from 0 on"
            )
        self.size, self.frames, self.seed, self.holes = size, frames, seed, holes
        self._sources = tuple(weighted.source for weighted in sources)
        self._until = np.cumsum(weights) / weights.sum()

    def __getitem__(self, index: int) -> Sample:
        """Sample number `index`; raises `InputError` when one candidate after the other is broken."""
        generator = np.random.default_rng((self.seed, index))
        skipped: list[str] = []
        while len(skipped) < MOST_BROKEN:
            # The last share is 1 up to rounding, and the draw is below 1.
            chosen = min(int(np.searchsorted(self._until, generator.random(), side="right")), len(self._sources) - 1)
            try:
                drawn = self._sources[chosen].draw(generator, self.frames, self.size)
            except BrokenSample as broken:
                skipped.append(str(broken))
                continue
            return Sample(drawn.frames, self._holes(generator, drawn), tuple(skipped))
        raise InputError(f"{len(skipped)} samples in a row were broken, the last: {skipped[-1]}")

    def _holes(self, generator: np.random.Generator, drawn: Drawn) -> Holes:
        """Of all its shapes; nothing is drawn for a choice that there is not, as published."""
        shapes = int(generator.integers(1, self.holes.shapes + 1)) if self.holes.shapes > 1 else 1
        scattered = self.holes.scattered > 0 and generator.random() < self.holes.scattered
        width, height = self.size.width, self.size.height
        length, parts = (1, [(0,)] * len(drawn.indices)) if scattered else (drawn.length, [drawn.indices])
        made = [
            np.concatenate([random_hole(generator, length, width, height).at(part) for part in parts])
            for _ in range(shapes)
        ]
        return np.logical_or.reduce(made)


def batches(
    samples: Samples, first: int, batch: int, workers: int, rank: int = 0, world: int = 1, *, pin: bool = False
) -> Generator[Batch, None, None]:
    """Batches of `batch` samples without end, from sample `first + rank` on, every `world`-th.

    So `world` ranks together see what one rank sees in batches of `world * batch`.  `workers` processes make them, 0:
    this one; closing the generator ends them.  `pin` puts batches into page-locked memory.  Raises `InputError` when
    the sources give nothing usable.
    """
    loader = DataLoader(
        _Guarded(samples),
        batch_sampler=_Numbers(first + rank, world, batch),
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_begin_worker,
        multiprocessing_context=_clean_processes() if workers else None,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator().manual_seed(0),  # else each loader would take a number from the run's own
    )
    for made in _said_in_one_line(loader):
        if isinstance(made, InputError):
            raise made
        yield made.unpacked() if isinstance(made, Packed) else made  # else the loader has pinned it


def _said_in_one_line(loader: DataLoader[Sample | InputError]) -> Generator[Packed | Batch | InputError, None, None]:
    """What the loader gives; raises `VidmendError` for a process that is gone, killed for its memory most often."""
    # Its type is of samples, not of what _collate gives.
    typed = cast("Iterable[Packed | Batch | InputError]", loader)
    try:
        with _held() if loader.num_workers else nullcontext():
            made = iter(typed)
        yield from made
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise VidmendError(
            f"a process that reads ahead is gone ({first_line(error)}); go on from the last checkpoint with --resume, "
            f"with less memory by --workers 1"
        ) from None


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers of the samples of each batch."""

    first: int
    step: int
    batch: int

    def __iter__(self) -> Iterator[list[int]]:
        numbers = count(self.first, self.step)
        while True:
            yield list(islice(numbers, self.batch))


@dataclass(frozen=True)
class _Guarded(Dataset["Sample | InputError"]):
    """Gives a user's error instead of raising it: what is raised in a worker arrives as a page of traceback."""

    samples: Samples

    def __getitem__(self, index: int) -> Sample | InputError:
        try:
            return self.samples[index]
        except InputError as error:
            return error


def _collate(made: Sequence[Sample | InputError]) -> Packed | InputError:
    samples: list[Sample] = []
    for sample in made:
        if isinstance(sample, InputError):
            return sample
        samples.append(sample)
    return packed(samples)


def _clean_processes() -> BaseContext:
    """How workers are started: from a process without threads.

    A fork of the run itself would have OpenCV's and PyTorch's threads in its books but not in being, and wait for them
    for ever (cv2.setNumThreads does, once the run has resized a picture).
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "training.dataset"])  # imported once, not in every worker
    return context


@contextmanager
def _held() -> Generator[None, None, None]:
    """Signals wait until the block is left; processes that it starts never get them.

    So the one that starts workers lives on when a whole group is told to end: the run finishes its step first.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        resource_tracker.ensure_running()  # else it is started later, and lets some of them through again
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(_number: int) -> None:
    for number in SIGNALS:  # the run finishes its step and needs the batches until then
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(1)  # the workers are the threads
