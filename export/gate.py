"""The gate before a bundle: an engine that can run here is compared with float32 on real frames, or does not get in.

Needs neither PyTorch nor ONNX, so that it stands where engines are built.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from export.frames import network_frames
from export.targets._target import Compiler, Order
from export.targets.onnx import TARGET as GRAPH
from export.trial import WANTED_DB, Array, Feed, Trial, make_feed, measure, tolerance
from runtime.bundle import Bundle, ParityRecord, StageSpec
from runtime.errors import ExportError

Trials = Callable[[str], Trial]  # by stage; raises `ExportError`
Say = Callable[[str], None]

_INT8_SPARE_DB, _INT8_SPARE = 3.0, 2.0  # twice the graph's error: where sums are rounded differs between libraries
_GRAPH_RUNNERS = ("onnxruntime", "polygraphy")


def verify(order: Order, compiler: Compiler, plan: Path, trials: Trials, say: Say) -> ParityRecord | None:
    """How far the engine `plan` is from float32; None, and said aloud, where that cannot be known here.

    Raises `ExportError` when it is too far away, gives what is no number, or does not run to its end.
    """
    reason = compiler.why_not_run(order)
    if reason is None:
        missing = [name for name in _GRAPH_RUNNERS if importlib.util.find_spec(name) is None]
        reason = f"{', '.join(missing)} not installed here: pip install {' '.join(missing)}" if missing else None
    if reason is not None:
        say(f"{order.stage} stays unverified: {reason}")
        return None
    say(f"comparing the engine of {order.stage} with float32")
    trial = trials(order.stage)
    found = compiler.run(order, plan, calls(order, trial.feed))
    return judge(order, trial, {name: np.concatenate([each[name] for each in found]) for name in found[0]})


def calls(order: Order, feed: Feed) -> list[Feed]:
    """The feed in as many parts as the engine takes at once: all of a window, or so many frames of a batch."""
    name, values = next(iter(feed.items()))
    most = order.shapes[name][-1][0]
    if len(values) <= most:
        return [feed]
    return [{**feed, name: values[begin : begin + most]} for begin in range(0, len(values), most)]


def judge(order: Order, trial: Trial, found: Mapping[str, Array]) -> ParityRecord:
    """The record of an engine whose only output is close enough to the trial's; raises `ExportError` otherwise."""
    where = f"stage '{order.stage}' ({trial.frames}): the engine"
    outputs = list(found.values())
    shapes = [list(output.shape) for output in outputs]
    if shapes != [list(trial.wanted.shape)]:
        raise ExportError(f"{where} gives shapes {shapes}, wanted {list(trial.wanted.shape)}; {_REFUSED}")
    values = outputs[0].astype(np.float32)
    strange = values.size - int(np.isfinite(values).sum())
    if strange:
        raise ExportError(f"{where} gives {strange} of {values.size} values that are NaN or infinite; {_REFUSED}")
    wanted_db, allowed = _limits(trial)
    record = replace(
        measure(values, trial.wanted),
        stage=order.stage,
        frames=trial.frames,
        runner=f"the engine, in {order.compute}",
        tolerance=allowed,
    )
    if record.psnr_db < wanted_db or record.max_abs > allowed:
        raise ExportError(
            f"{where} is {record.psnr_db:.1f} dB and at most {record.max_abs:.3g} from float32, wanted "
            f"{wanted_db:.0f} dB and {allowed:.3g}; {_REFUSED}"
        )
    return record


def _limits(trial: Trial) -> tuple[float, float]:
    """Least decibels and largest difference; an engine of int8 may be a little farther away than its graph is."""
    if trial.graph is None:
        return WANTED_DB, tolerance(trial.wanted)
    return trial.graph.psnr_db - _INT8_SPARE_DB, _INT8_SPARE * trial.graph.max_abs


_REFUSED = "refused, the bundle is as it was. Export the graphs anew or in another type, or report it"


class Reference:
    """What the float32 graphs of a bundle make of real frames; each is run when it is first asked for."""

    def __init__(self, opened: Bundle, clip: Path) -> None:
        self._opened = opened
        self._clip = clip
        self._known: dict[str, Trial] = {}

    def trial(self, name: str) -> Trial:
        """Of the stage called `name`, on a full window; the stages before it are run for what goes in."""
        if name not in self._known:
            stages = [stage.name for stage in self._opened.manifest.stages]
            place = stages.index(name)
            value = self._frames() if place == 0 else self.trial(stages[place - 1]).wanted
            self._known[name] = self._run(self._opened.stage(name), value)
        return self._known[name]

    def _frames(self) -> Array:
        rule = self._opened.manifest.schedule
        return network_frames(self._clip, self._opened.manifest.pixels, rule.targets + rule.references)

    def _run(self, stage: StageSpec, value: Array) -> Trial:
        rule = self._opened.manifest.schedule
        feed = make_feed(stage.inputs, value, rule.targets)
        wanted = _run_graph(self._opened.file(stage, GRAPH.name), feed, stage.outputs[0].name)
        return Trial(feed, wanted, f"{self._clip.name}, {rule.targets}+{rule.references}")


def _run_graph(path: Path, feed: Feed, output: str) -> Array:
    """One output of a graph as onnxruntime computes it on the CPU."""
    runners: Any = importlib.import_module("polygraphy.backend.onnxrt")
    logger: Any = importlib.import_module("polygraphy.logger").G_LOGGER
    with (
        logger.verbosity(logger.CRITICAL),
        runners.OnnxrtRunner(runners.SessionFromOnnx(str(path), providers=["cpu"])) as runner,
    ):
        return np.array(runner.infer(dict(feed))[output])
