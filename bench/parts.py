"""One call of the decoder for a rectangle of its features against one for the whole picture; seeded random weights.

python -m bench.parts --variant official --backend openvino
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import models
from export.build import make_graph
from export.parts import stages_of
from models._spec import Stage
from runtime import backends
from runtime.bundle import StageSpec, TensorSpec
from runtime.clock import Clock
from runtime.device import HostArray, Stream
from runtime.devices import open_device
from runtime.errors import VidmendError
from runtime.parts import Geometry, interpolations, part_of, sizes_of
from runtime.program import Backend, Program, Request
from runtime.resize import Area

_NETWORK = "sttn"


@dataclass(frozen=True, slots=True)
class Call:
    """A program with its tensors."""

    size: tuple[int, int]  # rows and columns of features
    program: Program
    inputs: dict[str, HostArray]
    outputs: dict[str, HostArray]
    opened_s: float

    def seconds(self, stream: Stream) -> float:
        """One run."""
        started = time.perf_counter()
        self.program.enqueue(self.inputs, self.outputs, stream)
        return time.perf_counter() - started


def main(arguments: Sequence[str]) -> int:
    """Print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.parts", description=__doc__, allow_abbrev=False)
    parser.add_argument("--variant", default="small")
    parser.add_argument("--backend", default="openvino", help="one that computes on the host")
    parser.add_argument("--runs", type=int, default=5, help="of which the fastest counts (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        backend = backends.able(options.backend)
        with tempfile.TemporaryDirectory() as folder:
            calls = _calls(_decoder(options.variant), backend, Path(folder))
            stream = open_device(backend.memory, Clock(), 1).stream("bench")
            rounds = [[call.seconds(stream) for call in calls] for _ in range(1 + options.runs)]  # in turns
    except VidmendError as error:
        print(f"bench.parts: {error}", file=sys.stderr)
        return error.exit_code
    _print(calls, [min(times) for times in zip(*rounds[1:], strict=True)])
    return 0


def _decoder(variant: str) -> Stage:
    torch.manual_seed(0)
    spec = models.get(_NETWORK)
    chosen = spec.variant(variant)
    return spec.stages(chosen.build(chosen.size), None)[2]


def _calls(stage: Stage, backend: Backend, folder: Path) -> list[Call]:
    """The whole picture, then the middle of it in each size, both axes alike."""
    (part,) = stages_of([stage])
    channels, height, width = (int(side) for side in stage.inputs[0].shape[1:])
    geometry = Geometry(height, width, len(part.inputs) // 2, 0 if stage.part is None else stage.part.halo)
    features = np.random.default_rng(0).standard_normal((1, channels, height, width), np.float32)
    calls = [_call(stage, backend, folder, (height, width), {"B": 1}, {"features": features}, geometry.scale)]
    for rows, columns in zip(sizes_of(height), sizes_of(width), strict=True):
        top, left = (height - rows) // 2, (width - columns) // 2
        window = part_of(Area(left, top, left + columns, top + rows), geometry)
        inside = np.ascontiguousarray(features[..., top : top + rows, left : left + columns])
        sizes = {"B": 1, "h": rows, "w": columns}
        for step in range(1, geometry.doublings + 1):
            sizes |= {f"{1 << step}h": rows << step, f"{1 << step}w": columns << step}
        inputs = {"features": inside, **interpolations(window, geometry)}
        calls.append(_call(part, backend, folder, (rows, columns), sizes, inputs, geometry.scale))
    return calls


def _call(
    stage: Stage,
    backend: Backend,
    folder: Path,
    size: tuple[int, int],
    sizes: dict[str, int],
    inputs: dict[str, HostArray],
    scale: int,
) -> Call:
    path = folder / f"{stage.name}.onnx"
    if not path.exists():
        path.write_bytes(make_graph(stage, halves=False).SerializeToString())
    ports = [tuple(TensorSpec(p.name, p.dtype, p.shape) for p in each) for each in (stage.inputs, stage.outputs)]
    started = time.perf_counter()
    program = backend.open(Request(path, StageSpec(stage.name, ports[0], ports[1], {}), sizes, "auto"))
    picture = np.empty((1, 3, size[0] * scale, size[1] * scale), np.float32)
    return Call(size, program, inputs, {"rgb": picture}, time.perf_counter() - started)


def _print(calls: Sequence[Call], seconds: Sequence[float]) -> None:
    whole, height, width = seconds[0], *calls[0].size
    table = Table("features", "share of them", "ms", "of the whole picture's time", "opened in ms")
    for call, each in zip(calls, seconds, strict=True):
        share = call.size[0] * call.size[1] / (height * width)
        name = "whole, as exported" if call is calls[0] else f"{call.size[0]}x{call.size[1]}"
        table.add_row(name, f"{share:.2f}", f"{each * 1e3:.1f}", f"{each / whole:.2f}", f"{call.opened_s * 1e3:.0f}")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
