"""Thirty damaged videos repaired, and the judge shown what it must notice; `make fuzz` does hundreds."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

import pytest

from runtime.errors import InputError
from runtime.job import Job
from runtime.progress import Progress
from runtime.repair import repair
from runtime.summary import Summary
from runtime.video import VideoReader
from tests.clips import Clip, write_clip
from tests.fuzz import trial as fuzz
from tests.fuzz.damage import SAMPLES, damaged, write_samples
from tests.fuzz.trial import ALWAYS, NEVER, Trial, decoded_frames, run_trial

LIMIT_S = 60.0  # another machine may be slow; a hang has no end


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return write_samples(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(("seed", "name"), [*enumerate(islice(cycle(SAMPLES), 30))])
def test_a_damaged_video_ends_in_a_result_or_one_line(
    tmp_path: Path, samples: dict[str, bytes], seed: int, name: str
) -> None:
    box = NEVER if seed % 5 == 4 else ALWAYS
    verdict = run_trial(Trial(name, seed, damaged(samples[name], seed), seed % 3 == 0, box), tmp_path, LIMIT_S)
    assert verdict.good, f"{verdict.outcome}: {verdict.line}"


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("box", [ALWAYS, NEVER])
def test_whole_samples_are_repaired_whole(tmp_path: Path, samples: dict[str, bytes], name: str, box: fuzz.Box) -> None:
    verdict = run_trial(Trial(name, 0, samples[name], keep_going=False, box=box), tmp_path, LIMIT_S)
    copied = box == NEVER and not name.endswith(".ts")
    assert verdict.outcome == ("copied" if copied else "repaired"), verdict.line
    assert decoded_frames(next(tmp_path.glob("out.*"))) == (24, 0)


# A transport stream has no index and no lengths: a broken start code may hide a frame.
@pytest.mark.parametrize("name", [name for name in SAMPLES if not name.endswith(".ts")])
def test_a_video_that_is_read_without_a_word_is_whole(tmp_path: Path, samples: dict[str, bytes], name: str) -> None:
    silent = 0
    for seed in range(60):
        path = tmp_path / name
        path.write_bytes(damaged(samples[name], seed))
        with suppress(InputError), VideoReader(path) as reader:
            assert sum(1 for _ in reader) == 24, f"seed {seed}"
            silent += 1
    assert silent > 10  # a flipped bit of a picture's data cannot be noticed


def shorter(job: Job, progress: Progress) -> Summary:
    """Two frames are lost on the way, and nobody says so."""
    summary = repair(job, progress)
    write_clip(job.out, Clip(frames=summary.frames - 2))
    return replace(summary, frames=summary.frames - 2)


def left_behind(job: Job, progress: Progress) -> Summary:
    job.out.with_suffix(".tmp").touch()
    return repair(job, progress)


def told_in_two_lines(job: Job, _: Progress) -> Summary:
    raise InputError(f"{job.video}: bad\nvery bad")


def half_a_result(job: Job, _: Progress) -> Summary:
    job.out.touch()
    raise InputError(f"{job.video}: bad")


def no_result(job: Job, progress: Progress) -> Summary:
    summary = repair(job, progress)
    job.out.unlink()
    return summary


def lost_unasked(job: Job, progress: Progress) -> Summary:
    return replace(repair(job, progress), lost=("frame 3: lost",))


@pytest.mark.parametrize(
    ("behave", "line"),
    [
        (shorter, "22 frames under the final name, 24 decode"),
        (left_behind, r"left behind: \['out\.tmp'\]"),
        (told_in_two_lines, "not one line"),
        (half_a_result, "a result of a run that failed"),
        (no_result, "no result"),
        (lost_unasked, "frames were lost, and nobody had agreed"),
    ],
)
def test_the_judge_notices(
    tmp_path: Path,
    samples: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    behave: Callable[[Job, Progress], Summary],
    line: str,
) -> None:
    monkeypatch.setattr(fuzz, "repair", behave)
    verdict = run_trial(Trial("phone.mp4", 0, samples["phone.mp4"], keep_going=False, box=ALWAYS), tmp_path, LIMIT_S)
    assert verdict.outcome == "wrong"
    assert re.match(line, verdict.line)


def test_the_judge_notices_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "repair", lambda job, progress: {}[job])
    verdict = run_trial(Trial("phone.mp4", 0, b"", keep_going=False, box=ALWAYS), tmp_path, LIMIT_S)
    assert verdict.outcome == "crash"
    assert verdict.line.splitlines()[-1].startswith("KeyError")


def test_the_judge_notices_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(fuzz, "repair", lambda job, progress: over.wait())
    started = time.perf_counter()
    verdict = run_trial(Trial("phone.mp4", 0, b"", keep_going=False, box=ALWAYS), tmp_path, 0.2)
    over.set()
    assert verdict.outcome == "hang"
    assert time.perf_counter() - started < LIMIT_S


def test_every_seed_damages_in_its_own_way(samples: dict[str, bytes]) -> None:
    data = samples["phone.mp4"]
    cut, flipped, scattered, both = (damaged(data, seed) for seed in range(4))
    assert data.startswith(cut)
    assert len(cut) < len(data)
    assert sum((a ^ b).bit_count() for a, b in zip(flipped, data, strict=True)) == 1
    assert 1 < sum((a ^ b).bit_count() for a, b in zip(scattered, data, strict=True)) <= 40
    assert len(both) < len(data)
    assert damaged(data, 4) != cut
    assert damaged(data, 0) == cut
