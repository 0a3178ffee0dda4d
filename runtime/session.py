"""A bundle opened on a backend, ready to repair clips."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runtime._clip_frames import Again, Room, WaitingFrames
from runtime.ahead import ahead
from runtime.blend import CentredAverage, PublishedAverage
from runtime.bundle import Bundle, StageSpec, TensorSpec
from runtime.clip import Agenda, Staged, prepare, shots
from runtime.clock import Clock
from runtime.composite import Finish, composite
from runtime.device import Form, Pool
from runtime.devices import MakeDevice, open_device
from runtime.frame import Frame, Masked
from runtime.patch import Painted, Patch
from runtime.program import Backend, Precision, Program, Request
from runtime.regions import Region
from runtime.schedule import Schedule, make_schedule
from runtime.smooth import smoothed
from runtime.stages import Encoder, Filled, Forms, Painter, collect, encode, paint, transform, visits
from runtime.streams import open_streams
from runtime.transformer import Transformer

_STAGED_AHEAD = 4  # frames prepared before the network asks for them
_FILLED_AHEAD = 8  # frames painted before the writer asks for them
_FEATURE_BYTES = 256 << 20  # of the features that wait for a later window; beyond it they are computed again


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session runs its bundle."""

    schedule: str = "steady"
    precision: Precision = "auto"
    dilate: int | None = None  # iterations of the 3x3 cross on the hole; None: as the bundle says
    feather: int = 0  # source pixels over which a fill fades into its surroundings
    smooth: int = 0  # frames before and after one that its fill is averaged with, along the motion
    grain: bool = False  # whether fills get the grain of their surroundings
    windows: int | None = None  # under way at once; None: 1 on the host, whose libraries use every core for it, else 2
    waiting_bytes: int = 256 << 20  # of frames that wait for their fill; beyond it they are read a second time


@dataclass(frozen=True, slots=True)
class Restored:
    """A frame that is done."""

    frame: Frame  # repaired
    source: Frame  # as it came
    patches: tuple[Patch, ...]  # what was painted; none: both frames are one object


class Session:
    """One bundle on one backend; `restore` may be called for one clip after another."""

    def __init__(
        self, bundle: Bundle, backend: Backend, settings: Settings, make_device: MakeDevice = open_device
    ) -> None:
        """Open the stages; raises `BundleError`, `BackendUnavailable`, `DeviceFailed` or `UsageError`."""
        self._settings = settings
        self._finish = Finish(settings.feather, settings.grain)
        self._rule = bundle.manifest.pixels
        self._schedule = make_schedule(settings.schedule, bundle.manifest.schedule)
        self._make_blend = PublishedAverage if self._schedule.to_the_letter else CentredAverage
        self.clock = Clock()
        self._windows = windows_of(backend, settings)
        self._device = make_device(backend.memory, self.clock, self._windows)
        stages = _Stages(bundle, backend, "fp32" if self._schedule.to_the_letter else settings.precision)
        with self._device.bound():
            self._encoder = stages.open("encoder", {"B": 1})
            self._decoder = stages.open("decoder", {"B": 1})
        self._transformer = stages.transformer(self._schedule)
        self._forms = stages.forms()
        self.picture = (self._rule.width, self._rule.height)  # what the network sees at once, in pixels
        self.precision = stages.computes_in()  # the types, for people

    def restore(
        self, clip: Iterable[Masked], regions: Sequence[Region], *, start: int = 0, again: Again | None = None
    ) -> Generator[Restored, None, None]:
        """Frames with their holes at the source's size -> the same frames repaired, in order, from `start` on.

        A frame outside every region stays as it is.  Frame numbers ascend; where some are left out, a scene ends.
        Frames before `start` are looked at where a later one needs them.  `again` begins the same frames anew, for a
        clip of which too many would have to wait in memory.  Reading and the network run in threads of their own;
        closing the iterator stops them.
        """
        settings = self._settings
        paint_from = max(0, start - settings.smooth)
        reach = self._schedule.reach_frames
        agenda = Agenda(regions, reach, paint_from)
        room = Room(paint_from, reach, settings.waiting_bytes)
        with (
            closing(WaitingFrames(room, again, self.clock)) as waiting,
            closing(self._prepared(clip, agenda, waiting)) as prepared,
            closing(ahead(self._filled(prepared, regions), _FILLED_AHEAD)) as filled,
        ):
            for item in self._smoothed(_joined(filled, waiting, paint_from)):
                if item.frame.index >= start:
                    yield self._restored(item)

    def _prepared(
        self, clip: Iterable[Masked], agenda: Agenda, waiting: WaitingFrames
    ) -> Generator[Staged, None, None]:
        dilate = self._rule.dilate if self._settings.dilate is None else self._settings.dilate
        return prepare(self.clock.timed("decode", clip), agenda, self._rule, dilate, waiting, self.clock)

    def _smoothed(self, painted: Iterator[Painted]) -> Iterator[Painted]:
        if self._settings.smooth == 0:
            return painted
        return self.clock.timed("smooth", smoothed(self.clock.apart(painted), self._settings.smooth))

    def _restored(self, item: Painted) -> Restored:
        with self.clock.busy("composite"):
            return Restored(composite(item.frame, item.patches, self._finish), item.frame, item.patches)

    def _filled(self, prepared: Generator[Staged, None, None], regions: Sequence[Region]) -> Iterator[Filled]:
        forms, schedule, pool = self._forms, self._schedule, Pool(self._device)
        encoder = Encoder(self._encoder, self._rule, forms, pool, _FEATURE_BYTES)
        painter = Painter(self._decoder, self._rule, forms.picture, self._make_blend, pool)
        with closing(ahead(prepared, _STAGED_AHEAD)) as staged, open_streams(self._device) as streams:
            encoded = encode(visits(shots(staged, regions), schedule), encoder, schedule, streams)
            completed = transform(encoded, self._transformer, pool, streams)
            yield from collect(paint(completed, painter, streams), self._windows)


