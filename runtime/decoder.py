"""The decoder's call: the whole picture, or just the part of it that somebody will look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from runtime._composite.layers import read_of
from runtime.bundle import PartSpec, StageSpec
from runtime.device import Form, Stream, Tensor, host_array
from runtime.errors import ManifestInvalid
from runtime.frame import Hole
from runtime.parts import Geometry, Part, interpolations, part_for
from runtime.patch import Crop
from runtime.pool import Buffer, Pool
from runtime.program import Program

Sizes = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Parts:
    """How parts of pictures are decoded."""

    geometry: Geometry
    open_for: Callable[[Sizes], Program]
    feather: int  # pixels of the source around a hole that its fill reaches


class Decoder:
    """Runs the stage for whole pictures and, given `parts`, for parts of them; in the host's memory only.

    A program for each size that parts have is opened on its first use.
    """

    def __init__(self, program: Program, features: Form, picture: Form, parts: Parts | None) -> None:
        self._program = program
        self._features = features
        self._picture = picture
        self._parts = parts
        self._programs: dict[tuple[int, int], Program] = {}

    def part_of(self, hole: Hole, crop: Crop) -> Part | None:
        """What must be decoded for a hole of the network's picture to be filled; None: all of it."""
        if self._parts is None:
            return None
        return part_for(read_of(hole, crop, self._parts.feather), self._parts.geometry)

    def run(self, features: Tensor, part: Part | None, pool: Pool, stream: Stream) -> Buffer:
        """Features `[1, C, h, w]` -> the picture `[1, 3, H, W]` or that of the part's window alone, on lease."""
        if part is None or self._parts is None:
            painted = pool.take(self._picture, stream)
            self._program.enqueue({"features": features}, {"rgb": painted.tensor}, stream)
            painted.ready = stream.mark()
            return painted
        area, (height, width), scale = part.window, part.size, self._parts.geometry.scale
        program = self._opened(height, width, self._parts)
        window = pool.take(_cut_to(self._features, height, width), stream)
        inside = host_array(features)[..., area.top : area.bottom, area.left : area.right]
        stream.copy(inside, window.tensor)  # libraries take no strides
        painted = pool.take(_cut_to(self._picture, height * scale, width * scale), stream)
        inputs: dict[str, Tensor] = {"features": window.tensor, **interpolations(part, self._parts.geometry)}
        program.enqueue(inputs, {"rgb": painted.tensor}, stream)
        painted.ready = stream.mark()
        window.hold(painted.ready)
        window.release()
        return painted

    def _opened(self, height: int, width: int, parts: Parts) -> Program:
        if (height, width) not in self._programs:
            self._programs[height, width] = parts.open_for(sizes_for(height, width, parts.geometry))
        return self._programs[height, width]


def sizes_for(height: int, width: int, geometry: Geometry) -> dict[str, int]:
    """The symbolic axes of the graph for parts, for a rectangle of this many rows and columns of features."""
    sizes = {"B": 1}
    for step in range(geometry.doublings + 1):
        sizes |= {_axis("h", step): height << step, _axis("w", step): width << step}
    return sizes


def geometry_of(stage: StageSpec, part: PartSpec, where: str) -> Geometry:
    """How `part` makes pictures; raises `ManifestInvalid`, which begins with `where`, unless it is what it has to be.

    That is, inputs and outputs as docs/bundle.md names and shapes them, and a halo that is no negative number.
    """
    channels, height, width = stage.inputs[0].shape[1:]
    picture = stage.outputs[0].shape[1:]
    doublings = max((int(picture[1]) // max(int(height), 1)).bit_length() - 1, 0)
    geometry = Geometry(int(height), int(width), doublings, part.halo)
    if part.halo < 0 or picture[1:] != (geometry.height * geometry.scale, geometry.width * geometry.scale):
        raise ManifestInvalid(
            f"{where}: the part of stage '{stage.name}' has a halo of {part.halo} and makes {_shape(picture)} of "
            f"{_shape((channels, height, width))}, wanted 0 or more and sizes doubled. Export the bundle again."
        )
    wanted: dict[str, tuple[int | str, ...]] = {"features": ("B", channels, "h", "w")}
    for step in range(geometry.doublings):
        wanted[f"rows_{step + 1}"] = (_axis("h", step + 1), _axis("h", step))
        wanted[f"columns_{step + 1}"] = (_axis("w", step), _axis("w", step + 1))
    wanted["rgb"] = ("B", picture[0], _axis("h", geometry.doublings), _axis("w", geometry.doublings))
    found = {port.name: port.shape for port in (*part.inputs, *part.outputs)}
    for name in (*wanted, *found):
        if found.get(name) != wanted.get(name):
            raise ManifestInvalid(
                f"{where}: the part of stage '{stage.name}' has {name} {_shape(found.get(name))}, wanted "
                f"{_shape(wanted.get(name))}. Export the bundle again."
            )
    return geometry


def _axis(letter: str, step: int) -> str:
    return f"{1 << step}{letter}" if step else letter


def _shape(shape: tuple[int | str, ...] | None) -> str:
    return "nothing" if shape is None else f"[{', '.join(map(str, shape))}]"


def _cut_to(form: Form, height: int, width: int) -> Form:
    return replace(form, shape=(*form.shape[:2], height, width))
