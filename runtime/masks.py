"""Which pixels are replaced: masks from images, folders, videos, transparency and boxes, any of them together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from runtime._masks.boxes import BoxMasks
from runtime._masks.pictures import is_still
from runtime._masks.runs import Union, united
from runtime._masks.sources import Fit, FolderMasks, Source, StillMask, alpha_mask, video_mask
from runtime.boxes import Box
from runtime.errors import InputError
from runtime.frame import Hole, MaskRun
from runtime.patterns import is_pattern
from runtime.video import VideoInfo

MOST_COVERED = 0.6  # of the frame; a mask that covers more is more often the wrong way round than meant


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be replaced, as the user says it: in the pixels and the orientation of the picture as it is shown."""

    masks: tuple[Path, ...] = ()  # images, folders of images and videos; white is the hole
    boxes: tuple[Box, ...] = ()
    alpha: bool = False  # whether what is transparent in the video is hole
    invert: bool = False  # whether black is the hole of masks, and what is opaque that of the video's transparency
    yes: bool = False  # whether masks that cover most of the frame are meant so

    def with_masks(self, *masks: Path) -> Request:
        """The same with more masks."""
        return replace(self, masks=(*self.masks, *masks))


def find_mask_beside(video: Path) -> Path | None:
    """`VIDEO_mask/`, `VIDEO_mask.png` or `VIDEO_mask.mp4`, the first that exists.

    VIDEO is the path less its suffix; of pictures it is their folder's, whose name may have a dot, also where a pattern
    names them.
    """
    pictures = video.parent if is_pattern(video) and not video.exists() else video
    name = pictures.name if pictures is not video or video.is_dir() else video.stem
    folder = pictures.parent / f"{name}_mask"
    if folder.is_dir():
        return folder
    for suffix in (".png", ".mp4"):
        candidate = folder.with_name(folder.name + suffix)
        if candidate.is_file():
            return candidate
    return None


def open_masks(request: Request, info: VideoInfo, *, may_lose: bool = False) -> MaskSource:
    """All masks of the video `info`, united.

    `may_lose`: whether what does not decode of the video is left out, so that frames' numbers may not be its packets'.
    Raises `InputError` when a mask cannot be read, its size is not that of the picture as it is shown, its count is
    known not to be the video's, or a box reaches outside the picture.
    """
    fit = Fit(info, request.invert, may_lose)
    sources: list[Source] = []
    try:
        sources.extend(_open(path, fit) for path in request.masks)
        if request.alpha:
            sources.append(alpha_mask(fit))
        if request.boxes:
            sources.append(BoxMasks(request.boxes, info, may_lose=may_lose))
    except InputError:
        for source in sources:
            source.close()
        raise
    return MaskSource(sources, request, info)


class MaskSource:
    """Holes of one video, frame by frame, in the orientation of its planes."""

    def __init__(self, sources: Sequence[Source], request: Request, info: VideoInfo) -> None:
        self._sources = tuple(sources)
        self._request = request
        self._frames = info.frames
        self._union = Union()

    @property
    def frames(self) -> int | None:
        """How many frames there are masks for; None when they fit any number or the number is not known yet."""
        return max((source.frames for source in self._sources if source.frames is not None), default=None)

    def runs(self) -> Iterator[MaskRun]:
        """All holes, ascending, no two in one frame; a pass of its own that leaves `read` where it is.

        A frame's hole lies within that of its run: boxes with times are foreseen a little longer than they are there.
        Raises `InputError` at the end where a mask covers more than 60% of the frames that it has a hole in, and where
        there are not as many masks as frames, by the video's packets if it has no index.
        """
        return united([self._checked(source) for source in self._sources])

    def read(self, index: int, seconds: float) -> Hole | None:
        """The hole `[H, W]` of frame `index`, which is shown at `seconds`, or None when nothing is masked.

        Indices ascend, each is asked at most once.  The array is shared: the same object as long as the hole is the
        same, never to be written.  Raises `InputError` when a source has no mask for the frame or it does not fit.
        """
        holes = (source.read(index, seconds) for source in self._sources)
        return self._union.of(tuple(hole for hole in holes if hole is not None))

    def finish(self, frames: int) -> None:
        """Check, after a video of `frames` frames, that there were as many masks; raises `InputError`."""
        for source in self._sources:
            source.finish(frames)

    def close(self) -> None:
        """Let go of open files."""
        for source in self._sources:
            source.close()

    def _checked(self, source: Source) -> Iterator[MaskRun]:
        """The runs of `source`; raises `InputError` at the last where they cover too much of their frames."""
        covered = frames = 0.0
        for run in source.runs():
            length = self._length(run)
            covered += length * np.count_nonzero(run.hole) / run.hole.size
            frames += length
            if run.last is None:  # nobody may ask for another
                self._check_polarity(source, covered / frames)
            yield run
        if frames:
            self._check_polarity(source, covered / frames)

    def _length(self, run: MaskRun) -> int:
        last = run.last if run.last is not None else (self._frames or 0) - 1
        return max(1, last - run.first + 1)

    def _check_polarity(self, source: Source, share: float) -> None:
        request = self._request
        if request.yes or not source.has_polarity or share <= MOST_COVERED:
            return
        remedy = "leave out --invert-mask" if request.invert else "give --invert-mask"
        raise InputError(
            f"{source.name}: covers {share:.0%} of the frame, so it may mark what is to stay instead of what is to go; "
            f"{remedy} if it does, or --yes if it is right"
        )


def _open(path: Path, fit: Fit) -> Source:
    if path.is_dir():
        return FolderMasks(path, fit)
    if not path.is_file():
        raise InputError(f"{path}: no such mask; wanted an image, a folder of images or a video")
    return StillMask(path, fit) if is_still(path) else video_mask(path, fit)
