"""What the system does to a program while it runs: full disks, names too long, readers that have gone."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from runtime.cli import main
from runtime.errors import OutputError
from runtime.interruption import run_main
from tests.clips import Clip, write_clip
from tests.tiny import HEIGHT, WIDTH

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("infer.py", "export.py", "train.py", "evaluate.py", "bench.py")
TOO_LONG = "n" * 300
PIPE = 141
BUFFERED, UNBUFFERED = {"PYTHONUNBUFFERED": ""}, {"PYTHONUNBUFFERED": "1"}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", Clip(WIDTH, HEIGHT, 4))


@pytest.fixture
def holed(clip: Path, any_window: Path) -> list[str]:
    """A run that does nearly nothing."""
    how = ["--box", "20,12,30,20", "--region", "full", "--cuts", "none", "--backend", "null"]
    return [str(clip), *how, "--bundle", str(any_window)]


def program(*arguments: str, **environment: str) -> partial[subprocess.Popen[str]]:
    """A child process of ours, to be given its streams."""
    given = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", **environment}
    return partial(subprocess.Popen, [sys.executable, *arguments], cwd=ROOT, env=given, text=True)


def ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code and what it said on standard error."""
    said = child.communicate(timeout=120)[1] or ""
    return child.returncode, said


def without_reader() -> int:
    """A pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("buffering", [BUFFERED, UNBUFFERED], ids=["buffered", "unbuffered"])
def test_a_list_that_nobody_reads_ends_as_a_pipe_does(buffering: dict[str, str]) -> None:
    nobody = without_reader()
    child = program("infer.py", "--list-backends", **buffering)(stdout=nobody, stderr=subprocess.PIPE)
    os.close(nobody)
    assert ended(child) == (PIPE, "")


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_that_nobody_reads_is_no_traceback(name: str) -> None:
    nobody = without_reader()
    child = program(name, "--help", **BUFFERED)(stdout=nobody, stderr=subprocess.PIPE)
    os.close(nobody)
    assert ended(child) == (PIPE, "")


def test_a_summary_that_nobody_reads_leaves_the_result(holed: list[str], tmp_path: Path) -> None:
    nobody = without_reader()
    out = tmp_path / "out.mkv"
    child = program("infer.py", *holed, "--out", str(out))(stdout=nobody, stderr=subprocess.PIPE)
    os.close(nobody)
    assert ended(child) == (PIPE, "")
    assert out.is_file()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["infer.py", "nowhere.mp4"], PIPE),
        (["export.py", "nowhere.pth", "--dry-run"], PIPE),  # Rich prints its steps
        (["evaluate.py", "nowhere", "nowhere.mp4"], PIPE),
        (["train.py"], 2),  # argparse cares for its own
    ],
)
def test_errors_that_nobody_reads_end_as_a_pipe_does(arguments: Sequence[str], code: int) -> None:
    nobody = without_reader()
    child = program(*arguments)(stdout=subprocess.PIPE, stderr=nobody)
    os.close(nobody)
    out, _ = child.communicate(timeout=120)
    assert (child.returncode, out) == (code, "")


@pytest.mark.parametrize("buffering", [BUFFERED, UNBUFFERED], ids=["buffered", "unbuffered"])
@pytest.mark.skipif("not os.path.exists('/dev/full')", reason="needs /dev/full, which Linux has")
def test_a_full_disk_behind_standard_output_is_one_line(buffering: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        code, said = ended(program("infer.py", "--list-backends", **buffering)(stdout=full, stderr=subprocess.PIPE))
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("infer.py: ")
    assert said.endswith("No space left on device\n")


@pytest.mark.skipif("not os.path.exists('/dev/full')", reason="needs /dev/full, which Linux has")
def test_an_error_that_cannot_be_said_keeps_its_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        child = program("infer.py", "nowhere.mp4")(stdout=subprocess.PIPE, stderr=full)
        out, _ = child.communicate(timeout=120)
    assert (child.returncode, out) == (2, "")


def test_streams_that_are_closed_are_no_place_for_the_result(holed: list[str], tmp_path: Path) -> None:
    """What is opened next would get their numbers, and whatever libraries print."""
    out = tmp_path / "out.mkv"
    command = [sys.executable, "infer.py", *holed, "--out", str(out)]
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    assert subprocess.run(closed, cwd=ROOT, check=False, timeout=120).returncode == 0
    told = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "infer.py", "nowhere.mp4"]
    done = subprocess.run(told, cwd=ROOT, check=False, capture_output=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, b"")  # nor is what is said of errors a result
    assert out.is_file()


def test_a_name_that_is_no_text_is_printed_all_the_same(holed: list[str], clip: Path) -> None:
    named = os.fsencode(clip.parent) + b"/caf\xe9.mp4"
    os.link(clip, named)
    code, said = ended(program("infer.py", os.fsdecode(named), *holed[1:])(stdout=subprocess.PIPE, stderr=-1))
    assert (code, said) == (0, "")


@pytest.mark.parametrize("option", ["--out", "--report", "--preview", "--mask", "--bundle", "the video"])
def test_names_that_are_too_long_are_one_line(
    option: str, holed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = str(tmp_path / (TOO_LONG + {"--out": ".mkv", "--report": ".html", "--preview": ".png"}.get(option, "")))
    arguments = [long, *holed[1:]] if option == "the video" else [*holed, option, long]
    monkeypatch.setattr(sys, "argv", ["infer.py", *arguments])
    assert run_main("runtime.cli", arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("infer.py: ")
    assert TOO_LONG in said
    assert "File name too long" in said
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4"}


def test_of_several_videos_the_others_are_done(
    holed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = str(tmp_path / f"{'n' * 240}.mp4")  # its result's name would have 255 letters, and its work's 260
    os.link(holed[0], long)
    assert main([long, *holed, "--json"]) == 4
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert "File name too long" in first["error"]
    assert Path(second["out"]).is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", Path(long).name, "clip_repaired.mp4"}


def limited(to: int) -> None:
    """No file may grow longer: what a full disk is to whoever writes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (to, to))


