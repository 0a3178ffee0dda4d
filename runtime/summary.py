"""What a job did, for people and for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from runtime.plural import plural

SHOWN_CUTS = 8


@dataclass(frozen=True, slots=True)
class Summary:
    """What a job did."""

    video: str
    out: str
    frames: int  # of the result
    repaired: int  # frames in which something was replaced, in this run
    masks: tuple[str, ...]  # what was replaced: files, boxes, the video's transparency; what was found among them
    resumed: int  # frames that an earlier run had finished
    seconds: float
    busy: Mapping[str, float]  # seconds of work by stage; stages overlap, so the sum may exceed `seconds`
    overlap: float  # seconds in which two or more of them were at work at once
    bundle: str
    backend: str
    decoder: str  # "cpu", "nvdec", or "nvdec+cpu" where the CPU had to go on; "none" where nothing was decoded
    precision: str
    schedule: str
    quality: str
    encoder: str  # of the result, with its settings; "none" where packets were copied
    regions: tuple[tuple[int, int, int, int], ...]  # left, top, width, height of each crop that the network saw
    cuts: tuple[int, ...]  # frames with which a new scene begins
    copied: bool  # nothing was masked: the packets are the source's own
    notes: tuple[str, ...]
    lost: tuple[str, ...]  # what --keep-going passed over

    @property
    def fps(self) -> float:
        """Frames a second of this run, everything included."""
        return (self.frames - self.resumed) / self.seconds if self.seconds > 0 else 0.0

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self) | {"fps": round(self.fps, 3)})


def describe(summary: Summary) -> str:
    """The summary in one line."""
    if summary.copied:
        return f"{summary.out}: {plural(summary.frames, 'frame')} copied in {summary.seconds:.1f} s"
    parts = [f"{plural(summary.frames, 'frame')} in {summary.seconds:.1f} s"]
    if summary.resumed:
        parts[0] = f"{plural(summary.frames, 'frame')}, {summary.resumed} of them from an earlier run, the others"
        parts[0] += f" in {summary.seconds:.1f} s"
    decoded = "" if summary.decoder == "cpu" else f", decoded by {summary.decoder}"
    parts.append(f"{summary.fps:.2f} fps on {summary.backend} {summary.precision}{decoded}")
    parts.append(plural(len(summary.regions), "region"))
    parts.append(_cuts(summary.cuts))
    busy = ", ".join(f"{stage} {seconds / summary.seconds:.0%}" for stage, seconds in _longest_first(summary.busy))
    together = f"; two or more at once {summary.overlap / summary.seconds:.0%}" if summary.seconds > 0 else ""
    return f"{summary.out}: {', '.join(parts)}; busy: {busy}{together}"


def _longest_first(busy: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(busy.items(), key=lambda item: item[1], reverse=True)


def _cuts(cuts: tuple[int, ...]) -> str:
    if not cuts:
        return "no cut"
    named = ", ".join(str(index) for index in cuts[:SHOWN_CUTS]) + (", ..." if len(cuts) > SHOWN_CUTS else "")
    return f"{plural(len(cuts), 'cut')} (at frame {named})"
