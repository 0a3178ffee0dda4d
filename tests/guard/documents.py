"""What the Markdown files name: links, commands, paths; and what of it does not exist."""

from __future__ import annotations

import importlib
import re
import shlex
from argparse import ArgumentParser
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.guard.sources import PACKAGES, ROOT, SCRIPTS, Source

PARSERS = {
    "infer.py": "runtime.cli",
    "export.py": "export.options",
    "bench.py": "bench.cli",
    "evaluate.py": "calib.evaluation.cli",
    "train.py": "training.cli",
}

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_BLOCK = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(rf"(?:{'|'.join(PACKAGES)}|assets|docs|tests)/[\w/.-]*\w/?")
_PLACEHOLDER = re.compile(r"\b[A-Z]+\b(?!\.md)")  # NAME, MODEL-VARIANT
_ENDS = re.compile(r"\s+#.*|[;|>&].*")  # a comment, or the next command of the line


def documents() -> list[Source]:
    """Every Markdown file at the root and below docs/, assets/ and the packages."""
    folders = [ROOT / name for name in ("docs", "assets", *PACKAGES)]
    paths = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    return [Source(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in sorted(paths)]


def dead_links(document: Source) -> Iterator[str]:
    """Relative links to files that are not there, or to headings that they do not have."""
    here = ROOT / document.path
    for found in _LINK.finditer(_BLOCK.sub("", document.text)):
        link = found[1] or found[2]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = here.parent / path
        if path and not target.exists():
            yield f"{document.path}: link to {link}, which is not there"
        elif anchor and anchor not in _anchors(target.read_text(encoding="utf-8") if path else document.text):
            yield f"{document.path}: link to {link}, but {path or 'the page'} has no such heading"


def wrong_commands(document: Source) -> Iterator[str]:
    """Scripts, options, modules and make targets that do not exist.

    A command that stands in a block of its own must be one that the parser takes as it is.
    """
    for block in _BLOCK.findall(document.text):
        for line in block.splitlines():
            yield from (f"{document.path}: {line.strip()}: {wrong}" for wrong in _wrong_in(line, whole=True))
    for span in _SPAN.findall(_BLOCK.sub("", document.text)):
        yield from (f"{document.path}: {span}: {wrong}" for wrong in _wrong_in(span, whole=False))


def dead_paths(document: Source) -> Iterator[str]:
    """Files and folders of ours, named in code spans, that are not there."""
    for span in _SPAN.findall(_BLOCK.sub("", document.text)):
        if _PATH.fullmatch(span) and not _PLACEHOLDER.search(span) and not (ROOT / span).exists():
            yield f"{document.path}: {span} is not there"


@cache
def make_targets() -> frozenset[str]:
    """What `make` can be asked for by name."""
    phony = re.search(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(phony[1].split() if phony else ())


@cache
def parser_of(script: str) -> ArgumentParser:
    """The parser of a script at the root."""
    parser: ArgumentParser = importlib.import_module(PARSERS[script]).build_parser()
    return parser


def _wrong_in(command: str, *, whole: bool) -> Iterator[str]:
    command = _ENDS.sub("", command)
    paired = all(command.count(quote) % 2 == 0 for quote in "\"'")  # else it is prose or a formula
    words = shlex.split(command, comments=False) if paired else []
    words = words[1:] if words[:1] == ["$"] else words
    while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
        words = words[1:]
    if words[:1] == ["make"]:
        yield from (f"no target {word}" for word in words[1:] if "=" not in word and word not in make_targets())
    elif words[:2] == ["python", "-m"] and words[2:]:
        module = words[2].split(".")
        if module[0] in PACKAGES and not Path(ROOT, *module).with_suffix(".py").exists():
            yield f"no module {words[2]}"
    elif words[:1] == ["python"] and words[1:] and words[1].endswith(".py"):
        yield from _wrong_call(words[1], words[2:], whole=whole)


def _wrong_call(script: str, words: list[str], *, whole: bool) -> Iterator[str]:
    if script not in SCRIPTS or not (ROOT / script).exists() or script not in PARSERS:
        yield f"no script {script}"
        return
    parser = parser_of(script)
    known = {option for action in parser._actions for option in action.option_strings}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    yield from (f"{script} has no option {word}" for word in unknown)
    if whole and not unknown and "--help" not in words:
        try:
            parser.parse_args(words)
        except SystemExit:
            yield f"{script} does not take this"


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    headings = re.findall(r"^#+ +(.*)$", _BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
