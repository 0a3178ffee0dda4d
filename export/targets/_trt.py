"""What TensorRT and TensorRT-RTX share: an order becomes an engine in a child process, and its types are counted.

Standard library only, so that engines can be built by a Python that has TensorRT and neither PyTorch nor ONNX.
Precision stands in the graph: from 10 on the network is strongly typed; 8.x is held to the graph's types by layer
precisions (docs/tensorrt.md).
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from export.targets._target import Built, Options, Order, Say
from runtime.bundle import Compute
from runtime.errors import ExportError, first_line
from runtime.machine import gpus

HALF_SHARE = 0.95  # of the layers that give numbers, those of islands excepted
ROOT = Path(__file__).resolve().parents[2]
_TOLD_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one release of the library can do; its module decides."""

    title: str  # the library and its version, for people
    compatible: bool  # engines for other GPUs and later versions
    levels: bool  # an optimisation level
    cache: bool  # a timing cache
    bfloat16: bool
    no_int8: str | None  # why it is given no graphs with int8 activations (Q/DQ nodes); None: it is
    ranges: bool  # windows of a range of lengths: a 64-bit scalar says how many frames are targets
    capabilities: tuple[str, ...]  # that can be built for without having them; none: only for the GPU here


def refuse(options: Options, compute: Compute, limits: Limits) -> str | None:
    """None when a release with such limits can do what `options` ask in `compute`, else the first thing it lacks."""
    lacking = (
        ("--hardware-compat", options.hardware_compat, limits.compatible),
        ("--version-compat", options.version_compat, limits.compatible),
        ("--opt-level", options.opt_level is not None, limits.levels),
        ("--timing-cache", options.timing_cache is not None, limits.cache),
        ("--frames-range", options.frames is not None, limits.ranges),
        ("--bf16", compute == "bfloat16", limits.bfloat16),
    )
    for flag, asked, able in lacking:
        if asked and not able:
            return f"{limits.title} has no {flag} here; leave it out"
    if compute == "int8" and limits.no_int8 is not None:
        return f"{limits.title} {limits.no_int8}"
    if options.capabilities and not limits.capabilities:
        return f"{limits.title} builds for the GPU of this machine alone; leave --compute-capabilities out"
    for capability in options.capabilities:
        if capability not in limits.capabilities:
            known = ", ".join(limits.capabilities)
            return f"--compute-capabilities {capability}: {limits.title} knows {known}; --target tensorrt, on that GPU"
    return None


def why_not_imported(library: Callable[[], Any], title: str, install: str) -> str | None:
    """None when the installed library can be imported, else what stands in its way, such as one that it links to."""
    try:
        library()
    except (ImportError, OSError) as error:
        return f"{title} cannot be imported ({first_line(error)}): install it again: {install}."
    return None


def build_in_child(target: str, order: Order, plan: Path, say: Say) -> Built:
    """Compile in a process of its own, so that its memory is returned and its end is not ours.

    Tells `say` the elapsed seconds; raises `ExportError` when the build fails, ends by itself, or too few layers are
    half.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        request, result, log = (Path(folder) / name for name in ("request.json", "result.json", "log"))
        request.write_text(json.dumps({"target": target, "plan": str(plan), **_portable(order)}), encoding="utf-8")
        command = [sys.executable, "-m", "export.targets._trt_child", str(request), str(result)]
        with log.open("wb") as output:
            child = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=output, stderr=output)
            try:
                _wait(child, f"building {order.stage} with {target}", started, say)
            finally:
                child.kill()  # where we were interrupted; one that has ended is left alone
                child.wait()
        where = f"target '{target}', stage '{order.stage}': the builder"
        found = read_result(result, child.returncode, log, where)
    for note in found["notes"]:
        say(note)
    built = Built(plan, tuple(found["capabilities"]), found["gpu"], found["layers"], time.monotonic() - started)
    check_types(order, built.layers, found["unexpected"], found["ports"])
    return built


def check_types(order: Order, layers: Mapping[str, int], unexpected: list[str], ports: Mapping[str, str]) -> None:
    """Raise `ExportError` unless the network computes in the type that was asked for, and takes and gives it."""
    if order.compute == "float32":
        return
    narrow = layers.get(order.compute, 0)
    door = "float32" if order.compute == "int8" else order.compute
    if order.compute == "int8" and not narrow:
        raise ExportError(f"stage '{order.stage}': no layer gives int8 although the graph has it; please report it")
    if order.compute != "int8" and (narrow < HALF_SHARE * (narrow + len(unexpected)) or narrow == 0):
        raise ExportError(
            f"stage '{order.stage}': only {narrow} of {narrow + len(unexpected)} layers compute in {order.compute}, "
            f"wanted {HALF_SHARE:.0%}; the first that does not: {next(iter(unexpected), 'none computes at all')}"
        )
    for name, kind in ports.items():
        if kind not in (door, "int64", "int32"):
            raise ExportError(f"stage '{order.stage}': {name} is {kind}, wanted {door}; please report it")


def why_not_run(order: Order) -> str | None:
    """None when an engine for the order's capabilities can run on the first GPU here, else what is missing."""
    gpu = next(iter(gpus()), None)
    if gpu is None:
        return "no NVIDIA GPU here"
    if order.options.capabilities and gpu.capability not in order.options.capabilities:
        return f"it is for SM {', '.join(order.options.capabilities)}, the GPU here is SM {gpu.capability}"
    return None if importlib.util.find_spec("pycuda") else "pycuda not installed here: pip install pycuda"


def _portable(order: Order) -> dict[str, Any]:
    written = asdict(order)
    written["graph"] = str(order.graph.resolve())
    cache = order.options.timing_cache
    written["options"]["timing_cache"] = None if cache is None else str(cache.resolve())
    return written


def environment() -> dict[str, str]:
    """Ours, with the modules that this process finds: the child must find the same library."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}


def _wait(child: subprocess.Popen[bytes], doing: str, started: float, say: Say) -> None:
    while True:
        say(f"{doing}, {time.monotonic() - started:.0f} s")
        try:
            child.wait(timeout=_TOLD_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
        return


def read_result(result: Path, code: int, log: Path, where: str) -> dict[str, Any]:
    """What the child found; its own words where it failed, the log's last ones where it could not even say so."""
    if result.is_file():
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        if "error" not in found:
            return found
        raise ExportError(f"{where.rpartition(':')[0]}: {found['error']}")
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    ended = f"ended with code {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
    raise ExportError(f"{where} {ended}: {lines[-1] if lines else 'it said nothing'}")
