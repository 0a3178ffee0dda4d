"""A bundle opened on a backend, ready to repair clips."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from runtime.ahead import ahead
from runtime.blend import CentredAverage, PublishedAverage
from runtime.bundle import Bundle
from runtime.clock import Clock
from runtime.device import Pool, Shape
from runtime.frame import Frame, Hole
from runtime.program import Backend, Precision, Program, Request
from runtime.schedule import Schedule, make_schedule, steps
from runtime.stages import Clip, Encoder, Repaired, Staged, encode, paint, prepare, transform
from runtime.transformer import Transformer

_STAGED_AHEAD = 4  # frames decoded before the network asks for them
_REPAIRED_AHEAD = 8  # frames repaired before the writer asks for them


@dataclass(frozen=True, slots=True)
class Settings:
    """How a session runs its bundle."""

    schedule: str = "steady"
    precision: Precision = "auto"
    dilate: int | None = None  # iterations of the 3x3 cross on the hole; None: as the bundle says


class Session:
    """One bundle on one backend; `restore` may be called for one clip after another."""

    def __init__(self, bundle: Bundle, backend: Backend, settings: Settings) -> None:
        """Open the stages; raises `BundleError`, `BackendUnavailable` or `UsageError`."""
        self._settings = settings
        self._rule = bundle.manifest.pixels
        self._schedule = make_schedule(settings.schedule, bundle.manifest.schedule)
        self._make_blend = PublishedAverage if self._schedule.to_the_letter else CentredAverage
        stages = _Stages(bundle, backend, "fp32" if self._schedule.to_the_letter else settings.precision)
        self._encoder = stages.open("encoder", {"B": 1})
        self._decoder = stages.open("decoder", {"B": 1})
        self._transformer = stages.transformer(self._schedule)
        self._feature_shape = stages.feature_shape()
        self.precision = backend.precision(stages.precision)  # the type that the backend computes in
        self.clock = Clock()

    def restore(self, clip: Iterable[tuple[Frame, Hole | None]]) -> Generator[Frame, None, None]:
        """Frames with their masks at the source's size -> the same frames repaired, in order.

        A mask is True where pixels are to be replaced; None and an empty mask leave the frame as it is.  Decoding and
        the network run in threads of their own; closing the iterator stops them.
        """
        dilate = self._rule.dilate if self._settings.dilate is None else self._settings.dilate
        source = self.clock.timed("decode", clip)
        staged = ahead(prepare(source, self._rule, dilate, self.clock), _STAGED_AHEAD)
        with closing(ahead(self._repaired(staged), _REPAIRED_AHEAD)) as repaired:
            for item in repaired:
                with self.clock.busy("composite"):
                    frame = item.composited()
                yield frame

    def _repaired(self, staged: Generator[Staged, None, None]) -> Iterator[Repaired]:
        with closing(staged):
            clip = Clip(staged)
            pool = Pool()
            encoder = Encoder(self._encoder, self._rule, self._feature_shape, pool)
            encoded = encode(steps(self._schedule, clip.exists), clip, encoder, self._schedule, self.clock)
            completed = transform(encoded, self._transformer, pool, self.clock)
            yield from paint(completed, clip, self._decoder, self._rule, self._make_blend, pool, self.clock)


@dataclass(frozen=True, slots=True)
class _Stages:
    """What opens the bundle's stages; knows no session, so that a session is freed as soon as it is dropped."""

    bundle: Bundle
    backend: Backend
    precision: Precision

    def open(self, name: str, sizes: Mapping[str, int]) -> Program:
        stage = self.bundle.stage(name)
        path = self.bundle.file(stage, self.backend.target)
        return self.backend.open(Request(path, stage, sizes, self.precision))

    def transformer(self, schedule: Schedule) -> Transformer:
        stage = self.bundle.stage("transformer")
        self.bundle.file(stage, self.backend.target)  # a damaged file shows before anything is written
        rule = self.bundle.manifest.schedule
        return Transformer(stage, rule, schedule.full_window, partial(self.open, "transformer"))

    def feature_shape(self) -> Shape:
        shape = self.bundle.stage("encoder").outputs[0].shape[1:]
        return tuple(int(size) for size in shape)
