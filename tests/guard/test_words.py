"""Nothing in the repository tells where it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.guard.sources import texts

# Put together from pieces, so that this file does not hold what it looks for.
FOREIGN = {
    "an absolute path of one machine": r"(?<![\w.$})~])/(home|root|Users|work|mnt|data|opt)" + r"/[\w.-]+",
    "a folder of one run": r"/tm" + r"p/\w+",
    "a registry's host": r"\b(pypi|pythonhosted|npmjs|debian)" + r"\.(org|com)\b",
    "a token": r"\b(ghp_|glpat-|hf_|sk-)" + r"\w{16,}",
    "a text that is not in the repository": r"\b(HOUSE|STYLE|SYSTEMS|TENSORRT)" + r"\.md\b",
    "a folder that is not in the repository": r"\bshared" + r"/(data|design|weights)\b",
    "whoever wrote it": r"(?i)\bthis sess" + r"ion\b|\bas an a" + r"i\b|\bsand" + r"box\b",
    "unfinished work": r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
}


def complaints(path: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        for name, pattern in FOREIGN.items():
            if re.search(pattern, line):
                yield f"{path}:{number}: {name}: {line.strip()[:100]}"


def test_no_file_names_a_place_or_leaves_work() -> None:
    found = [complaint for path, text in texts() for complaint in complaints(path, text)]
    assert not found, "\n".join(found)


def test_all_files_are_read() -> None:
    paths = {path for path, _ in texts()}
    assert {"pyproject.toml", "Makefile", ".ci/run", "README.md", "runtime/bundle.py", "docs/bundle.md"} <= paths
    assert not [path for path in paths if path.startswith((".venv/", ".git/"))]


@pytest.mark.parametrize(
    "line",
    [
        "path = '/ho" + "me/someone/clip.mp4'",
        "see /wo" + "rk/notes",
        "out=/tm" + "p/x",
        "index-url = https://py" + "pi.org/simple",
        "# TO" + "DO: later",
        "source: SYSTEMS" + ".md, section 1",
        "clips of shared/" + "data/eval",
        "not tried in this sess" + "ion",
    ],
)
def test_a_foreign_word_is_noticed(line: str) -> None:
    assert list(complaints("x", line))


@pytest.mark.parametrize("line", ["bundles/opt/x", "a pickled /data", "$(VENV)/home/x", "tmp_path / 'x'"])
def test_an_innocent_line_passes(line: str) -> None:
    assert not list(complaints("x", line))
