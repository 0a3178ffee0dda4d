"""Pictures in files of their own, read as the frames of a video."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from runtime._video.file import VideoInfo, meaning_of, rotation_of
from runtime._video.formats import (
    ALPHA,
    alpha_of,
    has_alpha,
    is_transparent,
    layout_of,
    planar_name,
    planes_of,
    remarks,
)
from runtime._video.sequence import find_sequence
from runtime._video.still import Still, Undecodable, is_mirrored
from runtime.errors import DamagedVideo, InputError
from runtime.frame import Frame, Layout

MOST_ASPECT = 16  # of a sample, one edge over the other; what is more oblong is a mistake in the file


class ImageReader:
    """Iterates once over the pictures of a folder or a pattern as frames; a context manager.

    The first picture decides size and layout.  A picture that is missing or does not decode raises `DamagedVideo`; with
    `keep_going` it is passed over and described in `lost`.  Raises `InputError` for pictures that do not fit together.
    """

    def __init__(self, path: Path, rate: Fraction, *, keep_going: bool = False, alpha: bool = False) -> None:
        self.lost: list[str] = []
        self.counted = 0
        self._files = find_sequence(path)
        self._keep_going = keep_going
        self._alpha = alpha
        self._decoded = 0
        self._transparent = ""  # the pixel format of the first picture that is anywhere
        self._info = self._describe(rate)
        self._frames = self._read()

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    @property
    def info(self) -> VideoInfo:
        """What is known of the pictures; that they lose their transparency, once one of those read had any."""
        info, dropped = self._info, remarks(self._transparent) if self._transparent else ()
        return replace(info, notes=tuple(dict.fromkeys((*info.notes, *dropped))))

    def close(self) -> None:
        """End the iteration."""
        self._frames.close()

    def _describe(self, rate: Fraction) -> VideoInfo:
        files = self._files
        path, still = self._first()
        picture, name = still.picture, still.picture.format.name
        layout, colour = meaning_of(path, picture)
        if is_mirrored(path):
            raise InputError(f"{path}: viewers mirror the picture; wanted pictures that stand as they are stored")
        if self._alpha and not has_alpha(name):
            raise InputError(f"{path}: pixel format {name} has no transparency; wanted pictures with an alpha channel")
        return VideoInfo(
            path=files.path,
            width=picture.width,
            height=picture.height,
            frames=files.frames,
            rate=rate,
            time_base=1 / rate,
            start_pts=0,
            origin=Fraction(0),
            duration_s=float(files.frames / rate),
            sample_aspect=_believable(still.sample_aspect),
            rotation=rotation_of(path, picture, still.codec),
            layout=layout,
            colour=colour,
            audio=False,
            container="image2",
            codec=still.codec,
            profile=None,
            interlaced=False,
            stills=True,
            alpha=has_alpha(name),
            notes=(*files.notes, *(() if self._alpha else remarks(name, transparent=False))),
        )

    def _first(self) -> tuple[Path, Still]:
        """The first picture that decodes, which only under `keep_going` may be a later one."""
        reasons: list[str] = []
        for _, path in self._files.files:
            try:
                return path, Still(path)
            except Undecodable as error:
                reasons.append(f"{path.name}: {error}")
                if not self._keep_going:
                    break
        raise InputError(f"{self._files.path}: no picture decodes ({reasons[0]}); copy the pictures again")

    def _read(self) -> Generator[Frame, None, None]:
        for index, path in self._files.files:
            if index > self.counted:
                last = f" to {index - 1}" if index - 1 > self.counted else ""
                self._lose(f"frame{'s' if last else ''} {self.counted}{last}: missing before {path.name}", index)
            try:
                still = Still(path)
            except Undecodable as error:
                self._lose(f"frame {index}: {path.name} does not decode ({error})", index + 1)
                continue
            self._check(path, still)
            yield self._frame(index, still)
            self._decoded += 1
            self.counted = index + 1

    def _lose(self, line: str, counted: int) -> None:
        if not self._keep_going:
            raise DamagedVideo(
                f"{self._files.path}: read {self._decoded} of {self._files.frames} pictures: {line}; "
                f"copy them again, or use --keep-going to go on without what is missing"
            )
        self.lost.append(line)
        self.counted = counted

    def _check(self, path: Path, still: Still) -> None:
        info, picture = self._info, still.picture
        if (picture.width, picture.height) != (info.width, info.height):
            raise InputError(
                f"{path}: has {picture.width}x{picture.height} pixels, the first picture had "
                f"{info.width}x{info.height}; wanted pictures of one size"
            )
        if layout_of(planar_name(picture.format.name)) != info.layout:
            raise InputError(
                f"{path}: has pixel format {picture.format.name}, unlike the first picture's; "
                f"wanted pictures of one colour type and depth"
            )
        if rotation_of(path, picture, still.codec) != info.rotation:
            raise InputError(f"{path}: is turned unlike the first picture; wanted pictures that stand alike")

    def _frame(self, index: int, still: Still) -> Frame:
        info = self._info
        if not self._alpha:
            if not self._transparent and is_transparent(still.picture):
                self._transparent = still.picture.format.name
            return Frame(index, index, planes_of(still.picture), info.layout, info.colour)
        if not has_alpha(still.picture.format.name):  # programs leave it out where all is opaque
            opaque = np.full((info.height, info.width), 255, np.uint8)
            return Frame(index, index, (opaque,), Layout("gray", 8, 0, 0), ALPHA)
        plane, layout = alpha_of(still.picture)
        return Frame(index, index, (plane,), layout, ALPHA)


def _believable(aspect: Fraction) -> Fraction:
    """The shape of samples that a picture tells, or that of square ones where it cannot be."""
    return aspect if Fraction(1, MOST_ASPECT) <= aspect <= MOST_ASPECT else Fraction(1)
