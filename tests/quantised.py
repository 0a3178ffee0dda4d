"""The tiny bundle made int8 from small clips, once for all tests that look at it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto

from calib.evidence import Evidence
from export._int8_qdq import float_graph
from export.int8 import add_int8, order_of
from runtime.bundle import Bundle, read_bundle, write_manifest
from tests.clips import Clip, write_clip


@dataclass(frozen=True, slots=True)
class Made:
    """The tiny bundle with int8 in it."""

    bundle: Bundle
    evidence: Evidence
    calibration: Path  # a folder
    holdout: Path


def clips(folder: Path, sizes: Sequence[int]) -> Path:
    """A folder of small clips, a different one for each frame count."""
    folder.mkdir()
    for frames in sizes:
        write_clip(folder / f"clip {frames}.mp4", Clip(96, 48, frames))
    return folder


def copied(bundle: Path, folder: Path) -> Bundle:
    shutil.copytree(bundle, folder)
    return read_bundle(folder)


def quiet(_: str) -> None:
    """No progress."""


def make(source: Path, folder: Path) -> Made:
    """The bundle in `source` made int8 in `folder`."""
    calibration, holdout = clips(folder / "calibration", (12, 13)), clips(folder / "holdout", (14,))
    opened = copied(source, folder / "tiny-int8")
    narrow, evidence = add_int8(opened, order_of([calibration], [holdout], 100.0), quiet)
    write_manifest(narrow.root, narrow.manifest)
    return Made(read_bundle(narrow.root), evidence, calibration, holdout)


def graph_of(bundle: Bundle, stage: str) -> ModelProto:
    """The stage's graph in int8."""
    path = bundle.quantised(bundle.stage(stage))
    assert path is not None
    return onnx.load(str(path))


def float_graphs(bundle: Bundle) -> dict[str, ModelProto]:
    """Every stage's graph in float32."""
    stages = bundle.manifest.stages
    return {stage.name: float_graph(bundle.file(stage, "onnx").read_bytes()) for stage in stages}
