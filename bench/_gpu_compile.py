"""Engines of a bundle: python -m bench._gpu_compile BUNDLE TARGET CAPABILITY prints what the gate found of them."""

from __future__ import annotations

import sys
from pathlib import Path

from bench._gpu_steps import Figure, write_output
from export import cli, targets
from runtime.bundle import EngineRecord, read_bundle


def main(bundle: Path, target: str, capability: str) -> int:
    """Compile with export.py; returns its exit code."""
    command = ["--compile", str(bundle), "--target", target]
    compiler = targets.get(target).compiler
    if compiler is not None and compiler.portable:
        command += ["--compute-capabilities", capability]
    code = cli.main(command)
    if code != 0:
        return code
    stages = read_bundle(bundle).manifest.stages
    engines = {stage.name: _newest(stage.engines, target) for stage in stages}
    figures = [
        Figure(f"{stage} parity", engine.parity.psnr_db, "dB", f"max abs {engine.parity.max_abs:.3g}")
        for stage, engine in engines.items()
        if engine.parity is not None
    ]
    unverified = ", ".join(stage for stage, engine in engines.items() if engine.parity is None)
    print(write_output(figures, f"unverified: {unverified}" if unverified else "all engines verified"))
    return 0


def _newest(engines: tuple[EngineRecord, ...], target: str) -> EngineRecord:
    """The last one made for `target`."""
    return [engine for engine in engines if engine.target == target][-1]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
