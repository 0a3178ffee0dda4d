"""Frames by way of NVDEC are those of libav, byte for byte; and whatever goes wrong there, none is lost.

The library is a stand-in that decodes with libav and behaves as the real one (tests/stand_in_nvdec.py).
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clock import Clock
from runtime.devices import open_device
from runtime.errors import DamagedVideo, DeviceFailed, InputError
from runtime.frame import Frame, Layout
from runtime.nvdec import Coded, DecoderFault, Nvdec, NvdecVideo, unpacked
from runtime.video import VideoReader, coded, unsuited
from tests.clips import Clip, remux, write_clip
from tests.ordered import CheckedDevice
from tests.stand_in_cuda import FakeCuda, installed
from tests.stand_in_nvdec import FakeNvdec, with_nvdec, without_nvdec

LATE = (0.0, 0.0004, 0.0, 0.001)
B_FRAMES = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0"))
OPEN_GOP = (("bf", "3"), ("x264-params", "keyint=10:min-keyint=10:scenecut=0:open-gop=1:b-pyramid=normal"))
PLAIN = Clip(frames=24, options=B_FRAMES)
HEVC = Clip(144, 144, frames=14, codec="libx265", options=(("x265-params", "log-level=none:pools=1:frame-threads=1"),))
TICKS = Fraction(1, 90000)

SOUND = {
    "mp4": ("v.mp4", PLAIN),
    "open groups": ("v.mkv", replace(PLAIN, options=OPEN_GOP)),
    "transport stream with sound": ("v.ts", replace(PLAIN, audio_codec="aac", audio_seconds=1)),
    "cropped": ("v.mp4", replace(PLAIN, width=70, height=50)),
    "4:2:2, 10 bits": ("v.mov", replace(PLAIN, pix_fmt="yuv422p10le")),
    "4:2:0, 10 bits, cropped": ("v.mkv", replace(PLAIN, pix_fmt="yuv420p10le", width=66)),
    "HEVC": ("v.mp4", HEVC),
    "HEVC, 10 bits": ("v.mkv", replace(HEVC, pix_fmt="yuv420p10le", width=150)),
    "HEVC, 4:4:4": ("v.mp4", replace(HEVC, pix_fmt="yuv444p", height=147)),
    "HEVC, 4:4:4, 12 bits": ("v.mp4", replace(HEVC, pix_fmt="yuv444p12le")),
    "uneven times": ("v.mp4", Clip(frames=7, time_base=TICKS, pts=[0, 10, 4000, 4001, 9000, 90000, 90007])),
    "an edit list": ("v.mp4", Clip(frames=20, time_base=Fraction(1, 25), pts=[n - 5 for n in range(20)])),
    "one frame": ("v.mp4", Clip(frames=1)),
    "turned, full range": ("v.mp4", replace(PLAIN, rotation=90, colour=(1, 1, 1, 2))),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound clip of 24 frames."""
    return write_clip(tmp_path_factory.mktemp("plain") / "v.mp4", PLAIN)


@contextmanager
def nvdec_of(library: FakeNvdec) -> Generator[Nvdec, None, None]:
    """The library on its device, every access checked; afterwards no thread of it is left."""
    before = threading.active_count()
    with installed(library.cuda), with_nvdec(library):
        yield Nvdec(CheckedDevice(open_device("cuda", Clock(), 2)))
    assert threading.active_count() == before


def read(path: Path, nvdec: Nvdec | None = None) -> list[Frame]:
    with VideoReader(path, nvdec=nvdec) as reader:
        frames = list(reader)
        assert reader.counted == len(frames)
        assert not reader.lost
    return frames


