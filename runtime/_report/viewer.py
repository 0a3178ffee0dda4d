"""The report's pictures: a strip to choose from, and source against result under a line that moves."""

from __future__ import annotations

from collections.abc import Sequence

from runtime._report.charts import moment
from runtime._report.markup import Node, node, picture_url
from runtime._report.samples import Sample, View
from runtime.patch import Crop


def viewer(samples: Sequence[Sample], regions: Sequence[Crop]) -> Node:
    """All samples with their controls; `regions` are the run's crops as the viewer sees them."""
    picks = node("fieldset", {"class": "strip"}, node("legend", {}, "Frames"))
    stages = node("div", {"class": "samples"})
    for number, sample in enumerate(samples, 1):
        picks.append(_pick(sample, number))
        stages.append(_sample(sample, number, regions))
    return node("div", {"class": "viewer"}, picks, _switches(any(sample.detail for sample in samples)), stages)


def rules(samples: Sequence[Sample], aspect: float) -> str:
    """The style sheet's lines that depend on the pictures; `aspect` is a sample's width over its height as shown."""
    chosen = [f".viewer:has(#pick-{number}:checked) #sample-{number}" for number, _ in enumerate(samples, 1)]
    lines = ["@supports selector(:has(*)) {", ".samples > * { display: none }"]
    lines += [f"{', '.join(chosen)} {{ display: block }}", "}"] if chosen else ["}"]
    for number, sample in enumerate(samples, 1):
        for kind, view in (("whole", sample.whole), ("detail", sample.detail)):
            if view is not None:
                width = view.window.width * aspect
                widest = "100%" if kind == "whole" else f"{width:.0f}px"
                shape = f"--ratio: {width / view.window.height:.5f}; --widest: {widest}"
                lines.append(f"#sample-{number} .{kind} {{ {shape} }}")
    return "\n".join(lines)


def _pick(sample: Sample, number: int) -> Node:
    attributes = {"type": "radio", "name": "sample", "id": f"pick-{number}"} | ({"checked": ""} if number == 1 else {})
    picture = node("img", {"src": picture_url(sample.thumb, "jpeg"), "alt": ""})
    caption = node("span", {}, node("b", {}, str(number)), f" {moment(sample.seconds, 2)}")
    return node("label", {"class": "pick"}, node("input", attributes), picture, caption)


def _switches(with_detail: bool) -> Node:
    row = node("div", {"class": "switches"})
    if with_detail:
        views = node("fieldset", {"class": "views"}, node("legend", {}, "View"))
        for value, label in (("whole", "whole frame"), ("detail", "source pixels")):
            attributes = {"type": "radio", "name": "view", "id": f"view-{value}"}
            attributes |= {"checked": ""} if value == "whole" else {}
            views.append(node("label", {}, node("input", attributes), label))
        row.append(views)
    for name, label in (("mask", "show mask"), ("regions", "show regions")):
        row.append(node("label", {}, node("input", {"type": "checkbox", "id": f"show-{name}"}), label))
    return row


def _sample(sample: Sample, number: int, regions: Sequence[Crop]) -> Node:
    caption = f"frame {sample.index:,} at {moment(sample.seconds, 2)}, {sample.share:.2%} of it replaced"
    box = node("article", {"id": f"sample-{number}"})
    crops = [(regions.index(crop) + 1, crop) for crop in sample.crops if crop in regions]
    box.append(_compare(sample.whole, "whole", f"{number}, {caption}", crops))
    if sample.detail is not None:
        box.append(_compare(sample.detail, "detail", f"{number} closely, {caption}", crops))
    box.append(node("p", {"class": "caption"}, caption))
    return box


def _compare(view: View, kind: str, name: str, crops: Sequence[tuple[int, Crop]]) -> Node:
    """Result below, source above it up to the line; the slider lies over both and takes keys, mouse and touch."""
    after = {"class": "after", "src": picture_url(view.after, "jpeg"), "alt": f"Result, {name}"}
    before = {"class": "before", "src": picture_url(view.before, "jpeg"), "alt": f"Source, {name}"}
    mask = {"class": "mask", "src": picture_url(view.hole, "png"), "alt": "What was replaced"}
    slider = {"type": "range", "min": "0", "max": "100", "value": "50", "aria-label": f"Source or result, {name}"}
    return node(
        "div",
        {"class": f"compare {kind}"},
        node("img", after),
        node("img", before),
        node("img", mask),
        _outlines(view.window, crops),
        node("span", {"class": "tag source"}, "source"),
        node("span", {"class": "tag result"}, "result"),
        node("input", slider),
        node("span", {"class": "line"}),
    )


def _outlines(window: Crop, crops: Sequence[tuple[int, Crop]]) -> Node:
    box = f"{window.left} {window.top} {window.width} {window.height}"
    drawing = {"class": "regions", "viewBox": box, "preserveAspectRatio": "none", "aria-hidden": "true"}
    size = window.height / 22
    shapes: list[Node] = []
    for number, crop in crops:
        corner = {"x": str(crop.left), "y": str(crop.top)}
        shapes.append(node("rect", {"width": str(crop.width), "height": str(crop.height), **corner}))
        inset = {"x": f"{crop.left + size / 3:.1f}", "y": f"{crop.top + size:.1f}", "font-size": f"{size:.1f}"}
        shapes.append(node("text", inset, str(number)))
    return node("svg", drawing, *shapes)
