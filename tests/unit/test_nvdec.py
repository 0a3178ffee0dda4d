"""What is asked of PyNvVideoCodec, and what becomes of its surfaces."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import numpy as np
import pytest

from runtime._nvdec_words import Overheard
from runtime.clock import Clock
from runtime.devices import open_device
from runtime.frame import Layout
from runtime.nvdec import Coded, DecoderFault, Nvdec, unpacked
from tests.clips import write_clip
from tests.decoded import PLAIN, assert_same, nvdec_of, read
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_nvdec import FakeNvdec, without_nvdec


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


def test_what_is_printed_is_heard_and_standard_output_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    overheard = Overheard()
    libc = ctypes.CDLL(None)
    libc.printf(b"before, ")
    with pytest.raises(KeyError), overheard.listening() as heard:
        libc.printf(b"in C's buffer, ")
        os.write(1, b"and past it")
        raise KeyError
    libc.printf(b"behind")
    libc.fflush(None)
    assert sorted(heard.text.replace(",", "").split()) == sorted(["in", "C's", "buffer", "and", "past", "it"])
    assert capfd.readouterr() == ("before, behind", heard.text)


def test_where_standard_output_is_closed_the_cpu_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_clip(tmp_path / "v.mp4", PLAIN)

    def closed(_descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor")

    with nvdec_of(FakeNvdec(FakeCuda())) as nvdec:
        monkeypatch.setattr("runtime._nvdec_words.os.dup", closed)
        assert_same(read(path, nvdec), read(path))
        monkeypatch.undo()
    assert nvdec.stopped[0].startswith("NVDEC stopped at frame 0: it failed: [Errno 9] Bad file descriptor;")
