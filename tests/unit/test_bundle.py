"""The bundle reader: what is written comes back, and every kind of damage has its own error."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.place import sealed
from runtime.bundle import (
    MANIFEST,
    SCHEMA,
    Bundle,
    FileRecord,
    KernelsRecord,
    Manifest,
    ParityRecord,
    PixelRule,
    PrecisionRule,
    Provenance,
    ScheduleRule,
    StageSpec,
    TensorSpec,
    file_record,
    read_bundle,
    write_manifest,
)
from runtime.errors import (
    BundleError,
    BundleTooNew,
    BundleTooOld,
    FileDamaged,
    FileMissing,
    ManifestInvalid,
    NotABundle,
    UnsafePath,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    with sealed(root) as staging:
        graph = staging / "encoder.onnx"
        graph.write_bytes(b"a graph" * 100)
        stage = StageSpec(
            "encoder",
            (TensorSpec("rgb", "float32", ("B", 3, 48, 48)),),
            (TensorSpec("features", "float32", ("B", 8, 12, 12)),),
            {"onnx": file_record(staging, graph)},
        )
        write_manifest(staging, manifest(stage))
    return root


def manifest(*stages: StageSpec) -> Manifest:
    return Manifest(
        schema=SCHEMA,
        network="net",
        variant="tiny",
        stages=stages,
        kernels=KernelsRecord(FileRecord("some.fatbin", "0" * 64, 3), "1" * 64, "13.0", ("8.9",), "7.5"),
        schedule=ScheduleRule("windowed", 11, 5, 5, 10, fixed=False),
        pixels=PixelRule(48, 48, "rgb", -1.0, 1.0, True, 0.0, "bicubic-antialias", 4),
        precision=PrecisionRule("float32", "float16", ()),
        parity=(ParityRecord("encoder", "onnxruntime", "frames 0-3", 1e-6, 1e-4, 120.0, 0),),
        provenance=Provenance("w.safetensors", "0" * 64, "MIT", "vidmend 0.1.0", {"torch": "2.13.0"}, {}),
    )


def test_a_sealed_bundle_reads_back_equal(folder: Path) -> None:
    bundle = read_bundle(folder)
    assert bundle.manifest == manifest(*bundle.manifest.stages)
    assert bundle.file(bundle.stage("encoder"), "onnx").read_bytes() == b"a graph" * 100


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def link_out(folder: Path) -> None:
    outside = folder.parent / "outside.onnx"
    (folder / "encoder.onnx").rename(outside)
    os.symlink(outside, folder / "encoder.onnx")


def link_to_itself(folder: Path) -> None:
    (folder / "encoder.onnx").unlink()
    os.symlink("encoder.onnx", folder / "encoder.onnx")


def repeat_a_key(folder: Path) -> None:
    path = folder / MANIFEST
    path.write_text(path.read_text().replace("{", f'{{"schema": {SCHEMA}, ', 1))


DAMAGES: list[tuple[str, Callable[[Path], object], type[BundleError], str]] = [
    ("no folder", lambda f: f.rename(f.with_name("away")), NotABundle, "no such bundle"),
    ("no manifest", lambda f: (f / MANIFEST).unlink(), NotABundle, "no manifest.json in it"),
    ("empty manifest", lambda f: (f / MANIFEST).write_text(""), ManifestInvalid, "not JSON"),
    ("binary manifest", lambda f: (f / MANIFEST).write_bytes(b"\xff\xfe\x00"), ManifestInvalid, "cannot be read"),
    ("cut manifest", lambda f: (f / MANIFEST).write_text((f / MANIFEST).read_text()[:-9]), ManifestInvalid, "not JSON"),
    ("deep nesting", lambda f: (f / MANIFEST).write_text("[" * 200_000), ManifestInvalid, "not JSON"),
    ("a list", lambda f: (f / MANIFEST).write_text("[]"), ManifestInvalid, "found a list, wanted an object"),
    ("newer", lambda f: edit(f, lambda d: d.update(schema=SCHEMA + 1)), BundleTooNew, "upgrade the runtime"),
    ("older", lambda f: edit(f, lambda d: d.update(schema=0)), BundleTooOld, "Re-export"),
    ("schema true", lambda f: edit(f, lambda d: d.update(schema=True)), ManifestInvalid, "schema: found true/false"),
    ("unknown key", lambda f: edit(f, lambda d: d["pixels"].update(gamma=2)), ManifestInvalid, "pixels.gamma: unknown"),
    ("missing key", lambda f: edit(f, lambda d: d["pixels"].pop("low")), ManifestInvalid, "pixels.low: missing"),
    ("wrong type", lambda f: edit(f, lambda d: d["pixels"].update(width="48")), ManifestInvalid, "found text, wanted"),
    ("not a number", lambda f: edit(f, lambda d: d["pixels"].update(low=float("nan"))), ManifestInvalid, "NaN"),
    ("unknown word", lambda f: edit(f, lambda d: d["pixels"].update(colour_order="xyz")), ManifestInvalid, "'rgb'"),
    ("nested", lambda f: edit(f, lambda d: d["stages"][0].update(inputs=3)), ManifestInvalid, r"stages\[0\].inputs"),
    ("twice", lambda f: edit(f, lambda d: d["stages"].append(d["stages"][0])), ManifestInvalid, "named twice"),
    ("climbing", lambda f: point_at(f, "../secret"), UnsafePath, "leaves the bundle"),
    ("absolute", lambda f: point_at(f, "/etc/passwd"), UnsafePath, "leaves the bundle"),
    ("backslash", lambda f: point_at(f, "..\\secret"), UnsafePath, "leaves the bundle"),
    ("empty path", lambda f: point_at(f, ""), UnsafePath, "leaves the bundle"),
    ("kernels climbing", lambda f: edit(f, lambda d: d["kernels"]["file"].update(path="../k")), UnsafePath, "leaves"),
    ("no kernels", lambda f: edit(f, lambda d: d.pop("kernels")), ManifestInvalid, "kernels: missing"),
    ("null byte", lambda f: point_at(f, "a\0b"), ManifestInvalid, "can be printed"),
    ("link to itself", link_to_itself, UnsafePath, "leaves the bundle"),
    ("repeated key", repeat_a_key, ManifestInvalid, "the key 'schema' stands twice"),
    ("link out", link_out, UnsafePath, "leaves the bundle"),
    ("no file", lambda f: (f / "encoder.onnx").unlink(), FileMissing, "not there"),
    ("cut file", lambda f: (f / "encoder.onnx").write_bytes(b"a graph"), FileDamaged, "7 bytes, the manifest says 700"),
    ("other file", lambda f: (f / "encoder.onnx").write_bytes(b"b graph" * 100), FileDamaged, "sha256"),
]


def point_at(folder: Path, path: str) -> None:
    edit(folder, lambda d: d["stages"][0]["files"]["onnx"].update(path=path))


@pytest.mark.parametrize(("damage", "kind", "text"), [d[1:] for d in DAMAGES], ids=[d[0] for d in DAMAGES])
def test_each_damage_is_its_own_one_line_error(
    folder: Path, damage: Callable[[Path], object], kind: type[BundleError], text: str
) -> None:
    damage(folder)
    with pytest.raises(BundleError) as caught:
        open_everything(folder)
    assert type(caught.value) is kind
    assert re.search(text, str(caught.value))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def open_everything(folder: Path) -> Bundle:
    bundle = read_bundle(folder)
    bundle.file(bundle.stage("encoder"), "onnx")
    return bundle


def test_a_stage_or_target_that_is_not_there_is_named(folder: Path) -> None:
    bundle = read_bundle(folder)
    with pytest.raises(ManifestInvalid, match="no stage 'decoder'"):
        bundle.stage("decoder")
    with pytest.raises(FileMissing, match="no file for target 'tensorrt', only for onnx"):
        bundle.file(bundle.stage("encoder"), "tensorrt")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_no_depth_of_nesting_escapes_the_error_tree(folder: Path, opening: str, closing: str) -> None:
    """The reader of JSON goes as deep as the interpreter allows; what describes the value may not go as deep."""
    path = folder / MANIFEST
    whole, refusals = path.read_text(), set[bool]()
    for depth in range(sys.getrecursionlimit() // 2, sys.getrecursionlimit()):
        path.write_text(whole.replace('"float32"', opening * depth + "1" + closing * depth, 1))
        with pytest.raises(ManifestInvalid) as caught:
            read_bundle(folder)
        refusals.add("not JSON" in str(caught.value))
    assert refusals == {False, True}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(position=st.integers(0, 10_000), replacement=st.binary(min_size=0, max_size=3))
def test_no_edit_of_the_manifest_escapes_the_error_tree(folder: Path, position: int, replacement: bytes) -> None:
    path = folder / MANIFEST
    original = path.read_bytes()
    at = position % len(original)
    path.write_bytes(original[:at] + replacement + original[at + 1 :])
    said = ""
    try:
        open_everything(folder)
    except BundleError as error:
        said = str(error)
    finally:
        path.write_bytes(original)
    assert "\n" not in said
