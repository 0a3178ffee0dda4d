"""What values the tensors of a network take on real clips: a table that merges, and reads as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from calib.histogram import Counts, Grid, Histogram, Values, coarser, histogram
from calib.thresholds import RULES
from runtime._strict import Mismatch, decode
from runtime.errors import ExportError, UsageError

WHOLE = Grid(per_octave=64, octaves=16)  # of a tensor: thresholds to within 1.6%
CHANNEL = Grid(per_octave=4, octaves=10)  # of one channel: to within 25%; int8 reaches seven octaves down
FORMAT = 1
_LARGEST_OCTAVE = 254  # the exponents of float32 that are finite
_MOST = 2**53  # values of a tensor that a table can have counted

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """A clip that was looked at."""

    name: str
    sha256: str  # of the file
    frames: int  # how many of its first ones


@dataclass(frozen=True, slots=True)
class TensorRanges:
    """The values of one tensor `[n, channels, ...]` so far."""

    stage: str
    tensor: str
    low: Floats  # [channels], the least value
    high: Floats  # likewise, the largest
    whole: Histogram  # one row
    channels: Histogram  # a row each

    @property
    def key(self) -> tuple[str, str]:
        """Which tensor it is."""
        return self.stage, self.tensor

    def merged(self, other: TensorRanges) -> TensorRanges:
        """Both together; raises `ValueError` when they are of different tensors."""
        if self.key != other.key or len(self.low) != len(other.low):
            raise ValueError(f"ranges of {self.key} and {other.key} cannot be merged")
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        whole, channels = self.whole.merged(other.whole), self.channels.merged(other.channels)
        return TensorRanges(self.stage, self.tensor, low, high, whole, channels)

    def thresholds(self, rule: str) -> tuple[float, npt.NDArray[np.float64]]:
        """The largest magnitude to hold by one of `RULES`: of the tensor, and of each channel."""
        peaks = np.maximum(np.abs(self.low), np.abs(self.high)).astype(np.float64)
        whole = RULES[rule](self.whole, peaks.max(keepdims=True))
        return float(whole[0]), RULES[rule](self.channels, peaks)


@dataclass(frozen=True, slots=True)
class RangeTable:
    """The ranges of tensors, and what they were observed on; ordered, so that equal tables are equal bytes."""

    graphs: Mapping[str, str]  # stage -> sha256 of the float32 graph
    clips: tuple[ClipRecord, ...]
    tensors: tuple[TensorRanges, ...]

    def tensor(self, stage: str, name: str) -> TensorRanges:
        """The ranges of one tensor; raises `ExportError` when it was not observed."""
        for ranges in self.tensors:
            if ranges.key == (stage, name):
                return ranges
        raise ExportError(f"stage '{stage}': tensor '{name}' is not in the table of ranges; calibrate again, --calib")


def observed(stage: str, tensor: str, values: Values) -> TensorRanges:
    """The ranges of `values` `[n, channels, ...]`; raises `ValueError` when one is infinite or no number."""
    fine = histogram(WHOLE, values)
    others = (0, *range(2, values.ndim))
    low, high = values.min(axis=others) + np.float32(0), values.max(axis=others) + np.float32(0)  # -0 becomes 0
    whole = Histogram(WHOLE, fine.top, fine.counts.sum(axis=0, keepdims=True))
    return TensorRanges(stage, tensor, low, high, whole, coarser(fine, CHANNEL))


def merge(first: RangeTable, second: RangeTable) -> RangeTable:
    """Two tables of the same graphs as one, whichever comes first; raises `UsageError` when they do not go together."""
    if dict(first.graphs) != dict(second.graphs):
        raise UsageError("tables of ranges of different graphs; calibrate them all on one bundle")
    twice = {clip.sha256 for clip in first.clips} & {clip.sha256 for clip in second.clips}
    if twice:
        names = sorted(clip.name for clip in (*first.clips, *second.clips) if clip.sha256 in twice)
        raise UsageError(f"{', '.join(names)}: the same clip twice; name every clip once")
    tensors = {ranges.key: ranges for ranges in first.tensors}
    for ranges in second.tensors:
        tensors[ranges.key] = tensors[ranges.key].merged(ranges) if ranges.key in tensors else ranges
    clips = sorted((*first.clips, *second.clips), key=lambda clip: (clip.sha256, clip.name))
    return RangeTable(first.graphs, tuple(clips), tuple(tensors[key] for key in sorted(tensors)))


def to_json(table: RangeTable) -> str:
    """The table as text, a line for every list of numbers; thresholds stand beside the histograms they are from."""
    document = {
        "format": FORMAT,
        "graphs": {name: table.graphs[name] for name in sorted(table.graphs)},
        "clips": [{"name": clip.name, "sha256": clip.sha256, "frames": clip.frames} for clip in table.clips],
        "tensors": [_described(ranges) for ranges in table.tensors],
    }
    return "".join(_written(document, 0)) + "\n"


def read_table(path: Path) -> RangeTable:
    """The table in a file; raises `UsageError` when it is none.  Thresholds are computed from the histograms anew."""
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
        read = decode(_Table, document)
    except (OSError, ValueError, RecursionError, Mismatch) as error:
        raise UsageError(f"{path}: no table of ranges: {error}; calibrate again, --calib") from None
    if read.format != FORMAT:
        raise UsageError(f"{path}: table of ranges in format {read.format}, wanted {FORMAT}; calibrate again, --calib")
    _refuse_repeats(path, [f"tensor '{item.tensor}' of stage '{item.stage}'" for item in read.tensors])
    _refuse_repeats(path, [f"clip {clip.name}, {clip.sha256[:12]}," for clip in read.clips])
    one_each = [RangeTable(read.graphs, (), (_ranges(item, path),)) for item in read.tensors]
    clips = tuple(sorted(read.clips, key=lambda clip: (clip.sha256, clip.name)))
    return reduce(merge, one_each, RangeTable(read.graphs, clips, ()))


@dataclass(frozen=True, slots=True)
class _Histogram:
    top: int
    whole: tuple[int, ...]
    channels: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class _Tensor:
    stage: str
    tensor: str
    whole: Mapping[str, float]
    channels: Mapping[str, tuple[float, ...]]
    histogram: _Histogram


@dataclass(frozen=True, slots=True)
class _Table:
    format: int
    graphs: Mapping[str, str]
    clips: tuple[ClipRecord, ...]
    tensors: tuple[_Tensor, ...]


def _described(ranges: TensorRanges) -> dict[str, object]:
    found = {rule: ranges.thresholds(rule) for rule in RULES}
    whole = {"low": float(str(ranges.low.min())), "high": float(str(ranges.high.max()))}
    channels: dict[str, object] = {"low": _short(ranges.low), "high": _short(ranges.high)}
    return {
        "stage": ranges.stage,
        "tensor": ranges.tensor,
        "whole": whole | {rule: float(str(np.float32(level))) for rule, (level, _) in found.items()},
        "channels": channels | {rule: _short(levels.astype(np.float32)) for rule, (_, levels) in found.items()},
        "histogram": {
            "top": ranges.whole.top,
            "whole": ranges.whole.counts[0].tolist(),
            "channels": ranges.channels.counts.tolist(),
        },
    }


def _short(values: Floats) -> list[float]:
    """As the shortest decimals that give the same float32 again."""
    return [float(str(value)) for value in values]


def _refuse_repeats(path: Path, named: Sequence[str]) -> None:
    for name, times in Counter(named).items():
        if times > 1:
            raise UsageError(f"{path}: {name} stands there {times} times; calibrate again, --calib")


def _ranges(item: _Tensor, path: Path) -> TensorRanges:
    top, where = item.histogram.top, f"{path}: tensor '{item.tensor}'"
    if not 0 <= top <= _LARGEST_OCTAVE:
        raise UsageError(f"{where} has values up to octave {top}; calibrate again, --calib")
    if not all(0 <= count <= _MOST for row in (item.histogram.whole, *item.histogram.channels) for count in row):
        raise UsageError(f"{where} has counts that count nothing; calibrate again, --calib")
    whole = np.array([item.histogram.whole], np.int64)
    rows: Counts = np.array(item.histogram.channels, np.int64)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        low, high = (np.array(item.channels.get(name, ()), np.float32) for name in ("low", "high"))
    if whole.shape != (1, 1 + WHOLE.bins) or rows.shape != (len(low), 1 + CHANNEL.bins) or low.shape != high.shape:
        raise UsageError(f"{where} has counts of the wrong number; calibrate again, --calib")
    if not (np.isfinite(low) & np.isfinite(high) & (low <= high)).all():
        raise UsageError(f"{where} has a least value above its largest; calibrate again, --calib")
    return TensorRanges(item.stage, item.tensor, low, high, Histogram(WHOLE, top, whole), Histogram(CHANNEL, top, rows))


def _written(value: object, depth: int) -> Iterator[str]:
    """JSON with lists and objects of plain values on one line, so that tables diff by line."""
    if not isinstance(value, (dict, list)) or not _holds_more(cast("dict[str, object] | list[object]", value)):
        yield json.dumps(value, ensure_ascii=False, allow_nan=False)
        return
    edge, inner = "\n" + " " * depth, "\n" + " " * (depth + 1)
    if isinstance(value, dict):
        for number, (key, item) in enumerate(cast("dict[str, object]", value).items()):
            yield f"{',' if number else '{'}{inner}{json.dumps(key)}: "
            yield from _written(item, depth + 1)
        yield edge + "}"
    else:
        for number, item in enumerate(cast("list[object]", value)):
            yield f"{',' if number else '['}{inner}"
            yield from _written(item, depth + 1)
        yield edge + "]"


def _holds_more(value: dict[str, object] | list[object]) -> bool:
    return any(isinstance(item, (dict, list)) for item in (value.values() if isinstance(value, dict) else value))
