"""The command line of infer.py."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runtime import backends
from runtime.errors import UsageError, VidmendError, refusals_told
from runtime.interruption import INTERRUPTED, interruptible
from runtime.job import Job
from runtime.memory import share_one_arena
from runtime.options import build_parser, jobs, refuse_unused
from runtime.outlook import Previewed, preview
from runtime.patterns import is_pattern
from runtime.program import Backend
from runtime.progress import shown
from runtime.repair import repair
from runtime.summary import Summary, describe
from runtime.work import folder_of

DONE, FAILED, LOST, SOME_FAILED = 0, 2, 3, 4


def main(arguments: Sequence[str]) -> int:
    """Run infer.py with `arguments`; returns the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.list_backends:
        return _list_backends(as_json=options.json)
    if not options.videos:
        parser.error("which video?")
    share_one_arena()
    try:
        with interruptible():
            codes = _run(options)
    except VidmendError as error:
        if options.json:  # of no video, since none was begun
            print(json.dumps({"error": str(error)}), flush=True)
        return _say(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    return codes[0] if len(codes) == 1 else _verdict(codes, quiet=options.json)


def _run(options: argparse.Namespace) -> list[int]:
    """The exit code of each video."""
    wanted = list(jobs(options))
    if len(wanted) > 1 and (options.report or options.preview):
        raise UsageError("--report and --preview: take one video at a time")
    if options.resume and options.keep_going:
        raise UsageError("--resume: cannot be used with --keep-going, since lost frames cannot be counted on")
    refuse_unused(options, wanted)
    codes: list[int] = []
    with _folder_for(wanted, options.out):
        for job in wanted:
            codes.append(_one(job, options, _others(codes, len(wanted))))
    return codes


@contextmanager
def _folder_for(jobs: Sequence[Job], asked: str | None) -> Generator[None, None, None]:
    """The folder that results are asked into, there while they are made and gone again where there are none."""
    folder = None if asked is None else Path(asked)
    if folder is None or folder.exists() or not folder.parent.is_dir() or all(job.out.parent != folder for job in jobs):
        yield
        return
    folder.mkdir()
    try:
        yield
    finally:
        with suppress(OSError):  # something lies in it
            folder.rmdir()


def _one(job: Job, options: argparse.Namespace, others: str) -> int:
    """Run one job and say what became of it; and of the `others`, if it is interrupted."""
    try:
        with interruptible(), refusals_told(), shown(job.video.name) as progress:
            found = preview(job, options.preview, progress) if options.preview else repair(job, progress)
    except VidmendError as error:
        if options.json:
            print(json.dumps({"video": str(job.video), "error": str(error)}), flush=True)
        return _say(error)
    except KeyboardInterrupt:
        _say_interrupted(job, options, others)
        raise
    if isinstance(found, Previewed):
        print(found.as_json() if options.json else found.as_line())
        return DONE
    return _report(found, as_json=options.json)


def _report(summary: Summary, *, as_json: bool) -> int:
    for note in summary.notes:
        print(f"note: {note}", file=sys.stderr)
    for loss in summary.lost:
        print(f"lost: {loss}", file=sys.stderr)
    print(summary.as_json() if as_json else describe(summary), flush=True)
    return LOST if summary.lost else DONE


def _say(error: VidmendError) -> int:
    print(f"infer.py: {error}", file=sys.stderr, flush=True)
    return error.exit_code


def _others(codes: Sequence[int], videos: int) -> str:
    """How many of several videos are done; empty for a single one."""
    done = sum(code in (DONE, LOST) for code in codes)
    return f"; done: {done} of {videos} videos" if videos > 1 else ""


def _say_interrupted(job: Job, options: argparse.Namespace, others: str) -> None:
    unfinished = folder_of(job.out)
    kept = "of this video nothing was written" if others else "nothing was written"
    if job.resume and not options.preview:
        if unfinished.is_dir():
            kept = f"what is finished lies in {unfinished}; the same command goes on from there"
        else:
            kept += f": no {'picture' if is_pattern(job.out) else 'segment'} was finished yet"
    elif not options.preview and not options.keep_going:  # with which --resume cannot be
        kept += " (--resume would keep what is finished)"
    print(f"infer.py: interrupted; {kept}{others}", file=sys.stderr)


def _verdict(codes: Sequence[int], *, quiet: bool) -> int:
    """One exit code for several videos, and one line."""
    failed = codes.count(FAILED)
    if not quiet:
        print(f"{len(codes)} videos: {len(codes) - failed} written, {failed} failed")
    if failed:
        return FAILED if failed == len(codes) else SOME_FAILED
    return max(codes)


def _list_backends(*, as_json: bool) -> int:
    for name in backends.names():
        backend = backends.get(name)
        reason = backend.why_not()
        says = _able(backend) if reason is None else f"cannot run here: {reason}"
        print(json.dumps({"backend": name, "runs": reason is None, "says": says}) if as_json else f"{name:20} {says}")
    return DONE


def _able(backend: Backend) -> str:
    machine = backend.machine()
    if machine is None:
        types = " or ".join(backend.precision("auto", compute) for compute in backend.graphs)
        on_processor = backend.memory == "host" and backend.rank is not None  # null reads no graph
        return f"can run here, in {types}{', int8 graphs too' if on_processor else ''}"
    return f"can run here: engines of {machine.target} {machine.version} for SM {machine.capability} ({machine.gpu})"
