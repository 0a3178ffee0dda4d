"""Under auto a backend that seems able and cannot be opened is passed over with a line; asked for, it is an error."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from calib.evaluation.cli import main as evaluate
from runtime import backends
from runtime.backends import openvino
from runtime.cli import main
from tests.clips import Clip, write_clip
from tests.engined import Build, add_engines
from tests.paced import Fault, Field
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_tensorrt import FakeTensorRt, Faults, machine_with
from tests.tiny import HEIGHT, WIDTH

ON_THE_HOST = ("onnxruntime", "openvino")


@dataclass
class Rig:
    """infer.py on one clip."""

    folder: Path
    bundle: Path
    capsys: pytest.CaptureFixture[str]

    def infer(self, *more: str) -> tuple[int, Any, list[str]]:
        """The exit code, the summary where there is one, and the lines on standard error."""
        files = [str(self.folder / "clip.mp4"), "--out", str(self.folder / "out/%05d.png"), "--overwrite"]
        how = ["--box", "20,12,30,20", "--region", "full", "--cuts", "none", "--json"]
        code = main([*files, *how, "--bundle", str(self.bundle), *more])
        printed, said = self.capsys.readouterr()
        return code, json.loads(printed) if code == 0 else None, said.splitlines()


@pytest.fixture
def rig(
    narrow_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Rig:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_clip(tmp_path / "clip.mp4", Clip(WIDTH, HEIGHT, 8))
    return Rig(tmp_path, Path(shutil.copytree(narrow_window, tmp_path / "bundle")), capsys)


def short_of_memory() -> FakeTensorRt:
    return FakeTensorRt(FakeCuda(), faults=Faults(context="Cuda Runtime (out of memory)"))


def test_a_gpu_without_memory_leaves_the_work_to_the_processor_and_says_so(rig: Rig) -> None:
    add_engines(rig.bundle, Build())
    library = short_of_memory()
    with machine_with(library, FakeGraphs(library.cuda, "")):
        code, summary, said = rig.infer()
    assert (code, summary["backend"] in ON_THE_HOST) == (0, True)
    (line,) = [line for line in said if line.startswith("note: tensorrt fp16 was passed over: ")]
    assert "out of memory" in line


def test_a_gpu_that_was_asked_for_and_has_no_memory_is_an_error(rig: Rig) -> None:
    add_engines(rig.bundle, Build())
    library = short_of_memory()
    with machine_with(library, FakeGraphs(library.cuda, "")):
        code, _, said = rig.infer("--backend", "tensorrt")
    assert (code, len(said)) == (2, 1)
    assert "out of memory" in said[0]


def refuse_to_start(*_: object) -> None:
    raise TypeError("pybind11::init(): factory function returned nullptr")


def test_a_library_that_cannot_start_on_this_driver_is_passed_over_too(rig: Rig) -> None:
    add_engines(rig.bundle, Build())
    library = FakeTensorRt(FakeCuda())
    with machine_with(library, FakeGraphs(library.cuda, "")), pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys.modules["tensorrt"], "Runtime", refuse_to_start)
        code, summary, said = rig.infer()
        assert (code, summary["backend"] in ON_THE_HOST) == (0, True)
        assert len([line for line in said if "TensorRT 8.5.3.1 cannot start on this GPU" in line]) == 1
        code, _, said = rig.infer("--backend", "tensorrt")
        assert (code, len(said)) == (2, 1)


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Field:
    made = Field()
    made.enter(monkeypatch, tmp_path / "cache")
    made.add("first", 10, fp32=0.1)
    made.add("second", 20, fp32=0.2)
    return made


def test_what_a_trial_found_quickest_and_cannot_be_opened_any_more_is_passed_over(rig: Rig, field: Field) -> None:
    assert rig.infer()[1]["backend"] == "first"
    field.backends["first"].fault = Fault(opening="a library is missing")
    code, summary, said = rig.infer()
    assert (code, summary["backend"]) == (0, "second")
    assert len([line for line in said if line.startswith("note: first fp32 was passed over: ")]) == 1
    assert "a library is missing" in "".join(said)


def test_evaluation_passes_it_over_too(rig: Rig, field: Field) -> None:
    write_clip(rig.folder / "clip.mp4", Clip(WIDTH, 72, 3))
    how = ["--masks", "stationary", "--baselines", "none", "--size", f"{WIDTH}x72", "--frames", "3"]
    asked = [str(rig.bundle), str(rig.folder / "clip.mp4"), *how]
    assert evaluate(asked) == 0
    assert "passed over" not in rig.capsys.readouterr().err
    field.backends["first"].fault = Fault(opening="a library is missing")
    assert evaluate(asked) == 0
    assert rig.capsys.readouterr().err.count("note: first fp32 was passed over: ") == 1


def test_where_none_can_be_opened_each_has_its_reason_in_one_line(rig: Rig, field: Field) -> None:
    field.backends["first"].fault = Fault(opening="a library is missing")
    field.backends["second"].fault = Fault(opening="a file is damaged")
    code, _, said = rig.infer()
    assert (code, len(said)) == (2, 1)
    assert "a library is missing" in said[0]
    assert "a file is damaged" in said[0]
    assert not (rig.folder / "out").exists()


def test_the_only_one_that_there_is_may_fail_in_one_line(rig: Rig, field: Field) -> None:
    field.backends.pop("second")
    field.backends["first"].fault = Fault(opening="a library is missing")
    code, _, said = rig.infer()
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith("infer.py: no backend can run here. first fp32 was passed over: ")


def test_openvino_that_cannot_start_says_so_instead_of_being_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("Cannot load library libopenvino_intel_cpu_plugin.so\nin detail")

    monkeypatch.setattr(openvino, "core", broken)
    reason = backends.get("openvino").why_not()
    assert reason is not None
    assert reason.startswith("openvino cannot be imported (Cannot load library libopenvino_intel_cpu_plugin.so): ")


def test_openvino_that_runs_out_of_memory_while_it_compiles_is_one_line(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(openvino, "compiled", exhausted)
    code, _, said = rig.infer("--backend", "openvino", "--precision", "fp32")
    assert (code, len(said)) == (2, 1)
    assert "cannot load this graph: MemoryError" in said[0]
    assert rig.infer()[1]["backend"] == "onnxruntime"
