"""Files that are kept for the next start: whole, in the first folder that takes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.kept import keep, read_kept, user_cache


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle's folder; the user's cache is another one, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "bundle").mkdir()
    return tmp_path / "bundle"


def refuse(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `folder` read-only, for the superuser too."""
    make = os.open

    def picky(path: str, flags: int, mode: int = 0o777) -> int:
        if Path(path).parent == folder and flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", path)
        return make(path, flags, mode)

    monkeypatch.setattr("os.open", picky)


def test_a_file_lies_beside_the_bundle_and_replaces_an_earlier_one(beside: Path) -> None:
    for content in (b"first", b"second"):
        assert keep(beside, "name", content)
        assert read_kept(beside, "name") == content
    assert [path.name for path in beside.iterdir()] == ["name"]
    assert not user_cache().exists()


def test_beside_a_read_only_bundle_it_lies_in_the_users_cache(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(beside, monkeypatch)
    assert keep(beside, "name", b"content")
    assert read_kept(beside, "name") == b"content"
    assert (user_cache() / "name").read_bytes() == b"content"
    assert not list(beside.iterdir())


def test_where_nothing_can_be_written_it_is_not_kept(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(beside, monkeypatch)
    refuse(user_cache(), monkeypatch)
    assert not keep(beside, "name", b"content")
    assert read_kept(beside, "name") == b""


def test_a_write_that_fails_leaves_what_was_there(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert keep(beside, "name", b"content")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert not keep(beside, "name", b"other content")
    assert read_kept(beside, "name") == b"content"
    assert [path.name for path in beside.iterdir()] == ["name"]
    assert not list(user_cache().iterdir())


def test_the_users_cache_is_where_the_desktop_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert user_cache() == Path.home() / ".cache" / "vidmend"


def test_without_a_home_there_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a user whom a container's image does not know."""

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    assert read_kept(user_cache() / "trials", "name") == b""
    assert not keep(user_cache() / "trials", "name", b"content")
    assert not list(tmp_path.iterdir())
    assert keep(tmp_path / "bundle", "name", b"content")
    assert read_kept(tmp_path / "bundle", "name") == b"content"