def assert_same(found: Sequence[Frame], wanted: Sequence[Frame]) -> None:
    assert [(frame.index, frame.pts) for frame in found] == [(frame.index, frame.pts) for frame in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert (one.layout, one.colour) == (other.layout, other.colour)
        for mine, theirs in zip(one.planes, other.planes, strict=True):
            assert mine.dtype == theirs.dtype
            assert mine.flags["C_CONTIGUOUS"] == theirs.flags["C_CONTIGUOUS"]
            assert np.array_equal(mine, theirs)


@pytest.mark.parametrize(("name", "clip"), SOUND.values(), ids=SOUND)
def test_frames_are_those_of_the_cpu(name: str, clip: Clip, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, clip)
    wanted = read(path)
    library = FakeNvdec(FakeCuda(delays=LATE))
    with nvdec_of(library) as nvdec:
        with VideoReader(path) as reader:
            assert unsuited(reader.info, damage_is_told=True) is None
            assert nvdec.why_not(coded(reader.info)) is None
        assert_same(read(path, nvdec), wanted)
    assert nvdec.stopped == []
    assert library.made[0].pictures >= len(wanted)


@pytest.mark.parametrize("width", [144, 151])
def test_vp9_by_name(width: int, tmp_path: Path) -> None:
    """Packets that hold pictures which are never shown; rows of odd length, which the library does not give."""
    hidden = (("auto-alt-ref", "1"), ("lag-in-frames", "16"))
    path = write_clip(tmp_path / "v.webm", Clip(width, 145, frames=20, codec="libvpx-vp9", options=hidden))
    with nvdec_of(FakeNvdec(FakeCuda(delays=LATE))) as nvdec, VideoReader(path) as reader:
        assert "vp9 is damaged" in str(unsuited(reader.info, damage_is_told=True))
        assert unsuited(reader.info, damage_is_told=False) is None
        assert (nvdec.why_not(coded(reader.info)) is None) == (width == 144)
        if width == 144:
            assert_same(read(path, nvdec), read(path))
            assert nvdec.stopped == []


@settings(max_examples=5)
@given(delays=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0003, 0.002]), min_size=1, max_size=7))
def test_however_late_the_gpu_is(delays: list[float], plain: Path) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(delays=delays))) as nvdec:
        assert_same(read(plain, nvdec), read(plain))
    assert nvdec.stopped == []


