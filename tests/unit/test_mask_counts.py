"""As many masks as frames, noticed before the work where the video has no index that tells."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from runtime.cli import main
from runtime.errors import InputError
from runtime.masks import Request, open_masks
from runtime.video import VideoReader, probe
from tests.clips import Clip, picture_from, write_clip

WIDTH, HEIGHT, FRAMES = 64, 48, 12
LONGER = 60  # frames, more than a decoder holds at once on any machine
CODECS = {"mkv": "libx264", "webm": "libvpx-vp9"}


def video_of(folder: Path, suffix: str = "mkv") -> Path:
    path = write_clip(folder / f"video.{suffix}", Clip(WIDTH, HEIGHT, FRAMES, codec=CODECS[suffix]))
    assert probe(path).frames is None
    return path


def mask() -> np.ndarray:
    array = np.zeros((HEIGHT, WIDTH), np.uint8)
    array[10:20, 30:40] = 255
    return array


def masks_of(folder: Path, kind: str, number: int) -> Path:
    """A folder of masks, or a video that does not tell its number of frames."""
    if kind == "video":
        clip = Clip(WIDTH, HEIGHT, number, codec="ffv1", pix_fmt="gray")
        return write_clip(folder / "masks.mkv", clip, (picture_from((mask(),), "gray") for _ in range(number)))
    (folder / "masks").mkdir()
    for index in range(number):
        Image.fromarray(mask()).save(folder / "masks" / f"{index}.png")
    return folder / "masks"


def count_by_runs(video: Path, masks: Path, *, may_lose: bool = False) -> int:
    """How many runs there are, of a mask that stays as it is."""
    source = open_masks(Request((masks,)), probe(video), may_lose=may_lose)
    try:
        return len(list(source.runs()))
    finally:
        source.close()


def spoil(video: Path, spoiled: int) -> Path:
    """The same video in a container that is whole, with one packet in it that does not decode."""
    spoilt = video.with_name("spoilt.mkv")
    with av.open(str(video)) as source, av.open(str(spoilt), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None:
                continue
            kept = packet
            if number == spoiled:
                kept = av.Packet(b"\xff" * packet.size)
                kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.stream = stream
            target.mux(kept)
    return spoilt


@pytest.mark.parametrize("kind", ["folder", "video"])
@pytest.mark.parametrize("suffix", CODECS)
def test_packets_tell_how_many_masks_there_are_to_be(tmp_path: Path, suffix: str, kind: str) -> None:
    video = video_of(tmp_path, suffix)
    assert count_by_runs(video, masks_of(tmp_path, kind, FRAMES)) == 1


@pytest.mark.parametrize("number", [FRAMES - 2, FRAMES + 1])
@pytest.mark.parametrize("kind", ["folder", "video"])
@pytest.mark.parametrize("suffix", CODECS)
def test_another_number_of_masks_is_refused_when_they_are_read(
    tmp_path: Path, suffix: str, kind: str, number: int
) -> None:
    video = video_of(tmp_path, suffix)
    said = rf"masks.*: {number} masks, but the video has {FRAMES} frames; wanted one mask a frame$"
    with pytest.raises(InputError, match=said):
        count_by_runs(video, masks_of(tmp_path, kind, number))


@pytest.mark.parametrize("kind", ["folder", "video"])
def test_a_run_ends_before_it_writes_anything(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime.repair.open_work", lambda *_, **__: pytest.fail("the work has begun"))
    video, masks = video_of(tmp_path), masks_of(tmp_path, kind, FRAMES + 1)
    assert main([str(video), "--mask", str(masks), "--backend", "null"]) == 2
    assert f"{FRAMES + 1} masks, but the video has {FRAMES} frames" in capsys.readouterr().err


def test_a_frame_that_does_not_decode_has_its_mask(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", Clip(WIDTH, HEIGHT, LONGER, options=(("bf", "0"),)))
    video = spoil(whole, LONGER * 2 // 3)
    with VideoReader(video, keep_going=True) as reader:
        decoded = sum(1 for _ in reader)
        assert reader.lost
        assert decoded < reader.counted == LONGER
    assert count_by_runs(video, masks_of(tmp_path, "folder", LONGER), may_lose=True) == 1
    with pytest.raises(InputError, match=rf"{decoded} masks, but the video has {LONGER} frames"):
        count_by_runs(video, masks_of(tmp_path, "video", decoded), may_lose=True)


def test_packets_do_not_tell_where_losses_are_not_counted(tmp_path: Path) -> None:
    masks = masks_of(tmp_path, "folder", FRAMES - 1)
    assert count_by_runs(video_of(tmp_path, "webm"), masks, may_lose=True) == 1


@pytest.mark.parametrize("may_lose", [False, True])
def test_a_damaged_file_is_not_told_by_the_packets_that_are_left(tmp_path: Path, may_lose: bool) -> None:
    video = video_of(tmp_path)
    video.write_bytes(video.read_bytes()[: -video.stat().st_size // 4])
    assert count_by_runs(video, masks_of(tmp_path, "folder", FRAMES), may_lose=may_lose) == 1


def test_the_number_of_pictures_is_not_told_by_the_packets_of_fields(tmp_path: Path) -> None:
    clip = Clip(WIDTH, HEIGHT, FRAMES, fields="tff")
    with VideoReader(write_clip(tmp_path / "video.mkv", clip), deinterlace=True) as reader:
        source = open_masks(Request((masks_of(tmp_path, "folder", FRAMES - 1),)), reader.info)
    assert len(list(source.runs())) == 1
