"""Clips whose names are hard on tables and file systems, from the command line to the report."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from calib.evaluation.cli import main
from calib.evaluation.names import names_of
from runtime.bundle import DEFAULT
from tests.clips import Clip, write_clip
from tests.tables import rows_of

WIDTH, HEIGHT = 96, 72
NOTHING = ("--backend", "null", "--size", f"{WIDTH}x{HEIGHT}")


@pytest.mark.parametrize("name", ["a]`|<b>", "x" * 240, "two\nlines", os.fsdecode(b"no\xffletters")])
def test_a_clip_of_any_name_is_reported(name: str, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / f"{name}.mp4", Clip(WIDTH, HEIGHT, frames=2))
    out = tmp_path / "report"
    options = [*NOTHING, "--baselines", "median", "--masks", "stationary", "--out", str(out)]
    assert main([DEFAULT, str(clip), *options]) == 0
    page = (out / "table.md").read_text(encoding="utf-8")
    (linked,) = re.findall(r"!\[.*?[^\\]\]\((.*?)\)", page)
    assert (out / unquote(linked)).is_file()
    assert all(line.startswith("|") for line in page.splitlines() if "| median |" in line)
    assert {row["clip"] for row in rows_of(out / "rows.csv")} == set(names_of([clip]))
