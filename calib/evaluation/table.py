"""What was measured, as CSV, as a page of Markdown with pictures, and on the terminal."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from calib.evaluation.row import Figures, Mean, Row

# Title for people, name in the CSV, decimal places: one line for each field of Figures, in its order.
COLUMNS = (
    ("PSNR dB", "psnr_db", 2),
    ("SSIM", "ssim", 4),
    ("PSNR in hole", "hole_psnr_db", 2),
    ("SSIM in hole", "hole_ssim", 4),
    ("warping error", "warping_levels", 2),
    ("VFID", "vfid", 3),
)
_EXACT = 6  # decimal places in the CSV
_NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Page:
    """What stands above the tables."""

    title: str
    facts: tuple[tuple[str, str], ...]  # what was run, and how
    pictures: tuple[tuple[str, str], ...]  # caption and path, relative to the page


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A line a clip, scene, mask set and method."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        figures = [name for _, name, _ in COLUMNS[:-1]]  # VFID is of several clips
        writer.writerow(("clip", "scene", "motion", "masks", "method", "frames", "hole_share", *figures))
        for row in rows:
            values = [_exact(value) for value in _values(row.figures)[:-1]]
            writer.writerow((row.clip, *row.group, row.frames, _exact(row.hole_share), *values))


def write_means(path: Path, means: Iterable[Mean]) -> None:
    """A line a scene, mask set and method: the mean over the clips."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("scene", "motion", "masks", "method", "clips", "frames", *(name for _, name, _ in COLUMNS)))
        for mean in means:
            writer.writerow((*mean.group, mean.clips, mean.frames, *map(_exact, _values(mean.figures))))


def write_page(path: Path, page: Page, rows: Sequence[Row], means: Sequence[Mean]) -> None:
    """Markdown: what was run, the means, every clip, and the pictures."""
    lines = [f"# {page.title}", "", *_grid(("", ""), page.facts), "", "## Means", ""]
    shown = _shown([mean.figures for mean in means])
    titles = [COLUMNS[column][0] for column in shown]
    heads = ("scene", "motion", "masks", "method", "clips", "frames", *titles)
    lines += _grid(heads, [(*m.group, str(m.clips), str(m.frames), *_cells(m.figures, shown)) for m in means])
    shown = [column for column in shown if COLUMNS[column][1] != "vfid"]
    heads = ("clip", "scene", "masks", "method", *(COLUMNS[column][0] for column in shown))
    body = [(r.clip, r.group.scene, r.group.masks, r.group.method, *_cells(r.figures, shown)) for r in rows]
    lines += ["", "## Clips", "", *_grid(heads, body), "", "## Pictures"]
    for caption, picture in page.pictures:
        lines += ["", f"{_verbatim(caption)}:", "", f"![{_verbatim(caption)}]({picture})"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def table_of(means: Sequence[Mean]) -> Table:
    """The means for the terminal."""
    shown = _shown([mean.figures for mean in means])
    table = Table()
    for title in ("scene", "masks", "method"):
        table.add_column(title)
    for title in ("clips", "frames", *(COLUMNS[column][0] for column in shown)):
        table.add_column(title, justify="right")
    for mean in means:
        group = mean.group
        table.add_row(
            group.scene, group.masks, group.method, str(mean.clips), str(mean.frames), *_cells(mean.figures, shown)
        )
    return table


def one_line(rows: Iterable[Row]) -> str:
    """The PSNR in the hole of every method on one clip."""
    values = ((row.group.method, row.figures.hole_psnr_db) for row in rows)
    return ", ".join(f"{method} {value:.2f} dB" for method, value in values if value is not None)


def _grid(heads: Sequence[str], body: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    yield from (f"| {' | '.join(map(_verbatim, cells))} |" for cells in body)


def _verbatim(text: str) -> str:
    """`text` as Markdown that shows it as it is, in a cell too."""
    return re.sub(r"[\\`*\[\]<>]", r"\\\g<0>", text).replace("|", "&#124;")


def _shown(figures: Sequence[Figures]) -> list[int]:
    """The columns in which there is anything."""
    return [column for column in range(len(COLUMNS)) if any(_values(each)[column] is not None for each in figures)]


def _cells(figures: Figures, columns: Iterable[int]) -> Iterator[str]:
    values = _values(figures)
    for column in columns:
        value, places = values[column], COLUMNS[column][2]
        yield _NOTHING if value is None else f"{value:.{places}f}"


def _values(figures: Figures) -> tuple[float | None, ...]:
    return tuple(getattr(figures, name) for _, name, _ in COLUMNS)


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.{_EXACT}f}"
