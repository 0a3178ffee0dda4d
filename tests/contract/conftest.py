"""Bundles that the contract tests share.

What makes them is imported when one is asked for: tests marked `gpu` lie here too, and are skipped, not broken, where
there is no PyTorch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.quantised import Made


@pytest.fixture(scope="session")
def any_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, transformer with symbolic axes."""
    from tests.tiny import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def fixed_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, transformer of exactly 11+5 frames."""
    from tests.tiny import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny-fixed"), frames=(11, 5))


@pytest.fixture(scope="session")
def narrow_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network, transformer of exactly 4+2 frames, windows 2 apart: many of them in a few frames."""
    from tests.tiny import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny-narrow"), frames=(4, 2), pace=(2, 4))


@pytest.fixture(scope="session")
def made(any_window: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The tiny network in int8, and what was measured on the way."""
    from tests.quantised import make

    return make(any_window, tmp_path_factory.mktemp("tiny-int8"))
