"""Where an export goes: whole, or as it was, whatever happens on the way."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from export.place import check_place, sealed
from runtime.bundle import MANIFEST
from runtime.errors import OutputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    fill(root, "first")
    return root


def fill(root: Path, word: str, *, again: bool = False) -> None:
    with sealed(root, replace=again) as staging:
        (staging / MANIFEST).write_text(word)


def words(root: Path) -> str:
    return (root / MANIFEST).read_text()


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path) -> None:
    def write_and_interrupt() -> None:
        with sealed(tmp_path / "new") as staging:
            (staging / "half.onnx").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_interrupt()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_replacement_leaves_the_old_bundle(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), sealed(folder, replace=True):
        raise KeyboardInterrupt
    assert words(folder) == "first"
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("failing", [0, 1])
def test_a_replacement_that_cannot_be_put_in_place_leaves_the_old_bundle(
    folder: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    renames: list[Path] = []
    rename = os.rename

    def failing_once(source: Path, destination: Path) -> None:
        renames.append(source)
        if len(renames) == failing + 1:
            raise OSError(errno.EIO, "Input/output error")
        rename(source, destination)

    monkeypatch.setattr(os, "rename", failing_once)
    with pytest.raises(OutputError, match="cannot be written: Input/output error"), sealed(folder, replace=True):
        pass
    assert words(folder) == "first"
    assert list(folder.parent.iterdir()) == [folder]


def test_replacing_needs_to_be_asked_for(folder: Path) -> None:
    with pytest.raises(OutputError, match="exists already; --force replaces it"), sealed(folder):
        pass
    fill(folder, "second", again=True)
    assert words(folder) == "second"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"dear")
    with (
        pytest.raises(OutputError, match=r"holds no manifest\.json; refusing to replace it"),
        sealed(tmp_path / "photos", replace=True),
    ):
        pass
    assert (tmp_path / "photos" / "me.jpg").read_bytes() == b"dear"


@pytest.mark.parametrize("where", [".", "..", "../../bundle"])
def test_the_folder_that_one_is_in_is_not_replaced(folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / MANIFEST).write_text("{}")
    monkeypatch.chdir(folder if where == "." else folder / "deep")
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(OutputError, match=rf"^{re.escape(where)}: is the working folder, or holds it; "):
        check_place(Path(where), replace=True)
    with pytest.raises(OutputError, match="is the working folder, or holds it"), sealed(Path(where), replace=True):
        pytest.fail("something was begun")
    assert sorted(folder.parent.rglob("*")) == before


def test_a_name_that_leads_through_dots_or_a_link_is_the_folder_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "deep").mkdir()
    (folder.parent / "link").symlink_to(folder)
    monkeypatch.chdir(folder.parent)
    for name, word in (("bundle/deep/..", "second"), ("link", "third")):
        fill(Path(name), word, again=True)
        assert words(folder) == word
        (folder / "deep").mkdir()
    assert {path.name for path in folder.parent.iterdir()} == {"bundle", "link"}


def test_a_place_below_a_file_is_refused_before_anything_is_begun(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"cannot be written: .* is no folder; choose another place"):
        check_place(tmp_path / "notes.txt" / "deep" / "bundle")
    assert (tmp_path / "notes.txt").read_text() == "dear"
