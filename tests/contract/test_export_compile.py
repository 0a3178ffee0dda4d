"""export.py --compile and --inspect: bundles by name, ranges of windows, what of the engines runs together."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from export import cli
from export.choice import check_range
from export.compile import compile_into
from export.inspection import inspect
from export.targets._target import Options
from runtime import shipped
from runtime.bundle import DEFAULT, Compute
from runtime.engines import Machine, rebuild_command
from runtime.errors import UsageError
from tests.engined import GPU, VERSION, Build, add_engines, retype
from tests.guard.sources import ROOT

HERE = Machine("tensorrt", VERSION, GPU.capability, GPU.name, portable=False)


@pytest.fixture
def root(any_window: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(any_window, tmp_path / "shipped" / "tiny"))


@pytest.fixture
def elsewhere(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, from where the bundle is known by its name alone."""
    monkeypatch.setattr(shipped, "SHIPPED_BUNDLES", root.parent)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


@pytest.mark.usefixtures("elsewhere")
def test_a_shipped_bundle_is_known_by_its_name(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--inspect", "tiny"]) == 0
    assert capsys.readouterr().out.startswith(f"bundle      {root}: ")
    assert cli.main(["--compile", "tiny", "--frames-range", "1,2,3"]) == 2
    assert "leaves out the full window" in capsys.readouterr().err, "the bundle was read"


def test_a_folder_goes_before_a_shipped_bundle_of_its_name(
    root: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root, elsewhere / "tiny")
    assert cli.main(["--inspect", "tiny"]) == 0
    assert capsys.readouterr().out.startswith("bundle      tiny: ")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("what", ["--inspect", "--compile"])
def test_a_bundle_that_is_not_there_is_one_line_that_names_those_that_are(
    what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([what, "tinny"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("export.py: tinny: no such bundle, neither a folder nor one of: tiny. ")
    assert said.count("\n") == 1


def test_names_are_known_where_nothing_is_installed_that_repairs_videos() -> None:
    text = (
        "import sys; sys.modules.update(dict.fromkeys(('av', 'cv2', 'PIL', 'scenedetect', 'onnxruntime', 'torch')))\n"
        "from export.cli import main\n"
        "sys.exit(main(['--inspect', sys.argv[1]]))"
    )
    command = [sys.executable, "-c", text, DEFAULT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("frames", [(1, 8, 15), (17, 20, 32), (1, 1, 1)])
def test_a_range_without_the_full_window_is_refused_before_anything_is_built(
    frames: tuple[int, int, int], root: Path
) -> None:
    before = {path: path.read_bytes() for path in root.iterdir()}
    with pytest.raises(UsageError) as caught:
        compile_into(root, ["tensorrt"], Options(frames=frames), lambda _: pytest.fail("something was begun"))
    assert str(caught.value) == (
        f"--frames-range {','.join(map(str, frames))}: leaves out the full window, which has 11+5 = 16 frames; wanted "
        f"LEAST,USUAL,MOST around it, such as 1,16,16"
    )
    assert {path: path.read_bytes() for path in root.iterdir()} == before


@pytest.mark.parametrize("frames", [(1, 16, 16), (16, 16, 16), (1, 8, 16), (1, 16, 32), (4, 16, 21)])
def test_a_range_with_the_full_window_is_taken(frames: tuple[int, int, int]) -> None:
    check_range(frames, (11, 5))


@pytest.fixture
def inspected(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle for the stand-in's machine, on which it is inspected."""
    monkeypatch.setattr("export.inspection.machine", lambda target, gpu: replace(HERE, target=target))
    return root


@pytest.mark.parametrize(
    ("computes", "verdict"),
    [
        (("float16", "float32", "float16"), ": what one stage's gives has not the type that the next one's takes. "),
        (("int8", "float32", "int8"), None),
        (("float16", "float16", "float16"), None),
    ],
)
def test_inspection_says_whether_engines_run_together(
    computes: tuple[Compute, ...], verdict: str | None, inspected: Path
) -> None:
    opened = add_engines(inspected, Build(frames=(1, 16)))
    retype(inspected, [(compute,) for compute in computes])
    lines = inspect(inspected)
    assert sum("runs here" in line for line in lines) == 3
    found = [line for line in lines if line.startswith("tensorrt cannot run this bundle here")]
    remedy = f"Build one: {rebuild_command(opened, HERE)}; or: --backend onnxruntime runs the bundle on the CPU."
    assert found == ([] if verdict is None else [f"tensorrt cannot run this bundle here{verdict}{remedy}"])


def test_inspection_says_which_engines_are_taken_only_when_asked_for(inspected: Path) -> None:
    add_engines(inspected, Build(frames=(16, 16)))
    found = [line for line in inspect(inspected) if "--backend auto passes it over" in line]
    assert len(found) == 1
    assert "takes windows of 16 frames or more, and a short scene has fewer" in found[0]