def test_a_download_that_is_not_behind_the_decoder_is_noticed(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On another stream surfaces hold what is not yet, or no longer, the picture: that the other tests can fail."""
    downloaded = NvdecVideo._downloaded

    def astray(self: NvdecVideo, frame: Any) -> Any:
        own, self._stream = self._stream, self._device.stream("astray")
        try:
            coming = downloaded(self, frame)
            self._stream.mark().wait()
        finally:
            self._stream.close()
            self._stream = own
        return coming

    monkeypatch.setattr(NvdecVideo, "_downloaded", astray)
    with nvdec_of(FakeNvdec(FakeCuda(delays=(0.001,)))) as nvdec:
        assert_same(read(plain, nvdec), read(plain))
    assert "decodes the first pictures otherwise" in nvdec.stopped[0]


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "fails at once": ({"fails_at": 1}, r"frame 0: it failed: HandlePictureDecode : cuvid.* returned error 999;"),
    "fails later": ({"fails_at": 20}, r"frame \d+: it failed: HandlePictureDecode"),
    "loses a picture": ({"drops": 12}, r"frame 11: a picture is missing, or came out of its turn;"),
    "loses the first": ({"drops": 1}, r"frame 0: a picture is missing"),
    "loses the last": ({"drops": 24}, r"frame 23: 1 pictures did not come;"),
    "gives one twice": ({"repeats": 12}, r"frame 12: a picture came that belongs to no packet;"),
    "exchanges two": ({"swaps": 12}, r"frame \d+: a picture is missing, or came out of its turn;"),
    "says that it hid damage": ({"says_at": (18, "Decode Error occurred for picture 9\n")}, "it met damage: Decode E"),
    "decodes another picture": ({"spoils": 1}, r"frame 0: it decodes the first pictures otherwise than the CPU;"),
    "decodes another one soon": ({"spoils": 8}, r"frame 7: it decodes the first pictures otherwise than the CPU;"),
}


@pytest.mark.parametrize(("fault", "told"), FAULTS.values(), ids=FAULTS)
def test_the_cpu_goes_on_where_nvdec_stops(
    fault: dict[str, Any], told: str, plain: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(delays=LATE), **fault)) as nvdec:
        assert_same(read(plain, nvdec), read(plain))
    assert len(nvdec.stopped) == 1
    assert nvdec.stopped[0].endswith("; the CPU decoded from there")
    assert re.search(told, nvdec.stopped[0]), nvdec.stopped
    assert capfd.readouterr().out == ""


def test_what_the_library_prints_is_on_standard_error_and_harmless_words_stop_nothing(
    plain: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(), says_at=(5, "a session begins\n"))) as nvdec:
        assert len(read(plain, nvdec)) == 24
    assert nvdec.stopped == []
    assert capfd.readouterr() == ("", "a session begins\n")


def damaged(source: Path, out: Path, number: int) -> Path:
    """A copy in which the second half of packet `number` is zeros."""
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
    begin, size = packets[number].pos or 0, packets[number].size
    data = bytearray(source.read_bytes())
    data[begin + size // 2 : begin + size] = bytes(size - size // 2)
    out.write_bytes(data)
    return out


@pytest.mark.parametrize("number", [0, 5, 15])
def test_damage_is_told_as_the_cpu_tells_it(
    number: int, plain: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = damaged(plain, tmp_path / "v.mp4", number)
    with pytest.raises(DamagedVideo) as wanted:
        read(path)
    with nvdec_of(FakeNvdec(FakeCuda(delays=LATE))) as nvdec, pytest.raises(DamagedVideo) as found:
        read(path, nvdec)
    assert str(found.value) == str(wanted.value)
    assert capfd.readouterr().out == ""


def test_a_file_that_is_cut_short_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "v.ts").write_bytes(write_clip(tmp_path / "whole.ts", PLAIN).read_bytes()[:-1000])
    library = FakeNvdec(FakeCuda())
    with nvdec_of(library) as nvdec, pytest.raises(DamagedVideo):
        read(tmp_path / "v.ts", nvdec)
    assert library.made == []


@pytest.mark.parametrize("source", ["mp4", "mkv", "ts"])
def test_a_cut_between_key_frames_loses_nothing(source: str, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / f"whole.{source}", Clip(frames=40, options=OPEN_GOP))
    path = remux(whole, tmp_path / f"cut.{source}", first_key=1)
    with nvdec_of(FakeNvdec(FakeCuda())) as nvdec:
        assert_same(read(path, nvdec), read(path))


def joined(first: Path, second: Path, out: Path) -> Path:
    """The packets of one stream, then those of another, as if they were one."""
    with av.open(str(out), "w") as output, av.open(str(first)) as one, av.open(str(second)) as other:
        stream = output.add_stream_from_template(one.streams.video[0])
        for source in (one, other):
            for packet in source.demux(source.streams.video[0]):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    return out


def test_a_video_that_becomes_another_one_is_refused_as_the_cpu_refuses_it(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "a.ts", Clip(64, 48, frames=12))
    large = write_clip(tmp_path / "b.ts", Clip(96, 64, frames=12, pts=range(20, 32)))
    path = joined(small, large, tmp_path / "v.ts")
    with nvdec_of(FakeNvdec(FakeCuda())) as nvdec, pytest.raises(InputError, match=r"frame 12 has 96x64 pixels"):
        read(path, nvdec)
    assert "the video's parameters change" in nvdec.stopped[0]


def test_frames_that_may_be_fields_are_the_cpus(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "v.mp4", replace(PLAIN, options=(("x264-params", "fake-interlaced=1"),)))
    with nvdec_of(FakeNvdec(FakeCuda())) as nvdec:
        assert_same(read(path, nvdec), read(path))
    assert "frame 0: its parameters allow interlaced pictures" in nvdec.stopped[0]


def test_a_gpu_that_is_lost_is_one_line(plain: Path) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(lost_after=30))) as nvdec:
        with pytest.raises(DeviceFailed, match=r"^Fake GPU: [^\n]+$"):
            read(plain, nvdec)
        assert nvdec.stopped == []


@pytest.mark.parametrize("frames", [0, 1, 9])
def test_the_iteration_can_stop_at_any_frame(frames: int, plain: Path) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(delays=LATE))) as nvdec, VideoReader(plain, nvdec=nvdec) as reader:
        for _ in range(frames):
            next(iter(reader))


def test_two_readings_at_once_do_not_take_each_others_words(plain: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(delays=LATE), says_at=(15, "a word\n"))) as nvdec:
        readers = [VideoReader(plain, nvdec=nvdec) for _ in range(2)]
        found: list[list[Frame]] = [[], []]
        threads = [threading.Thread(target=found[place].extend, args=(readers[place],)) for place in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert_same(found[0], found[1])
    assert len(found[0]) == 24
    assert capfd.readouterr() == ("", "a word\n" * 2)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("shifts", [(1, 1), (1, 0), (0, 0)])
def test_surfaces_become_planes(bits: int, shifts: tuple[int, int]) -> None:
    form = Coded("hevc", Layout("yuv", bits, *shifts), 6, 5)
    rng = np.random.default_rng(bits)
    wanted = [rng.integers(0, 1 << bits, shape) for shape in form.shapes]
    chroma = [np.stack(wanted[1:], axis=-1)] if shifts[0] else wanted[1:]
    samples = np.concatenate([plane.reshape(-1) for plane in (wanted[0], *chroma)]) << (0 if bits == 8 else 16 - bits)
    surface = samples.astype(np.uint8 if bits == 8 else np.uint16).view(np.uint8)
    assert surface.nbytes == form.nbytes
    for mine, theirs in zip(unpacked(form, surface), wanted, strict=True):
        assert np.array_equal(mine, theirs)
        assert mine.base is None


@pytest.mark.parametrize(
    ("capability", "form", "reason"),
    [
        ("9.0", Coded("h264", Layout("yuv", 8, 1, 1), 1920, 1080), None),
        ("9.0", Coded("av1", Layout("yuv", 8, 1, 1), 1920, 1080), "does not decode av1 in 4:2:0 with 8 bits"),
        ("8.6", Coded("av1", Layout("yuv", 10, 1, 1), 1920, 1080), None),
        ("9.0", Coded("h264", Layout("yuv", 10, 1, 1), 1920, 1080), "does not decode h264 in 4:2:0 with 10 bits"),
        ("12.0", Coded("hevc", Layout("yuv", 10, 1, 0), 1920, 1080), None),
        ("8.6", Coded("hevc", Layout("yuv", 10, 1, 0), 1920, 1080), "does not decode hevc in 4:2:2 with 10 bits"),
        ("9.0", Coded("h264", Layout("yuv", 8, 1, 1), 4112, 2160), "decodes h264 of 48x16 to 4096x4096 pixels, not of"),
        ("9.0", Coded("h264", Layout("yuv", 8, 1, 1), 32, 32), "decodes h264 of 48x16 to 4096x4096 pixels, not of"),
        ("9.0", Coded("h264", Layout("yuv", 8, 1, 1), 1919, 1080), "rows of even length only"),
        ("9.0", Coded("h264", Layout("yuv", 8, 0, 1), 1920, 1080), "knows no such format"),
        ("9.0", Coded("mpeg2video", Layout("yuv", 8, 1, 1), 720, 576), "knows no such format"),
        ("9.0", Coded("hevc", Layout("rgb", 8, 0, 0), 1920, 1080), "knows no such format"),
    ],
)
def test_the_gpu_says_what_it_decodes(capability: str, form: Coded, reason: str | None) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(), capability)) as nvdec:
        found = nvdec.why_not(form)
    assert found is None if reason is None else found is not None and reason in found


def test_a_library_that_cannot_be_used_says_why_in_one_line() -> None:
    with nvdec_of(FakeNvdec(FakeCuda(), broken="libnvcuvid.so.1: cannot open shared object file")) as nvdec:
        found = nvdec.why_not(Coded("h264", Layout("yuv", 8, 1, 1), 64, 48))
    assert found == "PyNvVideoCodec cannot be used here: libnvcuvid.so.1: cannot open shared object file"
    device = open_device("host", Clock(), 1)
    with without_nvdec(), pytest.raises(DecoderFault, match=r"^PyNvVideoCodec is not installed \(pip install"):
        Nvdec(device)
