"""Holes: from images, folders, videos and boxes; shrunk to the network's size and spread back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from runtime._mask_pictures import image_size, is_still, list_images, read_frame, read_image
from runtime.bundle import PixelRule
from runtime.errors import InputError, UsageError
from runtime.frame import Frame, Hole
from runtime.resize import nearest_cells
from runtime.video import VideoInfo, VideoReader


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the video's pixels that is to be replaced in every frame."""

    x: int  # left column
    y: int  # top row
    width: int
    height: int


class MaskSource(Protocol):
    """Holes of one video, frame by frame."""

    @property
    def frames(self) -> int | None:
        """How many frames it has masks for; None when it fits any number or the number is not known yet."""
        ...

    def read(self, index: int) -> Hole | None:
        """The hole `[H, W]` of frame `index`, or None when nothing is masked.

        Indices ascend, each is asked at most once.  The array is shared: the same object as long as the hole is the
        same, never to be written.  Raises `InputError` when the source has no mask for the frame or it does not fit.
        """
        ...

    def finish(self, frames: int) -> None:
        """Check, after a video of `frames` frames, that there were as many masks; raises `InputError`."""
        ...

    def close(self) -> None:
        """Let go of open files."""
        ...


def cover(mask: Hole, rule: PixelRule, dilate: int) -> Hole:
    """The hole `[h, w]` at the network's size of a mask `[H, W]`: every cell that overlaps a masked pixel, dilated.

    Cell `j` of `w` overlaps pixels `floor(j*W/w)` to `ceil((j+1)*W/w) - 1`; `dilate` iterations of a 3x3 cross follow.
    """
    rows = _overlap(mask, rule.height)
    hole = _overlap(rows.T, rule.width).T
    for _ in range(dilate):
        hole = _grow(hole)
    return np.ascontiguousarray(hole)


def spread(hole: Hole, width: int, height: int) -> Hole:
    """The hole `[h, w]` of the network's size at `[height, width]`: every pixel takes the cell of its centre."""
    rows = np.take(hole, nearest_cells(height, hole.shape[0]), axis=0)
    return np.take(rows, nearest_cells(width, hole.shape[1]), axis=1)


def parse_box(text: str) -> Box:
    """`X,Y,W,H` as a box; raises `UsageError` unless these are four whole numbers, W and H at least 1."""
    match = re.fullmatch(r"\s*(-?\d+)\s*,\s*(-?\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*", text)
    if match is None:
        raise UsageError(f"--box {text}: wanted X,Y,W,H, four whole numbers in pixels, such as 10,20,64,32")
    x, y, width, height = (int(number) for number in match.groups())
    if width < 1 or height < 1:
        raise UsageError(f"--box {text}: {width} by {height} pixels, wanted a width and a height of at least 1")
    return Box(x, y, width, height)


def find_mask_beside(video: Path) -> Path | None:
    """`VIDEO_mask/`, `VIDEO_mask.png` or `VIDEO_mask.mp4`, the first that exists; VIDEO is the path less its suffix."""
    stem = video.with_suffix("")
    folder = stem.with_name(f"{stem.name}_mask")
    if folder.is_dir():
        return folder
    for suffix in (".png", ".mp4"):
        candidate = folder.with_name(folder.name + suffix)
        if candidate.is_file():
            return candidate
    return None


def open_masks(mask: Path | None, boxes: Sequence[Box], info: VideoInfo) -> MaskSource:
    """The masks of the video `info`: an image, a folder of images, a video or nothing, each united with `boxes`.

    Raises `InputError` when the mask cannot be read, its size is not the video's, its count is known not to be, or a
    box reaches outside the frame.
    """
    painted = _paint_boxes(boxes, info)
    if mask is None:
        return StillMask(painted)
    if mask.is_dir():
        return FolderMasks(mask, painted, info)
    if not mask.is_file():
        raise InputError(f"{mask}: no such mask; wanted an image, a folder of images or a video")
    if is_still(mask):
        _check_size(mask, image_size(mask), info)
        return StillMask(_unite(read_image(mask), painted))
    return VideoMasks(mask, painted, info)


class StillMask:
    """One hole for every frame."""

    frames: int | None = None

    def __init__(self, hole: Hole | None) -> None:
        self._hole = _or_none(hole)

    def read(self, index: int) -> Hole | None:
        """The hole; the same object every time."""
        return self._hole

    def finish(self, frames: int) -> None:
        """Nothing to check: one mask fits any number of frames."""

    def close(self) -> None:
        """Nothing is open."""


