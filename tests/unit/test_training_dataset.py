"""Samples and batches: the same whatever makes them, and nothing broken passes unseen."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models._spec import Size
from runtime.errors import InputError, UsageError, VidmendError
from tests.archives import one_line, write_set
from tests.tolerances import TOLERANCE
from training.archive import read_clips
from training.dataset import MOST_BROKEN, Holing, Samples, Weighted, batches
from training.interruption import SIGNALS
from training.sample import Batch, BrokenSample, Drawn, Sample, batched

SIZE = Size(32, 20)


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """Of clips of which one is too short, so that some are skipped."""
    write_set(tmp_path / "mine", {"walk": 9, "run": 7, "short": 2})
    return Samples([Weighted(read_clips(tmp_path, "mine", "train"), 1)], SIZE, 4, seed=5)


def first(count: int, made: Generator[Batch, None, None]) -> list[Batch]:
    """The first batches; what makes more is ended."""
    with closing(made) as going:
        return list(islice(going, count))


def same(left: Batch, right: Batch) -> bool:
    return (
        torch.equal(left.levels, right.levels)
        and torch.equal(left.holes, right.holes)
        and left.skipped == right.skipped
    )


@dataclass(frozen=True)
class Flat:
    """Clips of one colour, or broken ones."""

    level: int
    broken: bool = False

    def __len__(self) -> int:
        return 1

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        if self.broken:
            raise BrokenSample(f"clip {self.level}: broken; replace it")
        return Drawn(np.full((frames, size.height, size.width, 3), self.level, np.uint8), tuple(range(frames)), frames)


@dataclass(frozen=True)
class Telling(Flat):
    """White where the process ignores Ctrl-C, a polite kill and a closed terminal, else black."""

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        ignored = [signal.getsignal(number) is signal.SIG_IGN for number in SIGNALS]
        level = 255 if all(ignored) else 0
        return Flat(level).draw(generator, frames, size)


class Dying(Flat):
    """Is gone as if killed for its memory."""

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        os.kill(os.getpid(), signal.SIGKILL)
        return Flat(0).draw(generator, frames, size)


def test_a_sample_is_a_function_of_seed_and_number(samples: Samples, tmp_path: Path) -> None:
    def equal(left: Sample, right: Sample) -> bool:
        return np.array_equal(left.frames, right.frames) and np.array_equal(left.holes, right.holes)

    again = Samples([Weighted(read_clips(tmp_path, "mine", "train"), 1)], SIZE, 4, seed=5)
    backwards = {index: again[index] for index in (7, 3, 0)}
    assert all(equal(samples[index], sample) for index, sample in backwards.items())
    assert not equal(samples[0], samples[1])
    other = Samples([Weighted(read_clips(tmp_path, "mine", "train"), 1)], SIZE, 4, seed=6)
    assert not equal(samples[0], other[0])
    assert samples[0].frames.shape == (4, 20, 32, 3)
    assert samples[0].holes.shape == (4, 20, 32)


def test_workers_and_resumption_change_nothing(samples: Samples) -> None:
    alone = first(5, batches(samples, 0, 3, workers=0))
    assert all(
        same(left, right) for left, right in zip(alone, first(5, batches(samples, 0, 3, workers=2)), strict=True)
    )
    resumed = first(2, batches(samples, 3 * 3, 3, workers=2))
    assert all(same(left, right) for left, right in zip(alone[3:], resumed, strict=True))
    assert any(batch.skipped for batch in alone)


def test_workers_start_although_the_run_has_threads(samples: Samples) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        for _ in range(20):
            cv2.resize(np.zeros((480, 640), np.uint8), (431, 239))  # large enough for OpenCV's threads
        time.sleep(0.3)  # until they lie down: one that is awake would be no danger
        assert first(1, batches(samples, 0, 2, workers=1))[0].levels.shape[0] == 2
    finally:
        cv2.setNumThreads(threads)


def test_ranks_together_see_what_one_sees(samples: Samples) -> None:
    alone = first(3, batches(samples, 8, 4, workers=0))
    ranks = [first(3, batches(samples, 8, 2, workers=0, rank=rank, world=2)) for rank in range(2)]
    for whole, even, odd in zip(alone, *ranks, strict=True):
        assert torch.equal(whole.levels[0::2], even.levels)
        assert torch.equal(whole.levels[1::2], odd.levels)
        assert torch.equal(whole.holes[1::2], odd.holes)


def test_the_runs_own_random_numbers_are_left_alone(samples: Samples) -> None:
    state = torch.get_rng_state()
    first(2, batches(samples, 0, 2, workers=0))
    first(2, batches(samples, 0, 2, workers=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_batches_are_what_the_network_takes() -> None:
    frames = np.zeros((2, 16, 24, 3), np.uint8)
    frames[1, 3, 5] = (255, 51, 0)
    holes = np.zeros((2, 16, 24), np.bool_)
    holes[1, 3, 5] = True
    batch = batched([Sample(frames, holes, ("a; b",)), Sample(frames * 0, ~holes, ())])
    levels, masks = batch.on(torch.device("cpu"))
    assert levels.shape == batch.levels.shape == (2, 2, 3, 16, 24)
    assert masks.shape == batch.holes.shape == (2, 2, 1, 16, 24)
    assert levels.dtype == masks.dtype == torch.float32
    assert (batch.levels.dtype, batch.holes.dtype) == (torch.uint8, torch.bool)
    assert levels.is_contiguous()
    near = TOLERANCE["batch", "float32"]
    assert levels[0, 1, :, 3, 5].tolist() == pytest.approx([1, -0.6, -1], abs=near)
    assert levels[1].unique().tolist() == [-1]
    assert masks[0].sum() == masks[0, 1, 0, 3, 5] == 1
    assert masks[1].sum() == 2 * 16 * 24 - 1
    assert batch.skipped == ("a; b",)


def test_sources_are_drawn_from_by_their_weights() -> None:
    samples = Samples([Weighted(Flat(1), 3), Weighted(Flat(2), 0), Weighted(Flat(3), 1)], SIZE, 1, seed=0)
    levels = [int(samples[index].frames[0, 0, 0, 0]) for index in range(800)]
    assert set(levels) == {1, 3}
    assert levels.count(1) / 800 == pytest.approx(0.75, abs=TOLERANCE["sampling", "share"])


def test_a_hole_of_several_shapes_hides_more() -> None:
    """On average twice the shapes, which overlap here and there; number 7 is number 7 again."""
    sources = [Weighted(Flat(1), 1)]
    alone, several = (Samples(sources, Size(96, 64), 3, 2, Holing(shapes)) for shapes in (1, 3))
    shares = [(alone[n].holes.mean(), several[n].holes.mean()) for n in range(60)]
    assert np.mean([more for _, more in shares]) > 1.4 * np.mean([one for one, _ in shares])
    assert all(several[n].holes.shape == (3, 64, 96) for n in range(3))
    assert np.array_equal(several[7].holes, Samples(sources, Size(96, 64), 3, 2, Holing(3))[7].holes)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_holes_are_scattered_in_the_share_of_samples_that_was_asked_for(share: float) -> None:
    """A shape that wanders keeps its form; scattered ones are new in every frame, and as large."""
    samples = Samples([Weighted(Flat(1), 1)], Size(96, 64), 3, 5, Holing(scattered=share))
    drawn = [samples[number].holes for number in range(200)]
    forms = [[_form(hole) for hole in holes] for holes in drawn]
    scattered = [not all(np.array_equal(form, first) for form in rest) for first, *rest in forms]
    assert np.mean(scattered) == pytest.approx(share, abs=TOLERANCE["sampling", "share of 200"])
    wandering = Samples([Weighted(Flat(1), 1)], Size(96, 64), 3, 5)
    shares = [np.mean([samples[n].holes.mean() for n in range(200)]) for samples in (samples, wandering)]
    assert shares[0] == pytest.approx(shares[1], rel=TOLERANCE["sampling", "of the hole's share"])


def _form(hole: np.ndarray) -> np.ndarray:
    """The hole cut to its box."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    return hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def test_the_mask_moves_with_the_clips_frames_not_with_the_samples() -> None:
    @dataclass(frozen=True)
    class Distant(Flat):
        def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
            return Drawn(np.zeros((2, size.height, size.width, 3), np.uint8), (0, 79), 80)

    samples = Samples([Weighted(Distant(0), 1)], Size(432, 240), 2, seed=1)
    moved: list[float] = []
    for index in range(40):
        before, after = (np.argwhere(hole).mean(axis=0) for hole in samples[index].holes)
        moved.append(float(np.hypot(*(after - before))))
    assert max(moved) > 30  # pixels: 3 a frame at most at first, so far only over many frames


