"""A manifest made by hand, through infer.py: whatever it says, the run ends, in one line, and leaves nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.bundle import MANIFEST
from runtime.cli import main
from tests.clips import Clip, write_clip
from tests.tiny import HEIGHT, WIDTH

Document = dict[str, Any]
Edit = Callable[[Document], object]

pytestmark = pytest.mark.timeout(120)  # it would hang


@dataclass
class Rig:
    """infer.py on one clip with a bundle that is edited."""

    folder: Path
    bundle: Path
    capsys: pytest.CaptureFixture[str]

    def refused(self, edit: Edit, backend: str) -> str:
        """What is said instead of running."""
        document = json.loads((self.bundle / MANIFEST).read_text())
        edit(document)
        (self.bundle / MANIFEST).write_text(json.dumps(document))
        out = self.folder / "out.mkv"
        files = [str(self.folder / "clip.mp4"), "--out", str(out), "--bundle", str(self.bundle)]
        code = main([*files, "--box", "20,12,30,20", "--region", "full", "--cuts", "none", "--backend", backend])
        said = self.capsys.readouterr().err
        assert code == 2, said
        assert said.count("\n") == 1
        assert {path.name for path in self.folder.iterdir()} == {"clip.mp4", "bundle"}
        return said


@pytest.fixture
def rig(any_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    write_clip(tmp_path / "clip.mp4", Clip(WIDTH, HEIGHT, 12))
    return Rig(tmp_path, Path(shutil.copytree(any_window, tmp_path / "bundle")), capsys)


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (lambda d: d["schedule"].update(neighbour_stride=0), "schedule.neighbour_stride: found 0"),
        (lambda d: d["schedule"].update(neighbour_stride=-(10**30)), "schedule.neighbour_stride: found -1"),
        (lambda d: d["schedule"].update(targets=2), "schedule.neighbour_stride: found 5"),
        (lambda d: d["schedule"].update(reference_step=0), "schedule.reference_step: found 0"),
        (lambda d: d["pixels"].update(width=10**6), "pixels.width: found 1000000"),
        (lambda d: d["pixels"].update(height=0), "pixels.height: found 0"),
        (lambda d: d["pixels"].update(dilate=-1), "pixels.dilate: found -1"),
        (lambda d: d["pixels"].update(high=-1.0), "pixels.high: found -1"),
        (lambda d: d["stages"][0]["outputs"][0].update(shape=["B", 10**9, 12, 24]), "found [B, 1000000000, 12, 24]"),
        (lambda d: d["stages"][0]["inputs"][0].update(shape=["B", 0, 48, 96]), "inputs[0].shape[1]: found 0"),
    ],
)
def test_numbers_that_cannot_be_are_named_before_anything_runs(edit: Edit, place: str, rig: Rig) -> None:
    said = rig.refused(edit, "null")
    assert f"{rig.bundle / MANIFEST}: " in said
    assert place in said


def of_width(document: Document) -> None:
    """The same network for pictures and features a little wider, wherever the manifest speaks of them."""
    document["pixels"]["width"] = WIDTH + 4
    for stage in document["stages"]:
        for port in (*stage["inputs"], *stage["outputs"]):
            port["shape"] = [{WIDTH: WIDTH + 4, WIDTH // 4: WIDTH // 4 + 1}.get(side, side) for side in port["shape"]]


def of_channels(document: Document) -> None:
    for stage in document["stages"]:
        for port in (*stage["inputs"], *stage["outputs"]):
            port["shape"] = [17 if side == 16 else side for side in port["shape"]]


def exchanged(document: Document) -> None:
    first, _, last = document["stages"]
    first["files"], last["files"] = last["files"], first["files"]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (of_width, "the manifest says [B, 3, 48, 100]"),
        (of_channels, "the manifest says [B, 17, 12, 24]"),
        (exchanged, "this graph takes 'features', the manifest does not"),
    ],
)
def test_a_manifest_in_one_piece_that_speaks_of_other_graphs_is_one_line(
    edit: Edit, reason: str, backend: str, rig: Rig
) -> None:
    assert reason in rig.refused(edit, backend)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_graph_that_takes_more_than_the_manifest_gives_is_one_line(
    backend: str, narrow_window: Path, rig: Rig
) -> None:
    shutil.rmtree(rig.bundle)
    shutil.copytree(narrow_window, rig.bundle)
    said = rig.refused(lambda d: d["stages"][1]["inputs"].pop(), backend)
    assert "transformer.onnx: this graph takes 'key_bias_3', the manifest does not" in said
