"""A stage in every type that computes here, PyTorch beside it: time, and signal to noise.

    python -m bench.types --variant official --stage transformer
    python -m bench.types --rows "openvino fp32,openvino bf16,openvino bf16 unfused"

Every row computes the same: a full window of the demo clip's frames, or one frame of it, through the stage.  Rows take
turns, and the fastest run of each counts.  Signal to noise is against eager PyTorch in fp32.  Weights are the shipped
ones where the variant has some, else random ones, which cost as much; graphs in int8 are quantised on the demo clip.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import models
from bench import torch_rows
from bench.bundles import ROOT, exported, in_int8, random_weights
from calib.speed import window_of
from export._int8_sensitivity import sqnr_db
from export._int8_taps import feed_of
from export.checkpoint import load, read_checkpoint
from export.frames import DEMO, network_frames
from runtime import backends
from runtime._device.host import InlineStream
from runtime.backends.openvino import core, fix_sizes
from runtime.bundle import Bundle, StageSpec, read_bundle
from runtime.clock import Clock
from runtime.errors import UsageError, VidmendError
from runtime.program import EXACT, Precision, Request
from training.precision import computes_in_bfloat16

Array = np.ndarray[Any, np.dtype[Any]]
Run = Callable[[], Array]

BASELINE = "PyTorch eager fp32"
COMPILED = "PyTorch compiled bf16"
_FUSIONS = (  # of attention's products, whatever the backend chooses
    ("openvino fp32", "fused", {"INFERENCE_PRECISION_HINT": "f32"}),
    ("openvino bf16", "fused", {"INFERENCE_PRECISION_HINT": "bf16"}),
    ("openvino bf16", "unfused", {"INFERENCE_PRECISION_HINT": "bf16", "SNIPPETS_MODE": "DISABLE"}),
)
_PIPED_WIDTH = 100  # columns of the table where standard output is no terminal


@dataclass(frozen=True, slots=True)
class Case:
    """What every row computes."""

    network: torch_rows.TorchNetwork  # eager
    half: Callable[[], torch_rows.TorchNetwork]  # compiled; made when it is wanted
    plain: Bundle
    narrow: Callable[[], Bundle]  # with graphs in int8; likewise
    stage: StageSpec
    value: torch.Tensor  # its first input

    @property
    def targets(self) -> int:
        """Frames that a full window repaints."""
        return self.plain.manifest.schedule.targets


Opener = Callable[[Case], Run]


def main(arguments: Sequence[str]) -> int:
    """Print the table; returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    try:
        with tempfile.TemporaryDirectory(prefix="vidmend-bench-") as folder, torch.inference_mode():
            rows = _rows(options.stage)
            chosen = list(rows) if options.rows is None else [name.strip() for name in options.rows.split(",")]
            if unknown := [name for name in chosen if name not in rows]:
                raise UsageError(f"row '{unknown[0]}': there are here: {', '.join(rows)}")
            with console.status("exporting the network") as status:
                case = _case(options.variant, options.stage, Path(folder))
                runs = {name: rows[name](case) for name in chosen if not status.update(f"opening {name}")}
                wanted = _torch_run(case, case.network)()
                seconds, found = _timed(runs, options.runs, lambda name: status.update(f"running {name}"))
    except VidmendError as error:
        print(f"bench.types: {error}", file=sys.stderr)
        return error.exit_code
    console.print(_table(f"{options.variant}, {options.stage}", seconds, found, wanted))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.types", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    variants = [variant.name for variant in models.get(models.DEFAULT).variants]
    parser.add_argument("--variant", default="small", choices=variants, help="default: %(default)s")
    stages = ("encoder", "transformer", "decoder")
    parser.add_argument("--stage", default="transformer", choices=stages, help="default: %(default)s")
    parser.add_argument("--rows", metavar="R,...", help="which (default: all that can be had here)")
    parser.add_argument("--runs", type=int, default=3, help="of which the fastest counts (default: %(default)s)")
    return parser


def _case(variant: str, name: str, folder: Path) -> Case:
    spec = models.get(models.DEFAULT)
    shipped = ROOT / "assets" / "weights" / f"{spec.name}-{variant}.safetensors"
    checkpoint = shipped if shipped.is_file() else random_weights(folder, variant)
    plain = read_bundle(exported(checkpoint, variant, folder / "bundle"))
    chosen = spec.variant(variant)

    def network() -> torch.nn.Module:
        return load(read_checkpoint(checkpoint, spec.containers), chosen, chosen.size)

    eager = torch_rows.published(network())
    sizes = window_of(plain.manifest.schedule)
    frames = torch.from_numpy(network_frames(DEMO, plain.manifest.pixels, sizes["T"]))
    value = frames[:1]
    if name != "encoder":
        value = torch.cat([eager.encode(frame[None]) for frame in frames])
    if name == "decoder":
        value = eager.transform(value, sizes["N"])[:1]
    narrow = cache(lambda: read_bundle(in_int8(plain.root, DEMO)))
    return Case(eager, lambda: torch_rows.compiled(network()), plain, narrow, plain.stage(name), value)


