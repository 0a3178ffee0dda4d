"""Unfinished work: whole pieces only, one run at a time, and never somebody else's files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import OutputError
from runtime.work import Work, folder_of, open_work

ROOT = Path(__file__).resolve().parents[2]


def make(work: Work, name: str, text: str = "x") -> None:
    with work.making(name) as path:
        path.write_text(text)


def begin(out: Path, *pieces: str, fingerprint: str = "mine") -> None:
    """An earlier run that got as far as `pieces`, and no further."""
    with pytest.raises(KeyboardInterrupt), open_work(out, fingerprint, resume=True, overwrite=False) as work:
        for name in pieces:
            make(work, name)
        raise KeyboardInterrupt


def refused(out: Path, *, fingerprint: str = "mine", resume: bool = False, overwrite: bool = False) -> str:
    with pytest.raises(OutputError) as caught:
        open_work(out, fingerprint, resume=resume, overwrite=overwrite)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_ends_well_leaves_nothing(tmp_path: Path, resume: bool) -> None:
    with open_work(tmp_path / "out.mp4", "mine", resume=resume, overwrite=False) as work:
        make(work, "piece")
        assert names(tmp_path / "out.mp4.part") == ["fingerprint", "lock", "piece"]
    assert not work.kept
    assert names(tmp_path) == []


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OutputError, RuntimeError])
@pytest.mark.parametrize(("resume", "left"), [(False, []), (True, ["out.mp4.part"])])
def test_a_run_that_fails_leaves_its_pieces_under_resume_only(
    tmp_path: Path, stop: type[BaseException], resume: bool, left: list[str]
) -> None:
    with pytest.raises(stop), open_work(tmp_path / "out.mp4", "mine", resume=resume, overwrite=False) as work:
        make(work, "piece")
        raise stop
    assert names(tmp_path) == left
    assert work.kept == resume


def test_work_without_a_finished_piece_is_not_worth_keeping(tmp_path: Path) -> None:
    begin(tmp_path / "out.mp4")
    assert names(tmp_path) == []


def test_a_piece_is_whole_or_absent(tmp_path: Path) -> None:
    with open_work(tmp_path / "out.mp4", "mine", resume=False, overwrite=False) as work:
        with pytest.raises(RuntimeError), work.making("piece") as path:
            path.write_text("half")
            raise RuntimeError
        assert work.pieces() == []
        with work.making("piece") as path:
            path.write_text("half")
            assert work.pieces() == []
        assert [piece.read_text() for piece in work.pieces()] == ["half"]


def test_work_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    begin(tmp_path / "out.mp4", "a", "b")
    with open_work(tmp_path / "out.mp4", "mine", resume=True, overwrite=False) as work:
        assert [piece.name for piece in work.pieces()] == ["a", "b"]
    assert names(tmp_path) == []


def test_leftover_work_names_both_ways_on(tmp_path: Path) -> None:
    begin(tmp_path / "out.mp4", "a")
    said = refused(tmp_path / "out.mp4")
    assert "out.mp4.part" in said
    assert "--resume" in said
    assert "--overwrite" in said
    assert names(tmp_path / "out.mp4.part") == ["a", "fingerprint", "lock"]
    with open_work(tmp_path / "out.mp4", "mine", resume=False, overwrite=True) as work:
        assert work.pieces() == []


def test_work_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    begin(tmp_path / "out.mp4", "a", fingerprint="another's")
    for overwrite in (False, True):
        assert "of other files or settings" in refused(tmp_path / "out.mp4", resume=True, overwrite=overwrite)
    assert names(tmp_path / "out.mp4.part") == ["a", "fingerprint", "lock"]


def test_a_fingerprint_that_is_no_text_is_of_something_else(tmp_path: Path) -> None:
    begin(tmp_path / "out.mp4", "a")
    (tmp_path / "out.mp4.part" / "fingerprint").write_bytes(b"\xff\xfemine")
    assert "of other files or settings" in refused(tmp_path / "out.mp4", resume=True)
    with open_work(tmp_path / "out.mp4", "mine", resume=False, overwrite=True) as work:
        assert work.pieces() == []


def test_what_a_loss_of_power_must_not_take_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece is of no use without the fingerprint."""
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    with open_work(tmp_path / "out.mp4", "mine", resume=True, overwrite=False) as work:
        make(work, "piece")
        assert synced == [(work.folder / name).stat().st_ino for name in ("fingerprint", "piece")]


