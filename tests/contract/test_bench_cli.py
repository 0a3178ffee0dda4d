"""bench.py as the one door to every measurement."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.cli import build_parser, main

BENCH = Path(__file__).resolve().parents[2] / "bench"
LISTED = re.findall(r"^  bench\.py (\w+)", build_parser().format_help(), re.MULTILINE)


def test_every_measurement_is_listed() -> None:
    """A file with a command line of its own is one; bench.gpu is `make gpu`, and cli is the door itself."""
    able = {path.stem for path in BENCH.glob("[!_]*.py") if "def main(arguments: Sequence[str])" in path.read_text()}
    assert set(LISTED) == able - {"cli"}


@pytest.mark.parametrize("name", LISTED)
def test_every_measurement_says_what_it_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: python -m bench.{name} " in capsys.readouterr().out
