"""Bundles to measure: of weights drawn from a seed, which cost as much as trained ones, or of a checkpoint."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]  (typed in part)

import models
from bench.row import INT8
from calib.observe import find_clips
from export.int8 import quantise_all
from runtime.bundle import read_bundle, write_manifest

ROOT = Path(__file__).resolve().parent.parent


def random_weights(folder: Path, variant: str) -> Path:
    """A checkpoint of the default network, always the same."""
    path = folder / "random.safetensors"
    chosen = models.get(models.DEFAULT).variant(variant)
    torch.manual_seed(0)
    save_file(chosen.build(chosen.size).state_dict(), path)
    return path


def exported(checkpoint: Path, variant: str, out: Path) -> Path:
    """The bundle that export.py makes of a checkpoint; raises `CalledProcessError`, export.py's words in `stderr`."""
    command = [sys.executable, str(ROOT / "export.py"), str(checkpoint), "--variant", variant, "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, text=True)
    return out


def in_int8(bundle: Path, clip: Path) -> Path:
    """A copy of the bundle with every convolution in int8, its ranges learnt on `clip`."""
    narrow = bundle.with_name(f"{bundle.name}{INT8}")
    shutil.copytree(bundle, narrow)
    write_manifest(narrow, quantise_all(read_bundle(narrow), find_clips([clip]), lambda _: None).manifest)
    return narrow
