"""What is white in a picture: in an image file, or in a frame of a mask video."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from runtime.errors import InputError
from runtime.frame import Frame, Hole

# Named formats only: for some others Pillow would start a program (EPS) or guess.
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM", "TGA")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".tga"})
ANIMATED = frozenset({"PNG", "GIF"})  # formats that are videos too where they have several pictures
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT = 1  # its usual value
LYING = frozenset({5, 6, 7, 8})  # its values that exchange rows and columns
# Of 255.  Lossy codecs ring around edges, so that the hole of a video or a JPEG begins halfway, that of others above 0.
LOSSY_THRESHOLD = 127
LOSSY = frozenset({"JPEG", "MPO"})  # formats
LOSSY_IN_TIFF = frozenset({"jpeg", "tiff_jpeg", "webp"})  # compressions, by Pillow's names
DAMAGE = (
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    Image.DecompressionBombError,
)  # what Pillow says of damaged files


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
    """Width and height at which an image file is shown, from its header; raises `InputError`."""
    with _reading(path), _open(path) as image:
        return (image.height, image.width) if _orientation(image) in LYING else image.size


def is_still(path: Path) -> bool:
    """Whether the file is an image, and not an animated one.

    Raises `InputError` for what only its name says is an image, and for several pictures in a format no video has.
    """
    image = _identify(path)
    if image is None and path.suffix.lower() in SUFFIXES:
        raise InputError(f"{path}: not an image that can be read; wanted one of {', '.join(FORMATS)}")
    if image is None:
        return False
    with _reading(path), image:
        pictures = getattr(image, "n_frames", 1)
    if pictures > 1 and image.format not in ANIMATED:
        raise InputError(
            f"{path}: {image.format} of {pictures} pictures; wanted one picture: save the one that is meant as a file, "
            f"or all of them in a folder, one a frame"
        )
    return pictures == 1


def read_image(path: Path) -> Hole:
    """The hole that an image marks, as it is shown; raises `InputError`.

    An image that is opaque everywhere marks what is above black, in a lossy format (JPEG, most WebP) what is above 127
    of 255 in any channel, since specks surround what is white there.  One with transparent parts is a layer that was
    painted on.  What is transparent is no hole, whatever colour hides there; of the rest it is what is above black, or
    all where nothing is (painted in black).  An alpha channel that is the same everywhere tells nothing.
    """
    try:
        with _open(path) as image:
            shown = image if _orientation(image) == UPRIGHT else ImageOps.exif_transpose(image)
            alpha = _alpha(shown)
            light = _light(shown, lossy=_is_lossy(path, image))
    except DAMAGE as error:
        raise InputError(f"{path}: mask cannot be decoded: {error}") from None
    if alpha is None:
        return light
    painted = light & alpha
    return painted if painted.any() else alpha


def _light(image: Image.Image, *, lossy: bool) -> Hole:
    if lossy:  # the brightest channel, or marks in red and blue would be too dark
        return np.asarray(image.convert("RGB")).max(axis=-1) > LOSSY_THRESHOLD
    if image.mode == "F":  # which becomes whole numbers below, and 1.0 is white in a matte
        return np.asarray(image) > 0
    return np.asarray(image.convert("L")) > 0  # deep samples are clipped, which leaves what is above 0


def _is_lossy(path: Path, image: Image.Image) -> bool:
    """Whether the format keeps samples only nearly as they were."""
    if image.format == "WEBP":
        return _webp_kind(path) == b"VP8 "
    return image.format in LOSSY or (image.format == "TIFF" and image.info.get("compression") in LOSSY_IN_TIFF)


def _webp_kind(path: Path) -> bytes:
    """The four letters of the chunk that holds a WebP's samples, `VP8 ` or `VP8L`; empty where there is none."""
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            if head[:4] in (b"VP8 ", b"VP8L"):
                return head[:4]
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, 1)
    return b""


def _orientation(image: Image.Image) -> int:
    """How viewers turn the image, told without decoding it (which Pillow would do to look for late tags in a PNG)."""
    tagged = "exif" in image.info or image.format == "TIFF"
    return image.getexif().get(ORIENTATION, UPRIGHT) if tagged else UPRIGHT


def _alpha(image: Image.Image) -> Hole | None:
    """Where the image is not fully transparent; None where its alpha channel tells nothing, or it has none."""
    if not image.has_transparency_data:
        return None
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    return None if alpha.min() == alpha.max() else alpha > 0


def read_frame(frame: Frame) -> Hole:
    """Where a frame of a mask video is above the threshold: its luma, or for RGB the mean of the channels."""
    shift = frame.layout.bits - 8
    if frame.layout.family == "rgb":
        red, green, blue = (plane.astype(np.uint32) for plane in frame.planes)
        return (red + green + blue) // 3 >> shift > LOSSY_THRESHOLD
    return frame.planes[0] >> shift > LOSSY_THRESHOLD


def _open(path: Path) -> Image.Image:
    image = _identify(path)
    if image is None:
        raise InputError(f"{path}: not an image that can be read; wanted one of {', '.join(FORMATS)}")
    return image


def _identify(path: Path) -> Image.Image | None:
    with _reading(path):
        try:
            return Image.open(path, formats=FORMATS)
        except UnidentifiedImageError:
            return None


@contextmanager
def _reading(path: Path) -> Generator[None, None, None]:
    """In the block what Pillow says of a damaged file becomes `InputError`."""
    try:
        yield
    except DAMAGE as error:
        raise InputError(f"{path}: mask cannot be read: {error}") from None


def _natural(path: Path) -> list[tuple[int, str]]:
    """A key by which numbers in names compare as numbers: 2 before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", path.name)
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts]
