"""A run that is killed again and again and goes on each time ends with what a run left alone gives."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
import pytest

from runtime.video import VideoReader
from runtime.work import FINGERPRINT, LOCK, UNFINISHED, folder_of
from tests.clips import Clip, Planes, moving_planes, picture_from, write_clip

ROOT = Path(__file__).resolve().parents[2]
KILLS = 10
FRAMES = 1500
PATIENCE_S = 120  # for one more finished piece, on a machine that does much else
REAL_TIMES = tuple(40 * index + index * 7 % 11 for index in range(FRAMES))  # milliseconds, unevenly spaced: 60 s
CLIP = Clip(
    width=320,
    height=180,
    frames=FRAMES,
    options=(("preset", "ultrafast"), ("crf", "30")),
    gop=50,
    time_base=Fraction(1, 1000),
    pts=REAL_TIMES,
    audio_codec="aac",
    audio_seconds=60.0,
)

Process = subprocess.Popen[str]


@dataclass(frozen=True)
class Run:
    """How infer.py is called for one output."""

    source: Path
    out: Path
    bundle: Path

    def start(self, *more: str) -> Process:
        """Repair seconds 5 to 50."""
        files = [str(self.source), "--out", str(self.out), "--bundle", str(self.bundle)]
        command = [sys.executable, str(ROOT / "infer.py"), *files, "--box", "100,40,81,60@5-50", "--backend", "null"]
        return subprocess.Popen(
            [*command, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )

    def pieces(self) -> int:
        """Pieces of unfinished work that are complete."""
        folder = folder_of(self.out)
        names = [path for path in folder.iterdir() if path.suffix != UNFINISHED] if folder.is_dir() else []
        return sum(path.name not in (LOCK, FINGERPRINT) for path in names)

    def await_pieces(self, process: Process, count: int) -> None:
        """Wait until `count` pieces are complete; fails when the run ends before that."""
        deadline = time.monotonic() + PATIENCE_S
        while self.pieces() < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, f"{self.pieces()} pieces after {PATIENCE_S} s, wanted {count}"
            time.sleep(0.002)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty seconds of uneven frame times, two scenes, with sound."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    return write_clip(path, CLIP, (picture_from(planes, CLIP.pix_fmt) for planes in pictures()))


def pictures() -> Iterator[Planes]:
    """Each different from all others; the second half is another scene."""
    first = moving_planes(CLIP, 0)
    second = tuple(255 - plane[::-1] // 2 for plane in moving_planes(CLIP, 77))
    for index in range(FRAMES):
        scene = first if index < FRAMES // 2 else second
        yield (np.roll(scene[0], (index, 3 * index), (0, 1)), *scene[1:])


def frames_of(path: Path) -> list[tuple[float, str]]:
    """When each frame is shown, and its samples."""
    with VideoReader(path) as reader:
        return [
            (reader.info.seconds(frame.pts), sha256(b"".join(plane.tobytes() for plane in frame.planes)).hexdigest())
            for frame in reader
        ]


def sound_of(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_ten_times_ends_as_one_left_alone(source: Path, any_window: Path, tmp_path: Path) -> None:
    alone = Run(source, tmp_path / "alone.mp4", any_window)
    started = time.monotonic()
    printed, errors = (process := alone.start()).communicate()
    assert process.returncode == 0, errors
    spent = time.monotonic() - started
    assert json.loads(printed)["cuts"] == [FRAMES // 2]

    killed = Run(source, tmp_path / "killed.mp4", any_window)
    moments = random.Random(4)  # noqa: S311  (any moments will do)
    for kill in range(KILLS):
        process = killed.start("--resume")
        killed.await_pieces(process, kill)  # so that no run gets through, however fast the machine is
        time.sleep(moments.uniform(0, spent / 15))  # about as long as a piece takes, so that any step is met
        process.kill()
        _, errors = process.communicate()
        assert process.returncode == -signal.SIGKILL, errors
        assert not killed.out.exists()
        assert killed.pieces() >= kill

    printed, errors = (process := killed.start("--resume")).communicate()
    assert process.returncode == 0, errors
    summary = json.loads(printed)
    assert summary["resumed"] > 0
    assert summary["frames"] == FRAMES
    assert summary["cuts"] == [FRAMES // 2]
    assert frames_of(killed.out) == frames_of(alone.out)
    assert sound_of(killed.out) == sound_of(alone.out)
    assert [time for time, _ in frames_of(alone.out)] == [time for time, _ in frames_of(source)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone.mp4", "killed.mp4"]


def test_ctrl_c_keeps_what_is_finished_only_where_it_can_go_on(source: Path, any_window: Path, tmp_path: Path) -> None:
    for more, kept in (((), False), (("--resume",), True)):
        run = Run(source, tmp_path / "clip.mp4", any_window)
        process = run.start(*more)
        run.await_pieces(process, 1)
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130, errors
        assert not printed
        assert len(errors.splitlines()) == 1, errors
        assert ("clip.mp4.part" in errors) == kept
        assert run.pieces() >= 1 if kept else not list(tmp_path.iterdir())
