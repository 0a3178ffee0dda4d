"""The command line of bench.py."""

from __future__ import annotations

import argparse
import ast
import csv
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

import models
from bench.bundles import ROOT, exported, in_int8, random_weights
from bench.clip import make_clip
from bench.row import INT8, Outcome, Row, run_in_child
from models._spec import ModelSpec
from runtime import backends
from runtime.errors import UsageError
from runtime.program import Backend

RESULTS = ROOT / "bench" / "results.csv"
BASELINE = "eager"
_MEANING = {BASELINE: "PyTorch eager fp32, schedule reference", "compiled": "PyTorch bf16 compiled, schedule steady"}
_EXTENSIONS = ("amx_bf16", "avx512_bf16", "avx512_vnni", "avx2")  # best first
_OTHERS = (
    "layers",
    "quality",
    "schedules",
    "regions",
    "region_speed",
    "smoothing",
    "parts",
    "int8",
    "types",
    "attention",
    "looking",
    "overfit",
    "published",
    "host_work",
)
_COLUMNS = ("when", "commit", "cpu", "cores", "variant", "frames", "row", "fps", "ratio", "peak_mib", "note")


def build_parser() -> argparse.ArgumentParser:
    """The options of bench.py."""
    able = [name for name in backends.names() if _chooses_itself(backends.get(name))]
    parser = argparse.ArgumentParser(
        prog="bench.py",
        description=_wrapped(
            "Frames a second from file to file on this machine: PyTorch as published, PyTorch compiled, and "
            "every backend that can run here. Weights are seeded and random: they have the same cost as trained ones."
        ),
        epilog="\n".join(["other measurements, each with a --help of its own:", *map(_line, _OTHERS)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    spec = models.get(models.DEFAULT)
    parser.add_argument("--variant", default="official", choices=[variant.name for variant in spec.variants])
    parser.add_argument("--frames", type=int, default=80, help="length of the clip (default: %(default)s)")
    narrow = [f"{name}{INT8}" for name in able if backends.get(name).memory == "host"]
    parser.add_argument("--rows", default=",".join((*_MEANING, *able, *narrow)), help="which (default: %(default)s)")
    parser.add_argument("--csv", type=Path, default=RESULTS, help="where results are appended (default: %(default)s)")
    return parser


def _line(name: str) -> str:
    """What a measurement is, from the first line of its file, which is not imported for it."""
    text = ast.get_docstring(ast.parse((ROOT / "bench" / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return _wrapped(f"  bench.py {name:<13} {text.splitlines()[0]}", indent=25)


def _wrapped(text: str, indent: int = 0) -> str:
    return textwrap.fill(text, 100, subsequent_indent=" " * indent)


def _chooses_itself(backend: Backend) -> bool:
    return backend.rank is not None and backend.why_not() is None


def main(arguments: Sequence[str]) -> int:
    """Run bench.py, or the measurement named first, with `arguments`; returns the exit code."""
    if arguments and arguments[0] in _OTHERS:
        return import_module(f"bench.{arguments[0]}").main(arguments[1:])
    options = build_parser().parse_args(arguments)
    names = [name.strip() for name in options.rows.split(",")]
    try:
        _check(options.csv, names)
    except UsageError as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return error.exit_code
    spec = models.get(models.DEFAULT)
    console = Console()
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="vidmend-bench-") as folder, console.status("") as status:
        status.update("making the clip and exporting the network")
        rows = _rows(names, Path(folder), spec, options.variant, options.frames)
        for row in rows:
            status.update(f"measuring {row.name}")
            outcomes[row.name] = run_in_child(row)
    _print(console, outcomes, options.variant)
    _append(options.csv, outcomes, options.variant)
    return 0 if all(outcome.figures for outcome in outcomes.values()) else 1


def _check(results: Path, names: Sequence[str]) -> None:
    """Raise `UsageError` for what would be found out after minutes of measuring."""
    known = [*_MEANING, *(f"{name}{kind}" for name in backends.names() for kind in ("", INT8))]
    for name in names:
        if name not in known:
            raise UsageError(f"--rows: no row is called {name!r}; there are: {', '.join(known)}")
    if not results.parent.is_dir() or results.is_dir():
        raise UsageError(f"--csv: {results}: cannot be written; name a file in a folder that is there")


def _rows(names: Sequence[str], folder: Path, spec: ModelSpec, variant: str, frames: int) -> list[Row]:
    video, mask = make_clip(folder, frames)
    checkpoint = random_weights(folder, variant)
    bundle = exported(checkpoint, variant, folder / "bundle")
    narrow = in_int8(bundle, video) if any(name.endswith(INT8) for name in names) else bundle
    rows: list[Row] = []
    for name in names:
        of = narrow if name.endswith(INT8) else bundle
        rows.append(Row(name, video, mask, folder / f"{name}.mp4", of, checkpoint, spec.name, variant))
    return rows


def _print(console: Console, outcomes: dict[str, Outcome], variant: str) -> None:
    table = Table(title=f"{variant}, {_cpu()}, {os.cpu_count()} cores", title_justify="left")
    for column in ("row", "frames/s", "times eager", "peak MiB", "note"):
        table.add_column(column, justify="left" if column in ("row", "note") else "right")
    for name, outcome in outcomes.items():
        label = _MEANING.get(name, f"{name}, schedule steady")
        if outcome.figures is None:
            table.add_row(label, "-", "-", "-", outcome.failure)
            continue
        ratio = _ratio(outcomes, name)
        speed = outcome.figures.frames / outcome.figures.seconds
        shown = "" if ratio is None else f"{ratio:.2f}"
        table.add_row(label, f"{speed:.3f}", shown, f"{outcome.peak_mib:.0f}", outcome.figures.note)
    console.print(table)


def _ratio(outcomes: dict[str, Outcome], name: str) -> float | None:
    """Speed over the baseline's, where both ran."""
    baseline = outcomes.get(BASELINE)
    figures = outcomes[name].figures
    if baseline is None or baseline.figures is None or figures is None:
        return None
    return baseline.figures.seconds / figures.seconds * figures.frames / baseline.figures.frames


def _append(path: Path, outcomes: dict[str, Outcome], variant: str) -> None:
    new = not path.exists()
    when = datetime.now(timezone.utc).isoformat(timespec="minutes")
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if new:
            writer.writerow(_COLUMNS)
        for name, outcome in outcomes.items():
            if outcome.figures is None:
                continue
            ratio = _ratio(outcomes, name)
            frames, seconds, note = outcome.figures.frames, outcome.figures.seconds, outcome.figures.note
            shown = "" if ratio is None else f"{ratio:.2f}"
            measured = (f"{frames / seconds:.4f}", shown, f"{outcome.peak_mib:.0f}", note)
            writer.writerow((when, _commit(), _cpu(), os.cpu_count(), variant, frames, name, *measured))


def _cpu() -> str:
    """The processor and the matrix extensions that decide its speed here."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", "").split()
    best = next((name for name in _EXTENSIONS if name in flags), "no vector extension known")
    return f"{facts.get('model name', platform.machine())} ({best})"


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip() or "unknown"
