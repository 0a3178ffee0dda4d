"""What the documents name exists: links, commands, options, make targets, files, decisions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.guard.documents import dead_links, dead_paths, documents, make_targets, parser_of, wrong_commands
from tests.guard.sources import ROOT, Source, of_product, of_tests

Check = Callable[[Source], Iterator[str]]

WRONG: tuple[tuple[Check, str], ...] = (
    (dead_links, "See [the format](docs/no_such_page.md)."),
    (dead_links, "See [the format](docs/bundle.md#no-such-heading)."),
    (dead_links, "See [below](#no-such-heading)."),
    (dead_links, '<img src="docs/images/no_such_picture.png">'),
    (wrong_commands, "`python infer.py VIDEO --no-such-option 3`"),
    (wrong_commands, "`python no_such_script.py`"),
    (wrong_commands, "`make no-such-target`"),
    (wrong_commands, "`python -m calib.no_such_module`"),
    (wrong_commands, "```sh\npython infer.py a.mp4 --crf lots\n```"),
    (wrong_commands, "```sh\nPYTHONPATH=. python export.py --mask m.png  # as said\n```"),
    (dead_paths, "The reader is `runtime/no_such_file.py`."),
)

RIGHT: tuple[tuple[Check, str], ...] = (
    (
        dead_links,
        "# A heading: two words\n[here](#a-heading-two-words), [a page](docs/bundle.md), [far](https://x.org/y)",
    ),
    (wrong_commands, "`python infer.py VIDEO --mask M`, `make demo`, `python -m calib.demo`, `python -m pytest`"),
    (wrong_commands, "```sh\npython infer.py a.mp4 --box 1,2,3,4 --crf 20 --out b.mp4  # as said\n```"),
    (dead_paths, "The reader is `runtime/bundle.py`, networks lie in `models/`, one in `models/NAME.py`."),
)


@pytest.mark.parametrize("check", [dead_links, wrong_commands, dead_paths])
def test_what_every_document_names_exists(check: Check) -> None:
    found = [complaint for document in documents() for complaint in check(document)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("check", "text"), WRONG)
def test_a_name_of_nothing_is_noticed(check: Check, text: str) -> None:
    assert list(check(Source("MADE_UP.md", text)))


@pytest.mark.parametrize(("check", "text"), RIGHT)
def test_a_name_of_something_passes(check: Check, text: str) -> None:
    assert not list(check(Source("MADE_UP.md", text)))


def test_the_pages_that_a_stranger_looks_for_are_among_the_documents() -> None:
    pages = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/ARCHITECTURE.md", "docs/bundle.md"}
    assert pages <= {document.path for document in documents()}
    assert {"demo", "test", "fuzz", "lint", "types", "bench", "gpu", "docs", "clean"} == make_targets() - {"help"}


@pytest.mark.parametrize("script", ["infer.py", "export.py"])
def test_the_readme_tells_every_option_of(script: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    options = {action.option_strings[-1] for action in parser_of(script)._actions if action.option_strings}
    assert sorted(option for option in options - {"--help"} if f"{option}" not in readme) == []


def test_decisions_are_numbered_from_one_without_a_gap() -> None:
    assert misnumbered([path.name for path in sorted((ROOT / "docs" / "adr").iterdir())]) == []


@pytest.mark.parametrize("names", [["0001-a.md", "0003-b.md"], ["0001-a.md", "0001-b.md"], ["0002-a.md"], ["one.md"]])
def test_a_gap_between_decisions_is_noticed(names: list[str]) -> None:
    assert misnumbered(names)


def test_every_decision_has_its_number_and_its_parts() -> None:
    for path in sorted((ROOT / "docs" / "adr").glob("*.md")):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        for part in ("**Situation.**", "**Decision.**", "**Consequences.**"):
            assert part in text, f"{path.name} lacks {part}"


def test_decisions_that_code_and_documents_refer_to_exist() -> None:
    texts = [*of_product(), *of_tests(), *documents()]
    named = {(source.path, number) for source in texts for number in re.findall(r"docs/adr/(\d{4})", source.text)}
    known = {path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")}
    assert sorted(f"{path}: {number}" for path, number in named if number not in known) == []
    assert named


def misnumbered(names: list[str]) -> list[str]:
    """The decisions whose number is not the one that their place in the list gives them."""
    return [name for number, name in enumerate(names, 1) if not re.fullmatch(rf"{number:04d}-[a-z0-9-]+\.md", name)]
