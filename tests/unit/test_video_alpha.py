"""The transparency of a video, which frames leave out and a reader of its own yields."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from runtime.errors import InputError
from runtime.video import open_alpha, open_reader, probe
from tests.clips import Clip, write_clip
from tests.tolerances import TOLERANCE

ALPHA = {
    "vp9.webm": Clip(frames=4, codec="libvpx-vp9", pix_fmt="yuva420p", options=(("crf", "10"),)),
    "vp8.webm": Clip(frames=4, codec="libvpx", pix_fmt="yuva420p", options=(("auto-alt-ref", "0"),)),
    "prores.mov": Clip(frames=4, codec="prores_ks", pix_fmt="yuva444p10le"),
    "rle.mov": Clip(frames=4, codec="qtrle", pix_fmt="argb"),
    "deep.mov": Clip(frames=4, codec="png", pix_fmt="rgba64be"),
    "lossless.mkv": Clip(frames=4, codec="ffv1", pix_fmt="bgra"),
}


def disc(index: int) -> np.ndarray:
    """A disc that moves, 255 inside and 0 outside, `[48, 64]`."""
    y, x = np.mgrid[0:48, 0:64]
    return (((x - 20 - 6 * index) ** 2 + (y - 24) ** 2 < 200) * 255).astype(np.uint8)


@pytest.mark.parametrize("name", ALPHA)
def test_the_alpha_channel_is_read_by_itself(tmp_path: Path, name: str) -> None:
    clip = ALPHA[name]
    rgba = (np.stack([disc(index)] * 4, -1) for index in range(clip.frames))
    pictures = (
        av.VideoFrame.from_ndarray(samples, "rgba").reformat(format=clip.pix_fmt, threads=1) for samples in rgba
    )
    path = write_clip(tmp_path / name, clip, pictures)
    with open_reader(path) as reader, open_alpha(path) as alpha:
        assert reader.info.alpha
        frames = list(zip(reader, alpha, strict=True))
        assert any("transparency is dropped" in note for note in reader.info.notes)
        assert alpha.lost == []
    assert len(frames) == clip.frames
    for frame, grey in frames:
        assert (grey.index, grey.pts, grey.layout.family) == (frame.index, frame.pts, "gray")
        opaque = grey.planes[0] >> (grey.layout.bits - 8) > 127
        wrong = np.count_nonzero(opaque != (disc(frame.index) > 127))
        assert wrong <= TOLERANCE["alpha video", "pixels"]


@pytest.mark.parametrize(("alpha", "told"), [((255, 255), False), ((255, 254), True), ((0, 255), True)])
def test_what_is_opaque_everywhere_loses_nothing(tmp_path: Path, alpha: tuple[int, int], told: bool) -> None:
    clip = ALPHA["rle.mov"]
    levels = [np.full((48, 64, 4), 255, np.uint8) for _ in alpha]
    for picture, level in zip(levels, alpha, strict=True):
        picture[5, 7, 3] = level
    pictures = (av.VideoFrame.from_ndarray(each, "rgba").reformat(format="argb", threads=1) for each in levels)
    path = write_clip(tmp_path / "v.mov", clip, pictures)
    with open_reader(path) as reader:
        assert sum(1 for _ in reader) == 2
        assert ("pixel format argb: transparency is dropped" in reader.info.notes) == told


def test_a_video_without_alpha_has_none_to_read(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.webm", Clip(frames=2, codec="libvpx-vp9"))
    assert not probe(path).alpha
    with pytest.raises(InputError, match=r"v\.webm: has no transparency; wanted a video with an alpha channel"):
        open_alpha(path)
