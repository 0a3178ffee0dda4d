"""What int8 costs, stage by stage and layer by layer, as noise in what a stage gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from calib.evidence import Layer, Layered, Sensitivity
from calib.ranges import RangeTable
from calib.thresholds import RULES
from export._int8_layers import convolutions, levels_of
from export._int8_qdq import quantised
from export.parity import run_graph
from export.trial import EQUAL_DB, Array, Feed

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Sample:
    """A stage on a few frames in float32: what the same in int8 is compared with."""

    stage: str
    graph: ModelProto
    feed: Feed
    wanted: Array


def sensitivity(sample: Sample, table: RangeTable, say: Say) -> Sensitivity:
    """The noise of a stage in int8 by each rule, and of each of its layers by the best one."""
    by_rule: dict[str, float] = {}
    for rule in RULES:
        say(f"{sample.stage} in int8, thresholds by {rule}")
        by_rule[rule] = _noise(sample, quantised(sample.graph, levels_of(sample.graph, sample.stage, table, rule), ()))
    best = max(by_rule, key=lambda rule: by_rule[rule])
    levels = levels_of(sample.graph, sample.stage, table, best)
    names = [node.name for node in convolutions(sample.graph)]
    layers: list[Layer] = []
    for number, name in enumerate(names, 1):
        say(f"{sample.stage} with one layer in int8, {number} of {len(names)}")
        alone = quantised(sample.graph, levels, [other for other in names if other != name])
        layers.append(Layer(sample.stage, name, _noise(sample, alone)))
    return Sensitivity(sample.stage, best, by_rule, tuple(layers))


def sqnr_db(found: Array, wanted: Array) -> float:
    """Signal to quantisation noise; `EQUAL_DB` when nothing differs, minus that for noise alone or without bounds."""
    exact = wanted.astype(np.float64)
    signal, noise = float((exact**2).sum()), float(((found - exact) ** 2).sum())
    if noise == 0.0:
        return EQUAL_DB
    if signal == 0.0 or not math.isfinite(noise):
        return -EQUAL_DB
    return min(EQUAL_DB, 10 * math.log10(signal / noise))


def islands(layers: Sequence[Layer]) -> list[frozenset[Layered]]:
    """Which layers to keep in float32, ever more of the costliest: none, 1, 2, 4, ... all."""
    costly = sorted(layers, key=lambda layer: layer.sqnr_db)
    counts = [0]
    while counts[-1] < len(costly):
        counts.append(min(len(costly), max(1, 2 * counts[-1])))
    return [frozenset((layer.stage, layer.node) for layer in costly[:count]) for count in counts]


def _noise(sample: Sample, graph: ModelProto) -> float:
    return sqnr_db(run_graph(graph, sample.feed, graph.graph.output[0].name), sample.wanted)
