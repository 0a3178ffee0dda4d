"""A stage for parts of its picture: its graph, and what of it is exact held against PyTorch's whole picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
from onnx import ModelProto

from export.parity import TOLERANCE, Comparison, run_graph
from export.trial import Array, measure
from models._spec import Part, Stage
from runtime.bundle import ParityRecord
from runtime.errors import ExportError
from runtime.parts import Geometry, interpolations, part_of
from runtime.parts import Part as Window
from runtime.resize import Area


def stage_of(stage: Stage, part: Part) -> Stage:
    """The part as a stage of its own, to be traced."""
    return Stage(f"{stage.name}.part", part.module, part.inputs, part.outputs)


def compare_part(stage: Stage, part: Part, graph: ModelProto, whole: Comparison) -> ParityRecord:
    """Run `graph` on windows at every border and inside, on the features and against the picture of `whole`.

    Raises `ExportError` when a value that is said to be exact differs by more than the stage's own may, or is no
    number.
    """
    _, _, height, width = (int(side) if isinstance(side, int) else 0 for side in stage.inputs[0].shape)
    geometry = Geometry(height, width, len(part.inputs) // 2, part.halo)
    features = whole.feed[stage.inputs[0].name]
    found, wanted = list[Array](), list[Array]()
    for window in _windows(geometry):
        feed = _feed(features, window, geometry)
        shown, exact = window.shown, window.exact
        painted = run_graph(graph, feed, part.outputs[0].name)
        found.append(painted[..., shown.top : shown.bottom, shown.left : shown.right].ravel())
        wanted.append(whole.wanted[..., exact.top : exact.bottom, exact.left : exact.right].ravel())
    allowed = TOLERANCE * max(1.0, float(np.abs(whole.wanted).max()))
    frames = f"{whole.record.frames}, {len(found)} parts"
    record = measure(np.concatenate(found), np.concatenate(wanted))
    record = replace(record, stage=f"{stage.name}.part", frames=frames, tolerance=allowed)
    if record.nan_count or not record.max_abs <= allowed:
        raise ExportError(
            f"stage '{stage.name}' ({frames}): parts differ from PyTorch's whole picture by {record.max_abs:.3g}, "
            f"allowed {allowed:.3g}, {record.nan_count} NaN; nothing was written, please report it"
        )
    return record


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
