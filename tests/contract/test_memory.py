"""Memory follows the schedule: a ten times longer clip needs no more of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import Clip, write_clip
from tests.tiny import HEIGHT, WIDTH
from tests.tolerances import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import json, resource, sys
from runtime.cli import main
code = main(sys.argv[1:])
print(json.dumps([code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""


def peak_kib(folder: Path, frames: int, *arguments: str) -> int:
    """Peak resident memory of infer.py on a clip of `frames` frames."""
    video = folder / f"{frames}.mp4"
    if not video.exists():
        write_clip(video, Clip(width=WIDTH, height=HEIGHT, frames=frames, options=(("preset", "ultrafast"),)))
    command = [sys.executable, "-c", CHILD, str(video), "--box", "30,10,30,20", "--overwrite", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    code, peak = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    return peak


@pytest.mark.parametrize("backend", ["null", "onnxruntime"])
def test_a_ten_times_longer_clip_needs_the_same_memory(
    backend: str, any_window: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("memory")
    arguments = ("--bundle", str(any_window), "--backend", backend)
    short = peak_kib(folder, 300, *arguments)
    long = peak_kib(folder, 3000, *arguments)
    assert long <= short * TOLERANCE["memory", "ratio"]
