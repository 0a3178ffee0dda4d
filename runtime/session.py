"""A bundle opened on a backend, ready to repair clips."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from weakref import WeakSet

from runtime._clip_frames import Again, Room, WaitingFrames
from runtime._session_stages import Stages, Ties
from runtime.afterwards import afterwards
from runtime.ahead import ahead
from runtime.blend import shown_by
from runtime.bundle import Bundle
from runtime.clip import Agenda, Preparing, Staged, prepare, shots
from runtime.clock import Clock
from runtime.composite import Finish
from runtime.decoder import Decoder
from runtime.device import Device
from runtime.devices import MakeDevice, open_device
from runtime.errors import DeviceFailed
from runtime.frame import Frame, Masked
from runtime.patch import Painted, Patch
from runtime.pixelwork import Compose, Manner, PixelWork
from runtime.pool import Pool
from runtime.program import Arithmetic, Backend, Precision, narrowest
from runtime.regions import Region
from runtime.schedule import Quality, make_schedule
from runtime.seam import seamless
from runtime.smooth import smoothed
from runtime.sources import find_sources, types_of
from runtime.stages import Encoder, Filled, Painter, collect, encode, paint, transform, visits
from runtime.streams import open_streams

_STAGED_AHEAD = 4  # frames prepared before the network asks for them
_FILLED_AHEAD = 8  # frames painted before the writer asks for them
_FEATURE_BYTES = 256 << 20  # of the features that wait for a later window; beyond it they are computed again


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session runs its bundle."""

    schedule: str = "steady"
    quality: Quality = "standard"  # the pace of the schedule
    precision: Precision = "auto"
    arithmetic: Arithmetic | None = None  # as it was chosen for this machine; None: the narrowest `precision` allows
    threads: int | None = None  # to compute with, on the host; None: see runtime/cores.py
    dilate: int | None = None  # iterations of the 3x3 cross on the hole; None: as the bundle says
    feather: int = 0  # source pixels over which a fill fades into its surroundings
    seamless: bool = True  # whether fills are moved to continue the picture around them; `reference` never does it
    smooth: int = 0  # frames before and after one that its fill is averaged with, along the motion
    grain: bool = False  # whether fills get the grain of their surroundings
    windows: int | None = None  # under way at once; None: 1 on the host, whose libraries use every core for it, else 2
    cuda_graph: bool = True  # whether what a GPU repeats is recorded and launched as one
    waiting_bytes: int = 256 << 20  # of frames that wait for their fill; beyond it they are read a second time


@dataclass(frozen=True, slots=True)
class Restored:
    """A frame that is done."""

    frame: Frame  # repaired
    source: Frame  # as it came
    patches: tuple[Patch, ...]  # what was painted; none: both frames are one object


