"""Where onnxruntime's TensorRT keeps the engines that it builds: a folder that is there, or none, never a failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.backends.onnxruntime_tensorrt import BACKEND
from runtime.bundle import Compute, StageSpec
from runtime.program import Request

STAGE = StageSpec("encoder", (), (), {})


def settings(told: list[str], compute: Compute = "float32") -> dict[str, str]:
    request = Request(Path("encoder.onnx"), STAGE, {}, "auto", compute, tell=told.append)
    return dict(BACKEND.settings(request))


@pytest.mark.parametrize(("compute", "half"), [("float32", "False"), ("float16", "True")])
def test_the_folder_is_there_with_all_above_it_before_the_library_is_told_of_it(
    compute: Compute, half: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "there"))
    told: list[str] = []
    folder = tmp_path / "not" / "there" / "vidmend" / "onnxruntime_tensorrt"
    for _ in range(2):
        assert settings(told, compute) == {
            "trt_engine_cache_enable": "True",
            "trt_engine_cache_path": str(folder),
            "trt_fp16_enable": half,
        }
        assert folder.is_dir()
    assert not told


def test_where_it_cannot_be_made_nothing_is_kept_and_that_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    told: list[str] = []
    assert settings(told) == {"trt_engine_cache_enable": "False", "trt_fp16_enable": "False"}
    (line,) = told
    assert line.startswith(f"{tmp_path / 'file' / 'vidmend' / 'onnxruntime_tensorrt'}: cannot be written (Not a dire")
    assert "is built again at the next start; XDG_CACHE_HOME may name another place" in line
    assert "\n" not in line


def test_a_folder_of_somebody_else_is_not_written_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    told: list[str] = []
    assert settings(told)["trt_engine_cache_enable"] == "False"
    assert "cannot be written (no permission)" in told[0]