def test_a_worker_leaves_ctrl_c_to_the_run() -> None:
    samples = Samples([Weighted(Telling(0), 1)], SIZE, 1, seed=0)
    assert first(1, batches(samples, 0, 1, workers=1))[0].levels.min() == 255
    assert first(1, batches(samples, 0, 1, workers=0))[0].levels.max() == 0


def test_batches_come_through_a_pipe_and_not_through_shared_memory(samples: Samples) -> None:
    """Of which a container has 64 MB unless told; where it is full PyTorch drops the batch, and nobody hears."""
    (batch,) = first(1, batches(samples, 0, 2, workers=1))
    assert not batch.levels.is_shared()
    assert not batch.holes.is_shared()


def test_a_worker_that_is_gone_costs_one_line() -> None:
    samples = Samples([Weighted(Dying(0), 1)], SIZE, 1, seed=0)
    with pytest.raises(VidmendError, match=r"a process that reads ahead is gone \(.*\); go on from the last") as caught:
        first(1, batches(samples, 0, 1, workers=1))
    assert one_line(str(caught.value))


@pytest.mark.parametrize("workers", [0, 2])
def test_where_all_is_broken_one_line_says_so(workers: int) -> None:
    samples = Samples([Weighted(Flat(9, broken=True), 1)], SIZE, 1, seed=0)
    with pytest.raises(InputError) as caught:
        first(1, batches(samples, 0, 2, workers))
    assert str(caught.value) == f"{MOST_BROKEN} samples in a row were broken, the last: clip 9: broken; replace it"


