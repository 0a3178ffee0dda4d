"""Value ranges from real clips: a session whose programs give up what flows inside them.

The clips run as any run does, through `Session`; only its backend is another, whose programs write more outputs than
the network has and hand them to a tally.  What is held at once is one window's tensors and one histogram each,
however many clips there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from calib.evaluation.network import Network
from calib.evaluation.scene import read_clip
from calib.mask_sets import Wanted, holes_of
from calib.ranges import ClipRecord, RangeTable, TensorRanges, observed
from runtime.bundle import Bundle, Compute, StageSpec, file_record
from runtime.device import HostArray, Memory, Stream, host_array
from runtime.engines import Machine
from runtime.errors import ExportError, UsageError
from runtime.frame import RGB, Hole
from runtime.program import Backend, Precision, Program, Request, Tensors
from runtime.progress import Progress
from runtime.session import Session, Settings

SEED = 0  # of the holes
VIDEOS = frozenset((".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"))  # what is taken from a folder
_WINDOW_BYTES = 2 << 30  # of the tensors of one window that are held at once


@dataclass(frozen=True, slots=True)
class Clip:
    """A video that is calibrated or measured on."""

    path: Path
    sha256: str


def find_clips(paths: Sequence[Path]) -> tuple[Clip, ...]:
    """Videos and those in folders, each once; raises `UsageError` when one is not there or a folder has none.

    Of a folder those are left out that are the mask of another video there.
    """
    found: dict[str, Clip] = {}
    for path in paths:
        videos = _videos_in(path) if path.is_dir() else [path]
        if not videos:
            raise UsageError(f"{path}: no video in it; wanted files that end in {', '.join(sorted(VIDEOS))}")
        for video in videos:
            if not video.is_file():
                raise UsageError(f"{video}: no such file; wanted a video, or a folder of videos")
            sha256 = file_record(video.parent, video).sha256
            found.setdefault(sha256, Clip(video, sha256))
    return tuple(found.values())


def _videos_in(folder: Path) -> list[Path]:
    videos = sorted(item for item in folder.iterdir() if item.suffix.lower() in VIDEOS)
    masks = {f"{video.stem}_mask" for video in videos}
    return [video for video in videos if video.stem not in masks]


def refuse_shared(calibration: Sequence[str], holdout: Sequence[Clip]) -> None:
    """Raises `UsageError` when a clip to be measured on, by its content, is among those calibrated on."""
    for clip in holdout:
        if clip.sha256 in calibration:
            raise UsageError(
                f"{clip.path}: is among the clips of --calib too (sha256 {clip.sha256[:12]}); what was calibrated on "
                f"says nothing about other clips, take another one for --holdout"
            )


def observe(
    tapped: Bundle, clips: Sequence[Clip], backend: Backend, graphs: Mapping[str, str], progress: Progress
) -> RangeTable:
    """The ranges of each stage's first input and all its outputs, on the first frames of `clips`.

    `tapped` is a bundle whose stages have the tensors to be observed as further outputs, each with a first axis that
    is symbolic or fixed as the stage's inputs' and channels as its second; `graphs` are the hashes of the graphs
    without them.  Raises `ExportError`, naming tensor and clip, at a value that is infinite or no number.
    """
    frames = _frames(tapped)
    tally = _Tally()
    records: list[ClipRecord] = []
    with Session(tapped, _Observing(backend, tally), Settings(precision="fp32", dilate=0)) as session:
        network = Network(session)
        for number, clip in enumerate(clips):
            progress(f"calibrating on {clip.path.name}", number, len(clips))
            tally.clip = clip.path.name
            pictures, holes = holed_clip(clip.path, tapped, frames)
            # A short clip begins again in a window of fixed length: what stands in for a frame is no value of any.
            shown = frames if tapped.manifest.schedule.fixed else len(pictures)
            order = [number % len(pictures) for number in range(shown)]
            deque(network([pictures[index] for index in order], [holes[index] for index in order]), maxlen=0)
            records.append(ClipRecord(clip.path.name, clip.sha256, len(pictures)))
    ranges = tuple(tally.ranges[key] for key in sorted(tally.ranges))
    return RangeTable(graphs, tuple(sorted(records, key=lambda record: (record.sha256, record.name))), ranges)


def holed_clip(path: Path, bundle: Bundle, frames: int) -> tuple[list[RGB], list[Hole]]:
    """The first `frames` pictures of a clip at the network's size, under holes as in training; raises `InputError`."""
    rule = bundle.manifest.pixels
    pictures = read_clip(path, (rule.width, rule.height), frames)
    return pictures, holes_of("random", Wanted(path, path, len(pictures), rule.width, rule.height, SEED))


