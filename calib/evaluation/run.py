"""Every clip under every set of masks, filled in every way and measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import numpy as np
from PIL import Image

from calib.baselines import Fill
from calib.evaluation.features import Features, VideoFeatures
from calib.evaluation.names import names_of
from calib.evaluation.row import TRUTH, Figures, Group, Row, measure, truth_figures
from calib.evaluation.scene import SCENES, Scene
from calib.evaluation.sheet import chosen_frames, contact_sheet, marked
from calib.mask_sets import Wanted, check_masks, holes_of
from runtime.frame import RGB, Hole
from runtime.progress import Progress, counted
from runtime.video import open_reader, probe

_SHOWN = 2  # methods on a sheet, the first ones: the network and one baseline


@dataclass(frozen=True, slots=True)
class Plan:
    """What is evaluated on what."""

    clips: tuple[Path, ...]
    scenes: tuple[str, ...]  # of SCENES
    masks: tuple[str, ...]  # of MASK_SETS
    seed: int
    frames: int  # of each clip at most
    width: int  # at which everything is filled and measured
    height: int

    @property
    def lent(self) -> tuple[tuple[Path, Path], ...]:
        """Every clip with the one that lends it masks: the next, the last the first."""
        return tuple(zip(self.clips, (*self.clips[1:], *self.clips[:1]), strict=True))

    def wanted(self, clip: Path, lender: Path, frames: int) -> Wanted:
        """What masks the first `frames` frames of a clip get."""
        return Wanted(clip, lender, frames, self.width, self.height, self.seed)

    def total(self, methods: int) -> int | None:
        """Frames that `methods` ways fill together; None where a clip does not tell its length."""
        total = 0
        for clip in self.clips:
            length = probe(clip).frames
            if length is None:
                return None
            total += sum(min(length, self.frames, SCENES[scene].most_frames) for scene in self.scenes)
        return total * len(self.masks) * methods


@dataclass(frozen=True, slots=True)
class Measured:
    """One clip under one set of masks."""

    clip: str
    scene: str
    masks: str
    rows: tuple[Row, ...]  # the truth's, then one a method
    sheet: Image.Image


def evaluate(
    plan: Plan, methods: Mapping[str, Fill], features: VideoFeatures | None, progress: Progress
) -> Iterator[Measured]:
    """All of the plan, clip after clip: what is in memory is one clip's, whatever their number.

    Every clip borrows the masks of the next one, the last those of the first.  Raises `UsageError` or `InputError` when
    a clip or its masks cannot be used, before the first clip where a file is missing; `check` finds more before it.
    """
    counter = _Counter(progress, plan.total(len(methods)))
    check_masks(plan.masks, plan.clips)
    for name, (clip, lender) in zip(names_of(plan.clips), plan.lent, strict=True):
        for kind in plan.scenes:
            scene = SCENES[kind].make(clip, (plan.width, plan.height), plan.frames)
            wanted = plan.wanted(clip, lender, len(scene.pictures))
            for masks in plan.masks:
                yield _Bench(name, kind, masks, scene, holes_of(masks, wanted)).measured(methods, features, counter)


def check(plan: Plan, progress: Progress) -> None:
    """Read all that will be read of the clips and their masks, so that what is wrong is said before hours of work.

    Raises `UsageError` or `InputError` as `evaluate` does.
    """
    names_of(plan.clips)
    for clip in plan.clips:
        probe(clip)
    check_masks(plan.masks, plan.clips)
    for clip, lender in counted(plan.lent, "reading the clips", len(plan.clips), progress):
        with open_reader(clip) as reader:
            length = sum(1 for _ in islice(reader, plan.frames))
        for kind, masks in product(plan.scenes if length else (), plan.masks):
            frames = min(length, SCENES[kind].most_frames)
            holes_of(masks, plan.wanted(clip, lender, frames))


class _Counter:
    """Frames that are filled, over all clips and methods."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def counted(self, pictures: Iterable[RGB]) -> Iterator[RGB]:
        for picture in pictures:
            yield picture
            self._done += 1
            self._progress("evaluating", self._done, self._total)


@dataclass(frozen=True, slots=True)
class _Bench:
    """One scene under one set of masks."""

    clip: str
    kind: str
    masks: str
    scene: Scene
    holes: Sequence[Hole]

    def measured(self, methods: Mapping[str, Fill], features: VideoFeatures | None, counter: _Counter) -> Measured:
        """Fill in every way and measure; the pictures of two methods at most are in memory."""
        truth = self.scene.pictures
        shown = chosen_frames(self.holes)
        columns = {"input": [marked(truth[index], self.holes[index]) for index in shown]}
        rows = [self._row(TRUTH, truth_figures(self.scene, self.holes), _features(features, truth))]
        for name, fill in methods.items():
            found = list(counter.counted(fill(truth, self.holes)))
            rows.append(self._row(name, measure(found, self.scene, self.holes), _features(features, found)))
            if len(columns) <= _SHOWN:
                columns[name] = [found[index] for index in shown]
        columns[TRUTH] = [truth[index] for index in shown]
        return Measured(self.clip, self.kind, self.masks, tuple(rows), contact_sheet(columns))

    def _row(self, method: str, figures: Figures, features: Features | None) -> Row:
        return Row(
            clip=self.clip,
            group=Group(self.kind, self.scene.motion, self.masks, method),
            frames=len(self.holes),
            hole_share=float(np.mean([hole.mean() for hole in self.holes])),
            figures=figures,
            features=features,
        )


def _features(network: VideoFeatures | None, pictures: Sequence[RGB]) -> Features | None:
    return None if network is None else network.of(pictures)
