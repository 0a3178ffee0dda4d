"""What a network says of itself, so that exporter, trainer and tests need no knowledge of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Size:
    """A picture's size in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Pixels:
    """What the network was trained to see."""

    colour_order: Literal["rgb", "bgr"]
    low: float  # value of sample 0
    high: float  # value of sample 255
    mask_applied: bool  # whether the hole is blanked in the network's input
    hole_value: float  # what a blanked sample holds
    dilate: int  # iterations of a 3x3 cross on the mask before anything else


@dataclass(frozen=True, slots=True)
class Window:
    """How many frames meet in one call, and how far the next call moves on."""

    targets: int  # frames repainted
    references: int  # distant frames looked at
    neighbour_stride: int  # frames from one window's centre to the next
    reference_step: int  # a frame whose index is a multiple of this may be a reference


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output of a stage."""

    name: str
    shape: tuple[int | str, ...]  # a text names a symbolic axis
    dtype: Literal["float32", "int64"] = "float32"
    holds: str | None = None  # for a scalar input: the symbolic axis whose length it carries


@dataclass(frozen=True, slots=True)
class Part:
    """A stage for a rectangle of its features, `[h, w]` of them, which gives that rectangle of its picture.

    What of the picture lies within `halo` pixels of a side of the rectangle means nothing, unless that side is the
    whole picture's own; everything else is what the stage gives.  Inputs are the features and, for each time that the
    picture's size doubles, `rows` and `columns` of the interpolation (docs/bundle.md, Parts).
    """

    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    halo: int  # pixels


@dataclass(frozen=True, slots=True)
class Stage:
    """One graph to export: `module` maps the inputs, in this order, to the outputs.

    Stages form a chain: a stage's first input is what the stage before gives, the first stage's is the frames.
    """

    name: str
    module: nn.Module
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    part: Part | None = None  # the same for a rectangle, where that can be computed alone


@dataclass(frozen=True, slots=True)
class Variant:
    """One trained form of a network.  Checkpoints do not always tell variants apart, so their names do."""

    name: str
    summary: str  # one line for listings
    size: Size  # what it was trained at
    parameters: int
    pixels: Pixels
    window: Window  # the published numbers
    build: Callable[[Size], nn.Module]  # the untrained network for that size; ValueError says what does not fit
    by_name_only: bool = False  # its files fit another variant too, which they are taken for unless it is named


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network: its forms, where its checkpoints keep the weights, and how it falls into stages."""

    name: str
    source: str  # paper and licence of the published code
    variants: tuple[Variant, ...]
    default_variant: str
    containers: tuple[str, ...]  # keys under which published checkpoints hold the weights
    size_rule: str  # one sentence on the sizes `build` takes
    stages: Callable[[nn.Module, Window | None], tuple[Stage, ...]]  # None: any number of frames per call

    def variant(self, name: str) -> Variant:
        """The variant called `name`; raises `LookupError`, naming the choices."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        choices = ", ".join(variant.name for variant in self.variants)
        raise LookupError(f"model '{self.name}' has no variant '{name}'; there are: {choices}")
