"""One self-contained page about a run: pictures before and after, what happened when, where the time went."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from runtime._report.charts import LANES, Axis, Timeline, frames_of, lanes, moment, stage_chart
from runtime._report.course import Course
from runtime._report.markup import Node, node, page, policy, source
from runtime._report.samples import Sample, Samples
from runtime._report.viewer import rules, viewer
from runtime.patch import Crop
from runtime.plural import plural
from runtime.regions import Region
from runtime.sidecar import write_sidecar
from runtime.stills import upright
from runtime.summary import Summary
from runtime.tones import is_hdr
from runtime.video import VideoInfo

__all__ = ["ReportData", "Sample", "Samples", "write_report"]

SHOWN_REGIONS, SHOWN_CUTS = 40, 200  # rows and times listed, at most


@dataclass(frozen=True, slots=True)
class ReportData:
    """What a report tells beside its pictures."""

    title: str
    summary: Summary
    info: VideoInfo  # of the source
    regions: tuple[Region, ...]
    picture: tuple[int, int]  # of the network: columns and rows
    settings: tuple[tuple[str, str], ...]  # what the run was asked for, as the user knows it


def write_report(path: Path, data: ReportData, samples: Samples) -> None:
    """Write the page to `path`, whole or not at all; raises `OutputError`.

    It loads nothing, and its content security policy lets it run and load nothing but what this program put into it.
    """
    here = Path(__file__).parent / "_report"
    kept = samples.kept()
    style = (here / "style.css").read_text(encoding="utf-8")
    style += rules(kept, _aspect(data.info))
    script = (here / "script.js").read_text(encoding="utf-8")
    head = node(
        "head",
        {},
        node("meta", {"charset": "utf-8"}),
        node("meta", {"http-equiv": "Content-Security-Policy", "content": policy(style, script)}),
        node("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        node("title", {}, f"{data.title}: report"),
        source("style", style),
    )
    body = node("body", {}, node("main", {}, *_sections(data, kept, samples.course)), source("script", script))
    write_sidecar(path, page(node("html", {"lang": "en"}, head, body)))


def _sections(data: ReportData, kept: list[Sample], course: Course) -> Iterable[Node]:
    yield _header(data)
    yield from _warnings(data.summary)
    yield node("h2", {}, "Before and after")
    crops = [upright(region.crop, data.info.width, data.info.height, data.info.turns) for region in data.regions]
    yield viewer(kept, crops) if kept else node("p", {"class": "hint"}, _why_no_pictures(data.summary))
    if kept and is_hdr(data.info.colour.transfer):
        yield node(
            "p", {"class": "hint"}, "The video is HDR; these pictures are toned down to what a plain screen shows."
        )
    if data.summary.frames:
        yield node("h2", {}, "Timeline")
        yield _timeline(data, kept, course)
        yield _key(bool(data.summary.cuts), bool(data.regions))
        yield from _remarks(data, course)
    if data.regions:
        yield node("h2", {}, "Regions")
        yield _regions(data, crops, course)
    if data.summary.busy:
        yield node("h2", {}, "Where the time went")
        run = data.summary.frames - data.summary.resumed
        yield node("div", {"class": "wide"}, stage_chart(data.summary.busy, data.summary.seconds, run))
        yield node("p", {"class": "hint"}, "Stages overlap, so that shares may add up to more than the whole.")
    yield node("h2", {}, "Details")
    yield _details(data)
    yield node("footer", {}, "Pictures are JPEG made for this page; the result itself is not compressed by them.")


def _header(data: ReportData) -> Node:
    summary = data.summary
    if summary.copied:
        lead = f"{_frames(summary.frames)} copied unencoded in {summary.seconds:.1f} s: nothing was masked"
    else:
        run = summary.frames - summary.resumed
        lead = f"{summary.repaired:,} of {_frames(run)} repaired in {_duration(summary.seconds)}"
        lead += f", {summary.fps:.2f} frames a second"
        if summary.resumed:
            lead += f"; {summary.resumed:,} more were finished by an earlier run"
    return node("header", {}, node("h1", {}, node("bdi", {}, data.title)), node("p", {"class": "lead"}, lead))


def _warnings(summary: Summary) -> Iterable[Node]:
    lines = [*(f"lost: {loss}" for loss in summary.lost), *summary.notes]
    if lines:
        items = [node("li", {}, line) for line in lines]
        title = node("h2", {}, "Worth knowing")
        yield node("section", {"class": "warnings"}, title, node("ul", {}, *items))


def _why_no_pictures(summary: Summary) -> str:
    if summary.resumed and not summary.repaired:
        return "None: this run went on where an earlier one was stopped, and had no frame to repair itself."
    return "None: no frame of this video was masked."


def _end(data: ReportData, course: Course) -> int:
    """The number after the last frame's: more than there are frames where some were lost."""
    return max(course.end, data.summary.frames)


