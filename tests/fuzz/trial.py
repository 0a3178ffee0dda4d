"""One damaged video repaired: what came of it, and whether that may be."""

from __future__ import annotations

import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from runtime.boxes import Box
from runtime.errors import VidmendError
from runtime.job import Job
from runtime.masks import Request
from runtime.progress import silent
from runtime.repair import repair
from runtime.summary import Summary
from runtime.video import Encoding

# Of the outputs; a transport stream's repaired pictures go elsewhere.
OUTPUTS = {".mp4": ".mp4", ".mkv": ".mkv", ".webm": ".mkv", ".ts": ".mp4"}
LINE_CHARACTERS = 1000  # of a message, more is no line to read
ERRORS = 1000  # of a demuxer, after which the plain decoder gives up too
ALWAYS = Box(20, 12, 16, 12)
NEVER = Box(20, 12, 16, 12, start=1e6)  # so that packets are copied unencoded where the file is whole


@dataclass(frozen=True, slots=True)
class Trial:
    """A damaged video, and how it is to be repaired."""

    name: str  # of the file
    seed: int
    data: bytes
    keep_going: bool
    box: Box


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a trial."""

    trial: Trial
    outcome: str  # repaired, copied, repaired with losses, refused; or crash, hang, wrong
    line: str  # what a user reads, or what is wrong
    seconds: float

    @property
    def good(self) -> bool:
        """Whether the program behaved."""
        return self.outcome not in {"crash", "hang", "wrong"}


def run_trial(trial: Trial, folder: Path, limit_s: float) -> Verdict:
    """Repair the trial's video in the empty `folder`, in a thread that gets `limit_s` seconds.

    A thread that hangs lives on: nothing more can be tried in the process then.
    """
    started = time.perf_counter()
    found: list[tuple[str, str]] = []
    thread = threading.Thread(target=lambda: found.append(_caught(trial, folder)), daemon=True)
    thread.start()
    thread.join(limit_s)
    outcome, line = found[0] if found else ("hang", f"not over after {limit_s:g} s")
    return Verdict(trial, outcome, line, time.perf_counter() - started)


def decoded_frames(path: Path) -> tuple[int, int]:
    """How many frames a plain decoder gets out of a file in their order in time, and how many errors it meets."""
    frames = errors = 0
    latest: int | None = None
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            while errors < ERRORS:
                try:
                    for packet in container.demux(container.streams.video[0]):
                        times, failed = _decode(packet)
                        errors += failed
                        for pts in times:
                            frames += pts is None or latest is None or pts >= latest
                            latest = pts if latest is None else max(latest, pts or latest)
                except FFmpegError:
                    errors += 1
                else:
                    break
    except (FFmpegError, IndexError):
        errors += 1
    return frames, errors


def _decode(packet: Packet[VideoStream]) -> tuple[list[int | None], int]:
    try:
        return [picture.pts for picture in packet.decode()], 0
    except FFmpegError:
        return [], 1


def _caught(trial: Trial, folder: Path) -> tuple[str, str]:
    try:
        return _repair(trial, folder)
    except BaseException:  # noqa: BLE001  (whatever it is, it is the finding)
        return "crash", traceback.format_exc()


def _repair(trial: Trial, folder: Path) -> tuple[str, str]:
    source = folder / trial.name
    out = folder / f"out{OUTPUTS[source.suffix]}"
    source.write_bytes(trial.data)
    unchanged = trial.box == NEVER
    job = Job(
        video=source,
        out=out,
        masks=Request(boxes=(trial.box,)),
        cuts="none",
        backend="null",
        encoding=Encoding() if unchanged else Encoding("h264", preset="ultrafast"),
        keep_going=trial.keep_going,
    )
    try:
        summary = repair(job, silent)
    except VidmendError as error:
        outcome, line = "refused", str(error)
        wrong = _judge_line(line) or ("a result of a run that failed" if out.exists() else "")
    else:
        outcome = "copied" if summary.copied else "repaired with losses" if summary.lost else "repaired"
        line = "; ".join(summary.lost)
        wrong = _judge_result(trial, source, out, summary)
    left = [path.name for path in folder.iterdir() if path not in (source, out)]
    wrong = wrong or (f"left behind: {left}" if left else "")
    return ("wrong", f"{wrong}; {line}") if wrong else (outcome, line)


def _judge_line(line: str) -> str:
    if not line or len(line.splitlines()) != 1:
        return "not one line"
    return "a line too long to read" if len(line) > LINE_CHARACTERS else ""


def _judge_result(trial: Trial, source: Path, out: Path, summary: Summary) -> str:
    """What is wrong with a result: above all, fewer frames than there were to be had."""
    if not out.exists():
        return "no result"
    to_be_had, _ = decoded_frames(source)
    written, errors = decoded_frames(out)
    if written < to_be_had:
        return f"{written} frames under the final name, {to_be_had} decode"
    if not summary.copied and (written != summary.frames or errors):
        return f"{written} frames and {errors} errors in the result, {summary.frames} told"
    if summary.lost and not trial.keep_going:
        return "frames were lost, and nobody had agreed"
    return next((wrong for line in summary.lost if (wrong := _judge_line(line))), "")
