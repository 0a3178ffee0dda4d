"""Engines that do not take every window of a run: what is said, and what is run instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.clips import Clip, write_clip
from tests.engine_run import FRAMES, Rig, machine
from tests.engined import Build
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE


@pytest.fixture
def rig(any_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    write_clip(tmp_path / "clip.mp4", Clip(width=WIDTH, height=HEIGHT, frames=FRAMES))
    return Rig(tmp_path, Path(shutil.copytree(any_window, tmp_path / "bundle")), capsys)


@pytest.mark.parametrize("frames", [(1, 16), (16, 16)], ids=["any window", "full windows only"])
def test_windows_of_any_length_run_where_the_engine_takes_them(frames: tuple[int, int], rig: Rig) -> None:
    """A cut leaves scenes that are shorter than a window."""
    rig.build(Build(frames=frames))
    (rig.folder / "cuts.txt").write_text("9\n")
    cuts = ("--cuts", str(rig.folder / "cuts.txt"))
    with machine():
        code, said = rig.infer("gpu", "--backend", "tensorrt", *cuts)
    if frames[0] == 16:
        assert (code, said.count("\n")) == (2, 1)
        assert "takes 'features' of [16, 16, 12, 24], a window here has [9, 16, 12, 24]. Export with --frames" in said
        with machine():
            code, said = rig.infer("cpu", *cuts)
        assert code == 0, said
        # TensorRT 8.5 has no ranges, so that nothing is said of --frames-range.
        assert "takes windows of 16 frames or more, and a short scene has fewer. Export with --frames 11+5, or" in said
        return
    assert code == 0, said
    assert rig.infer("cpu", "--backend", "onnxruntime", *cuts)[0] == 0
    apart = np.abs(rig.pictures("gpu").astype(int) - rig.pictures("cpu"))
    assert apart.max() <= TOLERANCE["engine frames", "float16"]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (
            ("--quality", "best"),
            "takes windows of 16 frames or fewer, and a full one has 21. Export with --frames 11+5",
        ),
        (("--schedule", "reference"), "16 frames or fewer, and those of this schedule grow with the clip"),
        (("--quality", "draft"), None),
    ],
    ids=["best", "reference", "draft"],
)
def test_auto_looks_at_the_windows_that_the_run_will_have(how: tuple[str, ...], reason: str | None, rig: Rig) -> None:
    rig.build(Build(frames=(1, 16), compute="float32"))
    with machine():
        code, said = rig.infer("out", *how)
    assert code == 0, said
    backend = json.loads(rig.printed)["backend"]
    assert (backend == "tensorrt") == (reason is None)
    assert (reason or "") in said
