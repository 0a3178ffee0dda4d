"""What must hold between the fields of a manifest, beyond the range of each number; docs/bundle.md is its prose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest

from runtime._bundle_records import Manifest, PixelRule, ScheduleRule, StageSpec, TensorSpec, TypedGraph
from runtime._strict import Mismatch, shortened, shown

LEAST_SPAN = 0.001  # of `high` above `low`: samples are divided by it
MOST_CHANNELS = 65536  # of features

_RELEASE = re.compile(r"[0-9]{1,4}(?:\.[0-9]{1,4}){0,3}")
_GRAPH = "onnx"  # the file of a stage that all others are made of
_BIAS = re.compile(r"key_bias_[0-9]{1,4}")  # the name of an input that is added to a head's scores


def check(manifest: Manifest) -> None:
    """Raises `Mismatch`, whose text begins with the place, at the first rule that is broken."""
    _check_names([stage.name for stage in manifest.stages])
    _check_schedule(manifest.schedule)
    _check_levels(manifest.pixels)
    if not _RELEASE.fullmatch(manifest.kernels.cuda):
        raise Mismatch(f"kernels.cuda: found {shown(manifest.kernels.cuda)}, wanted a release such as 13.0")
    for place, stage in enumerate(manifest.stages):
        _check_files(f"stages[{place}]", stage)
        _check_engines(f"stages[{place}]", stage)
    places = {stage.name: f"stages[{place}]" for place, stage in enumerate(manifest.stages)}
    stages = {stage.name: stage for stage in manifest.stages}
    features: tuple[int | str, ...] | None = None
    for name in ("encoder", "transformer", "decoder"):
        if name in stages:
            if features is None:
                features = _features(places[name], stages[name], manifest.pixels)
            _check_stage(places[name], stages[name], manifest, features)


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise Mismatch("stages: found none, wanted at least one")
    if len(set(names)) != len(names):
        raise Mismatch("stages: a stage is named twice")


def _check_schedule(rule: ScheduleRule) -> None:
    if rule.neighbour_stride > rule.targets:
        raise Mismatch(
            f"schedule.neighbour_stride: found {rule.neighbour_stride}, wanted at most schedule.targets, which is "
            f"{rule.targets}: windows would leave frames out"
        )


def _check_levels(rule: PixelRule) -> None:
    if rule.high - rule.low < LEAST_SPAN:
        raise Mismatch(
            f"pixels.high: found {rule.high:g}, wanted at least {LEAST_SPAN} more than pixels.low, which is "
            f"{rule.low:g}"
        )


def _check_files(where: str, stage: StageSpec) -> None:
    if _GRAPH not in stage.files:
        raise Mismatch(f"{where}.files: found none for {_GRAPH}, wanted the graph that all others are made of")
    _check_typed(f"{where}.typed", stage.typed)
    if stage.part is not None:
        _check_typed(f"{where}.part.typed", stage.part.typed)
        if not stage.part.inputs or not stage.part.outputs:
            raise Mismatch(f"{where}.part: found no inputs or no outputs, wanted some")


def _check_typed(where: str, graphs: Sequence[TypedGraph]) -> None:
    if len({graph.compute for graph in graphs}) != len(graphs):
        raise Mismatch(f"{where}: two graphs compute in one type")
    for place, graph in enumerate(graphs):
        if (graph.compute == "int8") != (graph.ranges is not None):
            raise Mismatch(f"{where}[{place}].ranges: found in {graph.compute}, wanted with int8 and with it alone")


def _check_engines(where: str, stage: StageSpec) -> None:
    for place, engine in enumerate(stage.engines):
        for name, shapes in engine.shapes.items():
            if not shapes or not all(shapes):
                raise Mismatch(f"{where}.engines[{place}].shapes: found none of {shown(name)}, wanted one or more")


def _features(where: str, stage: StageSpec, rule: PixelRule) -> tuple[int | str, ...]:
    """Channels, rows and columns of one frame's features, as `stage` has them."""
    kind, ports = ("outputs", stage.outputs) if stage.name == "encoder" else ("inputs", stage.inputs)
    shape = ports[0].shape if ports else ()
    most = (MOST_CHANNELS, rule.height, rule.width)
    sides = [side for side in shape[1:] if isinstance(side, int)]
    if len(shape) != 4 or len(sides) != 3 or any(side > limit for side, limit in zip(sides, most, strict=True)):
        raise Mismatch(
            f"{where}.{kind}[0].shape: found {_listed(shape)}, wanted four axes, the last three at most {_listed(most)}"
        )
    return tuple(sides)


def _check_stage(where: str, stage: StageSpec, manifest: Manifest, features: tuple[int | str, ...]) -> None:
    """Whether the stage takes and gives what docs/bundle.md says of the windowed schedule's."""
    rule, pixels = manifest.schedule, manifest.pixels
    inside = TensorSpec("features", "float32", ("B", *features))
    picture = TensorSpec("rgb", "float32", ("B", 3, pixels.height, pixels.width))
    given, wanted, result = list(stage.inputs), [picture], inside
    if stage.name == "decoder":
        wanted, result = [inside], picture
    elif stage.name == "transformer":
        window: int | str = rule.targets + rule.references if rule.fixed else "T"
        painted: int | str = rule.targets if rule.fixed else "N"
        wanted = [TensorSpec("features", "float32", (window, *features))]
        wanted += [] if rule.fixed else [TensorSpec("targets", "int64", (), "N")]
        result = TensorSpec("completed", "float32", (painted, *features))
        biases = {port.name for port in given if _is_bias(port, (window, *features), pixels)}
        if rule.fixed and not biases:
            raise Mismatch(f"{where}.inputs: found no key_bias_0, wanted one a head: the schedule is fixed")
        names = [port.name for port in given]
        given = [port for port in given if port.name not in biases or names.count(port.name) > 1]
    _check_ports(f"{where}.inputs", given, wanted)
    _check_ports(f"{where}.outputs", stage.outputs, [result])


def _is_bias(port: TensorSpec, window: Sequence[int | str], rule: PixelRule) -> bool:
    """Whether it is a bias on the keys of `window`, frames of features: one a patch, in a row or as patches lie."""
    if not _BIAS.fullmatch(port.name) or port.dtype != "float32" or port.holds is not None:
        return False
    if len(port.shape) == 1:
        return _divides(window[0], port.shape[0])
    if len(port.shape) != 3 or port.shape[0] != window[0]:
        return False
    sides = zip(port.shape[1:], window[2:], (rule.height, rule.width), strict=True)
    return all(_divides(patches, cells) and _divides(cells, pixels) for patches, cells, pixels in sides)


def _divides(part: int | str, whole: int | str) -> bool:
    return isinstance(part, int) and isinstance(whole, int) and whole % part == 0


def _check_ports(where: str, found: Sequence[TensorSpec], wanted: Sequence[TensorSpec]) -> None:
    for port, right in zip_longest(found, wanted):
        if port != right:
            raise Mismatch(f"{where}: found {_described(port)}, wanted {_described(right)}")


def _described(port: TensorSpec | None) -> str:
    if port is None:
        return "nothing more"
    name = port.name if port.name.isidentifier() else shown(port.name)
    return f"{name} {port.dtype} {_listed(port.shape)}{'' if port.holds is None else f' for {shown(port.holds)}'}"


def _listed(shape: Sequence[int | str]) -> str:
    return shortened(f"[{', '.join(map(str, shape))}]")