@pytest.mark.parametrize("room", [0, 1000])
@pytest.mark.parametrize("out", ["out.mkv", "out.mp4", "out/%05d.png"])
def test_a_disk_that_is_full_is_one_line_and_nothing_is_left(
    out: str, room: int, holed: list[str], tmp_path: Path
) -> None:
    run = program("infer.py", *holed, "--out", str(tmp_path / out), PYTHONDONTWRITEBYTECODE="1")
    code, said = ended(run(stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=partial(limited, room)))
    assert (code, said.count("\n")) == (2, 1), said
    assert said.endswith("cannot be written: File too large\n")
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4"}


@pytest.mark.parametrize("triton", [True, False])
def test_an_export_onto_a_full_disk_is_one_line_and_nothing_is_left(
    triton: bool, any_window: Path, tmp_path: Path
) -> None:
    folder = str(tmp_path / "made")
    asked = ["--bundle", str(any_window), "--triton", folder] if triton else ["--out", folder]
    run = program("export.py", *asked, PYTHONDONTWRITEBYTECODE="1")
    code, said = ended(run(stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=partial(limited, 3000)))
    assert code == 2, said
    assert said.splitlines()[-1] == f"export.py: {folder}: cannot be written: File too large"
    assert not list(tmp_path.iterdir())


PROGRAM = """
import os
def main(arguments):
    {body}
"""


def refuse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> int:
    (tmp_path / "unlucky.py").write_text(PROGRAM.format(body=body))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["/somewhere/train.py"])
    monkeypatch.delitem(sys.modules, "unlucky", raising=False)
    return run_main("unlucky", [])


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("open('/nowhere/x')", "train.py: /nowhere/x: No such file or directory"),
        ("os.replace('/nowhere/x', '/nowhere/y')", "train.py: /nowhere/y: No such file or directory"),
        ("raise OSError(28, 'No space left on device')", "train.py: No space left on device"),
        ("raise OSError('libcuda.so.1: cannot be opened')", "train.py: libcuda.so.1: cannot be opened"),
        ("raise MemoryError('Unable to allocate 96 GiB')", "train.py: out of memory: Unable to allocate 96 GiB"),
        ("raise MemoryError", "train.py: out of memory: MemoryError"),
        ("raise RuntimeError('Symlink loop from x')", "train.py: Symlink loop from x"),
        ("raise BrokenPipeError(32, 'Broken pipe')", "train.py: Broken pipe"),  # of a pipe that is none of ours
    ],
)
def test_whatever_the_system_refuses_is_one_line(
    body: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuse(tmp_path, monkeypatch, body) == 2
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, TypeError])
def test_mistakes_of_ours_stay_tracebacks(
    kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(kind):
        refuse(tmp_path, monkeypatch, f"raise {kind.__name__}('a mistake of ours')")


def test_a_report_that_cannot_be_written_is_told_and_the_result_is_there(
    holed: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputError("report.html: cannot be written (No space left on device); free some space there")

    monkeypatch.setattr("runtime.repair.write_report", full)
    out = tmp_path / "out.mp4"
    assert main([*holed, "--out", str(out), "--report", str(tmp_path / "report.html")]) == 0
    assert out.exists()
    assert "note: there is no report: report.html: cannot be written (No space left" in capsys.readouterr().err
