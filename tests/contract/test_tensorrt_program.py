"""One engine at work: what it takes, what it is asked for, what is kept, and what is said when it cannot be opened."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import backends
from runtime.device import Form
from runtime.errors import EngineUnfit, VidmendError
from runtime.machine import NO_GPU
from tests.engine_bench import FEATURES, PIXELS, Setting, bench
from tests.engined import RTX, VERSION, Build
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_tensorrt import FakeTensorRt, Faults, machine_with


@pytest.fixture
def root(any_window: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(any_window, tmp_path / "bundle"))


def test_a_call_is_recorded_when_its_addresses_come_back_and_launched_from_then_on(root: Path) -> None:
    with bench(root) as it:
        pixels, first, second = it.tensor(PIXELS), it.tensor(FEATURES), it.tensor(FEATURES)
        wanted = it.encode(pixels, first)
        assert not it.driver.calls
        for made, features in ((1, first), (1, first), (1, second), (2, second), (2, first)):
            assert np.array_equal(it.encode(pixels, features), wanted)
            assert it.driver.calls["cuStreamBeginCapture_v2"] == it.driver.alive == made
        assert it.library.runs == 4  # twice for each pair of addresses: once for real, once to record
        assert it.driver.calls["cuGraphLaunch"] == 4
    assert it.driver.alive == 0
    assert not it.notes


def test_graphs_that_are_not_used_make_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.backends._trt_graphs.MOST", 2)
    with bench(root) as it:
        pixels, *features = it.tensor(PIXELS), *(it.tensor(FEATURES) for _ in range(3))
        for place in (0, 0, 1, 1, 2, 2):  # the third drives the first away
            it.encode(pixels, features[place])
        assert it.driver.alive == 2
        it.encode(pixels, features[1])
        assert it.driver.calls["cuStreamBeginCapture_v2"] == 3
        it.encode(pixels, features[0])
        assert it.driver.calls["cuStreamBeginCapture_v2"] == 3  # met for the first time again
    assert it.driver.alive == 0


def test_a_context_that_is_not_ready_to_be_recorded_is_asked_again(root: Path) -> None:
    with bench(root, Setting("tensorrt_rtx", Build("tensorrt_rtx", RTX), Faults(uncapturable=2))) as it:
        pixels, features = it.tensor(PIXELS), it.tensor(FEATURES)
        recorded: list[int] = []
        for _ in range(5):
            it.encode(pixels, features)
            recorded.append(it.driver.calls["cuStreamBeginCapture_v2"])
    assert recorded == [0, 0, 0, 1, 1]
    assert not it.notes


def test_one_refusal_ends_recording_and_is_said_once(root: Path) -> None:
    with bench(root, Setting(fails="cuStreamEndCapture")) as it:
        pixels, features = it.tensor(PIXELS), it.tensor(FEATURES)
        first = it.encode(pixels, features)
        for _ in range(3):
            assert np.array_equal(it.encode(pixels, features), first)
        assert it.driver.calls["cuStreamBeginCapture_v2"] == 1
    (note,) = it.notes
    assert note.startswith("no CUDA graph of the encoder, whose work is enqueued anew each time: cuStreamEndCapture: ")


def test_a_context_belongs_to_one_stream_and_tensors_are_those_of_the_caller(root: Path) -> None:
    with bench(root, Setting(cuda_graph=False)) as it:
        pixels, features = it.tensor(PIXELS), it.tensor(FEATURES)
        it.encode(pixels, features)
        (context,) = it.library.contexts
        assert context.handles == {1}
        assert context.addresses == {"rgb": pixels.address, "features": features.address}  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", [Form(PIXELS.shape), Form((2, *PIXELS.shape[1:]), "float16")], ids=["type", "shape"])
def test_a_tensor_that_the_engine_would_misread_is_refused(form: Form, root: Path) -> None:
    with bench(root) as it:
        features = it.tensor(FEATURES)
        with pytest.raises((TypeError, EngineUnfit), match="rgb"):
            it.program.enqueue({"rgb": it.tensor(form)}, {"features": features}, it.stream)
        assert it.library.runs == 0


def rename(plan: dict[str, Any]) -> None:
    plan["ports"]["colours"] = plan["ports"].pop("rgb")


def widen(plan: dict[str, Any]) -> None:
    plan["ports"]["rgb"]["kind"] = "FLOAT"


def lose(plan: dict[str, Any]) -> None:
    del plan["ports"]["features"]


def host(plan: dict[str, Any]) -> None:
    plan["ports"]["rgb"]["host"] = True


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (Setting(plan=rename), "it has 'colours', which stage 'encoder' has not. Build one: "),
        (Setting(plan=widen), "'rgb' is float32, wanted float16. Build one: "),
        (Setting(plan=lose), "it lacks features of stage 'encoder'. Build one: "),
        (Setting(plan=host), "'rgb' is wanted in the host's memory. Build one: "),
        (Setting(faults=Faults(context="Cuda Runtime (out of memory)")), "(out of memory). Close what else runs"),
        (Setting(faults=Faults(context="Error Code 2: it is odd")), "cannot run this engine: Error Code 2: it is odd."),
    ],
)
def test_an_engine_that_cannot_be_opened_is_one_line(setting: Setting, reason: str, root: Path) -> None:
    with pytest.raises(VidmendError) as caught, bench(root, setting):
        pass
    assert reason in str(caught.value)
    assert str(caught.value).endswith(("--backend onnxruntime", "on the CPU."))
    assert "\n" not in str(caught.value)


def rtx() -> Setting:
    return Setting("tensorrt_rtx", Build("tensorrt_rtx", RTX))


def caches(folder: Path) -> list[Path]:
    return sorted(folder.glob("encoder.*.cache"))


def test_what_rtx_compiled_is_kept_with_the_bundle_and_found_again(root: Path) -> None:
    compiled: list[int] = []
    for _ in range(2):
        with bench(root, rtx()) as it:
            assert it.program.compute == "float16"
        compiled.append(it.library.compiled)
    assert compiled == [1, 0]
    assert len(caches(root)) == 1


def test_a_damaged_cache_is_compiled_anew_and_replaced(root: Path) -> None:
    with bench(root, rtx()):
        pass
    (path,) = caches(root)
    whole = path.read_bytes()
    path.write_bytes(whole[3:])
    with bench(root, rtx()) as it:
        pass
    assert it.library.compiled == 1
    assert path.read_bytes() == whole


def test_where_no_cache_can_be_written_that_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.backends._trt_cache.keep", lambda *_: False)
    with bench(root, rtx()) as it:
        pass
    (note,) = it.notes
    assert "is compiled again at the next start" in note


def test_rtx_says_for_which_gpus_it_is_not_made() -> None:
    library = FakeTensorRt(FakeCuda(), RTX, made_for=("SM86", "SM89"))
    with machine_with(library, FakeGraphs(library.cuda), "tensorrt_rtx"):
        assert backends.get("tensorrt_rtx").why_not() == (
            f"TensorRT-RTX {RTX} is not made for this GPU (Fake GPU, SM 9.0); TensorRT is."
        )


def test_programs_for_other_shapes_keep_what_they_compiled_each(root: Path) -> None:
    """A short scene's kernels do not take the place of the usual window's."""
    for sizes in ({"B": 1}, {}):
        with bench(root, replace(rtx(), sizes=sizes)) as it:
            pass
        assert it.library.compiled == 1
    assert len(caches(root)) == 2


@pytest.mark.parametrize("target", ["tensorrt", "tensorrt_rtx"])
def test_what_was_opened_before_a_failure_is_gone_with_it(target: str, root: Path) -> None:
    """While its device is bound, and not when the error is forgotten."""
    alive: list[int] = []
    setting = Setting(
        target,
        Build(target, RTX if target == "tensorrt_rtx" else VERSION),
        Faults(context="Cuda Runtime (out of memory)"),
        opened=lambda library: alive.append(len(library.engines)),
    )
    with pytest.raises(VidmendError) as caught, bench(root, setting):
        pass
    assert "out of memory" in str(caught.value)
    assert alive == [0]


@pytest.mark.parametrize(
    ("version", "reason"),
    [("8.4.3.1", "TensorRT 8.4.3.1 is too old, 8.5 is the first that is known to work"), ("11.1.0", None)],
)
def test_a_version_is_too_old_or_it_is_not(version: str, reason: str | None) -> None:
    library = FakeTensorRt(FakeCuda(), version)
    with machine_with(library, FakeGraphs(library.cuda)):
        found = backends.get("tensorrt").why_not()
    assert (found or "").startswith(reason or "")
    assert (found is None) == (reason is None)


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeTensorRt(FakeCuda())
    with machine_with(library, FakeGraphs(library.cuda)):
        monkeypatch.setattr("runtime.backends._trt.gpus", lambda: ())
        assert backends.get("tensorrt").why_not() == NO_GPU
