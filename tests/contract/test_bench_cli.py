"""bench.py as the one door to every measurement."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.cli import build_parser, main
from bench.clip import make_clip
from bench.row import Row, run_in_child
from calib.observe import find_clips
from calib.thresholds import RULES
from export.int8 import quantise_all
from runtime.bundle import write_manifest
from tests.quantised import Made, copied, quiet
from tests.tolerances import TOLERANCE

BENCH = Path(__file__).resolve().parents[2] / "bench"
LISTED = re.findall(r"^  bench\.py (\w+)", build_parser().format_help(), re.MULTILINE)


def test_every_measurement_is_listed() -> None:
    """A file with a command line of its own is one; bench.gpu is `make gpu`, and cli is the door itself."""
    able = {path.stem for path in BENCH.glob("[!_]*.py") if "def main(arguments: Sequence[str])" in path.read_text()}
    assert set(LISTED) == able - {"cli"}


@pytest.mark.parametrize("name", LISTED)
def test_every_measurement_says_what_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: python -m bench.{name} " in capsys.readouterr().out


def test_rows_in_int8_run_a_bundle_whose_every_convolution_is(any_window: Path, tmp_path: Path) -> None:
    """Quantised on the clip that is measured; the backend takes whichever type is quicker, and says so."""
    video, mask = make_clip(tmp_path, 12)
    narrow = quantise_all(copied(any_window, tmp_path / "narrow"), find_clips([video]), quiet)
    write_manifest(narrow.root, narrow.manifest)
    for stage in narrow.manifest.stages:
        assert [(typed.compute, typed.kept_float32) for typed in stage.typed] == [("int8", ())]
    out = tmp_path / "out.mp4"
    done = run_in_child(Row("onnxruntime-int8", video, mask, out, narrow.root, tmp_path, "sttn", "tiny"))
    assert done.failure == ""
    assert done.figures is not None
    assert done.figures.frames == 12
    assert done.figures.note.startswith(("int8 and fp32; ", "fp32; "))
    assert out.exists()


def test_each_step_of_int8_has_its_noise_and_its_time(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """All steps together have the noise that the export found on the same clip."""
    clip = find_clips([made.calibration])[0].path
    assert main(["int8", str(made.bundle.root), str(clip), "--backend", "onnxruntime", "--runs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    stages: dict[str, dict[str, list[str]]] = {}
    for stage, name, *cells in rows:
        stages.setdefault(stage or list(stages)[-1], {})[name] = cells
        assert float(cells[-2]) > 0
    assert list(stages["transformer"]) == ["nothing", "convolutions", "+ balance", "+ attention"]
    assert "+ attention" not in stages["decoder"]
    for found in made.evidence.sensitivities:
        last = list(stages[found.stage].values())[-1]
        assert last[: len(RULES)] == [f"{found.by_rule[rule]:.1f}" for rule in RULES]


def test_int8_cannot_be_taken_apart_where_there_is_none(any_window: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["int8", str(any_window), "no-clip.mp4"]) == 2
    assert "has no graphs in int8; export one with --int8" in capsys.readouterr().err


def test_every_type_computes_the_stage_and_says_how_well(capsys: pytest.CaptureFixture[str]) -> None:
    rows = "PyTorch eager fp32,onnxruntime fp32,openvino fp32"
    assert main(["types", "--stage", "encoder", "--runs", "1", "--rows", rows]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert [row[0] for row in cells] == rows.split(",")
    assert all(float(row[1]) > 0 and float(row[2]) > 0 for row in cells)
    eager, first, second = (row[3] for row in cells)
    assert eager == ""
    assert min(float(first), float(second)) > TOLERANCE["types", "fp32 db"]


def test_a_type_that_cannot_be_had_is_one_line_with_those_that_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["types", "--stage", "encoder", "--rows", "openvino fp8"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "row 'openvino fp8': there are here: PyTorch eager fp32, " in told


def test_rows_may_be_listed_with_spaces_and_one_that_is_unknown_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rows", "openvino, onnxruntime , warp"]) == 2
    assert capsys.readouterr().err.startswith("bench.py: --rows: no row is called 'warp'; there are: ")
