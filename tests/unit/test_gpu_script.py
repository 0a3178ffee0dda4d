"""make gpu, without a GPU: what is planned where, what a failing step costs, and the table at the end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench import gpu
from bench._gpu_machine import Interpreter, Machine, probe
from bench._gpu_plan import Request, plan
from bench._gpu_steps import Figure, Outcome, Step, read_output, run, run_all, write_output
from bench._gpu_table import BUSY, EXPOSED, SPEED
from runtime import machine
from runtime.machine import Gpu
from tests.guard.sources import ROOT
from tests.interpreters import ENGINE_SIDE, RUN, TORCH_SIDE, answer, driver, interpreter, printed, script
from tests.stand_in_gpus import Driver
from tests.tables import rows_of

H200 = Gpu("NVIDIA Made-Up", "9.0")
ENGINES = Interpreter("ENGINE_PYTHON", "/e/python", **answer(ENGINE_SIDE, engines=True))
TORCH = Interpreter("TORCH_PYTHON", "/t/python", **answer(TORCH_SIDE, cuda=True))
MACHINE = Machine(H200, "999.99", (ENGINES, TORCH), "/s/compute-sanitizer", "abc1234")


def planned(machine: Machine, tmp_path: Path, *, prepare: bool = False, only: tuple[str, ...] = ()) -> dict[str, Step]:
    return {step.name: step for step in plan(machine, Request(tmp_path, ("official",), prepare=prepare, only=only))}


def test_every_step_is_run_by_the_interpreter_that_has_what_it_needs(tmp_path: Path) -> None:
    steps = planned(MACHINE, tmp_path)
    programs = {name: step.command[0] for name, step in steps.items() if step.missing is None}
    assert programs == {
        "clips": "/e/python",
        "export official": "/t/python",
        "reference official": "/t/python",
        "tests": "/e/python",
        "decode": "/e/python",
        "compile official tensorrt": "/e/python",
        "frames official tensorrt": "/e/python",
        "speed official published": "/t/python",
        "speed official compiled": "/t/python",
        "speed official tensorrt": "/e/python",
        "sanitizer": "/s/compute-sanitizer",
    }
    half = str(tmp_path / "small" / "bundle")
    assert steps["tests"].environment == {"VIDMEND_REQUIRE_GPU": "1", "VIDMEND_GPU_BUNDLE": half}
    assert steps["sanitizer"].environment == {"VIDMEND_REQUIRE_GPU": "1"}
    assert all(step.limit_s > 0 for step in steps.values())
    for name, step in steps.items():  # what a step rests on comes before it
        assert all(list(steps).index(before) < list(steps).index(name) for before in step.after)


def test_engines_come_before_what_runs_them_and_the_reference_before_what_is_compared(tmp_path: Path) -> None:
    steps = planned(MACHINE, tmp_path)
    made = "compile official tensorrt"
    assert steps["frames official tensorrt"].after == ("export official", made, "reference official")
    assert steps["speed official tensorrt"].after == ("clips", "export official", made)
    assert steps["speed official published"].after == ("clips", "export official")


@pytest.mark.parametrize(
    ("machine", "step", "reason"),
    [
        (replace(MACHINE, gpu=None), "speed official published", "no NVIDIA GPU answers here"),
        (replace(MACHINE, sanitizer=None), "sanitizer", "compute-sanitizer is neither on the path"),
        (replace(MACHINE, interpreters=(ENGINES,)), "export official", "ENGINE_PYTHON lacks torch, onnx, onnxruntime"),
        (
            replace(MACHINE, interpreters=(TORCH,)),
            "frames official tensorrt",
            "TORCH_PYTHON TensorRT is not installed.",
        ),
        (replace(MACHINE, interpreters=(TORCH,)), "tests", "TORCH_PYTHON lacks pycuda, pytest"),
        (replace(MACHINE, interpreters=(TORCH,)), "decode", "TORCH_PYTHON lacks pycuda, PyNvVideoCodec"),
        (
            replace(MACHINE, interpreters=(ENGINES, replace(TORCH, torch_cuda=False))),
            "speed official compiled",
            "TORCH_PYTHON: its torch finds no CUDA",
        ),
        (
            replace(MACHINE, interpreters=(replace(ENGINES, compilers={}), TORCH)),
            "compile official tensorrt",
            "ENGINE_PYTHON knows it not; TORCH_PYTHON TensorRT is not installed.",
        ),
    ],
)
def test_what_is_missing_for_a_step_is_named(machine: Machine, step: str, reason: str, tmp_path: Path) -> None:
    assert (planned(machine, tmp_path)[step].missing or "").startswith(reason)


def test_preparing_needs_no_gpu_and_steps_can_be_chosen(tmp_path: Path) -> None:
    steps = planned(replace(MACHINE, gpu=None), tmp_path, prepare=True)
    assert list(steps) == ["clips", "export official", "reference official"]
    assert all(step.missing is None for step in steps.values())
    chosen = planned(MACHINE, tmp_path, only=("frames", "speed official p"))
    assert {name: step.after for name, step in chosen.items()} == {
        "frames official tensorrt": (),
        "speed official published": (),
    }


def test_pytest_runs_without_the_plugin_that_the_configuration_speaks_of(tmp_path: Path) -> None:
    modules = {name: found for name, found in ENGINES.modules.items() if name != "pytest_timeout"}
    step = planned(replace(MACHINE, interpreters=(replace(ENGINES, modules=modules),)), tmp_path)["tests"]
    options = [word for word in step.command[step.command.index("pytest") + 1 :] if not word.startswith("tests/")]
    command = [sys.executable, "-m", "pytest", "-p", "no:timeout", *options, "tests/gpu/test_device.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert " skipped in " in done.stdout, done.stdout + done.stderr  # no GPU is required of this call


def outcome_of(text: str, tmp_path: Path, limit_s: float = 20.0) -> Outcome:
    return run(Step("a step", ("/bin/sh", "-c", text), limit_s), tmp_path, tmp_path / "logs", lambda _: None)


def test_a_step_gives_its_figures_and_its_last_word(tmp_path: Path) -> None:
    figures = (Figure(SPEED, 12.5, "", "median"), Figure("encoder", 0.8, "ms"))
    assert read_output(f"chatter\n{write_output(figures, 'fine')}\n") == ("fine", figures)
    assert read_output('{"fps": 3}') == ("", ())
    assert read_output("3") == ("3", ())
    outcome = outcome_of("echo one; echo two", tmp_path)
    assert (outcome.state, outcome.said, outcome.figures) == ("passed", "two", ())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("echo chatter; echo 'first' >&2; echo 'what went wrong' >&2; exit 3", "what went wrong (code 3; see "),
        ("echo 'on stdout'; exit 1", "on stdout (code 1; see "),
        ("kill -SEGV $$", "it said nothing (SIGSEGV; see "),
    ],
)
def test_a_step_that_fails_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    outcome = outcome_of(text, tmp_path)
    assert outcome.state == "failed"
    assert outcome.said.startswith(told)
    assert "\n" not in outcome.said


def test_a_step_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    outcome = outcome_of(f"sleep 600 & echo $! > {child}; wait", tmp_path, limit_s=0.5)
    assert (outcome.state, outcome.said.partition(";")[0]) == ("failed", "not through after 0 s")
    pid = int(child.read_text())
    for _ in range(100):
        if not _alive(pid):
            break
        time.sleep(0.05)
    assert not _alive(pid)


def test_a_program_that_is_not_there_and_tests_that_are_not_there(tmp_path: Path) -> None:
    gone = run(Step("gone", ("/no/such/python",)), tmp_path, tmp_path / "logs", lambda _: None)
    assert (gone.state, gone.said) == ("failed", "/no/such/python cannot be started: No such file or directory")
    tests = Step("tests", ("/bin/sh", "-c", "exit 5"), tests=True)
    none = run(tests, tmp_path, tmp_path / "logs", lambda _: None)
    assert (none.state, none.said) == ("not run", "there are no such tests")


def test_what_rests_on_a_failed_step_is_not_run_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "made").touch()
    ok, bad = ("/bin/sh", "-c", "echo fine"), ("/bin/sh", "-c", "exit 1")
    steps = [
        Step("there", bad, made=tmp_path / "made"),
        Step("bad", bad, after=("there",)),
        Step("rests", ok, after=("bad",)),
        Step("lacks", missing="no GPU"),
        Step("other", ok),
    ]
    outcomes = list(run_all(steps, tmp_path, tmp_path / "logs", lambda _: None))
    assert [outcome.state for outcome in outcomes] == ["passed", "failed", "not run", "not run", "passed"]
    assert outcomes[2].said == "it needs 'bad', which was not done"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("echo 'Fatal: no encodings' >&2; exit 1", "is of no use: Fatal: no encodings"),
        ("exit 4", "is of no use: ends with code 4"),
        ("echo nonsense", "is of no use: Expecting value"),
        ("echo '{\"odd\": 1}'", "is of no use: "),
    ],
)
def test_an_interpreter_that_cannot_answer_is_told_so(text: str, fault: str, tmp_path: Path) -> None:
    found = probe("TORCH_PYTHON", str(script(tmp_path / "python", text)), H200)
    assert fault in (found.fault or "")
    assert "\n" not in (found.fault or "")


def test_this_python_says_what_it_has() -> None:
    found = probe("TORCH_PYTHON", sys.executable, Gpu("an old one", "6.1"))
    assert found.fault is None
    assert {"torch", "onnx", "numpy"} <= set(found.modules)
    assert found.backends["null"] == {"memory": "host", "target": "onnx", "why_not": None}
    assert set(found.compilers) == {"tensorrt", "tensorrt_rtx"}
    assert "--compute-capabilities 6.1" in found.compilers["tensorrt_rtx"]["why_not"]


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine with a GPU and two interpreters, all of them scripts."""
    driver(tmp_path)
    monkeypatch.setattr(machine, "load_driver", lambda: Driver(Gpu("NVIDIA Made-Up", "9.0")))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    fast = {SPEED: 45.0, BUSY: 91.0, EXPOSED: 1.0}
    engines = interpreter(
        tmp_path / "engines",
        answer(ENGINE_SIDE, engines=True),
        {"_gpu_frames": printed({"frames": 61.5}), "_gpu_backend": printed(fast)},
    )
    with_torch = interpreter(
        tmp_path / "torch",
        answer(TORCH_SIDE, cuda=True),
        {"_gpu_torch published": printed({SPEED: 5.0}), "_gpu_torch": "echo 'no compiler' >&2; exit 1"},
    )
    return {"ENGINE_PYTHON": str(engines), "TORCH_PYTHON": str(with_torch)}


