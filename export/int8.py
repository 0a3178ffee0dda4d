"""A bundle's graphs in int8: observed, quantised, measured, and recorded beside the float32 ones.

Works on a bundle that is there, from its own graphs.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from onnx import ModelProto

from calib.evaluation.scene import read_clip
from calib.evidence import Evidence, Layered, Trial
from calib.holdout import drop_db, fill
from calib.observe import Clip, find_clips, holed_clip, observe, refuse_shared
from calib.ranges import ClipRecord, RangeTable, merge, read_table, to_json
from calib.speed import measure_speeds
from export._int8_layers import Level, convolutions, levels_of
from export._int8_parts import quantised_part
from export._int8_qdq import float_graph, quantised, refuse_not_finite
from export._int8_sensitivity import Sample, islands, sensitivity
from export._int8_taps import feed_of, tapped
from export.parity import run_graph
from export.parts import painted
from export.trial import Array, measure
from runtime import backends, bundle
from runtime.bundle import PART, Bundle, FileRecord, ParityRecord, PartSpec, StageSpec, TypedGraph
from runtime.decoder import geometry_of
from runtime.errors import ExportError, UsageError
from runtime.pixels import normalise

Say = Callable[[str], None]

RANGES = "ranges.json"
OBSERVER = "onnxruntime"  # the backend that gives up what flows inside a graph
PROBED = (16, 16)  # width and height at which a clip is tried, any that are quick
SAMPLE = (2, 1)  # targets and references that sensitivity is measured on
LARGEST_SHARE = 0.5  # of the largest value, by which a value of a stage in int8 may be off


class _SomethingElse(ExportError):
    """A graph in int8 gives values that have nothing to do with those in float32."""


@dataclass(frozen=True, slots=True)
class Order:
    """What int8 is to be made from."""

    tables: Mapping[Path, RangeTable]  # of earlier runs, by file
    clips: tuple[Clip, ...]  # to be calibrated on
    holdout: tuple[Clip, ...]
    max_drop_db: float
    sample: Path  # the clip that layers are compared on, none of the hold-out


def order_of(paths: Sequence[Path], holdout: Sequence[Path], max_drop_db: float) -> Order:
    """What the command line asks for.

    With tables alone the first clip of the hold-out is what layers are compared on, and no more of the hold-out.
    Raises `UsageError` without real clips, where a clip stands on both sides or in a table too, and at tables that are
    none or do not go together; `InputError` at a clip of which no frame can be read.
    """
    tables = {path: read_table(path) for path in paths if path.suffix == ".json"}
    clips = find_clips([path for path in paths if path not in tables])
    if not clips and not tables:
        raise UsageError("--int8 needs real clips to learn value ranges from: --calib CLIP, a video, folder or table")
    if not holdout:
        raise UsageError("--int8 needs clips that nothing is calibrated on to measure the loss: --holdout CLIP")
    others = find_clips(holdout)
    calibrated = [*clips, *(clip for table in tables.values() for clip in table.clips)]
    refuse_shared([clip.sha256 for clip in calibrated], others)
    if tables:
        known = reduce(merge, tables.values())
        merge(known, RangeTable(known.graphs, tuple(ClipRecord(clip.path.name, clip.sha256, 0) for clip in clips), ()))
    for clip in (*clips, *others):
        read_clip(clip.path, PROBED, 1)
    if not clips and len(others) == 1:
        raise UsageError(
            "--int8 with tables alone: layers are compared on a clip that the loss is not measured on; give another "
            "clip to --calib or --holdout"
        )
    return Order(tables, clips, others if clips else others[1:], max_drop_db, (*clips, *others)[0].path)


def add_int8(opened: Bundle, order: Order, say: Say) -> tuple[Bundle, Evidence]:
    """The bundle with graphs in int8 and their table in its folder; its manifest is not written.

    Layers are kept in float32, the costliest first, until the hold-out loses at most `order.max_drop_db` in its holes.
    Raises `ExportError` when that takes all of them.
    """
    graphs = {stage.name: graph_of(opened, stage) for stage in opened.manifest.stages}
    table = _table(opened, graphs, order.tables, order.clips, say)
    (opened.root / RANGES).write_text(to_json(table), encoding="utf-8")
    say(f"comparing layers on {order.sample.name}")
    samples = samples_of(opened, graphs, order.sample)
    found = tuple(sensitivity(sample, table, say) for sample in samples)
    rules = {item.stage: item.rule for item in found}
    layers = [layer for item in found for layer in item.layers]
    chosen = backends.first_on_host()
    name, backend = chosen.name, chosen.backend
    progress = _spoken(say)
    exact = fill(opened, order.holdout, backend, "fp32", progress)
    own_type = backend.precision("auto")
    own = () if own_type == backend.precision("fp32") else fill(opened, order.holdout, backend, "auto", progress)
    trials: list[Trial] = []
    for kept in islands(layers)[:-1]:
        try:
            narrow = _narrowed(opened, samples, table, rules, kept)
        except _SomethingElse as error:  # with more layers in float32 it may be the same again
            trials.append(Trial(kept, math.inf))
            say(str(error))
            continue
        filled = fill(narrow, order.holdout, backend, "auto", progress)
        trials.append(Trial(kept, drop_db(exact, filled)))
        say(f"{len(kept)} of {len(layers)} layers in float32: {trials[-1].drop_db:+.3f} dB lost on the hold-out")
        if trials[-1].drop_db <= order.max_drop_db:
            _forget_others(narrow)
            say(f"timing int8 beside {own_type}")
            speeds = measure_speeds(narrow, backend)
            return narrow, Evidence(
                table, found, order.max_drop_db, tuple(trials), exact, own, filled, name, own_type, speeds
            )
    raise _unaffordable(trials, order.max_drop_db)


def _unaffordable(trials: Sequence[Trial], allowed_db: float) -> ExportError:
    least = min(trial.drop_db for trial in trials)
    lost = f"loses {least:.3f} dB at least on the hold-out" if math.isfinite(least) else "gives other values altogether"
    return ExportError(
        f"int8 {lost}, however many layers stay in float32, allowed {allowed_db:g} dB; allow more with "
        f"--max-drop-db, calibrate on more clips, or export without --int8"
    )


def _forget_others(narrow: Bundle) -> None:
    """Delete graphs of earlier trials that this one has no use for: nobody has measured them."""
    stages = narrow.manifest.stages
    owners = (*stages, *(stage.part for stage in stages if stage.part))
    named = {typed.file.path for owner in owners for typed in owner.typed}
    for path in narrow.root.glob("*.int8.onnx"):
        if path.name not in named:
            path.unlink()


def quantise_all(opened: Bundle, clips: Sequence[Clip], say: Say) -> Bundle:
    """As `add_int8`, with all layers, between the least and largest values on `clips`: for timing.

    Nobody has measured what such a bundle loses.
    """
    graphs = {stage.name: graph_of(opened, stage) for stage in opened.manifest.stages}
    table = _table(opened, graphs, {}, clips, say)
    (opened.root / RANGES).write_text(to_json(table), encoding="utf-8")
    samples = samples_of(opened, graphs, clips[0].path)
    return _narrowed(opened, samples, table, dict.fromkeys(graphs, "min-max"), ())


def graph_of(opened: Bundle, stage: StageSpec) -> ModelProto:
    """The stage in float32; raises `ExportError` at a weight that is no finite number."""
    graph = float_graph(opened.file(stage, "onnx").read_bytes())
    refuse_not_finite(graph, stage.name)
    return graph


def _table(
    opened: Bundle,
    graphs: Mapping[str, ModelProto],
    earlier: Mapping[Path, RangeTable],
    clips: Sequence[Clip],
    say: Say,
) -> RangeTable:
    """The ranges from earlier tables and the clips together."""
    hashes = {stage.name: stage.files["onnx"].sha256 for stage in opened.manifest.stages}
    for path, table in earlier.items():
        if dict(table.graphs) != hashes:
            raise UsageError(f"{path}: ranges of other graphs than {opened.root} has; calibrate on clips again")
    tables = [*earlier.values()]
    if clips:
        with tempfile.TemporaryDirectory() as folder:
            source = tapped(opened, graphs, Path(folder))
            tables.append(observe(source, clips, backends.able(OBSERVER), hashes, _spoken(say)))
    return reduce(merge, tables)


def samples_of(opened: Bundle, graphs: Mapping[str, ModelProto], clip: Path) -> tuple[Sample, ...]:
    """Every stage on a few holed frames of a clip, each one fed by the one before."""
    rule, schedule = opened.manifest.pixels, opened.manifest.schedule
    targets, references = (schedule.targets, schedule.references) if schedule.fixed else SAMPLE
    pictures, holes = holed_clip(clip, opened, targets + references)
    value = np.empty((targets + references, 3, rule.height, rule.width), np.float32)
    for slot in range(len(value)):  # a short clip begins again
        index = slot % len(pictures)
        normalise(pictures[index], holes[index], rule, value[slot])
    samples: list[Sample] = []
    for stage in opened.manifest.stages:
        feed = feed_of(stage, value, targets)
        value = run_graph(graphs[stage.name], feed, stage.outputs[0].name)
        samples.append(Sample(stage.name, graphs[stage.name], feed, value))
    return tuple(samples)


def _narrowed(
    opened: Bundle, samples: Sequence[Sample], table: RangeTable, rules: Mapping[str, str], kept: Collection[Layered]
) -> Bundle:
    """The bundle with a graph in int8 of every stage that has a layer left to quantise."""
    ranges = bundle.file_record(opened.root, opened.root / RANGES)
    stages: list[StageSpec] = []
    for stage, sample in zip(opened.manifest.stages, samples, strict=True):
        islands_here = tuple(node.name for node in convolutions(sample.graph) if (stage.name, node.name) in kept)
        if len(islands_here) == len(convolutions(sample.graph)):
            stages.append(replace(stage, typed=(), part=stage.part and replace(stage.part, typed=())))
            continue
        levels = levels_of(sample.graph, stage.name, table, rules[stage.name])
        graph = quantised(sample.graph, levels, islands_here)
        found = run_graph(graph, sample.feed, graph.graph.output[0].name)
        parity = _parity(found, sample.wanted, stage.name, f"{len(sample.wanted)} frames")
        typed = TypedGraph("int8", _saved(graph, opened.root, stage.name), islands_here, parity, ranges)
        stages.append(replace(stage, typed=(typed,), part=_narrowed_part(opened, stage, sample, levels, typed)))
    return Bundle(opened.root, replace(opened.manifest, stages=tuple(stages)))


def _narrowed_part(
    opened: Bundle, stage: StageSpec, sample: Sample, levels: Mapping[str, Level], whole: TypedGraph
) -> PartSpec | None:
    """The stage's parts, if it has any, with a graph of the same types as its whole pictures'."""
    if stage.part is None:
        return None
    geometry = geometry_of(stage, stage.part, str(opened.root))
    plain = float_graph(opened.checked(stage.part.file).read_bytes())
    graph, kept = quantised_part(plain, sample.graph, levels, whole.kept_float32)
    found, wanted, count = painted(graph, sample.feed[stage.inputs[0].name], sample.wanted, geometry)
    name = f"{stage.name}{PART}"
    parity = _parity(found, wanted, name, f"{len(sample.wanted)} frames, {count} parts")
    typed = TypedGraph("int8", _saved(graph, opened.root, name), kept, parity, whole.ranges)
    return replace(stage.part, typed=(typed,))


def _saved(graph: ModelProto, root: Path, name: str) -> FileRecord:
    path = root / f"{name}.int8.onnx"
    path.write_bytes(graph.SerializeToString(deterministic=True))
    return bundle.file_record(root, path)


def _parity(found: Array, wanted: Array, name: str, frames: str) -> ParityRecord:
    """A graph in int8 against the float32 one; raises `_SomethingElse` where it gives something else altogether."""
    allowed = LARGEST_SHARE * float(np.abs(wanted).max())
    record = replace(measure(found, wanted), stage=name, frames=frames, tolerance=allowed)
    if record.nan_count or not record.max_abs <= allowed:
        raise _SomethingElse(
            f"stage '{name}' in int8 differs from float32 by {record.max_abs:.3g}, allowed {allowed:.3g}, "
            f"{record.nan_count} NaN; calibrate on more clips, or export without --int8"
        )
    return record


def _spoken(say: Say) -> Callable[[str, int, int | None], None]:
    def progress(phase: str, done: int, total: int | None) -> None:
        say(f"{phase}, {done} of {total}")

    return progress
