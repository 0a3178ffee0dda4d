"""One self-contained page about a bundle in int8: what it costs, where, and what was kept in float32 for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from calib._report_drawings import bar, masked, panel, shape_of
from calib.evidence import Evidence
from calib.holdout import Filled
from calib.metrics import psnr_in_hole
from calib.ranges import TensorRanges
from calib.thresholds import RULES
from runtime._report import markup
from runtime._report.markup import Node, node
from runtime.sidecar import write_sidecar

REPORT = "calib-report.html"
_SHOWN = 8  # clips with pictures


def write_report(path: Path, title: str, evidence: Evidence) -> None:
    """Write the page to `path`, whole or not at all; raises `OutputError`.  It loads nothing and runs no script."""
    base = Path(markup.__file__).with_name("style.css").read_text(encoding="utf-8")
    style = base + Path(__file__).with_name("_report_style.css").read_text(encoding="utf-8")
    head = node(
        "head",
        {},
        node("meta", {"charset": "utf-8"}),
        node("meta", {"http-equiv": "Content-Security-Policy", "content": markup.policy(style, "")}),
        node("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        node("title", {}, f"{title}: int8"),
        markup.source("style", style),
    )
    body = node("body", {}, node("main", {}, *_sections(title, evidence)))
    write_sidecar(path, markup.page(node("html", {"lang": "en"}, head, body)))


def _sections(title: str, evidence: Evidence) -> Iterable[Node]:
    yield node("header", {}, node("h1", {}, node("bdi", {}, title)), node("p", {"class": "lead"}, _lead(evidence)))
    yield node("h2", {}, "Hold-out: PSNR in the hole, dB")
    yield _holdout(evidence)
    yield node("p", {"class": "hint"}, "Holes as training draws them, the first frames of each clip, 8-bit pictures.")
    yield node("h2", {}, "Before and after")
    yield from _pictures(evidence)
    yield node("h2", {}, "Islands of float32, and why")
    yield from _islands(evidence)
    yield node("h2", {}, "Error of each layer: signal to quantisation noise, dB")
    hint = (
        "Of the stage's output with that layer alone in int8; a short bar is a costly layer. Marked ones stay float32."
    )
    yield node("p", {"class": "hint"}, hint)
    yield _layers(evidence)
    yield node("h2", {}, "Speed")
    yield _speeds(evidence)
    yield node("h2", {}, "Thresholds: signal to quantisation noise of a whole stage, dB")
    yield _rules(evidence)
    yield node("h2", {}, "Ranges")
    hint = "Drawn: how many values each octave below the largest holds, from the largest leftwards, on a log scale."
    yield node("p", {"class": "hint"}, hint)
    yield from _ranges(evidence)
    yield node("h2", {}, "Calibrated on")
    rows = [(clip.name, f"{clip.frames} frames", clip.sha256) for clip in evidence.table.clips]
    yield _table("facts", ("clip", "frames", "sha256"), rows)


def _lead(evidence: Evidence) -> str:
    layers = sum(len(item.layers) for item in evidence.sensitivities)
    trial = evidence.trials[-1]
    return (
        f"{trial.drop_db:+.3f} dB lost in the hole on {len(evidence.exact)} clips that calibration has not seen, "
        f"allowed {evidence.budget_db:g}; {len(trial.kept)} of {layers} layers stay in float32; "
        f"{evidence.speeds.ratio:.2f} times the speed of {evidence.backend} {evidence.own_type} where it was exported"
    )


def _holdout(evidence: Evidence) -> Node:
    columns: list[tuple[str, Sequence[Filled]]] = [("float32", evidence.exact)]
    columns += [(evidence.own_type, evidence.own)] if evidence.own else []
    columns += [("int8", evidence.narrow)]
    heads = ("clip", *(name for name, _ in columns), "int8 loses", "int8 against float32, middle frame")
    rows: list[tuple[str, ...]] = []
    for index, exact in enumerate(evidence.exact):
        levels = [found[index].psnr_db for _, found in columns]
        figures = [f"{level:.2f}" for level in levels]
        apart = _apart(exact, evidence.narrow[index])
        rows.append((exact.clip.path.name, *figures, f"{levels[0] - levels[-1]:+.3f}", apart))
    means = [float(np.mean([item.psnr_db for item in found])) for _, found in columns]
    rows.append(("mean", *(f"{mean:.2f}" for mean in means), f"{means[0] - means[-1]:+.3f}", ""))
    return _table("clips", heads, rows)


def _apart(exact: Filled, narrow: Filled) -> str:
    """How near int8 is to float32 in the hole of the frame that is shown, where it has one."""
    if not exact.hole.any():
        return "no hole"
    return f"{psnr_in_hole([narrow.picture], [exact.picture], [exact.hole]):.2f}"


def _pictures(evidence: Evidence) -> Iterable[Node]:
    for exact, narrow in list(zip(evidence.exact, evidence.narrow, strict=True))[:_SHOWN]:
        name = exact.clip.path.name
        views = (("hole", masked(exact.truth, exact.hole)), ("float32", exact.picture), ("int8", narrow.picture))
        yield node("div", {"class": "panels"}, *(panel(view, f"{name}, {kind}") for kind, view in views))


def _islands(evidence: Evidence) -> Iterable[Node]:
    rows = [
        (str(len(trial.kept)), f"{trial.drop_db:+.3f} dB" if math.isfinite(trial.drop_db) else "all")
        for trial in evidence.trials
    ]
    text = f"Layers are kept, the costliest first, until the hold-out loses at most {evidence.budget_db:g} dB."
    yield node("p", {}, text)
    yield _table("facts", ("layers in float32", "lost on the hold-out"), rows)
    kept = sorted(evidence.trials[-1].kept)
    named = ", ".join(f"{stage} {name}" for stage, name in kept) or "none: the budget holds without one"
    yield node("p", {}, f"Kept: {named}.")
    yield node("p", {"class": "hint"}, "Only convolutions are quantised; everything else is float32 in any case.")


def _layers(evidence: Evidence) -> Node:
    kept = evidence.trials[-1].kept
    longest = max(layer.sqnr_db for item in evidence.sensitivities for layer in item.layers)
    body = node("tbody", {})
    for item in evidence.sensitivities:
        for layer in item.layers:
            island = (layer.stage, layer.node) in kept
            share = max(0.0, layer.sqnr_db) / max(longest, 1.0)
            figure = f"{layer.sqnr_db:.1f}{', stays float32' if island else ''}"
            label = node("th", {"scope": "row"}, f"{layer.stage} {layer.node}")
            drawn = node("td", {}, bar(share, "kept" if island else "bar"))
            body.append(node("tr", {}, label, drawn, node("td", {}, figure)))
    return node("table", {"class": "bars"}, body)


def _speeds(evidence: Evidence) -> Node:
    speeds = evidence.speeds
    rows = [
        (stage, f"{1000 * own:.1f}", f"{1000 * speeds.narrow[stage]:.1f}", f"{own / speeds.narrow[stage]:.2f}")
        for stage, own in speeds.own.items()
    ]
    heads = ("stage", f"{evidence.backend} {evidence.own_type}, ms a call", "int8, ms a call", "times as fast")
    return _table("clips", heads, rows)


def _rules(evidence: Evidence) -> Node:
    rows = [
        (item.stage, *(f"{item.by_rule[rule]:.1f}{' (taken)' if rule == item.rule else ''}" for rule in RULES))
        for item in evidence.sensitivities
    ]
    return _table("clips", ("stage", *RULES), rows)


def _ranges(evidence: Evidence) -> Iterable[Node]:
    for stage in evidence.table.graphs:
        tensors = [ranges for ranges in evidence.table.tensors if ranges.stage == stage]
        heads = ("tensor", "channels", "low", "high", *list(RULES)[1:], "values")
        table = _table("ranges", heads, ())
        for ranges in tensors:
            table[-1].append(_range_row(ranges))
        title = node("summary", {}, f"{stage}, {len(tensors)} tensors")
        yield node("details", {}, title, node("div", {"class": "wide"}, table))


def _range_row(ranges: TensorRanges) -> Node:
    low, high = float(ranges.low.min()), float(ranges.high.max())
    levels = [ranges.thresholds(rule)[0] for rule in list(RULES)[1:]]
    texts = (str(len(ranges.low)), *(f"{value:.4g}" for value in (low, high, *levels)))
    cells = [node("td", {}, text) for text in texts]
    return node("tr", {}, node("th", {"scope": "row"}, ranges.tensor), *cells, node("td", {}, shape_of(ranges.whole)))


def _table(kind: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Node:
    top = node("tr", {}, *(node("th", {"scope": "col"}, head) for head in heads))
    body = node("tbody", {})
    for name, *texts in rows:
        cells = [node("td", {}, text) for text in texts]
        body.append(node("tr", {}, node("th", {"scope": "row"}, node("bdi", {}, name)), *cells))
    return node("table", {"class": kind}, node("thead", {}, top), body)
