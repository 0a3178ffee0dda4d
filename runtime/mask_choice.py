"""Which masks a run uses: those given, those beside the video, or the overlay that is found in it."""

from __future__ import annotations

import io
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image

from runtime.masks import Request, find_mask_beside
from runtime.overlay import find_overlay
from runtime.progress import Progress, counted
from runtime.sidecar import write_sidecar
from runtime.video import VideoInfo, sample_frames


def with_mask_beside(video: Path, request: Request) -> Request | None:
    """The request, or where it asks for nothing the mask beside the video; None where there is none either."""
    if request.masks or request.boxes or request.alpha:
        return request
    beside = find_mask_beside(video)
    return None if beside is None else request.with_masks(beside)


def found_mask(out: Path) -> Path:
    """Where the mask of a found overlay is kept: beside the output, or beside the output's folder of pictures."""
    named = out.parent if "%" in out.name else out
    return named.with_name(f"{named.stem}_mask.png")


def find_mask(info: VideoInfo, target: Path, progress: Progress) -> None:
    """Look for a static overlay in the video and write it as `target`; raises `Unsure` when there is no telling."""
    with closing(sample_frames(info)) as frames:
        overlay = find_overlay(counted(frames, "looking for an overlay", None, progress), info)
    buffer = io.BytesIO()
    Image.fromarray(overlay.hole.astype(np.uint8) * 255).save(buffer, "PNG")
    write_sidecar(target, buffer.getvalue())
