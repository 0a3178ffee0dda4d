"""Where holes come from: an image, a folder of images, a mask video, the video's own transparency."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Protocol

import numpy as np

from runtime._masks.packets import frame_count
from runtime._masks.pictures import image_size, list_images, read_frame, read_image
from runtime._masks.runs import Recent, runs_of
from runtime.errors import InputError
from runtime.frame import Hole, MaskRun
from runtime.plural import plural
from runtime.video import VideoInfo, VideoReader, open_alpha, probe

Decode = Callable[[], Generator[Hole, None, None]]  # begins a pass over a stream of holes
Check = Callable[[int], None]  # raises `InputError` where that number of masks is not the video's


class Source(Protocol):
    """Holes of one video from one place, in the orientation of the video's planes."""

    name: str  # as the user knows it
    frames: int | None  # how many it has masks for; None: any number, or not known
    has_polarity: bool  # whether its hole may be meant the other way round

    def runs(self) -> Iterator[MaskRun]:
        """All of it, in a pass of its own."""
        ...

    def read(self, index: int, seconds: float) -> Hole | None:
        """The hole of one frame; indices ascend.  Raises `InputError` where it has none for it."""
        ...

    def finish(self, frames: int) -> None:
        """Raises `InputError` unless it had masks for `frames` frames and no more."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(frozen=True, slots=True)
class Fit:
    """How a mask that a viewer would lay over the picture is laid over the planes."""

    info: VideoInfo
    invert: bool
    may_lose: bool = False  # whether frames of the video that do not decode are left out

    def check(self, name: str, width: int, height: int) -> None:
        """Raises `InputError` unless a mask of that size fits the picture."""
        info = self.info
        if (width, height) == (info.display_width, info.display_height):
            return
        found = f"{name}: mask of {width}x{height} pixels, but the video has {info.display_width}x{info.display_height}"
        if (width, height) == (info.width, info.height):
            way = "counter-clockwise" if info.turns == 1 else "clockwise"  # half a turn keeps the size
            raise InputError(f"{found} as it is shown: players turn it a quarter turn {way}; turn the mask like that")
        raise InputError(f"{found}; resize the mask to the video's size")

    def check_count(self, name: str, masks: int) -> None:
        """Raises `InputError` unless the video has as many frames as masks, as far as that can be foreseen."""
        frames = frame_count(self.info, self.may_lose)
        if frames is not None:
            _check_count(name, masks, frames)

    def lay(self, mask: Hole, turns: int = 0) -> Hole:
        """The hole in the planes of a mask that is to be turned by `turns` quarters for the viewer."""
        hole = np.rot90(mask, (turns - self.info.turns) % 4)
        return np.ascontiguousarray(~hole if self.invert else hole)


class StillMask:
    """One image for every frame."""

    frames: int | None = None
    has_polarity = True

    def __init__(self, path: Path, fit: Fit) -> None:
        self.name = str(path)
        fit.check(self.name, *image_size(path))
        self._hole = Recent().same(fit.lay(read_image(path)))

    def runs(self) -> Iterator[MaskRun]:
        """One, unless the image is empty."""
        if self._hole is not None:
            yield MaskRun(0, None, self._hole)

    def read(self, index: int, seconds: float) -> Hole | None:
        """The hole; the same object every time."""
        return self._hole

    def finish(self, frames: int) -> None:
        """Nothing to check: one mask fits any number of frames."""

    def close(self) -> None:
        """Nothing is open."""


class FolderMasks:
    """One image a frame, in the natural order of their names (2 before 10)."""

    has_polarity = True

    def __init__(self, folder: Path, fit: Fit) -> None:
        self.name = str(folder)
        self._fit = fit
        self._paths = list_images(folder)
        self._recent = Recent()
        self.frames: int | None = len(self._paths)
        if fit.info.frames is not None:
            self.finish(fit.info.frames)
        for path in self._paths:
            fit.check(str(path), *image_size(path))

    def runs(self) -> Iterator[MaskRun]:
        """Read every image.  Raises `InputError` first where their number is known not to be the video's."""
        self._fit.check_count(self.name, len(self._paths))
        return runs_of(self._fit.lay(read_image(path)) for path in self._paths)

    def read(self, index: int, seconds: float) -> Hole | None:
        """The hole of the image number `index`."""
        if index >= len(self._paths):
            raise InputError(f"{self.name}: {plural(len(self._paths), 'mask')}, but the video has more frames")
        return self._recent.same(self._fit.lay(read_image(self._paths[index])))

    def finish(self, frames: int) -> None:
        """Raises `InputError` unless there is one image a frame."""
        _check_count(self.name, len(self._paths), frames)

    def close(self) -> None:
        """Nothing is open."""


class FrameMasks:
    """One frame of another stream a frame: what is bright in a mask video, or what is transparent in the video."""

    has_polarity = True

    def __init__(self, name: str, frames: int | None, decode: Decode, check: Check | None = None) -> None:
        """`check` is asked when `runs` has counted the masks; None where their number needs none."""
        self.name = name
        self.frames = frames
        self._decode = decode
        self._check = check
        self._holes = decode()
        self._recent = Recent()
        self._read = 0

    def runs(self) -> Iterator[MaskRun]:
        """Decode all of it, in a pass of its own.  Raises `InputError` after it where there are too many or too few."""
        masks = count()
        with closing(self._decode()) as holes:
            yield from runs_of(hole for hole, _ in zip(holes, masks, strict=False))  # a hole first, then its number
        if self._check is not None:
            self._check(next(masks))

    def read(self, index: int, seconds: float) -> Hole | None:
        """The hole of the frame number `index`."""
        hole = self._next()
        while hole is not None and self._read <= index:
            hole = self._next()
        if hole is None:
            raise InputError(f"{self.name}: {plural(self._read, 'mask')}, but the video has more frames")
        return self._recent.same(hole)

    def finish(self, frames: int) -> None:
        """Raises `InputError` unless the stream is over too, having had `frames` frames."""
        while self._next() is not None:
            pass
        _check_count(self.name, self._read, frames)

    def close(self) -> None:
        """Close the stream."""
        self._holes.close()

    def _next(self) -> Hole | None:
        hole = next(self._holes, None)
        self._read += hole is not None
        return hole


def video_mask(path: Path, fit: Fit) -> FrameMasks:
    """The mask video at `path`: white is luma above 127 of 255.  Raises `InputError` when it cannot fit."""
    info = probe(path)
    fit.check(str(path), info.display_width, info.display_height)
    if info.frames is not None and fit.info.frames is not None:
        _check_count(str(path), info.frames, fit.info.frames)

    def decode() -> Generator[Hole, None, None]:
        with VideoReader(path) as reader:
            for frame in reader:
                yield fit.lay(read_frame(frame), info.turns)

    return FrameMasks(str(path), info.frames, decode, lambda masks: fit.check_count(str(path), masks))


def alpha_mask(fit: Fit) -> FrameMasks:
    """What is more transparent than opaque in the video itself; raises `InputError` when it has no alpha channel."""
    info = fit.info
    open_alpha(info.path).close()  # which raises where there is none

    def decode() -> Generator[Hole, None, None]:
        with open_alpha(info.path) as reader:
            for frame in reader:
                yield fit.lay(~read_frame(frame), info.turns)

    return FrameMasks(f"{info.path}, its transparency", info.frames, decode)


def _check_count(name: str, masks: int, frames: int) -> None:
    if masks != frames:
        found, wanted = plural(masks, "mask"), plural(frames, "frame")
        raise InputError(f"{name}: {found}, but the video has {wanted}; wanted one mask a frame")
