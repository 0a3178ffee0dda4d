"""One call of the decoder for a rectangle of its features against one for the whole picture.

python -m bench.parts --variant official --backend openvino          # seeded random weights
python -m bench.parts --bundle sttn-small --precision int8
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import models
from export.build import make_graph, tensors_of
from export.parts import stages_of
from runtime import backends
from runtime.bundle import Bundle, FileRecord, PartSpec, StageSpec, read_bundle
from runtime.clock import Clock
from runtime.decoder import geometry_of, sizes_for
from runtime.device import HostArray, Stream
from runtime.devices import open_device
from runtime.errors import UsageError, VidmendError
from runtime.job import find_bundle
from runtime.parts import Geometry, interpolations, part_of, sizes_of
from runtime.program import Backend, Program, Request
from runtime.resize import Area

_NETWORK = "sttn"


@dataclass(frozen=True, slots=True)
class Decoder:
    """A decoder's graphs."""

    stage: StageSpec
    part: PartSpec
    whole_path: Path
    part_path: Path


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
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--variant", default="small", help="whose decoder, with random weights (default: %(default)s)")
    parser.add_argument("--bundle", help="a folder or a name in assets/bundles, instead of random weights")
    parser.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="of the bundle's graphs")
    parser.add_argument("--backend", default="openvino", help="one that computes on the host")
    parser.add_argument("--runs", type=int, default=5, help="of which the fastest counts (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        backend = backends.able(options.backend)
        with tempfile.TemporaryDirectory() as folder:
            if options.bundle is not None:
                decoder = _opened(read_bundle(find_bundle(options.bundle)), options.precision)
            elif options.precision == "int8":
                raise UsageError("--precision int8 needs a bundle that has it: --bundle B")
            else:
                decoder = _traced(options.variant, Path(folder))
            calls = _calls(decoder, backend)
            stream = open_device(backend.memory, Clock(), 1).stream("bench")
            rounds = [[call.seconds(stream) for call in calls] for _ in range(1 + options.runs)]  # in turns
    except VidmendError as error:
        print(f"bench.parts: {error}", file=sys.stderr)
        return error.exit_code
    _print(calls, [min(times) for times in zip(*rounds[1:], strict=True)])
    return 0


def _opened(bundle: Bundle, precision: str) -> Decoder:
    stage = bundle.stage("decoder")
    if stage.part is None:
        raise UsageError(f"{bundle.root}: its decoder has no parts")
    if precision == "fp32":
        return Decoder(stage, stage.part, bundle.file(stage, "onnx"), bundle.checked(stage.part.file))
    whole, part = bundle.quantised(stage), bundle.quantised(stage.part)
    if whole is None or part is None:
        raise UsageError(f"{bundle.root}: its decoder has no graphs in int8")
    return Decoder(stage, stage.part, whole, part)


def _traced(variant: str, folder: Path) -> Decoder:
    torch.manual_seed(0)
    spec = models.get(_NETWORK)
    chosen = spec.variant(variant)
    whole = spec.stages(chosen.build(chosen.size), None)[2]
    (part,) = stages_of([whole])
    for stage in (whole, part):
        (folder / stage.name).write_bytes(make_graph(stage, halves=False).SerializeToString())
    halo = 0 if whole.part is None else whole.part.halo
    no_file = FileRecord("", "", 0)
    parts = PartSpec(tensors_of(part.inputs), tensors_of(part.outputs), halo, no_file)
    stage = StageSpec(whole.name, tensors_of(whole.inputs), tensors_of(whole.outputs), {}, part=parts)
    return Decoder(stage, parts, folder / whole.name, folder / part.name)


def _calls(decoder: Decoder, backend: Backend) -> list[Call]:
    """The whole picture, then the middle of it in each size, both axes alike."""
    geometry = geometry_of(decoder.stage, decoder.part, str(decoder.whole_path.parent))
    height, width = geometry.height, geometry.width
    channels = int(decoder.stage.inputs[0].shape[1])
    features = np.random.default_rng(0).standard_normal((1, channels, height, width), np.float32)
    request = Request(decoder.whole_path, decoder.stage, {"B": 1}, "fp32")
    calls = [_call(backend, request, {"features": features}, geometry)]
    parts = replace(decoder.stage, inputs=decoder.part.inputs, outputs=decoder.part.outputs)
    for rows, columns in zip(sizes_of(height), sizes_of(width), strict=True):
        top, left = (height - rows) // 2, (width - columns) // 2
        window = part_of(Area(left, top, left + columns, top + rows), geometry)
        inside = np.ascontiguousarray(features[..., top : top + rows, left : left + columns])
        request = Request(decoder.part_path, parts, sizes_for(rows, columns, geometry), "fp32")
        calls.append(_call(backend, request, {"features": inside, **interpolations(window, geometry)}, geometry))
    return calls


def _call(backend: Backend, request: Request, inputs: dict[str, HostArray], geometry: Geometry) -> Call:
    height, width = inputs["features"].shape[2:]
    started = time.perf_counter()
    program = backend.open(request)
    picture = np.empty((1, 3, height * geometry.scale, width * geometry.scale), np.float32)
    return Call((height, width), program, inputs, {"rgb": picture}, time.perf_counter() - started)


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