def windows_of(backend: Backend, settings: Settings) -> int:
    """How many windows are under way at once: as asked, or else two where the host's cores do not compute them."""
    if settings.windows is not None:
        return settings.windows
    return 1 if backend.memory == "host" else 2


def _joined(filled: Iterable[Filled], waiting: WaitingFrames, first: int) -> Iterator[Painted]:
    """Fills with their frames, from frame `first` on."""
    for item in filled:
        if item.index >= first:
            yield Painted(waiting.take(item.index), item.patches, item.shot)


@dataclass(frozen=True, slots=True)
class _Stages:
    """What opens the bundle's stages; knows no session, so that a session is freed as soon as it is dropped."""

    bundle: Bundle
    backend: Backend
    precision: Precision

    def open(self, name: str, sizes: Mapping[str, int]) -> Program:
        stage = self.bundle.stage(name)
        return self.backend.open(Request(self._file(stage), stage, sizes, self.precision))

    def computes_in(self) -> str:
        """The backend's type; before it int8, where stages have a graph in it that is run."""
        narrowed = self._narrows() and any(self.bundle.quantised(stage) for stage in self.bundle.manifest.stages)
        rest = self.backend.precision(self.precision)
        return f"int8 and {rest}" if narrowed else rest

    def _file(self, stage: StageSpec) -> Path:
        """The stage's graph in int8 where that is wanted and there is one."""
        narrow = self.bundle.quantised(stage) if self._narrows() else None
        return self.bundle.file(stage, self.backend.target) if narrow is None else narrow

    def _narrows(self) -> bool:
        """Whether int8 is run where it can be had: by what runs graphs itself, unless all of it is to be exact."""
        return self.backend.memory == "host" and self.precision == "auto"

    def transformer(self, schedule: Schedule) -> Transformer:
        stage = self.bundle.stage("transformer")
        self._file(stage)  # a damaged file shows before anything is written
        rule = self.bundle.manifest.schedule
        return Transformer(stage, rule, schedule.full_window, partial(self.open, "transformer"))

    def forms(self) -> Forms:
        encoder, decoder = self.bundle.stage("encoder"), self.bundle.stage("decoder")
        return Forms(_of_one(encoder.inputs[0]), _of_one(encoder.outputs[0]), _of_one(decoder.outputs[0]))


def _of_one(spec: TensorSpec) -> Form:
    """A tensor whose first axis is the batch, for a batch of one."""
    return Form((1, *(int(size) for size in spec.shape[1:])), spec.dtype)
