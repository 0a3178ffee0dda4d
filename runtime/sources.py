"""What a backend opens of a bundle: a graph or an engine for every stage, all of one type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runtime import engines
from runtime.bundle import Bundle, Compute, StageSpec
from runtime.errors import EngineUnfit
from runtime.program import LABELS, Arithmetic, Backend, Precision


@dataclass(frozen=True, slots=True)
class Source:
    """A stage's file, checked against the manifest."""

    path: Path
    compute: Compute  # type of what goes in and out where the stage's spec says float32; int8: float32
    doubt: str | None = None  # what a user must be told of it
    quantised: bool = False  # whether it computes in int8 besides


def find_sources(
    bundle: Bundle,
    backend: Backend,
    arithmetic: Arithmetic,
    *,
    every_window: bool = False,
    longest: float | None = None,
) -> Mapping[str, Source]:
    """By stage, what `backend` opens; one type for all of them, since no stage converts what another one gives.

    `every_window` refuses engines that would stop in the middle of a clip, where a scene is short or a window has more
    frames than they take: at most `longest`, as in `engines.short_of`.  Raises
    `EngineUnfit` with the reason and what to do when it runs engines and none fits, else a `BundleError`.
    """
    machine = backend.machine()
    if machine is None:
        return _graphs(bundle, backend, arithmetic)
    exact: tuple[Compute, ...] = ("float32",)
    chosen = engines.choose_all(bundle, machine, exact if arithmetic.precision == "fp32" else engines.ANY_TYPE)
    for stage in bundle.manifest.stages if every_window else ():
        if reason := engines.short_of(bundle, stage, chosen[stage.name], machine, longest):
            raise EngineUnfit(reason)
    return {
        name: Source(bundle.checked(engine.file), engine.compute, engines.unverified(engine))
        for name, engine in chosen.items()
    }


def part_source(bundle: Bundle, backend: Backend, sources: Mapping[str, Source]) -> Source | None:
    """The decoder's graph for parts of a picture; None unless `backend` runs graphs on the host.

    It computes in the types of the whole decoder, or frames would change with the size of their holes: where that one
    is in int8 and there is no such graph for parts, there are no parts.
    """
    part, whole = bundle.stage("decoder").part, sources["decoder"]
    if part is None or backend.memory != "host" or backend.machine() is not None:
        return None
    path = bundle.quantised(part) if whole.quantised else bundle.checked(part.file)
    return None if path is None else replace(whole, path=path)


def types_of(backend: Backend, precision: Precision, sources: Mapping[str, Source]) -> str:
    """The types that `sources` are computed in, for people: int8 where a stage has a graph in it, then the others'."""
    computes: list[Compute] = [source.compute for source in sources.values()]
    wide: list[Compute] = [compute for compute in computes if compute != "int8"] or computes
    rest = backend.precision(precision, wide[0])
    if rest not in LABELS.values() or rest == LABELS["int8"]:  # the null backend's is none whatever it opens
        return rest
    narrow = "int8" in computes or any(source.quantised for source in sources.values())
    return f"{LABELS['int8']} and {rest}" if narrow else rest


def _graphs(bundle: Bundle, backend: Backend, arithmetic: Arithmetic) -> Mapping[str, Source]:
    for compute in backend.graphs:
        if compute != "float32" and arithmetic.precision != "fp32":
            typed = {
                stage.name: graph
                for stage in bundle.manifest.stages
                for graph in stage.typed
                if graph.compute == compute
            }
            if len(typed) == len(bundle.manifest.stages):
                return {name: Source(bundle.checked(graph.file), compute) for name, graph in typed.items()}
    int8 = backend.memory == "host" and arithmetic.quantised  # they are CPUs' graphs; GPUs run engines of them
    return {stage.name: _graph(bundle, stage, backend.target, int8=int8) for stage in bundle.manifest.stages}


def _graph(bundle: Bundle, stage: StageSpec, target: str, *, int8: bool) -> Source:
    """The stage's graph that takes and gives float32, the one in int8 where that is wanted and there is one."""
    narrow = bundle.quantised(stage) if int8 else None
    if narrow is not None:
        return Source(narrow, "float32", quantised=True)
    return Source(bundle.file(stage, target), "float32")
