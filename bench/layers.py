"""Where a stage's time goes in OpenVINO, layer by layer, against what this machine reaches at best.

python -m bench.layers --stage transformer --svg roofline.svg
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.ceilings import Ceilings, measure
from bench.operations import Layer, by_kind, layers_of
from bench.roofline import Point, drawn
from runtime.backends.openvino import BACKEND, compiled, core, fix_sizes
from runtime.bundle import DEFAULT, Bundle, StageSpec, read_bundle
from runtime.errors import VidmendError
from runtime.job import find_bundle
from runtime.program import PRECISIONS, Precision, Request
from runtime.sidecar import check_sidecar, write_sidecar

_TYPES = {"fp32": "f32", "bf16": "bf16"}  # the backend's words and OpenVINO's


def main(arguments: Sequence[str]) -> int:
    """Print the tables of one stage or of all; returns the exit code."""
    summary = "Time, operations and bytes of a stage's layers in OpenVINO on this processor."
    parser = argparse.ArgumentParser(prog="python -m bench.layers", description=summary, allow_abbrev=False)
    parser.add_argument("--bundle", default=DEFAULT)
    parser.add_argument("--stage", help="encoder, transformer or decoder (default: all three)")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="default: as a run of infer.py has it")
    parser.add_argument("--runs", type=int, default=3, help="of which the mean is taken (default: %(default)s)")
    parser.add_argument("--slowest", type=int, default=0, metavar="N", help="list the N slowest layers too")
    parser.add_argument("--svg", type=Path, metavar="FILE.svg", help="draw the last stage's roofline")
    options = parser.parse_args(arguments)
    console = Console()
    try:
        if options.svg is not None:
            check_sidecar(options.svg, ".svg", (), overwrite=True)
        bundle = read_bundle(find_bundle(options.bundle))
        library = importlib.import_module("openvino")
        with console.status("measuring what this machine can do"):
            ceilings = measure(library)
        _print_ceilings(console, ceilings)
        stages = bundle.manifest.stages if options.stage is None else (bundle.stage(options.stage),)
        for stage in stages:
            with console.status(f"running the {stage.name}"):
                layers = _profiled(library, bundle, stage, options.precision, options.runs)
            _print_kinds(console, stage.name, layers)
            _print_slowest(console, layers, options.slowest)
            if options.svg is not None:
                chart = drawn(_points(layers), ceilings, f"{bundle.root.name}, {stage.name}")
                write_sidecar(options.svg, chart.encode())
    except VidmendError as error:
        print(f"bench.layers: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _profiled(library: Any, bundle: Bundle, stage: StageSpec, precision: Precision, runs: int) -> list[Layer]:
    rule = bundle.manifest.schedule
    sizes = {"B": 1, "T": rule.targets + rule.references, "N": rule.targets}
    path = bundle.file(stage, "onnx")
    graph = core().read_model(str(path))
    fix_sizes(library, graph, Request(path, stage, sizes, "auto"))
    numbers = noise_for(graph)
    settings = {"PERF_COUNT": "YES", "PERFORMANCE_HINT": "LATENCY"}
    settings["INFERENCE_PRECISION_HINT"] = _TYPES[BACKEND.precision(precision)]
    program = compiled(graph, settings)
    request = program.create_infer_request()
    for _ in range(1 + runs):
        request.infer(numbers)
    return layers_of(program, graph)


def noise_for(graph: Any) -> dict[str, Any]:
    """Numbers for every input of a graph whose shapes are static, by name."""
    noise = np.random.default_rng(0)
    inputs = [parameter.output(0) for parameter in graph.get_parameters()]
    return {port.get_any_name(): noise.standard_normal(list(port.get_shape()), np.float32) for port in inputs}


def _print_ceilings(console: Console, ceilings: Ceilings) -> None:
    rates = ", ".join(f"{kind} {rate / 1e9:.0f} Gop/s" for kind, rate in ceilings.operations.items())
    console.print(f"at best: {rates}, memory {ceilings.bytes_moved / 1e9:.1f} GB/s")


def _print_kinds(console: Console, stage: str, layers: Sequence[Layer]) -> None:
    whole = sum(layer.seconds for layer in layers)
    busy = sum(layer.seconds for layer in layers if layer.operations)
    title = f"{stage}: {whole * 1000:.1f} ms, {sum(layer.operations for layer in layers) / 1e9:.1f} Gop, "
    title += f"arithmetic {busy / whole:.0%} of the time"
    table = Table("kind", "layers", "ms", "share", "Gop", "Gop/s", "MB", "GB/s", title=title, title_justify="left")
    for kind, members in by_kind(layers):
        seconds, work = sum(layer.seconds for layer in members), sum(layer.operations for layer in members)
        moved = sum(layer.moved_bytes for layer in members)
        speeds = (f"{work / 1e9:.2f}", f"{work / seconds / 1e9:.0f}") if work and seconds else ("", "")
        rate = f"{moved / seconds / 1e9:.1f}" if seconds else ""
        row = (
            str(len(members)),
            f"{seconds * 1000:.1f}",
            f"{seconds / whole:.1%}",
            *speeds,
            f"{moved / 1e6:.0f}",
            rate,
        )
        table.add_row(kind, *row)
    console.print(table)


def _print_slowest(console: Console, layers: Sequence[Layer], count: int) -> None:
    if count < 1:
        return
    table = Table("layer", "kind", "type", "ms", "Gop/s", "GB/s")
    for layer in sorted(layers, key=lambda layer: layer.seconds, reverse=True)[:count]:
        rates = (layer.operations / layer.seconds / 1e9, layer.moved_bytes / layer.seconds / 1e9)
        table.add_row(
            layer.name, layer.kind, layer.precision, f"{layer.seconds * 1000:.1f}", *map("{:.0f}".format, rates)
        )
    console.print(table)


def _points(layers: Sequence[Layer]) -> list[Point]:
    """The kinds of layer that multiply, one dot each."""
    whole = sum(layer.seconds for layer in layers)
    points: list[Point] = []
    for kind, members in by_kind(layers):
        seconds, work = sum(layer.seconds for layer in members), sum(layer.operations for layer in members)
        if work and seconds:
            moved = sum(layer.moved_bytes for layer in members)
            points.append(Point(kind, work / moved, work / seconds, seconds / whole))
    return points


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
