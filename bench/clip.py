"""The clip that is measured: real frames of the demo at the published size, played to and fro to any length."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

from runtime.frame import Frame, Hole
from runtime.masks import find_mask_beside, open_masks
from runtime.resize import resize_plane
from runtime.video import VideoReader, open_writer

WIDTH, HEIGHT = 432, 240
SOURCE = Path(__file__).resolve().parent.parent / "assets" / "demo" / "city.mp4"


def make_clip(folder: Path, frames: int) -> tuple[Path, Path]:
    """Write a video of `frames` frames and its masks into `folder`; returns both paths."""
    video, masks = folder / "clip.mp4", folder / "masks"
    masks.mkdir()
    with VideoReader(SOURCE) as reader:
        info = replace(reader.info, width=WIDTH, height=HEIGHT, frames=frames, audio=False)
        with closing(open_masks(find_mask_beside(SOURCE), (), reader.info)) as holes:
            pairs = [(_small(frame), holes.read(frame.index)) for frame in reader]
    tick = pairs[1][0].pts - pairs[0][0].pts
    there_and_back = cycle((*pairs, *pairs[-2:0:-1]))
    with open_writer(video, info, crf=12) as writer:
        for index, (frame, hole) in enumerate(islice(there_and_back, frames)):
            writer.write(replace(frame, index=index, pts=info.start_pts + index * tick))
            _mask_image(hole).save(masks / f"{index:05d}.png")
    return video, masks


def _small(frame: Frame) -> Frame:
    luma, *chroma = frame.planes
    planes = (
        resize_plane(luma, WIDTH, HEIGHT, 8),
        *(resize_plane(plane, WIDTH // 2, HEIGHT // 2, 8) for plane in chroma),
    )
    return replace(frame, planes=planes)


def _mask_image(hole: Hole | None) -> Image.Image:
    if hole is None:
        return Image.new("L", (WIDTH, HEIGHT))
    return Image.fromarray(hole).convert("L").resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)
