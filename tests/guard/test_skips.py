"""What tests/conftest.py makes of skips, seen from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guard.sources import ROOT

BODIES = {
    "runtime": "def test_x():\n    pytest.skip('no camera')",
    "marked": "@pytest.mark.skipif(True, reason='no camera')\ndef test_x():\n    assert False",
    "module": "pytest.importorskip('no_such_module', reason='no camera')\ndef test_x():\n    assert False",
    "fixture": "@pytest.fixture\ndef camera():\n    pytest.skip('no camera')\ndef test_x(camera):\n    assert False",
}
GPU = "@pytest.mark.gpu\ndef test_x():\n    assert False"


def run(folder: Path, body: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Pytest in `folder` on a file with `body`, under our conftest and our markers."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "test_it.py").write_text(f"import pytest\n{body}\n")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VIDMEND_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-rs", "test_it.py"]
    return subprocess.run(command, cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_skip_fails_where_everything_is_required(body: str, tmp_path: Path) -> None:
    done = run(tmp_path, body, VIDMEND_REQUIRE_ALL="1")
    assert done.returncode in (1, 2), done.stdout
    assert "no camera" in done.stdout
    assert "VIDMEND_REQUIRE_ALL" in done.stdout


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_skip_is_a_skip_elsewhere(body: str, tmp_path: Path) -> None:
    done = run(tmp_path, body)
    assert "1 skipped" in done.stdout
    assert "failed" not in done.stdout


def test_a_gpu_test_may_be_skipped_even_there(tmp_path: Path) -> None:
    done = run(tmp_path, GPU, VIDMEND_REQUIRE_ALL="1")
    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert "needs an NVIDIA GPU" in done.stdout


def test_a_gpu_test_runs_where_a_gpu_is_required(tmp_path: Path) -> None:
    done = run(tmp_path, GPU, VIDMEND_REQUIRE_GPU="1")
    assert done.returncode == 1
    assert "1 failed" in done.stdout


def test_an_unknown_marker_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "@pytest.mark.slwo\ndef test_x():\n    assert True")
    assert done.returncode == 2
    assert "slwo" in done.stdout
