"""One picture of what a run would do: mask and regions drawn over a few frames."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runtime._report.charts import moment
from runtime.errors import InputError
from runtime.frame import RGB, Frame, Hole
from runtime.patch import Crop
from runtime.regions import Region
from runtime.sidecar import write_sidecar
from runtime.stills import HOLE_COLOUR, Cover, Pose, hole_still, screen_size, still, upright
from runtime.video import VideoInfo

_WIDEST, _TALLEST = 1920, 960  # pixels: of the sheet, of a panel
_SMALLEST = 480  # columns of a panel; smaller frames are enlarged by whole numbers
_GAP, _TEXT, _LINE = 16, 17, 28  # pixels: around panels, of a letter, of a line of text
_PAPER, _INK, _SOFT = (24, 26, 28), (236, 238, 240), (160, 166, 173)


def write_preview(
    path: Path,
    frames: Sequence[tuple[Frame, Hole | None]],
    regions: Sequence[Region],
    info: VideoInfo,
    picture: tuple[int, int],
) -> None:
    """Draw `frames` with their holes, both as decoded, and the regions active in them into the PNG `path`.

    Frames stand as the viewer sees them; `picture` is the network's columns and rows, by which labels tell how far it
    sees a region shrunk.  Raises `InputError` when there is no frame, `OutputError` when the file cannot be written.
    """
    if not frames:
        raise InputError(f"{info.path}: none of the frames to be shown decodes; there is nothing to preview")
    pose = Pose(info.turns, info.sample_aspect)
    columns, longest = _grid(len(frames), info, pose)
    panels: list[Image.Image] = []
    for frame, hole in frames:
        active = [
            (number, upright(region.crop, info.width, info.height, info.turns))
            for number, region in enumerate(regions, 1)
            if region.repaints(frame.index)
        ]
        drawn = _drawn(still(frame, pose, longest), None if hole is None else hole_still(hole, pose, longest))
        _outline(drawn, active, (info.display_width, info.display_height), picture)
        share = 0.0 if hole is None else float(np.count_nonzero(hole)) / hole.size
        caption = f"frame {frame.index:,} at {moment(info.seconds(frame.pts), 2)}, {share:.1%} masked"
        panels.append(_captioned(drawn, caption))
    buffer = io.BytesIO()
    count = f"{len(regions)} region{'' if len(regions) == 1 else 's'}"
    heading = f"{info.display_width} x {info.display_height} pixels, {count}; pink: what is to be replaced"
    _sheet(panels, columns, heading).save(buffer, "PNG")
    write_sidecar(path, buffer.getvalue())


def _grid(count: int, info: VideoInfo, pose: Pose) -> tuple[int, int]:
    """Columns of the sheet, and the longer edge of a panel's picture."""
    width, height = screen_size(info.width, info.height, pose, _WIDEST)
    columns = min(count, 2 if width >= height else 4)
    room = (_WIDEST - (columns + 1) * _GAP) // columns
    shrink = min(1.0, room / width, _TALLEST / height)
    return columns, max(1, int(max(width, height) * shrink))


def _drawn(picture: RGB, cover: Cover | None) -> Image.Image:
    """The picture with the hole tinted and edged, enlarged where it is small."""
    factor = max(1, min(_SMALLEST // picture.shape[1], _TALLEST // picture.shape[0]))
    size = picture.shape[1] * factor, picture.shape[0] * factor
    enlarged = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
    if cover is not None:
        alpha = cv2.resize(cover, size, interpolation=cv2.INTER_NEAREST).astype(np.float32)[..., None] / 510
        enlarged = (enlarged * (1 - alpha) + np.array(HOLE_COLOUR, np.float32) * alpha).astype(np.uint8)
        solid = (alpha[..., 0] > 0).astype(np.uint8)
        rim = cv2.dilate(solid, np.ones((3, 3), np.uint8)) != solid
        enlarged[rim] = HOLE_COLOUR
    return Image.fromarray(enlarged)


def _outline(
    drawn: Image.Image, active: Sequence[tuple[int, Crop]], frame: tuple[int, int], picture: tuple[int, int]
) -> None:
    """Draw each region's number, size and edges; crops and `frame` in the viewer's samples."""
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(_TEXT - 2)
    across, down = drawn.width / frame[0], drawn.height / frame[1]
    for number, crop in active:
        left, top, right, bottom = crop.left * across, crop.top * down, crop.right * across, crop.bottom * down
        for inset, colour, width in ((0, (0, 0, 0), 4), (1, (255, 255, 255), 2)):
            near = left + inset, top + inset
            far = max(near[0], right - 1 - inset), max(near[1], bottom - 1 - inset)  # of a crop of few pixels
            pen.rectangle([near, far], outline=colour, width=width)
        scale = max(crop.width / picture[0], crop.height / picture[1])
        label = f"{number}: {crop.width} x {crop.height}, {_scaled(scale)}"
        pen.text((left + 7, top + 5), label, (255, 255, 255), font, stroke_width=2, stroke_fill=(0, 0, 0))


def _scaled(scale: float) -> str:
    if round(scale, 2) == 1:
        return "not resized"
    return f"shrunk {scale:.2f} times" if scale > 1 else f"enlarged {1 / scale:.2f} times"


def _captioned(drawn: Image.Image, caption: str) -> Image.Image:
    font = ImageFont.load_default(_TEXT)
    width = max(drawn.width, int(font.getlength(caption)) + 2)
    panel = Image.new("RGB", (width, drawn.height + _LINE), _PAPER)
    panel.paste(drawn, (0, 0))
    ImageDraw.Draw(panel).text((0, drawn.height + 5), caption, _SOFT, font)
    return panel


def _sheet(panels: Sequence[Image.Image], columns: int, heading: str) -> Image.Image:
    font = ImageFont.load_default(_TEXT + 2)
    width, height = max(panel.width for panel in panels), max(panel.height for panel in panels)
    rows = -(-len(panels) // columns)
    across = max(columns * (width + _GAP) + _GAP, int(font.getlength(heading)) + 2 * _GAP)
    top = _LINE + _GAP
    sheet = Image.new("RGB", (across, top + rows * (height + _GAP) + _GAP), _PAPER)
    ImageDraw.Draw(sheet).text((_GAP, _GAP), heading, _INK, font)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        sheet.paste(panel, (_GAP + column * (width + _GAP), top + _GAP + row * (height + _GAP)))
    return sheet
