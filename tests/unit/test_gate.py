"""An engine run in a process of its own and judged: good, far away, not a number, crashed, refused, no GPU."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export import targets
from export.gate import calls, judge, verify
from export.targets._target import Compiler, Options, Order
from export.targets._trt_trial import narrowed, widened
from export.trial import WANTED_DB, Trial
from runtime import machine
from runtime.bundle import ParityRecord
from runtime.errors import ExportError
from runtime.machine import Gpu
from tests.stand_in_gpus import Driver
from tests.stand_in_trials import SHAPE, lay
from tests.tolerances import TOLERANCE

ORDER = Order("encoder", Path("x.onnx"), "float16", (), {"rgb": (SHAPE,)}, Options(capabilities=("9.0",)))
GIVEN = np.linspace(-1, 1, 24, dtype=np.float32).reshape(3, *SHAPE[1:])  # three frames for an engine that takes one
TRIAL = Trial({"rgb": GIVEN}, 2 * GIVEN, "city.mp4, 2+1")


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiler:
    """TensorRT, on a machine that has it, pycuda and a GPU, as far as a child process can tell."""
    lay(tmp_path)
    monkeypatch.setattr(machine, "load_driver", lambda: Driver(Gpu("NVIDIA Made-Up", "9.0")))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = targets.get("tensorrt").compiler
    assert found is not None
    return found


def verified(
    compiler: Compiler, mode: str, tmp_path: Path, order: Order = ORDER
) -> tuple[ParityRecord | None, list[str]]:
    plan = tmp_path / "encoder.plan"
    plan.write_text(mode)
    said: list[str] = []
    return verify(order, compiler, plan, lambda stage: TRIAL, said.append), said


def test_a_good_engine_gets_its_figures(compiler: Compiler, tmp_path: Path) -> None:
    record, said = verified(compiler, "good", tmp_path)
    assert record is not None
    assert (record.stage, record.frames, record.nan_count) == ("encoder", "city.mp4, 2+1", 0)
    assert record.runner == "the engine, in float16"
    assert record.psnr_db > WANTED_DB
    assert 0 < record.max_abs < record.tolerance
    assert said == ["comparing the engine of encoder with float32"]


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("one level off", r"the engine is \d+\.\d dB and at most 0\.\d+ from float32, wanted 56 dB and 0\.04; refused"),
        ("gives NaN", "the engine gives 6 of 24 values that are NaN or infinite; refused"),
        ("another shape", r"the engine gives shapes \[\[3, 2, 2\]\], wanted \[3, 2, 4\]; refused"),
        ("crashes", "the engine was ended by SIGSEGV: it said nothing"),
        ("refuses", "the library refuses to run it"),
        ("unreadable", "the library cannot read the plan that it has just built"),
        ("no context", "the library makes no context for it; is the GPU's memory full"),
    ],
)
def test_what_is_wrong_with_an_engine_is_one_line(mode: str, told: str, compiler: Compiler, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=told) as caught:
        verified(compiler, mode, tmp_path)
    assert "stage 'encoder'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_engine_for_later_versions_is_tried_with_the_code_that_it_brings(compiler: Compiler, tmp_path: Path) -> None:
    compatible = replace(ORDER, options=replace(ORDER.options, version_compat=True))
    assert verified(compiler, "brings code", tmp_path, compatible)[0] is not None
    with pytest.raises(ExportError, match="the library cannot read the plan that it has just built"):
        verified(compiler, "brings code", tmp_path)


@pytest.mark.usefixtures("compiler")
def test_an_engine_of_rtx_is_tried_in_memory_that_it_is_given(tmp_path: Path) -> None:
    """Its contexts are not made otherwise."""
    rtx = targets.get("tensorrt_rtx").compiler
    assert rtx is not None
    assert verified(rtx, "given memory", tmp_path)[0] is not None
    with pytest.raises(ExportError, match="the library makes no context for it"):
        verified(rtx, "given memory, no context", tmp_path)


def test_too_little_memory_is_one_line(compiler: Compiler, tmp_path: Path) -> None:
    trial = replace(TRIAL, feed={"rgb": np.zeros((1, 1 << 20), np.float32)})
    plan = tmp_path / "encoder.plan"
    plan.write_text("good")
    with pytest.raises(ExportError, match=r"stage 'encoder': .*out of memory[^\n]*$"):
        verify(ORDER, compiler, plan, lambda stage: trial, lambda said: None)


@pytest.mark.parametrize(
    ("capabilities", "gone", "told"),
    [
        (("8.6", "8.9"), "", "it is for SM 8.6, 8.9, the GPU here is SM 9.0"),
        (("9.0",), "gpu", "no NVIDIA GPU here"),
        (("9.0",), "pycuda", "pycuda not installed here: pip install pycuda"),
    ],
)
def test_what_cannot_run_here_stays_unverified_with_its_reason(
    capabilities: tuple[str, ...],
    gone: str,
    told: str,
    compiler: Compiler,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if gone == "gpu":
        monkeypatch.setattr(machine, "load_driver", Driver)
    elif gone:
        (tmp_path / gone).rename(tmp_path / "elsewhere")
    order = replace(ORDER, options=Options(capabilities=capabilities))
    assert verified(compiler, "crashes", tmp_path, order) == (None, [f"encoder stays unverified: {told}"])


def test_without_onnxruntime_there_is_nothing_to_compare_with(
    compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    record, said = verified(compiler, "crashes", tmp_path)
    assert record is None
    assert said == ["encoder stays unverified: onnxruntime not installed here: pip install onnxruntime"]


def test_a_shape_that_the_engine_does_not_take_is_one_line(compiler: Compiler, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"it does not take rgb of shape \[3, 2, 4\]"):
        verified(compiler, "good", tmp_path, replace(ORDER, shapes={"rgb": ((3, 2, 4),)}))


def test_a_window_is_one_call_and_a_batch_as_many_as_the_engine_takes_at_once() -> None:
    bias = np.zeros(4, np.float32)
    feed = {"rgb": GIVEN, "bias": bias}
    assert [len(call["rgb"]) for call in calls(ORDER, feed)] == [1, 1, 1]
    assert [len(call["rgb"]) for call in calls(replace(ORDER, shapes={"rgb": ((1, 2, 4), (2, 2, 4))}), feed)] == [2, 1]
    assert calls(replace(ORDER, shapes={"rgb": ((3, 2, 4),)}), feed) == [feed]
    assert all(call["bias"] is bias for call in calls(ORDER, feed))


def test_an_infinite_value_or_a_second_output_is_refused() -> None:
    found = TRIAL.wanted.copy()
    found.flat[0] = np.inf
    with pytest.raises(ExportError, match="1 of 24 values that are NaN or infinite"):
        judge(ORDER, TRIAL, {"features": found})
    with pytest.raises(ExportError, match="gives shapes"):
        judge(ORDER, TRIAL, {"features": TRIAL.wanted, "more": TRIAL.wanted})
    assert judge(ORDER, TRIAL, {"features": TRIAL.wanted}).max_abs == 0


def test_bfloat16_travels_as_its_bits_rounded_to_nearest() -> None:
    values = np.array([1.0, -2.5, 1 + 2**-8, 1 + 3 * 2**-8, 3e38, 0.0], np.float32)
    there = narrowed(values, "bfloat16")
    assert there.dtype == np.uint16
    back = widened(there)
    assert back[:4].tolist() == [1.0, -2.5, 1.0, 1 + 2**-6]  # ties to even
    assert np.abs(back - values).max() <= TOLERANCE["bfloat16", "share"] * np.abs(values).max()
    assert narrowed(np.array(11, np.int64), "float16").dtype == np.int64
    assert np.array_equal(narrowed(values, "int8"), values), "what computes in int8 takes and gives float32"


@pytest.mark.parametrize(("off", "passes"), [(0.05, True), (0.2, False)])
def test_an_engine_of_int8_may_be_a_little_farther_away_than_its_graph(off: float, passes: bool) -> None:
    graph = ParityRecord("encoder", "onnxruntime", "", max_abs=0.05, tolerance=0, psnr_db=32.0, nan_count=0)
    trial, found = replace(TRIAL, graph=graph), {"features": TRIAL.wanted + np.float32(off)}
    order = replace(ORDER, compute="int8")
    if passes:
        assert judge(order, trial, found).psnr_db < WANTED_DB
        return
    with pytest.raises(ExportError, match=r"wanted 29 dB and 0\.1; refused"):
        judge(order, trial, found)
