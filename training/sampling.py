"""Which frames of a clip a sample shows, and which part of them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from models._spec import Size
from training.sample import Frames


def sample_indices(generator: np.random.Generator, length: int, frames: int, apart: int = 1) -> tuple[int, ...]:
    """`frames` of a clip's `length` frames, ascending: with p = 1/2 any of them, else neighbours (STTN, section 4.1).

    With `apart` over 1 (ours) neighbours are a step apart that is drawn from 1 to `apart`, or to what the clip has room
    for.  Raises `ValueError` where the clip has fewer frames.
    """
    if not 1 <= frames <= length:
        raise ValueError(f"{frames} frames of a clip of {length}; wanted 1 to {length}")
    if generator.random() < 0.5:
        return tuple(sorted(int(index) for index in generator.choice(length, frames, replace=False)))
    most = min(apart, (length - 1) // max(frames - 1, 1))
    step = int(generator.integers(1, most + 1)) if most > 1 else 1
    first = int(generator.integers(length - (frames - 1) * step))
    return tuple(range(first, first + (frames - 1) * step + 1, step))


def random_crop(
    generator: np.random.Generator, picture: Size, size: Size, smallest: float
) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) of a picture, in the proportions of `size` to the pixel, placed at random.

    Its sides are a share, uniform from `smallest` to 1, of the largest box that fits.  Never narrower or lower than
    `size` where the picture has room, so that a crop is shrunk and not blown up.
    """
    scale = min(picture.width / size.width, picture.height / size.height)  # of the largest box, over `size`
    scale = max(scale * generator.uniform(smallest, 1), min(scale, 1))
    width = min(max(round(size.width * scale), 1), picture.width)
    height = min(max(round(size.height * scale), 1), picture.height)
    left = int(generator.integers(picture.width - width + 1))
    top = int(generator.integers(picture.height - height + 1))
    return left, top, left + width, top + height


def resized(picture: Image.Image, box: tuple[int, int, int, int], size: Size) -> Frames:
    """That box of an RGB picture at `size`, `[H, W, 3]`: Pillow's bicubic, antialiased, as the network is run with."""
    left, top, right, bottom = box
    if (right - left, bottom - top) == (size.width, size.height):
        return np.asarray(picture.crop(box), np.uint8)
    return np.asarray(picture.resize((size.width, size.height), Image.Resampling.BICUBIC, box=box), np.uint8)


def flipped_or_not(generator: np.random.Generator, frames: Frames) -> Frames:
    """The frames `[T, H, W, 3]`, mirrored left to right with p = 1/2."""
    return np.ascontiguousarray(frames[:, :, ::-1]) if generator.random() < 0.5 else frames
