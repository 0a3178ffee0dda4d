"""INT8 engines on a GPU: TensorRT builds them from the Q/DQ graphs as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="int8 graphs are made with PyTorch, which is not installed here")
pytest.importorskip("onnx", reason="int8 graphs are made with ONNX, which is not installed here")

from export.choice import choose_targets
from export.engines import Job, compile_bundle, lengths
from export.frames import DEMO
from export.gate import Reference
from export.int8 import add_int8, order_of
from export.targets._target import Options
from runtime.bundle import read_bundle, write_manifest
from runtime.errors import ExportError, UsageError
from tests.clips import Clip, write_clip
from tests.tiny import tiny_bundle

pytestmark = pytest.mark.gpu


def test_tensorrt_builds_int8_engines_from_the_graphs(tmp_path: Path) -> None:
    try:
        chosen = choose_targets(["tensorrt"], "int8", Options())
    except (ExportError, UsageError) as error:  # it is not here, or an early one
        pytest.skip(str(error))
    seen = write_clip(tmp_path / "seen.mp4", Clip(96, 48, 12))
    unseen = write_clip(tmp_path / "unseen.mp4", Clip(96, 48, 13))
    source = tiny_bundle(tmp_path / "source", frames=(4, 2), pace=(2, 4))
    opened = read_bundle(Path(shutil.copytree(source, tmp_path / "int8")))
    narrow, _ = add_int8(opened, order_of([seen], [unseen], 100.0), lambda _: None)
    write_manifest(narrow.root, narrow.manifest)
    sealed = read_bundle(narrow.root)
    job = Job(chosen, Options(), lengths((4, 2), None))
    built = compile_bundle(sealed, job, Reference(sealed, DEMO).trial, lambda _: None)
    for stage in built.manifest.stages:
        (engine,) = stage.engines
        assert engine.compute == "int8"
        assert engine.layers["int8"] > 0
        assert engine.graph_sha256 == stage.typed[0].file.sha256