def _frames(tapped: Bundle) -> int:
    """How many frames of a clip: a full window's targets, fewer where their tensors would not fit.

    A window of fixed length has all its frames in any case.
    """
    rule = tapped.manifest.schedule
    if rule.fixed:
        return rule.targets + rule.references
    sizes = [
        4 * int(np.prod([side for side in spec.shape[1:] if isinstance(side, int)], dtype=np.int64))
        for stage in tapped.manifest.stages
        if isinstance(stage.inputs[0].shape[0], str)
        for spec in stage.outputs[1:]
    ]
    return max(1, min(rule.targets, _WINDOW_BYTES // max(1, sum(sizes))))


@dataclass(slots=True)
class _Tally:
    """What was seen so far, and of which clip more comes."""

    clip: str = ""
    ranges: dict[tuple[str, str], TensorRanges] = field(default_factory=dict[tuple[str, str], TensorRanges])

    def add(self, stage: str, tensors: Mapping[str, HostArray]) -> None:
        """Count the values of tensors of a stage."""
        for name, values in tensors.items():
            try:
                found = observed(stage, name, values)
            except ValueError:
                bad = int(values.size - np.isfinite(values).sum())
                raise ExportError(
                    f"{self.clip}: tensor '{name}' of stage '{stage}' holds {bad} values that are infinite or no "
                    f"number, of {values.size}; its range means nothing. Leave the clip out, or look at the weights."
                ) from None
            before = self.ranges.get(found.key)
            self.ranges[found.key] = found if before is None else before.merged(found)


@dataclass(frozen=True, slots=True)
class _Observed:
    """A program that tells a tally of its further outputs."""

    program: Program
    request: Request
    tally: _Tally

    @property
    def compute(self) -> Compute:
        return self.program.compute

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        spec = self.request.stage
        sizes = _sizes(spec, inputs, self.request.sizes)
        taps = {port.name: np.empty(port.sized(sizes), np.float32) for port in spec.outputs[1:]}
        self.program.enqueue(inputs, {**outputs, **taps}, stream)
        doors = {spec.inputs[0].name: inputs[spec.inputs[0].name], **outputs}
        seen = {name: host_array(tensor) for name, tensor in doors.items()}
        stream.run(partial(self.tally.add, spec.name, seen | taps))


@dataclass(frozen=True, slots=True)
class _Observing:
    """A backend whose programs are observed."""

    inner: Backend
    tally: _Tally
    rank: None = None

    @property
    def target(self) -> str:
        return self.inner.target

    @property
    def memory(self) -> Memory:
        return self.inner.memory

    @property
    def graphs(self) -> tuple[Compute, ...]:
        return self.inner.graphs

    def why_not(self) -> str | None:
        return self.inner.why_not()

    def machine(self) -> Machine | None:
        return self.inner.machine()

    def traits(self) -> tuple[str, ...]:
        return self.inner.traits()

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        return self.inner.precision(asked, compute)

    def open(self, request: Request) -> _Observed:
        return _Observed(self.inner.open(request), request, self.tally)


def _sizes(spec: StageSpec, inputs: Tensors, known: Mapping[str, int]) -> dict[str, int]:
    """How long the symbolic axes are in this call."""
    sizes = dict(known)
    for port in spec.inputs:
        value = host_array(inputs[port.name])
        if port.holds is not None:
            sizes[port.holds] = int(value)
        sizes.update({axis: side for axis, side in zip(port.shape, value.shape, strict=True) if isinstance(axis, str)})
    return sizes
