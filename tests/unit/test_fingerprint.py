"""A resumed run goes on only with what it began with."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.bundle import Bundle, read_bundle
from runtime.fingerprint import fingerprint, runs_on
from runtime.job import find_bundle
from runtime.session import Settings


@pytest.fixture
def bundle() -> Bundle:
    return read_bundle(find_bundle("sttn-small"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "video.mp4").write_bytes(b"frames")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "0.png").write_bytes(b"mask")
    return tmp_path


def of(folder: Path, bundle: Bundle, *choices: object) -> str:
    return fingerprint(bundle, [folder / "video.mp4", folder / "masks"], choices, "library fp32")


def test_the_same_things_have_the_same_fingerprint(folder: Path, bundle: Bundle) -> None:
    assert of(folder, bundle, Settings(), (1, 2)) == of(folder, bundle, Settings(), (1, 2))


@pytest.mark.parametrize("name", ["video.mp4", "masks/0.png"])
def test_a_file_that_changed_changes_it(name: str, folder: Path, bundle: Bundle) -> None:
    before = of(folder, bundle)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[::-1])
    os.utime(folder / name, ns=(0, 0))
    assert of(folder, bundle) != before


def test_a_mask_more_changes_it(folder: Path, bundle: Bundle) -> None:
    before = of(folder, bundle)
    (folder / "masks" / "1.png").write_bytes(b"mask")
    assert of(folder, bundle) != before


def test_another_setting_changes_it(folder: Path, bundle: Bundle) -> None:
    assert of(folder, bundle, Settings()) != of(folder, bundle, Settings(feather=1))


def test_what_it_runs_on_changes_it_and_can_be_read_from_it(folder: Path, bundle: Bundle) -> None:
    noted = of(folder, bundle)
    assert runs_on(noted) == "library fp32"
    assert noted != fingerprint(bundle, [folder / "video.mp4", folder / "masks"], (), "library bf16")
    for other in ("", noted.partition("\n")[0], "\n"):
        assert runs_on(other) == ""


def test_another_bundle_changes_it(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "bundle"
    other.mkdir()
    (other / "manifest.json").write_bytes((bundle.root / "manifest.json").read_bytes() + b"\n")
    assert of(folder, replace(bundle, root=other)) != of(folder, bundle)


def test_pictures_of_a_pattern_count_all(folder: Path, bundle: Bundle) -> None:
    before = fingerprint(bundle, [folder / "masks" / "%d.png"], [], "")
    (folder / "masks" / "1.png").write_bytes(b"mask")
    assert fingerprint(bundle, [folder / "masks" / "%d.png"], [], "") != before
