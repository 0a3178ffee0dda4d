"""The command line of export.py."""

from __future__ import annotations

from pathlib import Path

import pytest

import models
from export import cli, targets
from export.plan import WEIGHTS
from runtime.bundle import DEFAULT, read_bundle

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--size", "48x48"]  # the default weights on the smallest picture


@pytest.fixture
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dry_run_says_what_it_would_make_and_writes_nothing(
    in_empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--dry-run", "--frames", "21+3", "--size", "96x48"]) == 0
    told = capsys.readouterr().out
    for fact in (
        "sttn 'small'",
        "96x48",
        "exactly 21+3 frames",
        "bundles/sttn-small-96x48-21+3",
        "decoder.part.onnx, manifest.json, vidmend.fatbin",
        "nothing was written",
    ):
        assert fact in told
    assert list(in_empty_folder.iterdir()) == []


def test_a_dry_run_names_what_comes_with_int8_and_for_triton(
    in_empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = ROOT / "assets" / "demo"
    clips = ["--calib", str(demo / "city.mp4"), "--holdout", str(demo / "city_clean.mp4")]
    assert cli.main(["--dry-run", "--int8", *clips, "--target", "onnx", "--triton", "served/models"]) == 0
    told = capsys.readouterr().out
    assert "manifest.json, vidmend.fatbin, ranges.json, calib-report.html\n" in told
    assert "\nrepository  served/models: " in told
    assert list(in_empty_folder.iterdir()) == []


@pytest.mark.parametrize("dry", [("--dry-run",), ()])
@pytest.mark.parametrize("option", ["--out", "--triton"])
def test_a_place_that_cannot_be_made_is_told_before_anything_is_computed(
    option: str, dry: tuple[str, ...], in_empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_empty_folder / "file").touch()
    assert cli.main([*dry, *SMALL, option, "file/below/bundle"]) == 2
    captured = capsys.readouterr()
    wanted = f"file/below/bundle: cannot be written: {in_empty_folder / 'file'} is no folder; choose another place"
    assert captured.err.strip().splitlines()[-1] == f"export.py: {wanted}"
    assert "tracing" not in captured.err
    assert [path.name for path in in_empty_folder.iterdir()] == ["file"]


@pytest.mark.parametrize("dry", [("--dry-run",), ()])
@pytest.mark.parametrize(
    ("held", "force", "says"),
    [
        ("manifest.json", (), "exists already; --force replaces it"),
        ("notes.txt", ("--force",), "exists and holds no manifest.json; refusing to replace it"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(
    in_empty_folder: Path,
    dry: tuple[str, ...],
    held: str,
    force: tuple[str, ...],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (in_empty_folder / "taken").mkdir()
    (in_empty_folder / "taken" / held).write_text("{}")
    assert cli.main([*dry, *force, *SMALL, "--out", "taken"]) == 2
    captured = capsys.readouterr()
    assert captured.err.strip().splitlines()[-1] == f"export.py: taken: {says}"
    assert captured.out == ""


def test_a_dry_run_passes_over_a_bundle_that_may_be_replaced(
    in_empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (in_empty_folder / "taken").mkdir()
    (in_empty_folder / "taken" / "manifest.json").write_text("{}")
    assert cli.main(["--dry-run", "--force", *SMALL, "--out", "taken"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    assert (in_empty_folder / "taken" / "manifest.json").read_text() == "{}"


def test_the_command_line_exports_prints_the_figures_and_says_what_fp16_lacks(
    in_empty_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(targets.get("tensorrt_rtx")), "installed", lambda _: False)
    assert cli.main([*SMALL, "--frames", "3+2", "--fp16"]) == 0
    captured = capsys.readouterr()
    assert "tensorrt: TensorRT is not installed: pip install tensorrt" in captured.err
    assert "the half-precision graphs lie in the bundle" in captured.err
    for stage in ("encoder", "transformer", "decoder"):
        assert f"{stage:<12} city.mp4, 3+2" in captured.out
    manifest = read_bundle(in_empty_folder / "bundles" / "sttn-small-48x48-3+2").manifest
    assert manifest.schedule.fixed
    assert [[graph.compute for graph in stage.typed] for stage in manifest.stages] == [["float16"]] * 3
    assert not any(stage.engines for stage in manifest.stages)
    assert (manifest.schedule.targets, manifest.schedule.references, manifest.schedule.neighbour_stride) == (3, 2, 1)
    assert [port.name for port in manifest.stages[1].inputs] == ["features", *(f"key_bias_{head}" for head in range(4))]
    assert [port.shape for port in manifest.stages[1].inputs[1:]] == [(5,), (45,), (180,), (720,)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--size", "100x100"], "multiples of 48; the nearest is 96x96"),
        (["--size", "432"], "wanted WIDTHxHEIGHT"),
        (["--size", "0x48"], "wanted WIDTHxHEIGHT"),
        (["--size", "16416x48"], "a bundle's sides end at 16384 pixels"),
        (["--frames", "0+5"], "wanted TARGETS+REFERENCES"),
        (["--frames", "11"], "wanted TARGETS+REFERENCES"),
        (["--target", "tensorflow"], "target 'tensorflow': unknown; choose one or more of onnx"),
        (["--target", "onnx,"], "target '': unknown"),
        (["--target", "tensorrt"], "target 'tensorrt': TensorRT is not installed: pip install tensorrt"),
        (["--fp16", "--bf16"], "--fp16 and --bf16: choose one of them"),
        (["--opt-level", "3"], "options of engines without an engine: name one with --target"),
        (["--inspect", "absent"], "absent: no such bundle"),
        (["--compile", "absent"], "absent: no such bundle"),
        (["--compile", str(ROOT / "docs")], "no manifest.json in it"),
        (["--compile", "absent", "--fp16"], "--compile takes the bundle's own graphs"),
        (["--model", "stn"], "no model 'stn'; there are: sttn"),
        (["--variant", "large"], "there are: small, masked, official, vsr-auto, modelscope"),
        (["--variant", "official"], "name a checkpoint"),
        (["absent.pth"], "absent.pth: cannot be read"),
        ([str(WEIGHTS / "sttn-small.safetensors"), "--variant", "official"], "it fits --variant small"),
        ([*SMALL, "--out", str(ROOT / "docs")], "--force"),
        ([*SMALL, "--out", str(ROOT / "docs"), "--force"], "refusing to replace it"),
        ([*SMALL, "--out", "/proc/vidmend"], "cannot be written"),
        (["--triton", "m", "--compute-capabilities", "8.6,8.9", "--dry-run"], "one repository serves one GPU"),
        (["--triton", "m", "--target", "tensorrt_rtx"], "tensorrt_rtx: Triton does not serve it"),
        (["--timing-cache", str(ROOT / "docs")], "docs: is a folder; wanted a file"),
        (["--timing-cache", "no/times"], "no/times: there is no folder no; wanted a file"),
        (["--compile", DEFAULT, "--timing-cache", "no/times"], "no/times: there is no folder no; wanted a file"),
    ],
)
def test_what_cannot_be_exported_is_one_line_and_exit_code_2(
    arguments: list[str], told: str, in_empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith("export.py: ")]
    assert told in line
    assert "Traceback" not in "\n".join(lines)
    assert list(in_empty_folder.iterdir()) == []


GIVEN = [
    ["--dry-run"],
    ["--out", "elsewhere"],
    ["--frames", "11+5"],
    ["--size", "48x48"],
    ["--variant", "small"],
    ["--model", models.DEFAULT],
    ["--calib", "clips"],
    ["--holdout", "clips"],
    ["--max-drop-db", "0"],
    ["--fp16"],
    ["--bf16"],
    ["--int8"],
]
OF_ENGINES = [
    ["--frames-range", "1,16,16"],
    ["--workspace", "64"],
    ["--opt-level", "0"],
    ["--timing-cache", "times"],
    ["--hardware-compat"],
    ["--version-compat"],
]


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        (
            ["--inspect", DEFAULT],
            [*GIVEN, *OF_ENGINES, ["--target", "onnx"], ["--compute-capabilities", "8.9"], ["--force"]],
        ),
        (["--compile", DEFAULT, "--target", "onnx"], [*GIVEN, ["--force"]]),
        (["--bundle", DEFAULT, "--triton", "models"], [*GIVEN, *OF_ENGINES]),
    ],
    ids=["inspect", "compile", "triton"],
)
def test_what_has_no_meaning_for_a_bundle_that_is_there_is_refused_by_name(
    mode: list[str], options: list[list[str]], in_empty_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in options:
        assert cli.main([*mode, *option]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert captured.err.endswith(f"; leave out {option[0]}\n")
    assert cli.main([*mode, "weights.pth"]) == 2
    capsys.readouterr()
    assert list(in_empty_folder.iterdir()) == []


@pytest.mark.parametrize("wrong", [["--fast"], ["--workspace", "0"], ["--workspace", "-1"], ["--workspace", "much"]])
def test_an_unknown_flag_and_a_workspace_of_nothing_is_one_line_and_exit_code_2(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(wrong)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--int8"], "--int8 needs real clips to learn value ranges from: --calib CLIP"),
        (["--int8", "--calib", "assets/demo/city.mp4"], "to measure the loss: --holdout CLIP"),
        (["--calib", "assets/demo/city.mp4"], "say how int8 is made: give --int8 with them"),
        (["--max-drop-db", "0.2"], "say how int8 is made: give --int8 with them"),
        (
            ["--int8", "--calib", "assets/demo/city.mp4", "--holdout", "assets/demo/city.mp4"],
            "assets/demo/city.mp4: is among the clips of --calib too",
        ),
        (
            ["--int8", "--fp16", "--calib", "assets/demo/city.mp4", "--holdout", "assets/demo/city_clean.mp4"],
            "--int8 and --fp16 or --bf16: choose one of them",
        ),
    ],
)
def test_int8_that_cannot_be_is_refused_in_one_line(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    assert cli.main([*arguments, "--dry-run", "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert told in lines[-1]
    assert lines[-1].startswith("export.py: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dry", [("--dry-run",), ()])
@pytest.mark.parametrize(
    ("calibration", "holdout", "told"),
    [
        ("none.json", "assets/demo/city.mp4", "none.json: no table of ranges: "),
        ("text.json", "assets/demo/city.mp4", "text.json: no table of ranges: "),
        ("assets/demo/city.mp4", "text.mp4", "text.mp4: not a video file that can be opened"),
        ("text.mp4", "assets/demo/city.mp4", "text.mp4: not a video file that can be opened"),
    ],
)
def test_a_table_or_clip_that_cannot_be_read_is_told_before_anything_is_traced(
    calibration: str,
    holdout: str,
    told: str,
    dry: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("text.json", "text.mp4"):
        (tmp_path / name).write_text("once upon a time" * 99)
    paths = [path if "/" in path else str(tmp_path / path) for path in (calibration, holdout)]
    asked = ["--int8", "--calib", paths[0], "--holdout", paths[1], "--out", str(tmp_path / "out")]
    assert cli.main([*asked, *dry]) == 2
    captured = capsys.readouterr()
    assert told in captured.err.splitlines()[-1]
    assert "tracing" not in captured.err
    assert captured.out == ""


def test_int8_for_a_library_that_has_it_for_weights_alone_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if reason := targets.get("tensorrt_rtx").why_not():
        pytest.skip(f"tensorrt_rtx: {reason}")
    monkeypatch.chdir(ROOT)
    clips = ["--calib", "assets/demo/city.mp4", "--holdout", "assets/demo/city_clean.mp4"]
    assert cli.main(["--int8", *clips, "--target", "tensorrt_rtx", "--dry-run"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("export.py: ")]
    assert "target 'tensorrt_rtx': TensorRT-RTX " in line
    assert "has no int8 activations, weights alone; --target tensorrt from 10 on has" in line
