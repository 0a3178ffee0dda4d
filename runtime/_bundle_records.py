"""What stands in a manifest, as types; docs/bundle.md is their prose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from runtime._strict import Matching, Within

# The range of every number stands here, so that what reads a manifest need not ask what a number might do to it.
Count = Annotated[int, Within(0, (1 << 63) - 1)]
Side = Annotated[int | str, Within(1, (1 << 31) - 1)]
LONGEST_SIDE = 16384  # pixels of a network's picture
Pixels = Annotated[int, Within(1, LONGEST_SIDE)]
Frames = Annotated[int, Within(1, 4096)]
Level = Annotated[float, Within(-65504, 65504)]  # what a float16 holds
Difference = Annotated[float, Within(0)]
# Programs make paths and other programs' configurations of these.
Name = Annotated[str, Matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", "letters, digits and . _ - behind the first")]
Sha256 = Annotated[str, Matching(r"[0-9a-f]{64}", "64 hexadecimal digits")]

Compute = Literal["float32", "float16", "bfloat16", "int8"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a stage."""

    name: str
    dtype: Literal[
        "float32", "int64"
    ]  # in the stage's float32 graph; a typed graph has its own type instead of float32
    shape: tuple[Side, ...]  # a text names a symbolic axis: B batch, T window, N targets, in parts h w 2h 2w ...
    holds: str | None = None  # for an int64 scalar: the symbolic axis whose length it carries

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape where symbolic axes have these lengths."""
        return tuple(sizes[side] if isinstance(side, str) else side for side in self.shape)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the bundle."""

    path: str  # relative to the bundle, with forward slashes
    sha256: Sha256
    size_bytes: Count


@dataclass(frozen=True, slots=True)
class KernelsRecord:
    """The CUDA kernels for the work around the network, compiled."""

    file: FileRecord  # a fatbin
    interface: str  # sha256 of the header that says how they are called
    cuda: str  # the oldest CUDA release whose driver loads them, such as 13.0
    capabilities: tuple[str, ...]  # compute capabilities that have a binary
    ptx: str  # the compute capability from which on a driver compiles for every other GPU


@dataclass(frozen=True, slots=True)
class ParityRecord:
    """One stage compared with PyTorch."""

    stage: str
    runner: str  # what ran the graph
    frames: str  # which frames it saw
    max_abs: Difference
    tolerance: Difference
    psnr_db: float  # against the reference's own range
    nan_count: Count


@dataclass(frozen=True, slots=True)
class TypedGraph:
    """The stage's graph in a narrower type: what engines are compiled from.

    In half precision its inputs and outputs are, too; in int8 they stay float32, and CPUs run it as it is.
    """

    compute: Literal["float16", "bfloat16", "int8"]
    file: FileRecord
    kept_float32: tuple[str, ...]  # nodes left in float32, chosen by measurement
    parity: ParityRecord  # against the float32 graph
    ranges: FileRecord | None = None  # the table that int8 is from; null in half precision


@dataclass(frozen=True, slots=True)
class EngineRecord:
    """The stage compiled for some GPUs; `runtime/engines.py` says whether it fits a machine."""

    target: str  # which library: tensorrt, tensorrt_rtx
    version: str  # of that library
    capabilities: tuple[str, ...]  # compute capabilities that it was built for, such as 8.9
    gpu: str | None  # on which it was built; null: without one
    compute: Compute
    graph_sha256: str  # of the bundle's graph that it was compiled from
    shapes: Mapping[
        str, tuple[tuple[Count, ...], ...]
    ]  # by input: the only shape, or the least, the usual and the largest
    options: Mapping[str, str]  # how it was built
    key: str  # sha256 of all of the above
    file: FileRecord
    layers: Mapping[str, Count]  # of the network that was compiled, by the type of what they give; `other`: no numbers
    parity: ParityRecord | None  # against the float32 graph, where it could run; null: unverified


@dataclass(frozen=True, slots=True)
class PartSpec:
    """The stage for a rectangle of its features, for runtimes that need a part of its picture only."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    halo: Annotated[int, Within(0, LONGEST_SIDE)]  # pixels that mean nothing, at sides inside the whole picture
    file: FileRecord  # an ONNX graph
    typed: tuple[TypedGraph, ...] = ()  # in int8, where the whole stage's is


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One graph of the network: what goes in, what comes out, and its file for each target."""

    name: Name
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: Mapping[str, FileRecord]  # by target: onnx, ...
    typed: tuple[TypedGraph, ...] = ()
    engines: tuple[EngineRecord, ...] = ()  # for several GPUs side by side
    part: PartSpec | None = None  # null: it gives whole pictures only


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """Which frames meet in one call of the transformer."""

    kind: Literal["windowed"]
    targets: Frames  # repainted in a full window of `steady`
    references: Annotated[int, Within(0, 4096)]  # distant frames in a full window of `steady`
    neighbour_stride: Frames  # from one window's centre to the next
    reference_step: Annotated[int, Within(1, 65536)]  # a frame whose index is a multiple of this may be a reference
    fixed: bool  # the transformer takes exactly targets + references frames; fillers are silenced by key_bias


@dataclass(frozen=True, slots=True)
class PixelRule:
    """How a source frame becomes the network's input and its output a frame again (formulas: docs/bundle.md)."""

    width: Pixels
    height: Pixels
    colour_order: Literal["rgb", "bgr"]
    low: Level  # value of sample 0
    high: Level  # value of sample 255
    mask_applied: bool  # whether the hole is blanked in the network's input
    hole_value: Level  # what a blanked sample holds
    resize: Literal["bicubic-antialias"]
    dilate: Annotated[int, Within(0, 64)]  # iterations of a 3x3 cross on the mask at the network's size


@dataclass(frozen=True, slots=True)
class PrecisionRule:
    """In which types the graphs hold and compute."""

    compute: Literal["float32", "float16", "bfloat16", "int8"]
    storage: Literal["float32", "float16"]  # of the initialisers; the graph casts them
    kept_float32: tuple[str, ...]  # layers left in higher precision


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the weights come from and what made the bundle."""

    checkpoint: str  # file name of the weights
    checkpoint_sha256: str
    licence: str
    tool: str  # name and version of the exporter
    toolchain: Mapping[str, str]  # library -> version
    options: Mapping[str, str]  # how the exporter was called


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a runtime must know of a bundle besides its files."""

    schema: int
    network: Name
    variant: Name
    stages: tuple[StageSpec, ...]
    kernels: KernelsRecord
    schedule: ScheduleRule
    pixels: PixelRule
    precision: PrecisionRule
    parity: tuple[ParityRecord, ...]
    provenance: Provenance
