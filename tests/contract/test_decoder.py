"""`--decoder` from file to file: the same result whoever decodes, and a word about who did and why.

The GPU, its decoder and the network are stand-ins.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runtime import backends, repair
from runtime._clip_frames import Room
from runtime.cli import main
from runtime.decoding import decide
from runtime.errors import DecoderUnavailable
from runtime.job import Job
from runtime.video import VideoInfo, VideoWriter, probe
from tests.clips import Clip, write_clip
from tests.stand_in_cuda import FakeCuda, MixingOnCuda, installed
from tests.stand_in_nvdec import FakeNvdec, with_nvdec, without_nvdec
from tests.stand_ins import Mixing

LENGTH = 30
B_FRAMES = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clip of several windows with its mask beside it."""
    write_clip(tmp_path / "clip.mp4", Clip(frames=LENGTH, options=B_FRAMES))
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:44] = 255
    Image.fromarray(mask).save(tmp_path / "clip_mask.png")
    return tmp_path


@pytest.fixture
def nvdec(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNvdec]:
    """The GPU that the network runs on, with its decoder."""
    library = FakeNvdec(FakeCuda(delays=(0.0, 0.0002)))
    monkeypatch.setattr(repair.backends, "choose", lambda *_: backends.Chosen("mixing", MixingOnCuda(library.cuda), ()))
    before = threading.active_count()
    with installed(library.cuda), with_nvdec(library):
        yield library
    assert threading.active_count() == before


def infer(folder: Path, bundle: Path, *arguments: str) -> int:
    common = ["--bundle", str(bundle), "--cuts", "none", "--json"]
    return main([str(folder / "clip.mp4"), *common, *arguments])


def result(folder: Path) -> bytes:
    """The result, which is then gone."""
    path = folder / "clip_repaired.mp4"
    data = path.read_bytes()
    path.unlink()
    return data


def test_the_file_is_the_same_to_the_byte_whoever_decodes(
    folder: Path, any_window: Path, nvdec: FakeNvdec, capfd: pytest.CaptureFixture[str]
) -> None:
    files: dict[str, bytes] = {}
    for asked, name in (("cpu", "cpu"), ("auto", "nvdec"), ("nvdec", "nvdec")):
        made = len(nvdec.made)
        assert infer(folder, any_window, "--decoder", asked) == 0
        files[asked] = result(folder)
        summary = json.loads(capfd.readouterr().out)
        assert summary["decoder"] == name
        assert not [note for note in summary["notes"] if "decoded" in note]
        assert ("nvdec" in summary["busy"]) == (name == "nvdec")
        assert len(nvdec.made) == made + (name == "nvdec")
    assert files["cpu"] == files["auto"] == files["nvdec"]


