"""The network's part of a run: plain generators, each one taking what the one before it yields.

    shots - visits - encode - transform - paint - collect -> fills

Each stage enqueues on streams of its own and passes on what is not there yet, with the event after which it will be
(Note [Order between streams] in device.py).  No stage knows of threads.  Shapes: T window, N targets, C channels, H W
pixels of the network, h w features.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from runtime.bundle import PixelRule
from runtime.canvas import Canvas
from runtime.clip import Lane, Shot, View
from runtime.decoder import Decoder
from runtime.device import Array, Event, Form, HostArray, Stream
from runtime.frame import RGB, Hole
from runtime.numbers import as_floats, floats
from runtime.parts import Part
from runtime.patch import Crop, Patch
from runtime.pixels import normalise
from runtime.pool import Buffer, Pool
from runtime.program import Program
from runtime.schedule import Schedule, Step, steps
from runtime.streams import Streams
from runtime.transformer import Transformer

Show = Callable[[Array], RGB]  # the encoder's input `[3, H, W]` -> what it shows, RGB `[H, W, 3]`


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


@dataclass(frozen=True, slots=True)
class Forms:
    """What the buffers between the stages hold, one frame each."""

    pixels: Form  # [1, 3, H, W], into the encoder
    features: Form  # [1, C, h, w], out of it
    picture: Form  # [1, 3, H, W], out of the decoder


@dataclass(frozen=True, slots=True)
class _Pending:
    """A patch whose fill is not known yet."""

    crop: Crop
    view: RGB | None
    hole: Hole
    work: _Work


@dataclass(frozen=True, slots=True)
class Leaving:
    """The frames that no window after this one repaints."""

    ready: Event
    filled: list[Filled]  # complete when `ready` is reached


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

    def __init__(self, program: Program, rule: PixelRule, forms: Forms, pool: Pool, most_bytes: int) -> None:
        self._program = program
        self._rule = rule
        self._forms = forms
        self._pool = pool
        self._most_bytes = most_bytes
        self._no_hole = np.zeros((rule.height, rule.width), np.bool_)

    def of(self, lane: Lane, index: int, streams: Streams) -> Buffer:
        """Features `[1, C, h, w]` of frame `index`, computed on first use; the lane keeps the lease."""
        if index not in lane.features:
            view, encoder = lane.views[index], streams.encoder
            pixels = view.pixels or self._normalised(view, streams.upload)
            features = self._pool.take(self._forms.features, encoder)
            encoder.wait(pixels.ready)
            self._program.enqueue({"rgb": pixels.tensor}, {"features": features.tensor}, encoder)
            features.ready = encoder.mark()
            pixels.hold(features.ready)
            if view.pixels is None:
                pixels.release()
            lane.features[index] = features
        return lane.features[index]

    def spare(self, lane: Lane) -> None:
        """Give up the features of `lane` when all lanes together hold too much; its next window encodes anew."""
        if self._pool.leased_bytes > self._most_bytes:
            lane.release(tuple(lane.features))

    def _normalised(self, view: View, upload: Stream) -> Buffer:
        """The encoder's input made by the host, on lease."""
        if view.rgb is None:
            raise ValueError("a view without a picture, and no device has made the encoder's input of it")
        hole = self._no_hole if view.hole is None else view.hole
        pixels = self._pool.take(self._forms.pixels, upload)
        upload.write(pixels.tensor, partial(self._normalise, view.rgb, hole))
        pixels.ready = upload.mark()
        return pixels

    def _normalise(self, rgb: RGB, hole: Hole, out: HostArray) -> None:
        with as_floats(out[0]) as pixels:
            normalise(rgb, hole, self._rule, pixels)


def encode(visits: Iterable[Visit], encoder: Encoder, schedule: Schedule, streams: Streams) -> Iterator[Encoded]:
    """Visit by visit, the features of its window; frames are encoded once, however many windows see them."""
    for visit in visits:
        step = visit.step
        if visit.lane is not None:
            wanted = (*step.window.targets, *step.window.references)
            features = tuple(encoder.of(visit.lane, index, streams) for index in wanted)
            yield Encoded(visit, features, tuple(visit.lane.views[index].hole for index in wanted))
            encoder.spare(visit.lane)
            continue
        yield Encoded(visit, (), ())

        def keeps(index: int, step: Step = step, shot: Shot = visit.shot) -> bool:
            return schedule.keeps(index, step.oldest_target, shot.exists)

        visit.shot.forget(keeps)


