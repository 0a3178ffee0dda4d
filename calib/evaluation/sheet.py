"""Pictures to look at: a few frames of a clip, as the ways to fill it leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runtime.frame import RGB, Hole

TINT = np.array([255, 64, 160], np.float32)  # the hole's colour
OPACITY = 0.65
FRAMES = 3  # rows of a sheet
_GAP, _HEAD = 4, 22  # pixels between pictures, and above the first row


def chosen_frames(holes: Sequence[Hole]) -> list[int]:
    """Frames to show, spread over those that have a hole: the middles of `FRAMES` equal parts."""
    masked = [index for index, hole in enumerate(holes) if hole.any()]
    count = min(FRAMES, len(masked))
    return [masked[(2 * part + 1) * len(masked) // (2 * count)] for part in range(count)]


def marked(picture: RGB, hole: Hole) -> RGB:
    """The picture with its hole tinted; uint8 `[H, W, 3]`, hole `[H, W]`."""
    shown = picture.copy()
    shown[hole] = ((1 - OPACITY) * picture[hole] + OPACITY * TINT).astype(np.uint8)
    return shown


def contact_sheet(columns: Mapping[str, Sequence[RGB]]) -> Image.Image:
    """Pictures side by side under their captions, a row for each frame; all uint8 `[H, W, 3]` of one size."""
    height, width = next(iter(columns.values()))[0].shape[:2]
    rows = max(len(pictures) for pictures in columns.values())
    size = (len(columns) * (width + _GAP) - _GAP, _HEAD + rows * (height + _GAP) - _GAP)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for column, (caption, pictures) in enumerate(columns.items()):
        left = column * (width + _GAP)
        draw.text((left + 2, 2), caption, font=font, fill="black")
        for row, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(picture), (left, _HEAD + row * (height + _GAP)))
    return sheet
