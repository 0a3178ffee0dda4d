"""The folder that an evaluation leaves: CSV, a page, pictures; whole or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from calib.evaluation.row import Mean, Row
from calib.evaluation.run import Measured
from calib.evaluation.table import Page, write_means, write_page, write_rows
from runtime.errors import OutputError, is_of_writing

ROWS, MEANS, PAGE, PICTURES = "rows.csv", "means.csv", "table.md", "pictures"
_LONGEST = 120  # bytes of a clip's name in a file's, which may have 255; its number tells it apart
_ANYBODY = 0o755  # what a folder that is made for others to read may be; temporary ones are their maker's alone


class Report:
    """What is written so far, under another name; see `open_report`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pictures: list[tuple[str, str]] = []

    def add(self, measured: Measured) -> None:
        """Write the pictures of one clip under one set of masks."""
        number = len(self._pictures) + 1
        clip = measured.clip.replace("/", "_").encode()[:_LONGEST].decode(errors="ignore")
        path = f"{PICTURES}/{number:02d}-{clip}-{measured.scene}-{measured.masks}.png"
        measured.sheet.save(self._folder / path)
        caption = f"{measured.clip}, {measured.scene}, masks {measured.masks}"
        self._pictures.append((caption, quote(path)))

    def finish(self, title: str, facts: Sequence[tuple[str, str]], rows: Sequence[Row], means: Sequence[Mean]) -> None:
        """Write the tables and the page."""
        write_rows(self._folder / ROWS, rows)
        write_means(self._folder / MEANS, means)
        write_page(self._folder / PAGE, Page(title, tuple(facts), tuple(self._pictures)), rows, means)


@contextmanager
def open_report(out: Path | None) -> Generator[Report | None, None, None]:
    """A report that has the name `out` when the block ends well, and leaves nothing when it does not.

    None where `out` is None.  Raises `OutputError` when `out` exists, or something cannot be written.
    """
    if out is None:
        yield None
        return
    _check(out)
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise _refused(out, error) from None
    try:
        draft.chmod(_ANYBODY)
        (draft / PICTURES).mkdir()
        yield Report(draft)
        os.rename(draft, out)
    except OSError as error:
        if not is_of_writing(error, draft):
            raise
        raise _refused(out, error) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check(out: Path) -> None:
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another name for --out, or remove it first")
    if not out.parent.is_dir():
        raise OutputError(f"{out}: there is no folder {out.parent}; create it first")


def _refused(out: Path, error: OSError) -> OutputError:
    return OutputError(f"{out}: cannot be written: {error.strerror or error}")
