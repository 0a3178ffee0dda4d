"""infer.py with engines in int8 for one stage and in float32 for the others, on a GPU and a TensorRT that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.cli import main
from tests.clips import Clip, write_clip
from tests.engined import Build, add_engines, retype
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_tensorrt import FakeTensorRt, machine_with
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE


def pictures(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(path)) for path in sorted(folder.glob("*.png"))])


def test_frames_are_those_of_a_cpu_backend_and_the_summary_names_both_types(
    narrow_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(narrow_window, tmp_path / "bundle"))
    add_engines(root, Build(compute="float32"))
    retype(root, [("float32",), ("int8",), ("float32",)])
    clip = write_clip(tmp_path / "clip.mp4", Clip(width=WIDTH, height=HEIGHT, frames=8))
    command = [str(clip), "--bundle", str(root), "--box", "20,12,30,20", "--region", "full", "--json"]
    library = FakeTensorRt(FakeCuda())
    with machine_with(library, FakeGraphs(library.cuda)):
        assert main([*command, "--backend", "tensorrt", "--out", str(tmp_path / "gpu" / "%05d.png")]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "int8 and fp32"
    cpu = ["--backend", "onnxruntime", "--precision", "fp32", "--out", str(tmp_path / "cpu" / "%05d.png")]
    assert main([*command, *cpu]) == 0
    apart = np.abs(pictures(tmp_path / "gpu").astype(int) - pictures(tmp_path / "cpu"))
    assert apart.max() <= TOLERANCE["engine frames", "float32"]