def test_frames_that_do_not_fit_into_memory_are_decoded_by_nvdec_again(
    folder: Path, any_window: Path, nvdec: FakeNvdec, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert infer(folder, any_window, "--decoder", "cpu") == 0
    wanted = result(folder)
    monkeypatch.setattr("runtime.session.Room", lambda first, frames, _most: Room(first, frames, 0))
    assert infer(folder, any_window) == 0
    assert result(folder) == wanted
    assert len(nvdec.made) == 2


@pytest.mark.parametrize("others", [{"fails_at": 17}, {"drops": 17}, {"says_at": (17, "Decode Error occurred\n")}])
def test_where_nvdec_stops_the_cpu_goes_on_and_the_summary_says_so(
    others: dict[str, Any], folder: Path, any_window: Path, nvdec: FakeNvdec, capfd: pytest.CaptureFixture[str]
) -> None:
    assert infer(folder, any_window, "--decoder", "cpu") == 0
    wanted = result(folder)
    capfd.readouterr()
    vars(nvdec).update(others)
    assert infer(folder, any_window) == 0
    assert result(folder) == wanted
    summary = json.loads(capfd.readouterr().out)
    assert summary["decoder"] == "nvdec+cpu"
    assert len([note for note in summary["notes"] if re.match(r"NVDEC stopped at frame \d+: ", note)]) == 1


@pytest.mark.usefixtures("nvdec")
def test_a_run_that_nvdec_began_the_cpu_goes_on_with(
    folder: Path, any_window: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("runtime._video.writer.SEGMENT_FRAMES", 8)
    assert infer(folder, any_window, "--decoder", "cpu") == 0
    wanted = result(folder)
    write = VideoWriter.write

    def killed(self: VideoWriter, frame: Any) -> None:
        if frame.index == 20:
            raise KeyboardInterrupt
        write(self, frame)

    for first, second in (("nvdec", "cpu"), ("cpu", "nvdec")):
        capfd.readouterr()
        monkeypatch.setattr(VideoWriter, "write", killed)
        assert infer(folder, any_window, "--resume", "--decoder", first) == 130
        monkeypatch.setattr(VideoWriter, "write", write)
        assert infer(folder, any_window, "--resume", "--decoder", second) == 0
        summary = json.loads(capfd.readouterr().out)
        assert (summary["decoder"], summary["resumed"]) == (second, 16)
        assert result(folder) == wanted


@pytest.mark.usefixtures("nvdec")
def test_why_the_cpu_decodes_beside_a_gpu_is_said(
    folder: Path, any_window: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with without_nvdec():
        assert infer(folder, any_window) == 0
    summary = json.loads(capfd.readouterr().out)
    assert summary["decoder"] == "cpu"
    assert "decoded on the CPU: PyNvVideoCodec is not installed (pip install PyNvVideoCodec)" in summary["notes"]


@pytest.mark.usefixtures("nvdec")
def test_nvdec_by_name_where_it_cannot_is_one_line_and_nothing_is_written(
    folder: Path, any_window: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.iterdir())
    with without_nvdec():
        assert infer(folder, any_window, "--decoder", "nvdec") == 2
    said = (
        f"infer.py: {folder / 'clip.mp4'}: --decoder nvdec: PyNvVideoCodec is not installed (pip install "
        "PyNvVideoCodec). Leave --decoder out: the CPU decodes then\n"
    )
    printed = capfd.readouterr()
    assert printed.err == said
    assert json.loads(printed.out)["error"] == said.removeprefix("infer.py: ").rstrip()
    assert sorted(folder.iterdir()) == before


def test_without_a_gpu_nobody_speaks_of_decoders(
    folder: Path, any_window: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(repair.backends, "choose", lambda *_: backends.Chosen("mixing", Mixing(), ()))
    assert infer(folder, any_window) == 0
    summary = json.loads(capfd.readouterr().out)
    assert (summary["decoder"], summary["notes"]) == ("cpu", [])
    assert infer(folder, any_window, "--decoder", "nvdec", "--overwrite") == 2
    assert "the network runs on a GPU, and it runs on the CPU here. Leave" in capfd.readouterr().err


class OnGpu:
    """A device of which nothing but its memory matters."""

    memory = "cuda"


LARGE = Clip(144, 144, frames=4)
# And whether NVDEC is refused that is asked for by name, too.
UNSUITED: dict[str, tuple[str, Clip, dict[str, Any], str, bool]] = {
    "AVI": ("v.avi", Clip(frames=4, options=(("bf", "0"),)), {}, r"the container \(avi\) does not store when", True),
    "raw": ("v.h264", Clip(frames=4), {}, r"the container \(h264\) does not store when", True),
    "VP9": ("v.webm", replace(LARGE, codec="libvpx-vp9"), {}, "NVDEC does not say where vp9 is damaged", False),
    "MPEG-2": ("v.ts", Clip(frames=4, codec="mpeg2video"), {}, "NVDEC does not say where mpeg2video is damaged", True),
    "grey": ("v.mp4", replace(LARGE, codec="libx265", pix_fmt="gray"), {}, "nor pictures without chroma", True),
    "RGB": ("v.mkv", replace(LARGE, codec="libx265", pix_fmt="gbrp"), {}, "and RGB as if it were not", True),
    "interlaced": ("v.mp4", Clip(frames=4, fields="tff"), {"deinterlace": True}, "--deinterlace is the CPU's", True),
    "going on": ("v.mp4", Clip(frames=4), {"keep_going": True}, "--keep-going is the CPU's work", True),
}


@pytest.mark.parametrize(("name", "clip", "chosen", "reason", "refused"), UNSUITED.values(), ids=UNSUITED)
def test_what_nvdec_may_not_decode_the_cpu_does(
    name: str, clip: Clip, chosen: dict[str, Any], reason: str, refused: bool, tmp_path: Path
) -> None:
    info = probe(write_clip(tmp_path / name, clip))
    device: Any = OnGpu()
    with with_nvdec(FakeNvdec(FakeCuda())):
        decoding = decide(_job(info, "auto", chosen), info, device)
        assert decoding.nvdec is None
        assert decoding.name == "cpu"
        assert len(decoding.notes) == 1
        assert re.search(reason, decoding.notes[0])
        if not refused:
            assert decide(_job(info, "nvdec", chosen), info, device).nvdec is not None
            return
        with pytest.raises(DecoderUnavailable, match=r"--decoder nvdec: [^\n]+ Leave --decoder out"):
            decide(_job(info, "nvdec", chosen), info, device)


def _job(info: VideoInfo, decoder: str, chosen: dict[str, Any]) -> Job:
    return Job(info.path, info.path.with_name("out.mp4"), decoder=decoder, **chosen)
