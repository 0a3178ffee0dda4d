"""The clip that is measured: real frames of the demo at the published size, played to and fro to any length."""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from PIL import Image

from calib.clips import read_masked
from runtime.frame import Frame, Hole
from runtime.resize import resize_plane
from runtime.video import Encoding, open_work, open_writer, probe

WIDTH, HEIGHT = 432, 240
SOURCE = Path(__file__).resolve().parent.parent / "assets" / "demo" / "city.mp4"


def make_clip(folder: Path, frames: int) -> tuple[Path, Path]:
    """Write a video of `frames` frames and its masks into `folder`; returns both paths."""
    video, masks = folder / "clip.mp4", folder / "clip_mask"
    masks.mkdir()
    info = replace(probe(SOURCE), width=WIDTH, height=HEIGHT, frames=frames, audio=False)
    pairs = [(_small(masked.frame), masked.hole) for masked in read_masked(SOURCE)]
    tick = pairs[1][0].pts - pairs[0][0].pts
    there_and_back = cycle((*pairs, *pairs[-2:0:-1]))
    with (
        open_work(video, "", resume=False, overwrite=True) as work,
        open_writer(video, info, Encoding("h264", crf=12), work) as writer,
    ):
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