@pytest.mark.parametrize("overwrite", [False, True])
def test_somebody_elses_folder_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    theirs = tmp_path / "out.mp4.part"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("dear")
    for resume in (False, True):
        assert "no work of this program" in refused(tmp_path / "out.mp4", resume=resume, overwrite=overwrite)
    assert names(theirs) == ["letter.txt"]


def test_somebody_elses_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out.mp4.part").write_text("dear")
    assert "no work of this program" in refused(tmp_path / "out.mp4", overwrite=True)


def test_a_second_run_on_the_same_output_is_refused(tmp_path: Path) -> None:
    with open_work(tmp_path / "out.mp4", "mine", resume=False, overwrite=False) as work:
        make(work, "piece")
        for overwrite in (False, True):
            assert "another run is writing it" in refused(tmp_path / "out.mp4", resume=True, overwrite=overwrite)
        assert [piece.name for piece in work.pieces()] == ["piece"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written: Not a directory" in refused(tmp_path / "file" / "out.mp4")


def test_pictures_have_their_work_beside_their_folder_while_it_is_new(tmp_path: Path) -> None:
    assert folder_of(tmp_path / "new" / "%05d.png") == tmp_path / "new.part"
    (tmp_path / "new").mkdir()
    assert folder_of(tmp_path / "new" / "%05d.png") == tmp_path / "new" / "%05d.png.part"
    assert folder_of(Path("%05d.png")) == Path("%05d.png.part")


KILLED = """
import os, signal, sys
from pathlib import Path
from typing import Any
from runtime.work import open_work

def run(out, moment):
    # Killed before the line of runtime/work.py that is its moment-th to run; 0: never.
    def tick(frame, event, argument):
        nonlocal moment
        if "runtime/work.py" not in frame.f_code.co_filename:
            return None
        moment -= event == "line"
        if moment == 0 and event == "line":
            os.kill(os.getpid(), signal.SIGKILL)
        return tick
    if moment:
        sys.settrace(tick)
    with open_work(out, "mine", resume=True, overwrite=False) as work:
        for name in ("a", "b"):
            if not work.piece(name).exists():
                with work.making(name) as path:
                    path.write_text(name * 3)
        wrong = [work.piece(name).read_text() for name in ("a", "b")] != ["aaa", "bbb"]
    sys.exit(wrong)

def status(out, moment):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        run(out, moment)
    except SystemExit as end:
        os._exit(int(end.code))
    os._exit(1)

out = Path(sys.argv[1])
for moment in range(1, 10000):
    first = status(out, moment)
    again = 0 if first == 0 else status(out, 0)
    if first not in (0, -signal.SIGKILL) or again != 0 or any(out.parent.iterdir()):
        sys.exit(f"killed at line {moment}: {first}, then {again}, left {list(out.parent.iterdir())}")
    if first == 0:
        print(moment)
        break
"""


def test_a_run_killed_at_any_line_of_its_work_can_be_gone_on_with(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "out.mp4")], cwd=ROOT, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50  # lines at which it was killed


def test_an_interruption_while_work_is_begun_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for step in ("_settle", "locked"):
        with monkeypatch.context() as patched:
            patched.setattr(f"runtime.work.{step}", interrupt)
            with pytest.raises(KeyboardInterrupt):
                open_work(tmp_path / "out.mp4", "mine", resume=True, overwrite=False)
        assert not list(tmp_path.iterdir())


def test_a_folder_that_another_run_removes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when it was to be made, and is gone when it is looked into."""
    makes: list[Path] = []
    really_make = Path.mkdir

    def make_late(path: Path, *arguments: Any, **options: Any) -> None:
        makes.append(path)
        if len(makes) == 1:
            raise FileExistsError
        really_make(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", make_late)
    with open_work(tmp_path / "out.mp4", "mine", resume=False, overwrite=False) as work:
        make(work, "piece")
    assert makes == [tmp_path / "out.mp4.part"] * 2
    assert names(tmp_path) == []
