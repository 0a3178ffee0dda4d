"""What is white in a picture: in an image file, or in a frame of a mask video."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from runtime.errors import InputError
from runtime.frame import Frame, Hole

# Named formats only: for some others Pillow would start a program (EPS) or guess.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "TGA")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".tga"})
VIDEO_THRESHOLD = 127  # of 255; lossy codecs ring around edges, so a video's hole begins halfway, an image's above 0


def list_images(folder: Path) -> list[Path]:
    """The image files in `folder` in the natural order of their names; raises `InputError` when there are none."""
    try:
        files = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed: {error.strerror}") from None
    if not files:
        raise InputError(f"{folder}: no images in it; wanted one mask a frame ({', '.join(sorted(SUFFIXES))})")
    return sorted(files, key=_natural)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file, from its header; raises `InputError`."""
    with _open(path) as image:
        return image.size


def is_still(path: Path) -> bool:
    """Whether the file is an image, and not an animated one."""
    image = _identify(path)
    if image is None and path.suffix.lower() in SUFFIXES:
        raise InputError(f"{path}: not an image that can be read; wanted one of {', '.join(FORMATS)}")
    if image is None:
        return False
    with image:
        return getattr(image, "n_frames", 1) == 1


def read_image(path: Path) -> Hole:
    """Where the image, as grey, is above 0; an alpha channel is not looked at.  Raises `InputError`."""
    try:
        with _open(path) as image:
            return np.asarray(image.convert("L")) > 0  # deep samples are clipped, which leaves what is above 0
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: mask cannot be decoded: {error}") from None


def read_frame(frame: Frame) -> Hole:
    """Where a frame of a mask video is above the threshold: its luma, or for RGB the mean of the channels."""
    shift = frame.layout.bits - 8
    if frame.layout.family == "rgb":
        red, green, blue = (plane.astype(np.uint32) for plane in frame.planes)
        return (red + green + blue) // 3 >> shift > VIDEO_THRESHOLD
    return frame.planes[0] >> shift > VIDEO_THRESHOLD


def _open(path: Path) -> Image.Image:
    image = _identify(path)
    if image is None:
        raise InputError(f"{path}: not an image that can be read; wanted one of {', '.join(FORMATS)}")
    return image


def _identify(path: Path) -> Image.Image | None:
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        return None
    except (OSError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: mask cannot be read: {error}") from None


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key by which numbers in names compare as numbers: 2 before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]