def test_the_whole_of_it_on_a_machine_that_only_pretends(
    pretended: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "gpu.csv"
    command = ["--work", str(tmp_path / "made"), "--variants", "official", "--csv", str(results)]
    assert gpu.main(command, pretended) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("NVIDIA Made-Up (SM 9.0), driver 999.99; Python 3.10.13 tensorrt 8.5.3.1;")
    assert [line for line in lines if "FAILED" in line] == [
        f"speed official compiled FAILED no compiler (code 1; see {tmp_path}/made/logs/speed-official-compiled.log)"
    ]
    assert "frames official tensorrt passed frames 61.5" in lines
    assert "speed official tensorrt met >= 8 9.00 times published" in lines
    assert len(rows_of(results)) == 6
    assert gpu.main([*command, "--only", "frames"], pretended) == 0


def test_without_a_gpu_it_ends_well_unless_one_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    python = interpreter(tmp_path / "python", answer(RUN), {})
    here = {"ENGINE_PYTHON": str(python), "TORCH_PYTHON": str(python)}
    command = ["--work", str(tmp_path / "made"), "--csv", str(tmp_path / "gpu.csv")]
    assert gpu.main(command, here) == 0
    told = capsys.readouterr()
    assert told.out.startswith("no GPU; Python 3.12.3")
    assert "passed" not in told.out
    assert gpu.main(command, {**here, "VIDMEND_REQUIRE_GPU": "1"}) == gpu.main([*command, "--require-gpu"], here) == 1
    assert "a GPU is required, and none answers here" in capsys.readouterr().err
    assert gpu.main([*command, "--dry-run"], here) == 0
    assert "export official: not run: no NVIDIA GPU answers here" in capsys.readouterr().out
    assert gpu.main(["--checkpoint", "official=/no/such/file"], here) == 2
    assert gpu.main(command, {**here, "ENGINE_PYTHON": "/no/such/python"}) == 2
    assert "bench.gpu: ENGINE_PYTHON (/no/such/python) is of no use" in capsys.readouterr().err
    assert not (tmp_path / "gpu.csv").exists()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False
