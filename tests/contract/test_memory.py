"""Memory follows the schedule: a ten times longer clip needs no more of it, and 4K has a bound."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame

from runtime.bundle import DEFAULT, read_bundle, write_manifest
from runtime.job import find_bundle
from tests.clips import Clip, write_clip
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
# Not resource.getrusage: what it tells begins with the size of the process that started this one.
CHILD = """
import contextlib, json, re, sys
from pathlib import Path
from runtime import cli

def peak_kib():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])

def told(phase, done, total):
    if phase == "repairing" and done == MARK:
        peaks.append(peak_kib())

MARK = int(sys.argv[1])
peaks = []
cli.shown = lambda title: contextlib.nullcontext(told)
code = cli.main(sys.argv[2:])
peaks.append(peak_kib())
print(json.dumps([code, *peaks]))
"""
GOP = 15
MOST_KIB = 1_500_000_000 // 1024  # at 4K


def peaks_kib(video: Path, frames: int, mark: int, *arguments: str) -> tuple[int, int]:
    """Peak resident memory of a whole run over `frames` frames: when `mark` of them were written, and at the end."""
    out = video.with_name(f"{video.stem}_out.mp4")
    command = [sys.executable, "-c", CHILD, str(mark), str(video), "--out", str(out), "--cuts", "none", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    code, *peaks = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    with av.open(str(out)) as result:
        assert result.streams.video[0].frames == frames
    return peaks[0], peaks[1]


def seldom(bundle: Path, folder: Path) -> Path:
    """A copy whose windows do not overlap: half the work, and all the frames."""
    opened = read_bundle(Path(shutil.copytree(bundle, folder / "seldom")))
    rule = opened.manifest.schedule
    write_manifest(opened.root, replace(opened.manifest, schedule=replace(rule, neighbour_stride=rule.targets)))
    return opened.root


def write_4k(path: Path, frames: int) -> None:
    """A box that moves over a flat picture; one group of pictures is encoded, its packets repeated."""
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "bf": "0", "tune": "zerolatency"}  # packets in order
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 3840, 2160, "yuv420p"
        stream.codec_context.gop_size = GOP
        packets: list[Packet[Any]] = []
        for index in range(GOP):
            picture = np.full((2160 * 3 // 2, 3840), 128, np.uint8)
            picture[800:864, 64 * index : 64 * index + 64] = 235
            packets += stream.encode(VideoFrame.from_ndarray(picture, "yuv420p"))
        packets += stream.encode(None)
        first = [(bytes(cast(Any, packet)), packet.is_keyframe) for packet in packets]  # PyAV declares no __buffer__
        ticks = round(1 / (25 * packets[0].time_base))
        for index in range(frames):
            data, is_key = first[index % GOP]
            packet: Packet[Any] = Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, packets[0].time_base, is_key
            packet.pts = packet.dts = index * ticks
            packet.duration = ticks
            container.mux(packet)


@pytest.mark.parametrize("backend", ["null", "onnxruntime"])
def test_a_ten_times_longer_clip_needs_the_same_memory(backend: str, any_window: Path, tmp_path: Path) -> None:
    video = tmp_path / "long.mp4"
    write_clip(video, Clip(width=WIDTH, height=HEIGHT, frames=3000, options=(("preset", "ultrafast"),)))
    arguments = ("--box", "30,10,30,20", "--bundle", str(seldom(any_window, tmp_path)), "--backend", backend)
    early, late = peaks_kib(video, 3000, 300, *arguments)
    assert late <= early * TOLERANCE["memory", "ratio"]


def test_4k_stays_below_one_and_a_half_gigabytes_for_any_length(any_window: Path, tmp_path: Path) -> None:
    video = tmp_path / "long.mp4"
    write_4k(video, 450)
    arguments = ("--box", "100,100,120,60", "--bundle", str(any_window), "--backend", "null")
    early, late = peaks_kib(video, 450, 150, *arguments, "--codec", "h264", "--preset", "ultrafast")
    assert late <= MOST_KIB
    assert late <= early + TOLERANCE["memory", "4k queues KiB"]


def test_4k_stays_below_one_and_a_half_gigabytes_as_it_is_encoded_by_default(tmp_path: Path) -> None:
    """With the shipped network's sizes, and long enough to fill every queue of the encoder."""
    video = tmp_path / "default.mp4"
    write_4k(video, 75)
    _, peak = peaks_kib(video, 75, 60, "--box", "100,100,500,300", "--backend", "null", "--codec", "h264")
    assert peak <= MOST_KIB


AGAIN = """
import json, re, sys
from pathlib import Path
from runtime import backends
from runtime.bundle import read_bundle
from runtime.program import Request
from runtime.trial import Call

def peak_kib():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])

bundle, backend = read_bundle(Path(sys.argv[2])), backends.able(sys.argv[1])
stage = bundle.stage("transformer")
program = backend.open(Request(bundle.file(stage, "onnx"), stage, {}, "fp32"))
peaks = []
for _ in range(2):
    for frames in (4, 3, 2):
        Call(program, stage, {"T": frames, "N": frames - 1}, backend).seconds()
    peaks.append(peak_kib())
print(json.dumps(peaks))
"""


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_window_takes_no_more_memory_the_second_time(backend: str) -> None:
    """onnxruntime, left to itself, plans memory for every length that it has seen, beside what the first runs took."""
    command = [sys.executable, "-c", AGAIN, backend, str(find_bundle(DEFAULT))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    once, twice = json.loads(done.stdout)
    assert twice <= once * TOLERANCE["memory", "again"]
