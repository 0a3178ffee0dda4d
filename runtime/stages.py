"""The network's part of a run: plain generators, each one taking what the one before it yields.

    shots - visits - encode - transform - paint -> fills

No stage knows of threads; `Session` puts them where they pay.  Shapes: T window, N targets, C channels, H W pixels of
the network, h w features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from runtime.blend import Blend, samples
from runtime.bundle import PixelRule
from runtime.clip import Lane, Shot
from runtime.clock import Clock
from runtime.device import Buffer, Pool, Shape
from runtime.frame import Hole
from runtime.patch import Patch
from runtime.pixels import normalise
from runtime.program import Program
from runtime.schedule import Schedule, Step, steps
from runtime.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Visit:
    """One window in one region; then, without a region, the end of that window."""

    shot: Shot
    step: Step
    lane: Lane | None  # None: every region had its turn, and the frames that are finished may leave


@dataclass(frozen=True, slots=True)
class Encoded:
    """A visit, the features of its window, targets first, and what was hole in them; none at the window's end."""

    visit: Visit
    features: tuple[Buffer, ...]
    holes: tuple[Hole | None, ...]  # of the same frames


@dataclass(frozen=True, slots=True)
class Completed:
    """A visit and the completed features of its targets `[N, C, h, w]`; None at the window's end."""

    visit: Visit
    features: Buffer | None


@dataclass(frozen=True, slots=True)
class Filled:
    """What the network painted of a frame that no window repaints any more."""

    index: int  # of the frame in the clip
    shot: int
    patches: tuple[Patch, ...]


def visits(shots: Iterable[Shot], schedule: Schedule) -> Iterator[Visit]:
    """Every window of every shot, in each region where one of its targets has something to fill."""
    for shot in shots:
        for step in steps(schedule, shot.exists):
            for lane in shot.lanes():
                if any(lane.repaints(index) for index in step.window.targets):
                    yield Visit(shot, step, lane)
            yield Visit(shot, step, None)
        shot.forget(lambda _: False)


class Encoder:
    """The encoder's program; the features it made stay with their lanes as far as `most_bytes` allow."""

    def __init__(self, program: Program, rule: PixelRule, feature_shape: Shape, pool: Pool, most_bytes: int) -> None:
        self._program = program
        self._rule = rule
        self._feature_shape = feature_shape
        self._pool = pool
        self._most_bytes = most_bytes
        self._no_hole = np.zeros((rule.height, rule.width), np.bool_)

    def of(self, lane: Lane, index: int) -> Buffer:
        """Features `[C, h, w]` of frame `index`, computed on first use; the lane keeps the lease."""
        if index not in lane.features:
            view = lane.views[index]
            pixels = self._pool.take((1, 3, self._rule.height, self._rule.width))
            features = self._pool.take(self._feature_shape)
            normalise(view.rgb, self._no_hole if view.hole is None else view.hole, self._rule, pixels.array[0])
            self._program.enqueue({"rgb": pixels.array}, {"features": features.array[None]})
            pixels.release()
            lane.features[index] = features
        return lane.features[index]

    def spare(self, lane: Lane) -> None:
        """Give up the features of `lane` when all lanes together hold too much; its next window encodes anew."""
        if self._pool.leased_bytes > self._most_bytes:
            lane.release(tuple(lane.features))


def encode(visits: Iterable[Visit], encoder: Encoder, schedule: Schedule, clock: Clock) -> Iterator[Encoded]:
    """Visit by visit, the features of its window; frames are encoded once, however many windows see them."""
    for visit in visits:
        step = visit.step
        if visit.lane is not None:
            with clock.busy("encoder"):
                wanted = (*step.window.targets, *step.window.references)
                features = tuple(encoder.of(visit.lane, index) for index in wanted)
            yield Encoded(visit, features, tuple(visit.lane.views[index].hole for index in wanted))
            encoder.spare(visit.lane)
            continue
        yield Encoded(visit, (), ())

        def keeps(index: int, step: Step = step, shot: Shot = visit.shot) -> bool:
            return schedule.keeps(index, step.oldest_target, shot.exists)

        visit.shot.forget(keeps)


def transform(encoded: Iterable[Encoded], transformer: Transformer, pool: Pool, clock: Clock) -> Iterator[Completed]:
    """Features of a window -> completed features of its targets."""
    for item in encoded:
        if item.features:
            with clock.busy("transformer"):
                completed = transformer.run(item.features, item.holes, len(item.visit.step.window.targets), pool)
            yield Completed(item.visit, completed)
            completed.release()
        else:
            yield Completed(item.visit, None)


class Painter:
    """The decoder's program and the pictures that windows still add to."""

    def __init__(self, program: Program, rule: PixelRule, make_blend: Callable[[], Blend], pool: Pool) -> None:
        self._program = program
        self._rule = rule
        self._make_blend = make_blend
        self._painted = pool.take((1, 3, rule.height, rule.width))
        self._blends: dict[tuple[int, int], Blend] = {}  # by lane and frame of the shot

    def add(self, lane: Lane, step: Step, completed: Buffer) -> None:
        """Decode the targets that have something to fill, and blend them with what earlier windows painted."""
        for row, index in enumerate(step.window.targets):
            if lane.repaints(index):
                self._program.enqueue({"features": completed.array[row : row + 1]}, {"rgb": self._painted.array})
                blend = self._blends.setdefault((lane.number, index), self._make_blend())
                blend.add(samples(self._painted.array[0], self._rule), step.window, index)

    def finish(self, shot: Shot, index: int) -> Filled:
        """All that was painted of frame `index` of the shot."""
        patches: list[Patch] = []
        for lane in shot.lanes():
            view = lane.views.get(index)
            if view is not None and view.hole is not None and view.repainted:
                fill = self._blends.pop((lane.number, index)).result()
                patches.append(Patch(lane.crop, view.rgb, fill, view.hole))
        return Filled(shot.frame_index(index), shot.number, tuple(patches))

    def close(self) -> None:
        """Return the memory to the pool."""
        self._painted.release()


def paint(completed: Iterable[Completed], painter: Painter, clock: Clock) -> Iterator[Filled]:
    """Decode what windows completed; let finished frames leave, in order."""
    for item in completed:
        visit = item.visit
        with clock.busy("decoder"):
            if visit.lane is not None and item.features is not None:
                painter.add(visit.lane, visit.step, item.features)
            filled = [] if visit.lane is not None else [painter.finish(visit.shot, i) for i in visit.step.finished]
        yield from filled
