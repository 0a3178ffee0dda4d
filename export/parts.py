"""A stage for parts of its picture: its graph, and what of it is exact held against PyTorch's whole picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from onnx import ModelProto

from export.parity import TOLERANCE, Comparison, run_graph
from export.trial import Array, measure
from models._spec import Part, Stage
from runtime.bundle import PART, ParityRecord
from runtime.errors import ExportError
from runtime.parts import Geometry, interpolations, part_of
from runtime.parts import Part as Window
from runtime.resize import Area

Progress = Callable[[str], None]  # told what is being done now


def stages_of(stages: Sequence[Stage]) -> list[Stage]:
    """The parts, each as a stage of its own, to be traced."""
    found = ((stage.name, stage.part) for stage in stages if stage.part is not None)
    return [Stage(f"{name}{PART}", part.module, part.inputs, part.outputs) for name, part in found]


def compare_parts(
    stages: Sequence[Stage], graphs: Mapping[str, ModelProto], compared: Sequence[Comparison], progress: Progress
) -> Iterator[ParityRecord]:
    """The graphs for parts, by stage, on the features and against PyTorch's pictures of the whole stages.

    Raises `ExportError` when a value that is said to be exact differs by more than the stage's own may, or is no
    number.
    """
    for stage, whole in zip(stages, compared, strict=False):  # behind them come lone frames
        if stage.part is not None:
            progress(f"comparing parts of the {stage.name}'s picture with PyTorch's whole one")
            yield _compared(stage, stage.part, graphs[stage.name], whole)


def _compared(stage: Stage, part: Part, graph: ModelProto, whole: Comparison) -> ParityRecord:
    """On windows at every border and inside."""
    _, _, height, width = (int(side) if isinstance(side, int) else 0 for side in stage.inputs[0].shape)
    geometry = Geometry(height, width, len(part.inputs) // 2, part.halo)
    found, wanted, count = painted(graph, whole.feed[stage.inputs[0].name], whole.wanted, geometry)
    allowed = TOLERANCE * max(1.0, float(np.abs(whole.wanted).max()))
    frames = f"{whole.record.frames}, {count} parts"
    record = replace(measure(found, wanted), stage=f"{stage.name}{PART}", frames=frames, tolerance=allowed)
    if record.nan_count or not record.max_abs <= allowed:
        raise ExportError(
            f"stage '{record.stage}' ({frames}): differs from PyTorch's whole picture by {record.max_abs:.3g}, "
            f"allowed {allowed:.3g}, {record.nan_count} NaN; nothing was written, please report it"
        )
    return record


def painted(graph: ModelProto, features: Array, picture: Array, geometry: Geometry) -> tuple[Array, Array, int]:
    """What is exact of parts of `features`, as `graph` gives it and in `picture`, the whole one; and how many parts."""
    found, wanted = list[Array](), list[Array]()
    for window in _windows(geometry):
        shown, exact = window.shown, window.exact
        part = run_graph(graph, _feed(features, window, geometry), graph.graph.output[0].name)
        found.append(part[..., shown.top : shown.bottom, shown.left : shown.right].ravel())
        wanted.append(picture[..., exact.top : exact.bottom, exact.left : exact.right].ravel())
    return np.concatenate(found), np.concatenate(wanted), len(found)


def _windows(geometry: Geometry) -> Iterator[Window]:
    """Half the features both ways: at the four corners, where a picture ends, and in the middle, where none does."""
    height, width = -(-geometry.height // 2), -(-geometry.width // 2)
    down, across = geometry.height - height, geometry.width - width
    for top, left in ((0, 0), (0, across), (down, 0), (down, across), (down // 2, across // 2)):
        yield part_of(Area(left, top, left + width, top + height), geometry)


def _feed(features: Array, window: Window, geometry: Geometry) -> Mapping[str, Array]:
    area = window.window
    inside = features[..., area.top : area.bottom, area.left : area.right]
    return {"features": np.ascontiguousarray(inside), **interpolations(window, geometry)}
