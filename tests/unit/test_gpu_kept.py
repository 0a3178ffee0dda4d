"""What a run of make gpu leaves where its figures cannot be written, and where it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import gpu
from bench._gpu_machine import Machine
from bench._gpu_steps import Figure, Outcome
from bench._gpu_table import SPEED
from runtime.machine import Gpu
from tests.tables import rows_of

MACHINE = Machine(Gpu("NVIDIA Made-Up", "9.0"), "999.99", (), None, "abc1234")
MEASURED = Outcome("speed official published", "passed", "", (Figure(SPEED, 5.0, ""),))


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A run with one figure."""
    monkeypatch.setattr(gpu, "look", lambda _: MACHINE)
    monkeypatch.setattr(gpu, "plan", lambda *_: ())
    monkeypatch.setattr(gpu, "run_all", lambda *_: iter([MEASURED]))
    return ["--work", str(tmp_path / "made"), "--csv"]


def test_a_file_that_cannot_be_written_costs_one_line_and_no_figure(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu.main([*command, str(tmp_path)], {}) == 1
    told = capsys.readouterr()
    assert "frames a second 5" in told.out
    wanted = f"bench.gpu: {tmp_path}: cannot be written (Is a directory); the figures are in the table alone\n"
    assert told.err == wanted


def test_what_was_measured_before_an_interruption_is_shown_and_kept(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> Iterator[Outcome]:
        yield MEASURED
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "run_all", interrupted)
    results = tmp_path / "gpu.csv"
    assert gpu.main([*command, str(results)], {}) == 130
    told = capsys.readouterr()
    assert "frames a second 5" in told.out
    assert told.err == "bench.gpu: interrupted; what is finished is kept\n"
    assert [(row["figure"], row["value"]) for row in rows_of(results)] == [(SPEED, "5")]


def test_a_folder_that_cannot_be_made_is_one_line(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "made").write_text("a file")
    assert gpu.main([*command, str(tmp_path / "gpu.csv")], {}) == 2
    assert capsys.readouterr().err == (
        f"bench.gpu: {tmp_path / 'made' / 'logs'}: cannot be made (Not a directory); name another --work\n"
    )
