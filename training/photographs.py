"""Photographs as clips: a camera that pans, zooms and turns over a picture, and cut-outs that move in front of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from models._spec import Size
from runtime.errors import InputError
from training.archive import SUFFIXES, eight_bits, opened_picture
from training.sample import BrokenSample, Drawn, Frames
from training.sampling import flipped_or_not, sample_indices

LENGTH = 60  # frames of each clip: two seconds and a bit
KEPT = 16  # pictures that a process keeps decoded
LARGEST = Size(1280, 720)  # pictures are shrunk until they just cover this: 3 MB each
REMEDY = "take it out of the folder"

VIEW = (0.45, 0.9)  # height of what the camera sees over the most that the picture allows
PAN = 0.25  # of the view's own sides, from one end of the path to the other
ZOOM = 0.15  # natural logarithm, likewise
TURN = 0.12  # radians, likewise
STICKERS = (0, 1, 2)  # cut-outs in front; each number equally often
STICKER_SIZE = (0.15, 0.5)  # over the largest that fits into the frame
STICKER_PAN = 0.6  # of the frame's sides, over the whole clip
STICKER_TURN = 0.5  # radians, likewise

Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]  # [2, 3]
Path2 = npt.NDArray[np.float64]  # [frames, coordinates]


@dataclass(slots=True)
class Decoded:
    """Pictures that this process holds decoded, the least lately used dropped first; pickled empty."""

    pictures: OrderedDict[tuple[Path, str], Pixels] = field(default_factory=OrderedDict[tuple[Path, str], Pixels])

    def get(self, path: Path, mode: str) -> Pixels:
        """The picture, `[H, W, 3]` for mode RGB, `[H, W, 4]` for RGBA, at most just covering `LARGEST`.

        Raises `BrokenSample`.
        """
        picture = self.pictures.get((path, mode))
        if picture is None:
            picture = self.pictures[path, mode] = _read(path, mode)
            if len(self.pictures) > KEPT:
                self.pictures.popitem(last=False)
        self.pictures.move_to_end((path, mode))
        return picture

    def __reduce__(self) -> tuple[type[Decoded], tuple[()]]:
        return Decoded, ()


@dataclass(frozen=True, slots=True)
class Photographs:
    """A folder of pictures, and cut-outs if there are any; a `ClipSource`."""

    pictures: tuple[Path, ...]
    stickers: tuple[Path, ...]
    apart: int = 1  # frames from one neighbour to the next at most
    decoded: Decoded = field(default_factory=Decoded, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.pictures)

    def draw(self, generator: np.random.Generator, frames: int, size: Size) -> Drawn:
        """Frames of a clip of `LENGTH` that is filmed from one picture; raises `BrokenSample`."""
        if frames > LENGTH:
            raise BrokenSample(f"photographs: clips of {LENGTH} frames, the sample takes {frames}; wanted fewer")
        path = self.pictures[int(generator.integers(len(self.pictures)))]
        picture = self.decoded.get(path, "RGB")
        if picture.shape[0] < size.height or picture.shape[1] < size.width:
            raise BrokenSample(f"{path}: {picture.shape[1]}x{picture.shape[0]}, wanted {size} at least; {REMEDY}")
        indices = sample_indices(generator, LENGTH, frames, self.apart)
        shown = _film(generator, picture, indices, size)
        for _ in range(int(generator.choice(STICKERS)) if self.stickers else 0):
            sticker = self.decoded.get(self.stickers[int(generator.integers(len(self.stickers)))], "RGBA")
            _put_in_front(generator, sticker, indices, shown)
        return Drawn(flipped_or_not(generator, shown), indices, LENGTH)


def read_photographs(folder: Path, stickers: Path | None = None, apart: int = 1) -> Photographs:
    """The pictures of `folder` and below it; cut-outs are the pictures of `stickers` with an alpha channel.

    They are opened when they are drawn from.  Raises `InputError` where there are none.
    """
    return Photographs(_pictures(folder), () if stickers is None else _pictures(stickers), apart)


def _pictures(folder: Path) -> tuple[Path, ...]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise InputError(f"{folder}: no pictures in this folder or below it; wanted {', '.join(sorted(SUFFIXES))}")
    return tuple(found)


def _read(path: Path, mode: str) -> Pixels:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenSample(f"{path}: cannot be read ({error.strerror}); {REMEDY}") from None
    with opened_picture(content, str(path), REMEDY) as stored:
        if mode == "RGBA" and not stored.has_transparency_data:
            raise BrokenSample(f"{path}: no alpha channel, wanted a cut-out; {REMEDY}")
        scale = max(LARGEST.width / stored.width, LARGEST.height / stored.height)
        small = (max(1, round(stored.width * scale)), max(1, round(stored.height * scale)))
        stored.draft("RGB", small)  # a JPEG decodes to the next power of two above it, much faster
        picture = eight_bits(stored).convert(mode)
    if scale < 1:
        picture = picture.resize(small, Image.Resampling.BICUBIC)  # premultiplies alpha while it does
    return np.asarray(picture, np.uint8)


def _film(generator: np.random.Generator, picture: Pixels, indices: tuple[int, ...], size: Size) -> Frames:
    """`picture` as the moving camera sees it at those times, `[T, H, W, 3]`; beyond its edges it is mirrored."""
    rows, columns = picture.shape[:2]
    fits = min(rows / size.height, columns / size.width)  # picture pixels a frame pixel when all is seen
    scale = fits * generator.uniform(*VIEW)
    if scale > 1:  # shrunk first, since what follows does not antialias
        small = (max(1, round(columns / scale)), max(1, round(rows / scale)))
        picture = np.asarray(Image.fromarray(picture).resize(small, Image.Resampling.BICUBIC), np.uint8)
        rows, columns, scale = small[1], small[0], 1.0
    frame_size, bounds = np.array([size.width, size.height]), np.array([columns, rows])
    # Wherever there is room, all of the path keeps the view within the picture.
    path = _smooth(generator, 2, PAN) * frame_size * scale
    low, high = frame_size * scale / 2 - path.min(axis=0), bounds - frame_size * scale / 2 - path.max(axis=0)
    middle = (low + high) / 2
    start = np.asarray(generator.uniform(np.minimum(low, middle), np.maximum(high, middle)), np.float64)
    zoom, turn = _smooth(generator, 1, ZOOM)[:, 0], _smooth(generator, 1, TURN)[:, 0]
    shown: Frames = np.empty((len(indices), size.height, size.width, 3), np.uint8)
    for frame, index in zip(shown, indices, strict=True):
        matrix = _pose(scale * np.exp(zoom[index]), turn[index], (frame_size - 1) / 2, path[index] + start - 0.5)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(picture, matrix, (size.width, size.height), frame, flags, cv2.BORDER_REFLECT_101)
    return shown


def _put_in_front(generator: np.random.Generator, sticker: Pixels, indices: tuple[int, ...], frames: Frames) -> None:
    """Draw the moving cut-out, `[h, w, 4]`, over `frames` `[T, H, W, 3]`."""
    height, width = frames.shape[1:3]
    scale = generator.uniform(*STICKER_SIZE) * min(height / sticker.shape[0], width / sticker.shape[1])
    tall, wide = max(2, round(sticker.shape[0] * scale)), max(2, round(sticker.shape[1] * scale))
    small = np.asarray(Image.fromarray(sticker).resize((wide, tall), Image.Resampling.BICUBIC), np.float32)
    small = np.concatenate((small[..., :3] * small[..., 3:] / 255, small[..., 3:] / 255), axis=2)  # premultiplied
    start = generator.uniform(0, 1, 2) * (width, height)
    places = start + _smooth(generator, 2, STICKER_PAN)[list(indices)] * (width, height)
    angles = _smooth(generator, 1, STICKER_TURN)[list(indices), 0]
    for frame, place, angle in zip(frames, places, angles, strict=True):
        matrix = _pose(1.0, angle, place - 0.5, (np.array([wide, tall]) - 1) / 2)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        layer = np.asarray(cv2.warpAffine(small, matrix, (width, height), flags=flags), np.float32)
        frame[:] = np.rint(layer[..., :3] + frame * (1 - layer[..., 3:]))


def _smooth(generator: np.random.Generator, coordinates: int, span: float) -> Path2:
    """A path without corners, `[LENGTH, coordinates]`, about `span` long: one leg of it, bent, with a swing on top."""
    time = np.linspace(-0.5, 0.5, LENGTH)[:, None]
    end = generator.uniform(-span, span, coordinates)
    bend = generator.uniform(-span, span, coordinates)
    swing, turns = generator.uniform(0, span / 8, coordinates), generator.uniform(1, 3, coordinates)
    phase = generator.uniform(0, 2 * np.pi, coordinates)
    return end * time + bend * (time**2 - 1 / 12) + swing * np.sin(2 * np.pi * turns * time + phase)


def _pose(scale: float, angle: float, here: npt.NDArray[np.float64], there: npt.NDArray[np.float64]) -> Matrix:
    """The map that takes the frame's point `here` to the picture's `there`, turned and scaled, `[2, 3]`."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate((turn, (there - turn @ here)[:, None]), axis=1)
