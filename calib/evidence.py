"""What was measured while a bundle was made int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from calib.holdout import Filled
from calib.ranges import RangeTable
from calib.speed import Speeds

Layered = tuple[str, str]  # a stage, and a node of its graph


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution alone in int8, all others in float32."""

    stage: str
    node: str
    sqnr_db: float  # of the stage's output: the signal's power over that of the noise


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How a stage stands int8."""

    stage: str
    rule: str  # by which thresholds were chosen: the one with the least noise
    by_rule: Mapping[str, float]  # SQNR in dB of the stage with all layers in int8
    layers: tuple[Layer, ...]  # in the graph's order


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice of layers kept in float32, and what the hold-out made of it."""

    kept: frozenset[Layered]
    drop_db: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was measured on the way."""

    table: RangeTable
    sensitivities: tuple[Sensitivity, ...]
    budget_db: float
    trials: tuple[Trial, ...]  # the last one holds
    exact: tuple[Filled, ...]  # the hold-out in float32
    own: tuple[Filled, ...]  # in what the backend takes by itself without int8, where that is another type
    narrow: tuple[Filled, ...]  # in int8
    backend: str
    own_type: str
    speeds: Speeds
