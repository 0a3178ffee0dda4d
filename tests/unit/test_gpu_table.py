"""The table at the end of make gpu, and the rows that are kept of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench._gpu_machine import Interpreter, Machine
from bench._gpu_steps import Figure, Outcome
from bench._gpu_table import BUSY, EXPOSED, SPEED, append, table
from runtime.machine import Gpu
from tests.interpreters import ENGINE_SIDE, TORCH_SIDE, answer
from tests.tables import rows_of

ENGINES = Interpreter("ENGINE_PYTHON", "/e/python", **answer(ENGINE_SIDE, engines=True))
TORCH = Interpreter("TORCH_PYTHON", "/t/python", **answer(TORCH_SIDE, cuda=True))
MACHINE = Machine(Gpu("NVIDIA Made-Up", "9.0"), "999.99", (ENGINES, TORCH), None, "abc1234")
OUTCOMES = (
    Outcome("tests", "not run", "no such tests"),
    Outcome("compile official tensorrt", "failed", "out of memory (code 2; see x.log)"),
    Outcome("speed official published", "passed", "", (Figure(SPEED, 5.0, ""),)),
    Outcome("speed official compiled", "passed", "", (Figure(SPEED, 25.0, ""),)),
    Outcome(
        "speed official tensorrt",
        "passed",
        "",
        (Figure(SPEED, 45.0, ""), Figure(BUSY, 91.0, "%", "transformer"), Figure(EXPOSED, 6.5, "%")),
    ),
    Outcome("speed small published", "passed", "", (Figure(SPEED, 50.0, ""),)),
    Outcome("speed small tensorrt", "passed", "", (Figure(SPEED, 100.0, ""),)),
)


def test_the_table_sets_what_was_wanted_beside_what_was_measured() -> None:
    first, heading, *lines = (" ".join(line.split()) for line in table(MACHINE, OUTCOMES))
    assert first == (
        "NVIDIA Made-Up (SM 9.0), driver 999.99; Python 3.10.13 tensorrt 8.5.3.1; "
        "Python 3.12.3 torch 1.0 onnxruntime 1.0; commit abc1234"
    )
    assert heading == "step wanted result"
    assert lines[:2] == [
        "tests not run no such tests",
        "compile official tensorrt FAILED out of memory (code 2; see x.log)",
    ]
    assert lines[-6:] == [
        "speed small tensorrt passed frames a second 100",
        "speed official tensorrt met >= 8 9.00 times published",
        "speed official tensorrt missed >= 2 1.80 times compiled",
        "speed small tensorrt 2.00 times published",
        "speed official tensorrt met >= 85 % slowest stage busy: 91.0 % (transformer)",
        "speed official tensorrt missed < 5 % copies not overlapped: 6.5 %",
    ]


def test_figures_are_appended_with_gpu_driver_and_commit_and_without_a_gpu_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "gpu.csv"
    assert append(path, replace(MACHINE, gpu=None), OUTCOMES) == 0
    assert not path.exists()
    assert append(path, MACHINE, OUTCOMES) == append(path, MACHINE, OUTCOMES) == 10
    rows = rows_of(path)
    assert len(rows) == 20
    assert {(row["gpu"], row["driver"], row["commit"]) for row in rows} == {("NVIDIA Made-Up", "999.99", "abc1234")}
    assert [row["value"] for row in rows if row["figure"] == "times published"] == ["9", "2"] * 2
    assert rows[3]["note"] == "transformer"
