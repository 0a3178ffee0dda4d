"""Frames by way of NVDEC are those of libav, byte for byte; and whatever goes wrong there, none is lost.

The library is a stand-in that decodes with libav and behaves as the real one (tests/stand_in_nvdec.py).
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import DamagedVideo, DeviceFailed, InputError
from runtime.frame import Frame
from runtime.nvdec import NvdecVideo
from runtime.video import VideoReader, coded, unsuited
from tests.clips import Clip, remux, write_clip
from tests.decoded import LATE, OPEN_GOP, PLAIN, SOUND, assert_same, damaged, nvdec_of, read
from tests.ordered import Hazard
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_nvdec import FakeNvdec


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound clip of 24 frames."""
    return write_clip(tmp_path_factory.mktemp("plain") / "v.mp4", PLAIN)


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


@pytest.mark.parametrize("waits", [True, False])
def test_a_download_that_is_not_behind_the_decoder_is_noticed(
    waits: bool, plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another stream it needs the decoder's event: that the other tests can fail."""
    downloaded = NvdecVideo._downloaded

    def astray(self: NvdecVideo, frame: Any) -> Any:
        own, self._stream = self._stream, self._device.stream("astray")
        try:
            if waits:
                self._stream.wait(own.mark())
            coming = downloaded(self, frame)
            self._stream.mark().wait()
        finally:
            self._stream.close()
            self._stream = own
        return coming

    monkeypatch.setattr(NvdecVideo, "_downloaded", astray)
    with nvdec_of(FakeNvdec(FakeCuda(delays=(0.0002,)))) as nvdec:
        if waits:
            assert_same(read(plain, nvdec), read(plain))
            assert nvdec.stopped == []
            return
        with pytest.raises(Hazard, match="astray reads what nvdec writes, and no event is between them"):
            read(plain, nvdec)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "fails at once": ({"fails_at": 1}, r"frame 0: it failed: m_api\.cuvid.* returned error 999; the CPU"),
    "fails later": ({"fails_at": 20}, r"frame \d+: it failed: m_api"),
    "loses a picture": ({"drops": 12}, r"frame \d+: a picture is missing, or came out of its turn;"),
    "loses the first": ({"drops": 1}, r"frame 0: a picture is missing"),
    "loses the last": ({"drops": 24}, r"frame \d+: 1 pictures did not come;"),
    "gives one twice": ({"repeats": 12}, r"frame \d+: a picture came that belongs to no packet;"),
    "exchanges two": ({"swaps": 12}, r"frame \d+: a picture is missing, or came out of its turn;"),
    "says that it hid damage": ({"says_at": (18, "Decode Error occurred for picture 9\n")}, "it met damage: Decode E"),
    "decodes another picture": ({"spoils": 1}, r"frame 0: it decodes the first pictures otherwise than the CPU;"),
    "decodes another one soon": ({"spoils": 8}, r"frame \d+: it decodes the first pictures otherwise than the CPU;"),
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


@pytest.mark.parametrize("number", [11, 12, 20])
def test_frames_that_were_made_of_a_damaged_one_are_not_given_though_they_are_shown_before_it(
    number: int, tmp_path: Path
) -> None:
    """The CPU finds none, so that it is NVDEC's alone; eight pictures are shown before the one they are made of."""
    many = (("bf", "8"), ("x264-params", "keyint=40:scenecut=0:b-adapt=0:b-pyramid=normal"))
    path = write_clip(tmp_path / "v.mp4", Clip(frames=30, gop=40, options=many))
    with nvdec_of(FakeNvdec(FakeCuda(), damages=number)) as nvdec:
        assert_same(read(path, nvdec), read(path))
    assert "it met damage: Decode Error" in nvdec.stopped[0]


def test_what_the_library_prints_is_on_standard_error_and_harmless_words_stop_nothing(
    plain: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with nvdec_of(FakeNvdec(FakeCuda(), says_at=(5, "a session begins\n"))) as nvdec:
        assert len(read(plain, nvdec)) == 24
    assert nvdec.stopped == []
    assert capfd.readouterr() == ("", "a session begins\n")


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
        assert [next(iter(reader)).index for _ in range(frames)] == list(range(frames))


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
