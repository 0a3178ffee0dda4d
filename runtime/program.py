"""The seam to an inference library: one verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from runtime.bundle import StageSpec
from runtime.device import Memory, Stream, Tensor

Precision = Literal["auto", "fp32"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32")
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Request:
    """What to open: one stage, for which sizes, how precisely."""

    path: Path
    stage: StageSpec
    sizes: Mapping[str, int]  # symbolic axes that never change in this program; the others stay symbolic
    precision: Precision


class Program(Protocol):
    """One stage ready to run."""

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        """Let `stream` compute `outputs` from `inputs`, both of the stage's names; allocates no tensor, never waits.

        An input that holds the length of an axis is an array of the host, which stays as it is until the work is done.
        """
        ...


class Backend(Protocol):
    """An inference library; found by the file of its name in runtime/backends."""

    @property
    def target(self) -> str:
        """Which of a stage's files it runs."""
        ...

    @property
    def memory(self) -> Memory:
        """Where its programs expect their tensors."""
        ...

    @property
    def rank(self) -> int | None:
        """Its turn when the backend is chosen by itself, lower first; None when it must be asked for."""
        ...

    def why_not(self) -> str | None:
        """None when it can run here, else one sentence that says what is missing and how to get it."""
        ...

    def precision(self, asked: Precision) -> str:
        """The type it computes in on this machine when `asked`, as the summary prints it."""
        ...

    def open(self, request: Request) -> Program:
        """Load and compile; raises `BackendUnavailable` or `BundleError`."""
        ...
