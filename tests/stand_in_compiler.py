"""A target that compiles to a line of text, and does what a test wants to happen meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.targets._target import Arrays, Built, Options, Order, Say
from runtime.bundle import Compute


class Portable:
    """What a stand-in for a target says of itself: it is installed, refuses nothing, and is its own compiler."""

    name, suffix, fixed_window, portable, serving = "fake", ".plan", False, True, None

    @property
    def compiler(self) -> Any:
        return self

    def why_not(self) -> None:
        return None

    def installed(self) -> bool:
        return True

    def version(self) -> str:
        return "1.0"

    def refuse(self, options: Options, compute: Compute) -> None:
        return None


@dataclass
class Fake(Portable):
    """A target whose plans differ from build to build, or do not; what a stage does besides is told by its name."""

    round: int = 0  # what the plans hold
    does: dict[str, Callable[[Path], object]] = field(default_factory=dict[str, Callable[[Path], object]])

    def build(self, order: Order, plan: Path, say: Say) -> Built:
        plan.write_bytes(f"{order.stage} {order.options.capabilities} {self.round}".encode() * 9)
        self.does.get(order.stage, lambda _: None)(order.graph.parent)
        return Built(plan, order.options.capabilities, None, {"float32": 1}, 0.0)

    def why_not_run(self, order: Order) -> str | None:
        return "no NVIDIA GPU here"

    def run(self, order: Order, plan: Path, feeds: Sequence[Arrays]) -> list[Arrays]:
        raise AssertionError("nothing runs here")