class FolderMasks:
    """One image a frame, in the natural order of their names (2 before 10)."""

    def __init__(self, folder: Path, boxes: Hole | None, info: VideoInfo) -> None:
        self._folder = folder
        self._boxes = boxes
        self._paths = list_images(folder)
        self.frames: int | None = len(self._paths)
        if info.frames is not None:
            self.finish(info.frames)
        for path in self._paths:
            _check_size(path, image_size(path), info)

    def read(self, index: int) -> Hole | None:
        """The hole of the image number `index`."""
        if index >= len(self._paths):
            raise InputError(f"{self._folder}: {len(self._paths)} masks, but the video has more frames")
        return _or_none(_unite(read_image(self._paths[index]), self._boxes))

    def finish(self, frames: int) -> None:
        """Raises `InputError` unless there is one image a frame."""
        _check_count(self._folder, len(self._paths), frames)

    def close(self) -> None:
        """Nothing is open."""


class VideoMasks:
    """One frame of a mask video a frame; white is luma above 127 of 255."""

    def __init__(self, path: Path, boxes: Hole | None, info: VideoInfo) -> None:
        self._path = path
        self._boxes = boxes
        self._reader = VideoReader(path)
        self._frames: Iterator[Frame] = iter(self._reader)
        self._read = 0
        self.frames: int | None = self._reader.info.frames
        try:
            _check_size(path, (self._reader.info.width, self._reader.info.height), info)
            if self.frames is not None and info.frames is not None:
                _check_count(path, self.frames, info.frames)
        except InputError:
            self._reader.close()
            raise

    def read(self, index: int) -> Hole | None:
        """The hole of the mask video's frame `index`."""
        frame = self._next()
        while frame is not None and self._read <= index:
            frame = self._next()
        if frame is None:
            raise InputError(f"{self._path}: {self._read} masks, but the video has more frames")
        return _or_none(_unite(read_frame(frame), self._boxes))

    def finish(self, frames: int) -> None:
        """Raises `InputError` unless the mask video is over too, having had `frames` frames."""
        while self._next() is not None:
            pass
        _check_count(self._path, self._read, frames)

    def close(self) -> None:
        """Close the mask video."""
        self._reader.close()

    def _next(self) -> Frame | None:
        frame = next(self._frames, None)
        self._read += frame is not None
        return frame


def _overlap(mask: Hole, cells: int) -> Hole:
    """Rows `[S, ...]` or-ed into `[cells, ...]`, each from the rows that the cell overlaps."""
    size = mask.shape[0]
    if size == cells:
        return mask
    first = np.arange(cells, dtype=np.intp) * size // cells
    last = -(-(np.arange(1, cells + 1, dtype=np.intp) * size) // cells) - 1
    covered = np.take(mask, first, axis=0)
    for step in range(1, int((last - first).max()) + 1):
        covered |= np.take(mask, np.minimum(first + step, last), axis=0)
    return covered


def _grow(hole: Hole) -> Hole:
    grown = hole.copy()
    grown[1:] |= hole[:-1]
    grown[:-1] |= hole[1:]
    grown[:, 1:] |= hole[:, :-1]
    grown[:, :-1] |= hole[:, 1:]
    return grown


def _paint_boxes(boxes: Sequence[Box], info: VideoInfo) -> Hole | None:
    if not boxes:
        return None
    hole = np.zeros((info.height, info.width), np.bool_)
    for box in boxes:
        if box.x < 0 or box.y < 0 or box.x + box.width > info.width or box.y + box.height > info.height:
            raise InputError(
                f"--box {box.x},{box.y},{box.width},{box.height}: reaches outside the video's "
                f"{info.width}x{info.height} pixels; wanted X+W <= {info.width} and Y+H <= {info.height}"
            )
        hole[box.y : box.y + box.height, box.x : box.x + box.width] = True
    return hole


def _unite(hole: Hole, boxes: Hole | None) -> Hole:
    return hole if boxes is None else hole | boxes


def _or_none(hole: Hole | None) -> Hole | None:
    return hole if hole is not None and hole.any() else None


def _check_size(path: Path, size: tuple[int, int], info: VideoInfo) -> None:
    if size != (info.width, info.height):
        raise InputError(
            f"{path}: mask of {size[0]}x{size[1]} pixels, but the video has {info.width}x{info.height}; "
            f"resize the mask to the video's size"
        )


def _check_count(path: Path, masks: int, frames: int) -> None:
    if masks != frames:
        raise InputError(f"{path}: {masks} masks, but the video has {frames} frames; wanted one mask a frame")
