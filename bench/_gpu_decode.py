"""Decoding by the CPU and by NVDEC, and whether the frames are the same: python -m bench._gpu_decode WORK [cpu].

With `cpu` NVDEC is left out, which needs no GPU.  Fails where a frame differs, or where NVDEC does not decode it all.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from bench._gpu_steps import Figure, write_output
from bench.clip import SOURCE
from runtime.clock import Clock
from runtime.devices import open_device
from runtime.frame import Frame, Layout
from runtime.nvdec import Nvdec
from runtime.resize import resize_plane
from runtime.video import Encoding, VideoReader, coded, open_work, open_writer, probe


@dataclass(frozen=True, slots=True)
class Form:
    """What is decoded."""

    name: str
    width: int
    height: int
    bits: int
    codec: str
    frames: int


FORMS = (Form("1080p", 1920, 1080, 8, "h264", 32), Form("2160p, 10 bits", 3840, 2160, 10, "hevc", 16))


def main(work: Path, *, on_gpu: bool) -> int:
    """Make the clips where they are not there, decode each; returns the exit code."""
    folder = work / "decode"
    folder.mkdir(parents=True, exist_ok=True)
    if not on_gpu:
        return _measure(folder, None)
    with closing(open_device("cuda", Clock(), 2)) as device:
        return _measure(folder, Nvdec(device))


def _measure(folder: Path, nvdec: Nvdec | None) -> int:
    figures: list[Figure] = []
    for form in FORMS:
        path = folder / f"{form.height}.mp4"
        if not path.exists():
            _make(path, form)
        wanted = _timed(path, None, figures, form)
        if nvdec is not None:
            reason = nvdec.why_not(coded(probe(path)))
            if reason is not None:
                print(f"{form.name}: {reason}", file=sys.stderr)
                return 1
            found = _timed(path, nvdec, figures, form)
            same = len(found) == len(wanted) and all(map(_same, found, wanted))
            if nvdec.stopped or not same:
                print(f"{form.name}: {(*nvdec.stopped, 'frames differ from the CPU')[0]}", file=sys.stderr)
                return 1
    print(write_output(figures, "the CPU alone" if nvdec is None else ""))
    return 0


def _timed(path: Path, nvdec: Nvdec | None, figures: list[Figure], form: Form) -> list[Frame]:
    """The clip's frames; how long one took is added to `figures`, the opening left out."""
    with VideoReader(path, nvdec=nvdec) as reader:
        frames = iter(reader)
        first = next(frames)
        begin, begin_cpu = time.perf_counter(), time.process_time()
        found = [first, *frames]
        wall, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    count = len(found) - 1
    nbytes = sum(plane.nbytes for plane in first.planes)
    who = "CPU" if nvdec is None else "NVDEC"
    note = f"{cpu / count * 1000:.2f} ms of processors" + ("" if nvdec is None else f", {nbytes / 1e6:.1f} MB down")
    figures.append(Figure(f"{form.name} {form.codec} {who}", wall / count * 1000, "ms a frame", note))
    return found


def _make(path: Path, form: Form) -> None:
    """The demo's frames, enlarged."""
    info = probe(SOURCE)
    layout = Layout("yuv", form.bits, 1, 1)
    info = replace(info, width=form.width, height=form.height, layout=layout, frames=form.frames, audio=False)
    with (
        open_work(path, "", resume=False, overwrite=True) as work,
        open_writer(path, info, Encoding(form.codec, preset="ultrafast"), work) as writer,
    ):
        for frame in _enlarged(form, layout):
            writer.write(frame)


def _enlarged(form: Form, layout: Layout) -> Iterator[Frame]:
    with VideoReader(SOURCE) as reader:
        for frame in islice(reader, form.frames):
            luma, *chroma = frame.planes
            sizes = [(form.width, form.height), *[(form.width // 2, form.height // 2)] * 2]
            planes = (resize_plane(plane, *size, 8) for plane, size in zip((luma, *chroma), sizes, strict=True))
            if form.bits > 8:
                planes = (plane.astype(np.uint16) << (form.bits - 8) for plane in planes)
            yield replace(frame, planes=tuple(planes), layout=layout)


def _same(one: Frame, other: Frame) -> bool:
    return one.pts == other.pts and all(map(np.array_equal, one.planes, other.planes))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), on_gpu=sys.argv[2:] != ["cpu"]))
