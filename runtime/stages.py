"""The stages of a run: plain generators, each one taking what the one before it yields.

    clip - prepare - encode - transform - paint -> repaired frames

No stage knows of threads; `Session` puts them where they pay.  Shapes: T window, N targets, C channels, H W pixels of
the network, h w features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from runtime.blend import Blend, samples
from runtime.bundle import PixelRule
from runtime.clock import Clock
from runtime.device import Buffer, Pool, Shape
from runtime.frame import RGB, Frame, Hole
from runtime.masks import cover
from runtime.pixels import composite, normalise, shrink
from runtime.program import Program
from runtime.schedule import Schedule, Step
from runtime.transformer import Transformer


@dataclass(frozen=True, slots=True)
class View:
    """What the network sees of a frame, at its own size."""

    rgb: RGB
    hole: Hole | None  # dilated; None where nothing is to be filled


@dataclass(frozen=True, slots=True)
class Staged:
    """A frame and the network's view of it."""

    frame: Frame
    view: View


@dataclass(frozen=True, slots=True)
class Encoded:
    """A step and the features of its window, targets first; none when no target has a hole."""

    step: Step
    features: tuple[Buffer, ...]


@dataclass(frozen=True, slots=True)
class Completed:
    """A step and the completed features of its targets `[N, C, h, w]`; None when no target has a hole."""

    step: Step
    features: Buffer | None


@dataclass(frozen=True, slots=True)
class Repaired:
    """A frame that no window repaints any more, with the picture for its hole."""

    frame: Frame
    fill: RGB | None  # at the network's size; None where there is no hole
    hole: Hole | None

    def composited(self) -> Frame:
        """The frame with its hole filled; every other sample is the source's own."""
        if self.fill is None or self.hole is None:
            return self.frame
        return composite(self.frame, self.fill, self.hole)


def prepare(clip: Iterable[tuple[Frame, Hole | None]], rule: PixelRule, dilate: int, clock: Clock) -> Iterator[Staged]:
    """Source frame and mask `[H, W]` -> picture and hole at the network's size."""
    mask: Hole | None = None
    hole: Hole | None = None
    for frame, next_mask in clip:
        with clock.busy("prepare"):
            if next_mask is not mask:  # one mask often serves the whole clip
                hole = None if next_mask is None or not next_mask.any() else cover(next_mask, rule, dilate)
                mask = next_mask
            view = View(shrink(frame, rule), hole)
        yield Staged(frame, view)


class Clip:
    """The part of a clip that is in memory: frames until they leave, views until no window looks at them any more."""

    def __init__(self, staged: Iterator[Staged]) -> None:
        self._source = staged
        self._frames: dict[int, Frame] = {}
        self._views: dict[int, View] = {}
        self._count = 0
        self._ended = False

    def exists(self, index: int) -> bool:
        """Whether the clip has this frame; decodes up to it."""
        while self._count <= index and not self._ended:
            staged = next(self._source, None)
            if staged is None:
                self._ended = True
            else:
                self._frames[self._count] = staged.frame
                self._views[self._count] = staged.view
                self._count += 1
        return index < self._count

    def view(self, index: int) -> View:
        """What the network sees of frame `index`."""
        return self._views[index]

    def leave(self, index: int) -> Frame:
        """Frame `index`, which is then the caller's alone."""
        return self._frames.pop(index)

    def forget(self, keeps: Callable[[int], bool]) -> None:
        """Free every view that `keeps` refuses."""
        for index in [index for index in self._views if not keeps(index)]:
            del self._views[index]


class Encoder:
    """The encoder's program and the features of the frames that windows still look at."""

    def __init__(self, program: Program, rule: PixelRule, feature_shape: Shape, pool: Pool) -> None:
        self._program = program
        self._rule = rule
        self._feature_shape = feature_shape
        self._pool = pool
        self._features: dict[int, Buffer] = {}
        self._no_hole = np.zeros((rule.height, rule.width), np.bool_)

    def of(self, index: int, view: View) -> Buffer:
        """Features `[C, h, w]` of frame `index`, computed on first use; the encoder keeps the lease."""
        if index not in self._features:
            pixels = self._pool.take((1, 3, self._rule.height, self._rule.width))
            features = self._pool.take(self._feature_shape)
            normalise(view.rgb, self._no_hole if view.hole is None else view.hole, self._rule, pixels.array[0])
            self._program.enqueue({"rgb": pixels.array}, {"features": features.array[None]})
            pixels.release()
            self._features[index] = features
        return self._features[index]

    def forget(self, keeps: Callable[[int], bool]) -> None:
        """Release the features of every frame that `keeps` refuses."""
        for index in [index for index in self._features if not keeps(index)]:
            self._features.pop(index).release()


def encode(steps: Iterable[Step], clip: Clip, encoder: Encoder, schedule: Schedule, clock: Clock) -> Iterator[Encoded]:
    """Step by step, the features of its window; frames are encoded once, however many windows see them."""
    for step in steps:
        window = step.window
        if any(clip.view(index).hole is not None for index in window.targets):
            with clock.busy("encoder"):
                features = tuple(encoder.of(index, clip.view(index)) for index in (*window.targets, *window.references))
            yield Encoded(step, features)
        else:
            yield Encoded(step, ())

        def keeps(index: int, oldest: int = step.oldest_target) -> bool:
            return schedule.keeps(index, oldest, clip.exists)

        encoder.forget(keeps)
        clip.forget(keeps)


def transform(encoded: Iterable[Encoded], transformer: Transformer, pool: Pool, clock: Clock) -> Iterator[Completed]:
    """Features of a window -> completed features of its targets."""
    for item in encoded:
        if item.features:
            with clock.busy("transformer"):
                completed = transformer.run(item.features, len(item.step.window.targets), pool)
            yield Completed(item.step, completed)
            completed.release()
        else:
            yield Completed(item.step, None)


def paint(
    completed: Iterable[Completed],
    clip: Clip,
    decoder: Program,
    rule: PixelRule,
    make_blend: Callable[[], Blend],
    pool: Pool,
    clock: Clock,
) -> Iterator[Repaired]:
    """Decode the targets that have a hole, blend what windows painted of a frame, let finished frames leave."""
    blends: dict[int, Blend] = {}
    painted = pool.take((1, 3, rule.height, rule.width))
    for item in completed:
        window = item.step.window
        with clock.busy("decoder"):
            for row, index in enumerate(window.targets):
                if item.features is not None and clip.view(index).hole is not None:
                    decoder.enqueue({"features": item.features.array[row : row + 1]}, {"rgb": painted.array})
                    blends.setdefault(index, make_blend()).add(samples(painted.array[0], rule), window, index)
        for index in item.step.finished:
            blend = blends.pop(index, None)
            fill = None if blend is None else blend.result()
            yield Repaired(clip.leave(index), fill, clip.view(index).hole)
    painted.release()
