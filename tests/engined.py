"""Bundles with engines for the stand-in of TensorRT: a plan there names the graph that it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.bundle import Bundle, Compute, EngineRecord, StageSpec, file_record, read_bundle, write_manifest
from runtime.engines import VERSION_COMPATIBLE, identity
from runtime.machine import Gpu

GPU = Gpu("Fake GPU", "9.0")
VERSION = "8.5.3.1"
RTX = "1.7.1.116"
KINDS: Mapping[str, str] = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16", "int64": "INT64"}
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Build:
    """What the engines of a bundle are built for."""

    target: str = "tensorrt"
    version: str = VERSION
    capability: str = "9.0"
    compute: Compute = "float16"
    frames: tuple[int, int] | None = None  # least and most of a window; None: the only one that the stage takes
    options: tuple[str, ...] = ()  # those that widen what it fits


def add_engines(root: Path, build: Build) -> Bundle:
    """The bundle in `root` with an engine for every stage."""
    opened = read_bundle(root)
    stages = tuple(_with_engine(root, stage, build) for stage in opened.manifest.stages)
    write_manifest(root, replace(opened.manifest, stages=stages))
    return read_bundle(root)


def _with_engine(root: Path, stage: StageSpec, build: Build) -> StageSpec:
    ports = {
        spec.name: {
            "kind": KINDS[build.compute if spec.dtype == "float32" else spec.dtype],
            "shape": [_side(axis) for axis in spec.shape],
            "input": spec in stage.inputs,
            "host": spec.holds is not None,
        }
        for spec in (*stage.inputs, *stage.outputs)
    }
    plan = {"version": build.version, "graph": str(root / stage.files["onnx"].path), "ports": ports}
    plan |= {"host code": VERSION_COMPATIBLE in build.options, "given memory": build.target == "tensorrt_rtx"}
    path = root / f"{stage.name}.{build.target}.{build.compute}.{build.capability}.plan"
    path.write_text(json.dumps(plan | {"frames": build.frames}))
    record = EngineRecord(
        target=build.target,
        version=build.version,
        capabilities=(build.capability,),
        gpu=GPU.name,
        compute=build.compute,
        graph_sha256=stage.files["onnx"].sha256,
        shapes={spec.name: tuple(_shapes(spec.shape, build)) for spec in stage.inputs if spec.holds is None},
        options=dict.fromkeys(build.options, "yes"),
        key="",
        file=file_record(root, path),
        layers={build.compute: 1},
        parity=None,
    )
    return replace(stage, engines=(*stage.engines, replace(record, key=identity(record))))


def retype(root: Path, computes: Sequence[Sequence[Compute]]) -> Bundle:
    """The bundle in `root` with each stage's only engine as if it were built in these types, one after the other."""
    manifest = read_bundle(root).manifest
    stages = tuple(_retyped(stage, types) for stage, types in zip(manifest.stages, computes, strict=True))
    write_manifest(root, replace(manifest, stages=stages))
    return read_bundle(root)


def _retyped(stage: StageSpec, computes: Sequence[Compute]) -> StageSpec:
    (engine,) = stage.engines
    made = (replace(engine, compute=compute) for compute in computes)
    return replace(stage, engines=tuple(replace(each, key=identity(each)) for each in made))


def _shapes(shape: Sequence[int | str], build: Build) -> list[Shape]:
    """The only shape, or the least, the usual and the largest."""
    lengths = (1,) if build.frames is None or "T" not in shape else (build.frames[0], *build.frames)
    return [
        tuple(side if isinstance(side, int) else length if side == "T" else 1 for side in shape) for length in lengths
    ]


def _side(axis: int | str) -> int:
    if isinstance(axis, int):
        return axis
    return 1 if axis == "B" else -1