def _rows(stage: str) -> Mapping[str, Opener]:
    """What opens each row that can be had on this machine."""
    rows: dict[str, Opener] = {BASELINE: lambda case: _torch_run(case, case.network)}
    if computes_in_bfloat16(torch.device("cpu")):
        rows[COMPILED] = lambda case: _torch_run(case, case.half())
    for name in ("onnxruntime", "openvino"):
        with suppress(VidmendError):  # not installed
            types = dict.fromkeys((backends.able(name).precision(EXACT), backends.able(name).precision("auto")))
            for own, asked in zip(types, (EXACT, "auto"), strict=False):
                rows[f"{name} {own}"] = partial(_opened, name, asked, _in_float32)
            rows[f"{name} int8"] = partial(_opened, name, "auto", _in_int8)
    for row, label, settings in _FUSIONS:
        if row in rows and stage == "transformer":
            rows[f"{row} {label}"] = partial(_opened_as, settings)
    return rows


def _torch_run(case: Case, network: torch_rows.TorchNetwork) -> Run:
    def run() -> Array:
        if case.stage.name == "encoder":
            return network.encode(case.value).float().numpy()
        if case.stage.name == "decoder":
            return network.decode(case.value).float().numpy()
        # the compiled row's encoder would have given bfloat16
        half = case.value if network is case.network else case.value.bfloat16()
        return network.transform(half, case.targets).float().numpy()

    return run


def _in_float32(case: Case) -> Path:
    return case.plain.file(case.stage, "onnx")


def _in_int8(case: Case) -> Path:
    narrow = case.narrow()
    path = narrow.quantised(narrow.stage(case.stage.name))
    if path is None:
        raise UsageError(f"the {case.stage.name} has no convolutions to be in int8")
    return path


def _opened(name: str, precision: Precision, path: Callable[[Case], Path], case: Case) -> Run:
    """As the backend runs it."""
    sizes = window_of(case.plain.manifest.schedule)
    program = backends.able(name).open(Request(path(case), case.stage, sizes, precision))
    feed = feed_of(case.stage, case.value.numpy(), case.targets)
    (port,) = case.stage.outputs
    out = np.empty(port.sized(sizes), np.float32)
    stream = InlineStream(name, Clock())

    def run() -> Array:
        program.enqueue(feed, {port.name: out}, stream)
        return out

    return run


def _opened_as(settings: Mapping[str, str], case: Case) -> Run:
    """In OpenVINO with other settings than the backend has."""
    path, sizes = _in_float32(case), window_of(case.plain.manifest.schedule)
    model = core().read_model(str(path))
    fix_sizes(import_module("openvino"), model, Request(path, case.stage, sizes, EXACT))
    request = core().compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", **settings}).create_infer_request()
    feed = {case.stage.inputs[0].name: case.value.numpy()}
    return lambda: next(iter(request.infer(feed).values()))


def _timed(
    runs: Mapping[str, Run], rounds: int, say: Callable[[str], None]
) -> tuple[Mapping[str, float], Mapping[str, Array]]:
    """The least seconds of every row, the first round not counted, and what it computed."""
    least = dict.fromkeys(runs, float("inf"))
    found: dict[str, Array] = {}
    for number in range(1 + rounds):
        for name, run in runs.items():
            say(name)
            started = time.perf_counter()
            result = run()
            seconds = time.perf_counter() - started
            if number == 0:
                found[name] = result.copy()
            else:
                least[name] = min(least[name], seconds)
    return least, found


def _table(title: str, seconds: Mapping[str, float], found: Mapping[str, Array], wanted: Array) -> Table:
    table = Table("row", "ms", "times eager", "signal to noise, dB", title=title, title_justify="left")
    eager = seconds.get(BASELINE)
    for name, each in seconds.items():
        ratio = "" if eager is None else f"{eager / each:.2f}"
        noise = "" if name == BASELINE else f"{sqnr_db(found[name], wanted):.1f}"
        table.add_row(name, f"{each * 1e3:.1f}", ratio, noise)
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
