"""What the exporter asks of a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from runtime.bundle import Compute

Half = Literal["float16", "bfloat16"]
Range = tuple[tuple[int, ...], ...]  # the only shape, or the least, the usual and the largest; of a scalar, its values
Say = Callable[[str], None]  # told what is being done now
Arrays = Mapping[str, Any]  # NumPy arrays by name; NumPy itself is not needed for building


@dataclass(frozen=True, slots=True)
class Options:
    """How engines are built; what is None or False is left to the library."""

    capabilities: tuple[
        str, ...
    ] = ()  # compute capabilities to build for, such as 8.9; none: all that the library knows, or the GPU here
    workspace_mib: int | None = None  # scratch memory that a layer may use
    opt_level: int | None = None  # 0 to 5: build time against speed
    timing_cache: Path | None = None  # kept from build to build
    hardware_compat: bool = False  # for every GPU of SM 8.0 or later
    version_compat: bool = False  # for later versions with the same first number
    frames: tuple[int, int, int] | None = None  # least, usual, most in a window; None: exactly the schedule's


@dataclass(frozen=True, slots=True)
class Order:
    """One stage to compile."""

    stage: str
    graph: Path  # ONNX in the type that the engine computes in
    compute: Compute  # int8: inside; inputs and outputs are float32 then
    kept_float32: tuple[str, ...]  # nodes that are float32 on purpose
    shapes: Mapping[str, Range]  # by input
    options: Options


@dataclass(frozen=True, slots=True)
class Built:
    """A finished engine and what was found in it."""

    plan: Path
    capabilities: tuple[str, ...]
    gpu: str | None  # on which it was built
    layers: Mapping[str, int]  # by the type of what they give
    seconds: float


class Compiler(Protocol):
    """What a target that compiles has besides."""

    @property
    def portable(self) -> bool:
        """Whether it builds for GPUs that it is told of, and needs none here."""
        ...

    def installed(self) -> bool:
        """Whether the library is there, whether or not it can build here."""
        ...

    def version(self) -> str:
        """Of the library, as the engine's record names it."""
        ...

    def refuse(self, options: Options, compute: Compute) -> str | None:
        """None when the installed version can do all of it, else one sentence: what cannot be, and what to do."""
        ...

    def build(self, order: Order, plan: Path, say: Say) -> Built:
        """Write the engine to `plan`; raises `ExportError`."""
        ...

    def why_not_run(self, order: Order) -> str | None:
        """None when an engine for the capabilities that `order` names can run here, else what is missing."""
        ...

    def run(self, order: Order, plan: Path, feeds: Sequence[Arrays]) -> list[Arrays]:
        """What the engine makes of each of `feeds` (float32), as float32; raises `ExportError`."""
        ...


@dataclass(frozen=True, slots=True)
class Serving:
    """How Triton Inference Server runs such files, in the words of its ModelConfig."""

    platform: str
    file: str  # its name in a version's folder
    kind: str  # of its instances: where they run
    cuda_graphs: bool  # whether the platform takes CUDA graphs


class Target(Protocol):
    """A form in which a stage lies in the bundle; found by the file of its name in export/targets."""

    @property
    def name(self) -> str:
        """What the command line and the manifest call it."""
        ...

    @property
    def suffix(self) -> str:
        """Of its files, with the dot."""
        ...

    @property
    def fixed_window(self) -> bool:
        """Whether it runs best when the number of frames of a transformer's call is a constant."""
        ...

    @property
    def serving(self) -> Serving | None:
        """How Triton Inference Server runs it; None where it does not."""
        ...

    @property
    def compiler(self) -> Compiler | None:
        """What makes engines of graphs; None where the graph itself is the form, which every bundle holds."""
        ...

    def why_not(self) -> str | None:
        """None when it can be made here, else one sentence that says what is missing and how to get it."""
        ...
