"""Engines come into a bundle: side by side, all or none, and compared with float32 where they can run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from export.engines import Job, compile_bundle, lengths
from export.frames import DEMO
from export.gate import Reference
from export.parity import run_graph
from export.targets._target import Arrays, Built, Options, Order, Say
from export.trial import WANTED_DB, Trial
from runtime.bundle import Bundle, read_bundle
from runtime.engines import identity, unverified
from runtime.errors import ExportError
from tests.stand_in_compiler import Portable
from tests.tiny import tiny_bundle


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network's bundle."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def opened(exported: Path, tmp_path: Path) -> Bundle:
    """A bundle of one's own."""
    return read_bundle(Path(shutil.copytree(exported, tmp_path / "bundle")))


class Fake(Portable):
    """A target whose compiler writes a few bytes, and fails at one stage; its engines run where `error` is given.

    They give what the graph gives, and `error` besides.
    """

    def __init__(self, fails_at: str | None, error: float | None = None) -> None:
        self.fails_at = fails_at
        self.error = error

    def build(self, order: Order, plan: Path, say: Say) -> Built:
        plan.write_bytes(plan_of(order.graph, order.options.capabilities))
        if order.stage == self.fails_at:
            raise ExportError(f"stage '{order.stage}': no")
        return Built(plan, order.options.capabilities, None, {"float32": 1}, 0.0)

    def why_not_run(self, order: Order) -> str | None:
        return "no NVIDIA GPU here" if self.error is None else None

    def run(self, order: Order, plan: Path, feeds: Sequence[Arrays]) -> list[Arrays]:
        for feed in feeds:
            assert {name: values.shape for name, values in feed.items() if values.shape} == {
                name: shapes[0] for name, shapes in order.shapes.items() if len(shapes[0]) > 1
            }
        output = read_bundle(order.graph.parent).stage(order.stage).outputs[0].name
        assert plan.read_bytes() == plan_of(order.graph, order.options.capabilities)
        graph = onnx.load(order.graph)
        return [{output: run_graph(graph, feed, output) + np.float32(self.error or 0)} for feed in feeds]


def plan_of(graph: Path, capabilities: Sequence[str]) -> bytes:
    """What `Fake` makes of a graph."""
    return graph.read_bytes()[:100] + " ".join(capabilities).encode()


def job(capability: str, fails_at: str | None = None, error: float | None = None) -> Job:
    return Job((Fake(fails_at, error),), Options(capabilities=(capability,)), lengths((11, 5), None))


def no_trial(stage: str) -> Trial:
    raise AssertionError(f"{stage}: nothing can run here, so nothing is to be compared")


def test_engines_for_several_gpus_lie_side_by_side_and_a_new_one_replaces_its_own(opened: Bundle) -> None:
    before = {path.name for path in opened.root.iterdir()}
    first = compile_bundle(opened, job("8.6"), no_trial, lambda _: None)
    both = compile_bundle(first, job("8.9"), no_trial, lambda _: None)
    again = compile_bundle(both, job("8.9"), no_trial, lambda _: None)
    assert read_bundle(opened.root).manifest == again.manifest == both.manifest
    for stage in again.manifest.stages:
        made = [engine for engine in stage.engines if engine.target == "fake"]
        assert [engine.capabilities for engine in made] == [("8.6",), ("8.9",)]
        for engine in made:
            assert engine.key == identity(engine)
            plan = plan_of(again.file(stage, "onnx"), engine.capabilities)
            assert again.checked(engine.file).read_bytes() == plan
    assert len({path.name for path in opened.root.iterdir()} - before) == 2 * len(again.manifest.stages)


def test_a_build_that_fails_leaves_the_bundle_as_it_was(opened: Bundle) -> None:
    before = {path: path.read_bytes() for path in opened.root.iterdir()}
    with pytest.raises(ExportError, match="stage 'decoder': no"):
        compile_bundle(opened, job("8.6", fails_at="decoder"), no_trial, lambda _: None)
    assert {path: path.read_bytes() for path in opened.root.iterdir()} == before


def test_an_engine_that_runs_here_is_compared_and_its_figures_stand_in_the_bundle(opened: Bundle) -> None:
    said: list[str] = []
    compiled = compile_bundle(opened, job("8.6", error=1e-4), Reference(opened, DEMO).trial, said.append)
    assert read_bundle(opened.root).manifest == compiled.manifest
    for stage in compiled.manifest.stages:
        (engine,) = (engine for engine in stage.engines if engine.target == "fake")
        assert unverified(engine) is None
        assert engine.parity is not None
        assert (engine.parity.stage, engine.parity.frames) == (stage.name, "city.mp4, 11+5")
        assert engine.parity.psnr_db > WANTED_DB
        assert 0 < engine.parity.max_abs < engine.parity.tolerance
    assert said == [f"comparing the engine of {stage.name} with float32" for stage in compiled.manifest.stages]


def test_an_engine_that_is_too_far_away_does_not_get_in(opened: Bundle) -> None:
    before = {path: path.read_bytes() for path in opened.root.iterdir()}
    with pytest.raises(ExportError, match=r"stage 'encoder' \(city.mp4, 11\+5\): the engine is .* refused[^\n]*$"):
        compile_bundle(opened, job("8.6", error=0.5), Reference(opened, DEMO).trial, lambda _: None)
    assert {path: path.read_bytes() for path in opened.root.iterdir()} == before


def test_an_engine_that_cannot_run_here_stays_unverified_and_is_said_to_be(opened: Bundle) -> None:
    said: list[str] = []
    compiled = compile_bundle(opened, job("8.6"), no_trial, said.append)
    assert said == [f"{stage.name} stays unverified: no NVIDIA GPU here" for stage in compiled.manifest.stages]
    assert all(unverified(stage.engines[-1]) for stage in compiled.manifest.stages)
