"""What balanced channels and attention in int8 are worth, stage by stage: noise on a clip, and time here.

    python -m bench.int8 assets/bundles/sttn-small CLIP

BUNDLE has int8 and so a table of ranges; CLIP should be none of those that it was calibrated on.  Noise is that of a
few frames under drawn holes, as signal to noise in dB, by each rule for thresholds; the time is one call, a frame or a
full window, of the graph with the least noise, the fastest of some that take turns with float32.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto
from rich.console import Console
from rich.table import Table

from calib.ranges import RangeTable, read_table
from calib.speed import fastest, window_of
from calib.thresholds import RULES
from export._int8_layers import levels_of
from export._int8_qdq import quantised
from export._int8_sensitivity import Sample, sqnr_db
from export.int8 import RANGES, graph_of, samples_of
from export.parity import run_graph
from runtime import backends
from runtime.bundle import Bundle, StageSpec, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.job import find_bundle
from runtime.program import Backend

_PIPED_WIDTH = 100  # columns of the table where standard output is no terminal
_STEPS = {  # what `quantised` does
    "convolutions": {"balance": False, "attention": False},
    "+ balance": {"balance": True, "attention": False},
    "+ attention": {"balance": True, "attention": True},
}


@dataclass(frozen=True, slots=True)
class Way:
    """A stage's graph in int8 as far as some step makes it, and what it loses."""

    name: str
    noise_db: dict[str, float]  # by rule
    graph: ModelProto  # of the rule with the least noise


def main(arguments: Sequence[str]) -> int:
    """Print a table of every stage; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        backend = backends.able(options.backend)
        bundle = read_bundle(find_bundle(options.bundle))
        if not any(stage.typed for stage in bundle.manifest.stages) or not (bundle.root / RANGES).is_file():
            raise UsageError(f"{bundle.root}: has no graphs in int8; export one with --int8")
        table = read_table(bundle.root / RANGES)
        graphs = {stage.name: graph_of(bundle, stage) for stage in bundle.manifest.stages}
        samples = samples_of(bundle, graphs, options.clip)
        shown = Table("stage", "in int8", *RULES, "ms", "times as fast")
        for stage, sample in zip(bundle.manifest.stages, samples, strict=True):
            ways = _ways(sample, table)
            _show(shown, stage, ways, _timed(bundle, stage, ways, backend, options.runs))
    except VidmendError as error:
        print(f"bench.int8: {error}", file=sys.stderr)
        return error.exit_code
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(shown)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.int8", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("bundle", help="a folder or a name in assets/bundles")
    parser.add_argument("clip", type=Path, help="a video")
    parser.add_argument("--backend", default="openvino", help="one that computes on the host (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="of which the fastest counts (default: %(default)s)")
    return parser


def _ways(sample: Sample, table: RangeTable) -> list[Way]:
    """As far as each step makes the stage; a step that changes nothing in it is left out."""
    ways: list[Way] = []
    for name, switches in _STEPS.items():
        graphs = {
            rule: quantised(sample.graph, levels_of(sample.graph, sample.stage, table, rule), (), **switches)
            for rule in RULES
        }
        noise = {rule: _noise_db(sample, graph) for rule, graph in graphs.items()}
        best = graphs[max(noise, key=lambda rule: noise[rule])]
        if not ways or best != ways[-1].graph:
            ways.append(Way(name, noise, best))
    return ways


def _noise_db(sample: Sample, graph: ModelProto) -> float:
    return sqnr_db(run_graph(graph, sample.feed, graph.graph.output[0].name), sample.wanted)


def _timed(bundle: Bundle, stage: StageSpec, ways: Sequence[Way], backend: Backend, runs: int) -> list[float]:
    """Seconds of a call in float32, then in each of the ways."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [bundle.file(stage, backend.target)]
        for way in ways:
            paths.append(Path(folder) / f"{len(paths)}.onnx")
            paths[-1].write_bytes(way.graph.SerializeToString())
        return fastest(stage, paths, window_of(bundle.manifest.schedule), backend, runs)


def _show(shown: Table, stage: StageSpec, ways: Sequence[Way], seconds: Sequence[float]) -> None:
    plain, *others = seconds
    shown.add_row(stage.name, "nothing", *("" for _ in RULES), f"{plain * 1e3:.1f}", "1.00")
    for way, each in zip(ways, others, strict=True):
        noise = (f"{way.noise_db[rule]:.1f}" for rule in RULES)
        shown.add_row("", way.name, *noise, f"{each * 1e3:.1f}", f"{plain / each:.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
