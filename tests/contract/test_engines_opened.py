"""What an engine brings along and is given when it is opened: code for the host, and memory to work in."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.engines import VERSION_COMPATIBLE
from runtime.errors import DeviceFailed, EngineUnfit
from tests.engine_bench import FEATURES, PIXELS, Setting, bench
from tests.engined import RTX, Build, add_engines
from tests.stand_in_tensorrt import Faults

COMPATIBLE = Setting(build=Build(version="8.6.1", options=(VERSION_COMPATIBLE,)), version="8.7.0")
LEAN = "Cannot deserialize engine with lean runtime since IRuntime::getEngineHostCodeAllowed() is false. Build one: "
OF_RTX = Setting("tensorrt_rtx", Build("tensorrt_rtx", RTX))


@pytest.fixture
def root(any_window: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return Path(shutil.copytree(any_window, tmp_path / "bundle"))


def test_an_engine_for_later_versions_runs_with_the_code_that_it_brings(root: Path) -> None:
    with bench(root, COMPATIBLE) as it:
        assert it.library.trusted == 1
        assert np.isfinite(it.encode(it.tensor(PIXELS), it.tensor(FEATURES))).all()


def test_no_other_engine_may_run_code_on_the_host(root: Path) -> None:
    with bench(root) as it:
        assert it.library.trusted == 0


def test_one_engine_for_later_versions_vouches_for_no_other_one(root: Path) -> None:
    add_engines(root, replace(COMPATIBLE.build, capability="8.6"))
    with bench(root, Setting(build=Build(version="8.6.1"))) as it:
        assert it.library.trusted == 0


def later(plan: dict[str, Any]) -> None:
    plan["frames"] = [1, 1]


def with_code(plan: dict[str, Any]) -> None:
    plan["host code"] = True


@pytest.mark.parametrize(
    "setting",
    [
        replace(COMPATIBLE, plan=later),
        Setting(plan=with_code),
        Setting("tensorrt_rtx", Build("tensorrt_rtx", RTX, options=(VERSION_COMPATIBLE,))),
    ],
    ids=["changed after its hash was checked", "not said in the manifest", "RTX has no such engines"],
)
def test_code_that_nobody_vouches_for_is_not_run(setting: Setting, root: Path) -> None:
    with pytest.raises(EngineUnfit) as caught, bench(root, setting):
        pass
    assert LEAN in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_context_of_rtx_is_given_all_its_memory_when_it_is_made(root: Path) -> None:
    with bench(root, OF_RTX) as it:
        (context,) = it.library.contexts
        assert context.memory is not None
        assert context.memory[1] == 1000
        (sized,) = (array for array in it.library.cuda.allocated if array.nbytes == 1000)
        assert context.memory[0] == sized.ctypes.data
        assert np.isfinite(it.encode(it.tensor(PIXELS), it.tensor(FEATURES))).all()


def test_a_context_of_tensorrt_takes_its_memory_itself(root: Path) -> None:
    with bench(root) as it:
        assert it.library.contexts[0].memory is None


def test_too_little_memory_for_a_context_is_one_line_that_says_how_much_was_asked_for(root: Path) -> None:
    told = r"out of memory while trying to allocate 1000 bytes\. [^\n]*$"
    with pytest.raises(DeviceFailed, match=told), bench(root, replace(OF_RTX, memory_bytes=999)):
        pass


def test_kernels_that_cannot_be_had_fail_nothing(root: Path) -> None:
    """As after the GPU was lost, whose error is the one to be told."""
    with bench(root, replace(OF_RTX, faults=Faults(keeps_nothing=True))) as it:
        pass
    assert not list(root.glob("*.cache"))
    assert not it.notes
