"""Bundles that the contract tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.quantised import Made, make
from tests.tiny import tiny_bundle


@pytest.fixture(scope="session")
def any_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, transformer with symbolic axes."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def fixed_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, transformer of exactly 11+5 frames."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny-fixed"), frames=(11, 5))


@pytest.fixture(scope="session")
def narrow_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, transformer of exactly 4+2 frames, windows 2 apart: many of them in a few frames."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny-narrow"), frames=(4, 2), pace=(2, 4))


@pytest.fixture(scope="session")
def made(any_window: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The tiny network in int8, and what was measured on the way."""
    return make(any_window, tmp_path_factory.mktemp("tiny-int8"))
