"""What a run writes down as it goes: CSV in any case, TensorBoard's files where it is installed."""

from __future__ import annotations

import csv
import importlib.util
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.errors import OutputError
from training.sheet import Sheet, as_png
from training.step import LOSSES

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

COLUMNS = ("step", "phase", *LOSSES, "rate", "samples_per_s", "skipped")
VALIDATION_COLUMNS = ("step", "psnr_in_hole_db")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the steps since the last entry came to."""

    step: int  # steps done
    phase: int
    losses: Mapping[str, float]  # means over those steps, by the names in `LOSSES`
    rate: float
    samples_per_s: float
    skipped: int  # samples that were broken, since the program was started


class Log:
    """`log.csv`, `validation.csv`, `sheets/` and TensorBoard's files in the folder of a run.

    Goes on after `done` steps: what a run that was cut off wrote about later ones is dropped, since they come again.
    Raises `OutputError` where the folder cannot be written.
    """

    def __init__(self, folder: Path, done: int, *, tensorboard: bool) -> None:
        self.folder = folder
        self.has_tensorboard = tensorboard and importlib.util.find_spec("tensorboard") is not None
        self._writer: SummaryWriter | None = None
        if self.has_tensorboard:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1)
        _rewind(folder / "log.csv", COLUMNS, done)
        _rewind(folder / "validation.csv", VALIDATION_COLUMNS, done)

    def add(self, entry: Entry) -> None:
        """A row of `log.csv`."""
        losses = [f"{entry.losses[name]:.6g}" for name in LOSSES]
        ends = [f"{entry.rate:.6g}", f"{entry.samples_per_s:.4g}", str(entry.skipped)]
        _append(self.folder / "log.csv", [str(entry.step), str(entry.phase), *losses, *ends])
        named = {f"loss/{name}": entry.losses[name] for name in LOSSES}
        self._tell(entry.step, {**named, "rate": entry.rate, "samples_per_s": entry.samples_per_s})

    def validated(self, step: int, psnr_db: float) -> None:
        """A row of `validation.csv`."""
        _append(self.folder / "validation.csv", [str(step), f"{psnr_db:.4f}"])
        self._tell(step, {"validation/psnr_in_hole_db": psnr_db})

    def show(self, step: int, sheet: Sheet) -> None:
        """A picture in `sheets/`."""
        path = self.folder / "sheets" / f"{step:06d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(as_png(sheet))
        except OSError as error:
            raise _unwritten(path, error) from None
        if self._writer is not None:
            self._writer.add_image("sheet", sheet, step, dataformats="HWC")

    def close(self) -> None:
        """Give TensorBoard's files their last lines."""
        if self._writer is not None:
            self._writer.close()

    def _tell(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)


def _rewind(path: Path, columns: tuple[str, ...], done: int) -> None:
    """The table at `path` with its heading and the rows of the first `done` steps."""
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        rows = [row for row in list(csv.reader(io.StringIO(text)))[1:] if row[:1] and int(row[0]) <= done]
        content = io.StringIO()
        csv.writer(content, lineterminator="\n").writerows([columns, *rows])
        unfinished = path.with_name(path.name + ".unfinished")
        unfinished.write_text(content.getvalue(), encoding="utf-8")
        os.replace(unfinished, path)
    except OSError as error:
        raise _unwritten(path, error) from None
    except ValueError:
        raise OutputError(f"{path}: its first column holds something else than steps; move it away") from None


def _append(path: Path, row: list[str]) -> None:
    try:
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
    except OSError as error:
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written: {error.strerror}; make room and go on with --resume")
