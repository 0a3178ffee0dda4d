"""The part of a clip that is in memory: shots, and in each of them what every region shows the network."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

from runtime._clip_frames import WaitingFrames
from runtime.bundle import PixelRule
from runtime.clock import Clock
from runtime.frame import RGB, Frame, Hole, Masked
from runtime.holes import cover
from runtime.patch import Crop
from runtime.pixels import shrink
from runtime.pool import Buffer
from runtime.regions import Region

Keeps = Callable[[int], bool]  # whether a later window may look at the frame of this index


@dataclass(frozen=True, slots=True)
class View:
    """What the network sees of a region in one frame, at its own size."""

    rgb: RGB | None  # None: nobody on the host wants it
    hole: Hole | None  # dilated; None where nothing is missing
    repainted: bool  # whether the hole is to be filled; else it is only blanked, for a window that looks here
    pixels: Buffer | None = None  # the encoder's input, where a device made it; on lease, which the lane ends


@dataclass(frozen=True, slots=True)
class Staged:
    """A frame on its way into the network."""

    index: int
    cut: bool  # whether a new scene begins with it
    views: tuple[tuple[int, View], ...]  # by the region's number, ascending
    frame: Frame | None = None  # for a device that makes the views; it lets go of it then


class Agenda:
    """Which regions a window may look at, frame by frame."""

    def __init__(self, regions: Sequence[Region], reach_frames: int | None, paint_from: int) -> None:
        """`reach_frames` as the schedule has it; frames before `paint_from` are not repainted."""
        self._reach = reach_frames
        self._paint_from = paint_from
        self._coming = sorted(
            (item for item in enumerate(regions) if item[1].last is None or item[1].last >= paint_from),
            key=lambda item: item[1].first,
            reverse=True,
        )
        self._active: list[tuple[int, Region]] = []

    def at(self, index: int) -> Sequence[tuple[int, Region]]:
        """The regions, with their numbers, that some window may look at in frame `index`; indices ascend."""
        while self._coming and self._reaches(self._first(self._coming[-1][1]), index):
            self._active.append(self._coming.pop())
            self._active.sort(key=lambda item: item[0])
        self._active = [item for item in self._active if item[1].last is None or self._reaches(index, item[1].last)]
        return self._active

    def repaints(self, region: Region, index: int) -> bool:
        """Whether a hole of `region` in frame `index` is to be filled."""
        return self._paint_from <= index and region.repaints(index)

    def _first(self, region: Region) -> int:
        return max(region.first, self._paint_from)

    def _reaches(self, later: int, earlier: int) -> bool:
        return self._reach is None or later - self._reach <= earlier


@dataclass(frozen=True, slots=True)
class Preparing:
    """What the views are to be."""

    rule: PixelRule
    dilate: int  # iterations of the 3x3 cross on the hole
    in_rgb: bool  # whether the host wants them as pictures
    on_device: bool  # whether a device makes the encoder's input from the frame itself


def prepare(
    clip: Iterable[Masked], agenda: Agenda, how: Preparing, waiting: WaitingFrames, clock: Clock
) -> Generator[Staged, None, None]:
    """Frame and mask `[H, W]` -> picture and hole of every region that matters; the frame itself waits aside."""
    rule = how.rule
    mask: Hole | None = None
    holes: dict[int, Hole | None] = {}
    for masked in clip:
        with clock.busy("prepare"):
            if masked.hole is not mask:  # one mask often serves the whole clip
                mask = masked.hole
                holes = {}
            frame = masked.frame
            views: list[tuple[int, View]] = []
            for number, region in agenda.at(frame.index):
                if number not in holes:
                    holes[number] = None if mask is None else cover(mask, region.crop, rule, how.dilate)
                hole = holes[number]
                repainted = hole is not None and agenda.repaints(region, frame.index)
                rgb = shrink(frame, region.crop, rule) if how.in_rgb else None
                views.append((number, View(rgb, hole, repainted)))
            waiting.put(frame)
        yield Staged(frame.index, masked.cut, tuple(views), frame if how.on_device else None)


class Lane:
    """One region through one shot: views and features until no window looks at them any more."""

    def __init__(self, number: int, crop: Crop) -> None:
        self.number = number
        self.crop = crop
        self.views: dict[int, View] = {}
        self.features: dict[int, Buffer] = {}  # on lease

    def repaints(self, index: int) -> bool:
        """Whether frame `index` of the shot has a hole here that is to be filled."""
        view = self.views.get(index)
        return view is not None and view.repainted

    def forget(self, keeps: Keeps) -> None:
        """Free the views and features of every frame that `keeps` refuses."""
        for index in [index for index in self.views if not keeps(index)]:
            pixels = self.views.pop(index).pixels
            if pixels is not None:
                pixels.release()
        self.release([index for index in self.features if not keeps(index)])

    def release(self, indices: Iterable[int]) -> None:
        """Give back the features of frames `indices`; they are computed anew where a window looks there again."""
        for index in indices:
            self.features.pop(index).release()


class Staging:
    """Staged frames with a look at the next one, by which a shot knows its end."""

    def __init__(self, staged: Iterator[Staged]) -> None:
        self._source = staged
        self._seen: Staged | None = None

    def peek(self) -> Staged | None:
        """The next frame, left where it is; None behind the last one."""
        if self._seen is None:
            self._seen = next(self._source, None)
        return self._seen

    def drop(self) -> None:
        """Go on by the frame that was looked at."""
        self._seen = None


class Shot:
    """A scene, counted from 0 at its first frame: all that a window may know of.

    It ends where frames were lost, too: what comes after them has moved on by nobody knows how much.
    """

    def __init__(self, number: int, begin: int, source: Staging, regions: Sequence[Region]) -> None:
        """`begin` is the clip's number of the shot's first frame, which `source` is about to give."""
        self.number = number
        self._begin = begin
        self._source = source
        self._regions = regions
        self._lanes: dict[int, Lane] = {}
        self._count = 0

    def exists(self, index: int) -> bool:
        """Whether the shot has a frame `index`; decodes up to it."""
        while self._count <= index:
            staged = self._source.peek()
            if staged is None or staged.index != self._begin + self._count or (staged.cut and self._count):
                return False
            for number, view in staged.views:
                self._lane(number).views[self._count] = view
            self._count += 1
            self._source.drop()
        return True

    def lanes(self) -> list[Lane]:
        """What is seen of each region, in the order of the regions."""
        return [self._lanes[number] for number in sorted(self._lanes)]

    def frame_index(self, index: int) -> int:
        """The clip's number of the shot's frame `index`."""
        return self._begin + index

    def forget(self, keeps: Keeps) -> None:
        """Free whatever belongs to a frame that `keeps` refuses."""
        for lane in self.lanes():
            lane.forget(keeps)
            if not lane.views:
                del self._lanes[lane.number]

    def _lane(self, number: int) -> Lane:
        if number not in self._lanes:
            self._lanes[number] = Lane(number, self._regions[number].crop)
        return self._lanes[number]


def shots(staged: Iterator[Staged], regions: Sequence[Region]) -> Iterator[Shot]:
    """The scenes of a clip, one after another; each must be asked for all its frames before the next is."""
    source = Staging(staged)
    number = 0
    while (first := source.peek()) is not None:
        yield Shot(number, first.index, source, regions)
        number += 1
