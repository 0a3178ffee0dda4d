"""What opens a session's programs, and what they are tied to."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from runtime.afterwards import afterwards
from runtime.bundle import Bundle, Compute, StageSpec, TensorSpec
from runtime.decoder import Parts, geometry_of
from runtime.device import Form, Stream, Tensor
from runtime.numbers import NUMPY_NAMES
from runtime.program import Backend, Precision, Program, Request
from runtime.schedule import Schedule
from runtime.sources import Source, part_source
from runtime.stages import Forms
from runtime.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Ties:
    """What programs have to say, and what they have to do when a clip is done, and when all are."""

    notes: list[str] = field(default_factory=list[str])
    at_rest: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    at_end: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])

    def end(self) -> None:
        """End the programs, the last one first."""
        self.at_rest.clear()
        while self.at_end:
            self.at_end.pop()()

    @contextmanager
    def rested(self) -> Generator[None, None, None]:
        """Inside it programs run; afterwards, when nothing of theirs does, they are told so."""
        with afterwards(self._rest):
            yield

    def _rest(self) -> None:
        for call in self.at_rest:
            call()


@dataclass(frozen=True, slots=True)
class Stages:
    """What opens the bundle's stages; knows no session, so that a session is freed as soon as it is dropped."""

    bundle: Bundle
    backend: Backend
    sources: Mapping[str, Source]
    precision: Precision
    cuda_graph: bool  # as `Settings` has them
    threads: int | None
    ties: Ties
    allocate: Callable[[Form], Tensor]  # memory of the device, freed with it
    stream: Callable[[str], Stream]  # a stream of the device, closed with it

    def open(self, name: str, sizes: Mapping[str, int]) -> Program:
        """A stage's program for these sizes; its other symbolic axes stay symbolic."""
        return self._opened(self.bundle.stage(name), self.sources[name], sizes)

    def parts(self, feather: int) -> Parts | None:
        """How parts of pictures are decoded; None where the bundle or the backend cannot, or not as exactly."""
        stage, source = self.bundle.stage("decoder"), part_source(self.bundle, self.backend, self.sources)
        if source is None or stage.part is None:
            return None
        geometry = geometry_of(stage, stage.part, str(self.bundle.root))
        narrowed = replace(stage, inputs=stage.part.inputs, outputs=stage.part.outputs)
        return Parts(geometry, partial(self._opened, narrowed, source), feather)

    def _opened(self, stage: StageSpec, source: Source, sizes: Mapping[str, int]) -> Program:
        ties = self.ties
        if source.doubt is not None:
            ties.notes.append(source.doubt)
        request = Request(
            source.path,
            stage,
            sizes,
            self.precision,
            source.compute,
            self.cuda_graph,
            ties.notes.append,
            ties.at_rest.append,
            self.threads,
            ties.at_end.append,
            self.allocate,
            self.stream,
        )
        return self.backend.open(request)

    def transformer(self, schedule: Schedule) -> Transformer:
        """What runs windows as `schedule` has them."""
        stage, rule = self.bundle.stage("transformer"), self.bundle.manifest.schedule
        return Transformer(stage, rule, schedule.full_window, partial(self.open, "transformer"))

    def forms(self, encoded: Compute, decoded: Compute) -> Forms:
        """By the types of what goes in and out of the encoder's and the decoder's program."""
        encoder, decoder = self.bundle.stage("encoder"), self.bundle.stage("decoder")
        return Forms(
            _of_one(encoder.inputs[0], encoded),
            _of_one(encoder.outputs[0], encoded),
            _of_one(decoder.outputs[0], decoded),
        )


def _of_one(spec: TensorSpec, compute: Compute) -> Form:
    """A tensor whose first axis is the batch, for a batch of one."""
    return Form((1, *(int(size) for size in spec.shape[1:])), NUMPY_NAMES[compute])