class Session:
    """One bundle on one backend; `restore` may be called for one clip after another.

    A context manager: what it has on a device ends when it is closed, see Note [Who owns what] in device.py.
    """

    def __init__(
        self, bundle: Bundle, backend: Backend, settings: Settings, make_device: MakeDevice = open_device
    ) -> None:
        """Open the stages; raises `BundleError`, `BackendUnavailable`, `DeviceFailed` or `UsageError`."""
        self._settings = settings
        finish = Finish(settings.feather, settings.grain)
        self._rule = bundle.manifest.pixels
        self._schedule = make_schedule(settings.schedule, bundle.manifest.schedule, settings.quality)
        self.clock = Clock()
        self._moves = moves(bundle, settings)
        self._windows = windows_of(backend, settings)
        self._clips: WeakSet[Generator[Restored, None, None]] = WeakSet()
        self._closed = False
        arithmetic = settings.arithmetic or narrowest(precision_of(bundle, settings))
        sources = find_sources(bundle, backend, arithmetic)
        self._ties = Ties()
        self.picture = (self._rule.width, self._rule.height)  # what the network sees at once, in pixels
        self.precision = types_of(backend, arithmetic.precision, sources)  # for people
        how = (arithmetic.precision, settings.cuda_graph, settings.threads)
        self._device = make_device(backend.memory, self.clock, self._windows)
        stages = Stages(bundle, backend, sources, *how, self._ties, self._device.allocate, self._device.stream)
        try:
            with self._device.bound():
                self._encoder = stages.open("encoder", {"B": 1})
                decoder = stages.open("decoder", {"B": 1})
            self._transformer = stages.transformer(self._schedule)
            self._forms = stages.forms(self._encoder.compute, decoder.compute)
            parts = None if self._schedule.to_the_letter else stages.parts(settings.feather)
            self._decoder = Decoder(decoder, self._forms.features, self._forms.picture, parts)
            manner = Manner(self._rule, self._forms.pixels, self._schedule.to_the_letter, finish)
            self._work = PixelWork(self._device, bundle, manner, self.clock)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the clips that are under way, then end programs, kernels and device; a second time it does nothing."""
        if self._closed:
            return
        self._closed = True
        for clip in list(self._clips):
            clip.close()
        with suppress(DeviceFailed), self._device.bound():
            self._ties.end()
        self._ties.end()  # where a GPU that is lost cannot even be bound
        self._device.close()

    @property
    def device(self) -> Device:
        """Where the network runs."""
        return self._device

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should hear of the engines and of the run so far, each once."""
        return tuple(dict.fromkeys(self._ties.notes))

    def restore(
        self, clip: Iterable[Masked], regions: Sequence[Region], *, start: int = 0, again: Again | None = None
    ) -> Generator[Restored, None, None]:
        """Frames with their holes at the source's size -> the same frames repaired, in order, from `start` on.

        A frame outside every region stays as it is.  Frame numbers ascend; where some are left out, a scene ends.
        Frames before `start` are looked at where a later one needs them.  `again` begins the same frames anew, for a
        clip of which too many would have to wait in memory.  Reading and the network run in threads of their own;
        closing the iterator stops them.
        """
        restored = self._restored(clip, regions, start, again)
        self._clips.add(restored)
        return restored

    def _restored(
        self, clip: Iterable[Masked], regions: Sequence[Region], start: int, again: Again | None
    ) -> Generator[Restored, None, None]:
        settings = self._settings
        paint_from = max(0, start - settings.smooth)
        reach = self._schedule.reach_frames
        agenda = Agenda(regions, reach, paint_from)
        room = Room(paint_from, reach, settings.waiting_bytes)
        with (
            closing(WaitingFrames(room, again, self.clock)) as waiting,
            closing(self._prepared(clip, agenda, waiting)) as prepared,
            closing(ahead(self._filled(prepared, regions), _FILLED_AHEAD)) as filled,
            self._work.compositing() as compose,
        ):
            for item in self._smoothed(self._moved(_joined(filled, waiting, paint_from))):
                if item.frame.index >= start:
                    yield _restored(item, compose)

    def _prepared(
        self, clip: Iterable[Masked], agenda: Agenda, waiting: WaitingFrames
    ) -> Generator[Staged, None, None]:
        dilate = self._rule.dilate if self._settings.dilate is None else self._settings.dilate
        on_device = self._work.on_device
        in_rgb = not on_device or self._settings.smooth > 0  # smoothing looks at views
        how = Preparing(self._rule, dilate, in_rgb, on_device)
        return prepare(self.clock.timed("decode", clip), agenda, how, waiting, self.clock)

    def _smoothed(self, painted: Iterator[Painted]) -> Iterator[Painted]:
        if self._settings.smooth == 0:
            return painted
        return self.clock.timed("smooth", smoothed(self.clock.apart(painted), self._settings.smooth))

    def _moved(self, painted: Iterable[Painted]) -> Iterator[Painted]:
        for item in painted:
            patches = item.patches
            if self._moves:
                with self.clock.busy("composite"):
                    patches = tuple(map(seamless, patches))
            yield replace(item, patches=patches)

    def _filled(self, prepared: Generator[Staged, None, None], regions: Sequence[Region]) -> Iterator[Filled]:
        forms, schedule, pool = self._forms, self._schedule, Pool(self._device)
        ends = self._work.ends(pool)
        encoder = Encoder(self._encoder, self._rule, forms, pool, _FEATURE_BYTES)
        show = partial(shown_by, rule=self._rule) if self._moves else None
        painter = Painter(self._decoder, ends.canvas, pool, show)
        with (
            closing(ahead(prepared, _STAGED_AHEAD)) as staged,
            self._device.bound(),
            afterwards(pool.close),
            afterwards(ends.close),
            open_streams(self._device, self._ties.rested()) as streams,
        ):
            shown = iter(ends.views(staged, regions, streams.upload))
            encoded = encode(visits(shots(shown, regions), schedule), encoder, schedule, streams)
            completed = transform(encoded, self._transformer, pool, streams)
            yield from collect(paint(completed, painter, streams), self._windows)


def windows_of(backend: Backend, settings: Settings) -> int:
    """How many windows are under way at once: as asked, or else two where the host's cores do not compute them."""
    if settings.windows is not None:
        return settings.windows
    return 1 if backend.memory == "host" else 2


def precision_of(bundle: Bundle, settings: Settings) -> Precision:
    """As asked, but exact where the schedule is the published protocol's."""
    schedule = make_schedule(settings.schedule, bundle.manifest.schedule, settings.quality)
    return "fp32" if schedule.to_the_letter else settings.precision


def moves(bundle: Bundle, settings: Settings) -> bool:
    """Whether fills are moved to continue the picture: as asked, but not where the schedule is the published one."""
    schedule = make_schedule(settings.schedule, bundle.manifest.schedule, settings.quality)
    return settings.seamless and not schedule.to_the_letter


def longest_of(bundle: Bundle, settings: Settings) -> float:
    """The most frames that a window of the run has; infinite where that hangs on the clip."""
    window = make_schedule(settings.schedule, bundle.manifest.schedule, settings.quality).full_window
    return math.inf if window is None else sum(window)


def _joined(filled: Iterable[Filled], waiting: WaitingFrames, first: int) -> Iterator[Painted]:
    """Fills with their frames, from frame `first` on."""
    for item in filled:
        if item.index >= first:
            yield Painted(waiting.take(item.index), item.patches, item.shot)


def _restored(item: Painted, compose: Compose) -> Restored:
    return Restored(compose(item.frame, item.patches), item.frame, item.patches)