def test_what_is_broken_is_replaced_by_another_draw_and_told() -> None:
    samples = Samples([Weighted(Flat(9, broken=True), 1), Weighted(Flat(5), 1)], SIZE, 1, seed=0)
    skipped = [samples[index].skipped for index in range(400)]
    told = sum(map(len, skipped))
    assert {line for lines in skipped for line in lines} == {"clip 9: broken; replace it"}
    assert told / (told + 400) == pytest.approx(0.5, abs=TOLERANCE["sampling", "share"])
    (batch,) = first(1, batches(samples, 0, 50, workers=0))
    assert batch.skipped == tuple(line for lines in skipped[:50] for line in lines)


@pytest.mark.parametrize(
    ("weights", "size", "frames", "seed"),
    [
        ([], SIZE, 4, 0),
        ([0.0], SIZE, 4, 0),
        ([2.0, -1.0], SIZE, 4, 0),
        ([float("nan")], SIZE, 4, 0),
        ([float("inf")], SIZE, 4, 0),
        ([1.0], Size(15, 20), 4, 0),
        ([1.0], SIZE, 0, 0),
        ([1.0], SIZE, 4, -1),
    ],
)
def test_what_gives_no_samples_is_refused(weights: list[float], size: Size, frames: int, seed: int) -> None:
    with pytest.raises(UsageError) as caught:
        Samples([Weighted(Flat(1), weight) for weight in weights], size, frames, seed)
    assert one_line(str(caught.value))
