"""One line of the benchmark: what is run, and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

INT8 = "-int8"  # behind a backend's name


@dataclass(frozen=True, slots=True)
class Row:
    """One way to repair one clip."""

    name: str  # "eager", "compiled", or a backend, with `INT8` where the bundle has graphs in int8
    video: Path
    mask: Path
    out: Path
    bundle: Path
    checkpoint: Path  # the weights the bundle was exported from
    network: str
    variant: str

    @property
    def backend(self) -> str:
        """Which one runs the row."""
        return self.name.removesuffix(INT8)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a row measured of itself."""

    frames: int
    seconds: float
    note: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row's figures with the memory of its process, or why it has none."""

    figures: Figures | None
    peak_mib: float
    failure: str


def run_in_child(row: Row) -> Outcome:
    """Measure `row` in a process of its own, so that its peak memory is its own."""
    fields = {key: str(value) for key, value in asdict(row).items()}
    command = [sys.executable, "-m", "bench.measure", json.dumps(fields)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        return Outcome(None, 0.0, said[-1] if said else f"ended with exit code {done.returncode}")
    result = json.loads(done.stdout.splitlines()[-1])
    figures = Figures(result["frames"], result["seconds"], result["note"])
    return Outcome(figures, result["peak_mib"], "")
