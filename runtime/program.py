"""The seam to an inference library: one verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from runtime.bundle import Compute, StageSpec
from runtime.device import Form, Memory, Stream, Tensor
from runtime.engines import Machine

Precision = Literal["auto", "fp32"]
EXACT: Precision = "fp32"
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32")
LABELS: Mapping[Compute, str] = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "int8": "int8"}
Tensors = Mapping[str, Tensor]


def _ignore(_: object) -> None:
    """For whoever opens a stage and wants to hear nothing."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """In which types a bundle is computed."""

    quantised: bool  # whether graphs in int8 are run where the bundle has them
    precision: Precision  # of everything else


def narrowest(precision: Precision) -> Arithmetic:
    """The narrowest types that `precision` allows."""
    return Arithmetic(precision != EXACT, precision)


@dataclass(frozen=True, slots=True)
class Request:
    """What to open: one stage, for which sizes, how precisely."""

    path: Path
    stage: StageSpec
    sizes: Mapping[str, int]  # symbolic axes that never change in this program; the others stay symbolic
    precision: Precision
    compute: Compute = "float32"  # type of the file at `path`, and of what goes in and out of it
    cuda_graph: bool = True  # whether repeated work may be recorded and launched as one
    tell: Callable[[str], None] = _ignore  # takes a sentence that a user should hear
    at_rest: Callable[[Callable[[], None]], None] = _ignore  # takes what to call when a clip is done and nothing runs
    threads: int | None = None  # to compute with, where that is a processor's work; None: see runtime/cores.py
    at_end: Callable[[Callable[[], None]], None] = _ignore  # takes what to call when the program is not needed any more
    allocate: Callable[[Form], Tensor] | None = None  # gives device memory that outlives the program; None: nobody does
    stream: Callable[[str], Stream] | None = None  # makes one, by name, that outlives the program; None: nobody does


class Program(Protocol):
    """One stage ready to run."""

    @property
    def compute(self) -> Compute:
        """Type of the numbers that it takes and gives where the stage's spec says float32."""
        ...

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        """Let `stream` compute `outputs` from `inputs`, both of the stage's names; allocates no tensor, never waits.

        An input that holds the length of an axis is an array of the host, which stays as it is until the work is done.
        """
        ...


class Backend(Protocol):
    """An inference library; found by the file of its name in runtime/backends."""

    @property
    def target(self) -> str:
        """Which of a stage's files or engines it runs."""
        ...

    @property
    def memory(self) -> Memory:
        """Where its programs expect their tensors."""
        ...

    @property
    def graphs(self) -> tuple[Compute, ...]:
        """Types of the graphs that it runs, best first; none when it runs engines."""
        ...

    @property
    def rank(self) -> int | None:
        """Its turn when the backend is chosen by itself, lower first; None when it must be asked for."""
        ...

    def why_not(self) -> str | None:
        """None when it can run here, else one sentence that says what is missing and how to get it."""
        ...

    def machine(self) -> Machine | None:
        """What an engine must fit to run here; None when it runs graphs."""
        ...

    def traits(self) -> tuple[str, ...]:
        """What decides its speed here besides processor and graphs: version, what it can do, the environment's limits.

        Asked only where `why_not` is None.
        """
        ...

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        """The type that a file of type `compute` is computed in here when `asked`, as the summary prints it."""
        ...

    def open(self, request: Request) -> Program:
        """Load and compile; raises `BackendUnavailable` or `BundleError`."""
        ...