def transform(
    encoded: Iterable[Encoded], transformer: Transformer, pool: Pool, streams: Streams
) -> Iterator[Completed]:
    """Features of a window -> completed features of its targets."""
    for item in encoded:
        if item.features:
            targets = len(item.visit.step.window.targets)
            completed = transformer.run(item.features, item.holes, targets, pool, streams.transformer)
            yield Completed(item.visit, completed)
            completed.release()
        else:
            yield Completed(item.visit, None)


@dataclass(slots=True)
class _Work:
    """A picture that windows still add to, and what of it they decode."""

    canvas: Canvas
    part: Part | None  # None: all of it
    shown: RGB | None = None  # of the source, brought back from the device that made the encoder's input of it

    def bring(self, show: Show, pixels: HostArray) -> None:
        """Keep what the encoder's input `[1, 3, H, W]` shows."""
        self.shown = show(floats(pixels[0]))


class Painter:
    """The decoder and the pictures that windows still add to."""

    def __init__(
        self, decoder: Decoder, make_canvas: Callable[[Part | None], Canvas], pool: Pool, show: Show | None
    ) -> None:
        """`show` makes views of the encoder's input, where the host wants those that it did not make itself."""
        self._decoder = decoder
        self._make_canvas = make_canvas
        self._pool = pool
        self._show = show
        self._works: dict[tuple[int, int], _Work] = {}  # by lane and frame of the shot

    def add(self, lane: Lane, step: Step, completed: Buffer, streams: Streams) -> None:
        """Decode the targets that have something to fill, and blend them with what earlier windows painted."""
        decoder = streams.decoder
        decoder.wait(completed.ready)
        for row, index in enumerate(step.window.targets):
            if lane.repaints(index):
                work = self._work(lane, index)
                painted = self._decoder.run(completed.rows(row, row + 1), work.part, self._pool, decoder)
                work.canvas.add(painted, step.window, index, streams, last=index in step.finished)
                if index in step.finished:
                    self._bring(lane.views[index], work, streams.download)
        completed.hold(decoder.mark())

    def finish(self, shot: Shot, index: int) -> Callable[[], Filled]:
        """What gives, once all windows are blended, all that was painted of frame `index` of the shot."""
        pending: list[_Pending] = []
        for lane in shot.lanes():
            view = lane.views.get(index)
            if view is not None and view.hole is not None and view.repainted:
                work = self._works.pop((lane.number, index))
                pending.append(_Pending(lane.crop, view.rgb, view.hole, work))
        return partial(_fill, shot.frame_index(index), shot.number, pending)

    def _bring(self, view: View, work: _Work, download: Stream) -> None:
        """A view that only the device has comes to the host as the encoder's input, blank in the hole."""
        if self._show is None or view.rgb is not None or view.pixels is None:
            return
        download.wait(view.pixels.ready)
        view.pixels.hold(download.read(view.pixels.tensor, partial(work.bring, self._show)))

    def _work(self, lane: Lane, index: int) -> _Work:
        """The picture of frame `index`; all windows decode the same part of it, since its hole is one."""
        if (lane.number, index) not in self._works:
            hole = lane.views[index].hole
            part = None if hole is None else self._decoder.part_of(hole, lane.crop)
            self._works[lane.number, index] = _Work(self._make_canvas(part), part)
        return self._works[lane.number, index]


def paint(completed: Iterable[Completed], painter: Painter, streams: Streams) -> Iterator[Leaving]:
    """Decode what windows completed; let finished frames leave, in order."""
    for item in completed:
        visit = item.visit
        if visit.lane is None:
            filled: list[Filled] = []
            for index in visit.step.finished:
                streams.download.run(partial(_append, filled, painter.finish(visit.shot, index)))
            yield Leaving(streams.download.mark(), filled)
        elif item.features is not None:
            painter.add(visit.lane, visit.step, item.features, streams)


def collect(leaving: Iterable[Leaving], windows: int) -> Iterator[Filled]:
    """Wait for what leaves, in order, while the work of `windows` windows is enqueued."""
    in_flight: deque[Leaving] = deque()
    for item in leaving:
        in_flight.append(item)
        if len(in_flight) == windows:
            yield from _complete(in_flight.popleft())
    for item in in_flight:
        yield from _complete(item)


def _complete(item: Leaving) -> list[Filled]:
    item.ready.wait()
    return item.filled


def _fill(index: int, shot: int, pending: Sequence[_Pending]) -> Filled:
    return Filled(index, shot, tuple(map(_patch, pending)))


def _patch(item: _Pending) -> Patch:
    shown = item.work.shown if item.view is None else item.view
    return Patch(item.crop, shown, item.work.canvas.result(), item.hole)


def _append(filled: list[Filled], make: Callable[[], Filled]) -> None:
    filled.append(make())
