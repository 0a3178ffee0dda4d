"""Which masks a run uses: those given, those beside the video, or the overlay that is found in it."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from runtime.masks import Request, find_mask_beside
from runtime.overlay import find_overlay
from runtime.patterns import is_pattern
from runtime.progress import Progress, counted
from runtime.sidecar import write_sidecar
from runtime.video import VideoInfo, sample_frames

_SIGN = ("Software", "vidmend, looking for an overlay")  # in the picture's text: a run may replace what a run made


def with_mask_beside(video: Path, request: Request) -> Request | None:
    """The request, or where it asks for nothing the mask beside the video; None where there is none either."""
    if request.masks or request.boxes or request.alpha:
        return request
    beside = find_mask_beside(video)
    return None if beside is None else request.with_masks(beside)


def found_mask(out: Path) -> Path:
    """Where the mask of a found overlay is kept: beside the output, or beside the output's folder of pictures."""
    folder = is_pattern(out)
    named = out.parent if folder else out
    return named.with_name(f"{named.name if folder else named.stem}_mask.png")


def was_found(path: Path) -> bool:
    """Whether `path` is a mask that `find_mask` wrote, and so may be written again."""
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.info.get(_SIGN[0]) == _SIGN[1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # not there, or no picture
        return False


def find_mask(info: VideoInfo, target: Path, progress: Progress) -> None:
    """Look for a static overlay in the video and write it as `target`; raises `Unsure` when there is no telling."""
    with closing(sample_frames(info)) as frames:
        overlay = find_overlay(counted(frames, "looking for an overlay", None, progress), info)
    buffer, words = io.BytesIO(), PngInfo()
    words.add_text(*_SIGN)
    Image.fromarray(overlay.hole.astype(np.uint8) * 255).save(buffer, "PNG", pnginfo=words)
    write_sidecar(target, buffer.getvalue())