def _timeline(data: ReportData, kept: list[Sample], course: Course) -> Node:
    frames, cuts = data.summary.frames, data.summary.cuts
    axis = Axis(course.seconds_of(0), course.seconds_of(_end(data, course)))
    label = f"{_frames(frames)}, {data.summary.repaired} of them repaired, {plural(len(cuts), 'cut')}"
    line = Timeline(axis, label)
    for span in course.spans:
        line.repaired(course.seconds_of(span.first), course.seconds_of(span.last + 1))
    for cut in cuts:
        line.cut(course.seconds_of(cut))
    for number, sample in enumerate(kept, 1):
        line.sample(sample.seconds, number)
    for number, span in lanes(data.regions, _end(data, course)):
        line.lane(course.seconds_of(span.first), course.seconds_of(span.last + 1), number)
    return line.drawn()


def _key(cuts: bool, regions: bool) -> Node:
    shapes = [("repaired", "repaired"), ("track", "left as it was")]
    shapes += [("lane", "a region's frames")] if regions else []
    items: list[Node] = []
    for kind, text in shapes:
        box = node("rect", {"class": kind, "width": "14", "height": "14", "rx": "2"})
        items.append(node("li", {}, node("svg", {"aria-hidden": "true"}, box), text))
    if cuts:
        line = node("line", {"class": "cut", "x1": "7", "x2": "7", "y1": "0", "y2": "14"})
        items.append(node("li", {}, node("svg", {"aria-hidden": "true"}, line), "cut"))
    pin = node("circle", {"class": "pin", "cx": "7", "cy": "7", "r": "7"})
    items.append(node("li", {"class": "pin"}, node("svg", {"aria-hidden": "true"}, pin), "a frame shown above"))
    return node("ul", {"class": "key"}, *items)


def _remarks(data: ReportData, course: Course) -> Iterable[Node]:
    cuts = data.summary.cuts
    if cuts:
        named = [f"{cut:,} ({moment(course.seconds_of(cut), 2)})" for cut in cuts[:SHOWN_CUTS]]
        more = f" and {len(cuts) - SHOWN_CUTS:,} more" if len(cuts) > SHOWN_CUTS else ""
        yield node("p", {"class": "hint"}, f"Scenes begin at frames {', '.join(named)}{more}.")
    if len(data.regions) > LANES:
        yield node("p", {"class": "hint"}, f"Drawn are the first {LANES} of {len(data.regions)} regions.")


def _regions(data: ReportData, crops: list[Crop], course: Course) -> Node:
    heads = ("", "left, top", "size", "source pixels to one of the network's", "frames")
    head = node("thead", {}, node("tr", {}, *(node("th", {"scope": "col"}, text) for text in heads)))
    rows = node("tbody", {})
    shown = list(zip(data.regions, crops, strict=True))[:SHOWN_REGIONS]
    for number, (region, crop) in enumerate(shown, 1):
        span = frames_of(region, _end(data, course))
        when = f"{moment(course.seconds_of(span.first), 2)} to {moment(course.seconds_of(span.last + 1), 2)}"
        scale = max(crop.width / data.picture[0], crop.height / data.picture[1])
        cells = (f"{crop.left}, {crop.top}", f"{crop.width} x {crop.height}", f"{scale:.2f}")
        figures = [node("td", {}, text) for text in (*cells, f"{span.first:,} to {span.last:,} ({when})")]
        rows.append(node("tr", {}, node("th", {"scope": "row"}, str(number)), *figures))
    if len(data.regions) > SHOWN_REGIONS:
        text = f"and {len(data.regions) - SHOWN_REGIONS:,} more"
        rows.append(node("tr", {}, node("td", {"colspan": str(len(heads))}, text)))
    return node("div", {"class": "wide"}, node("table", {"class": "regions-list"}, head, rows))


def _details(data: ReportData) -> Node:
    info, summary = data.info, data.summary
    layout = f"{info.layout.family} {info.layout.bits} bits"
    shape = f"{info.display_width} x {info.display_height}"
    turned = f", turned by {info.rotation} degrees on playback" if info.rotation else ""
    rows = [
        ("Source", summary.video),
        ("Picture", f"{shape}{turned}, {float(info.rate):.3f} frames a second, {info.codec}, {layout}"),
        ("Replaced", "; ".join(summary.masks)),
        ("Result", summary.out),
        ("Encoder", "none: copied packet by packet" if summary.copied else summary.encoder),
    ]
    if not summary.copied:  # else neither has run
        network = f"{summary.bundle}, {data.picture[0]} x {data.picture[1]}, schedule {summary.schedule}"
        rows += [("Network", network), ("Backend", f"{summary.backend}, {summary.precision}")]
    rows += data.settings
    table = node("table", {"class": "facts"})
    for name, value in rows:
        table.append(node("tr", {}, node("th", {"scope": "row"}, name), node("td", {}, node("bdi", {}, value))))
    return table


def _frames(number: int) -> str:
    return f"{number:,} frame" + ("" if number == 1 else "s")


def _aspect(info: VideoInfo) -> float:
    """Width over height of a decoded sample as the viewer sees it."""
    aspect = float(info.sample_aspect)
    return 1 / aspect if info.turns % 2 else aspect


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else moment(seconds)
