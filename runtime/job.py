"""One video from file to file."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from runtime import backends
from runtime.bundle import DEFAULT, MANIFEST, read_bundle
from runtime.errors import NotABundle, UsageError
from runtime.frame import Frame, Hole
from runtime.masks import Box, MaskSource, find_mask_beside, open_masks
from runtime.session import Session, Settings
from runtime.video import VideoReader, check_output, open_writer

SHIPPED_BUNDLES = Path(__file__).resolve().parent.parent / "assets" / "bundles"

Progress = Callable[[int, int | None], None]  # frames written, frames in all where the container tells


@dataclass(frozen=True, slots=True)
class Job:
    """What to repair, with what, and where the result goes."""

    video: Path
    out: Path
    mask: Path | None = None  # an image, a folder of images or a video; None: looked for beside the video
    boxes: tuple[Box, ...] = ()
    bundle: str = DEFAULT  # a folder, or the name of a shipped bundle
    backend: str = "auto"
    settings: Settings = field(default_factory=Settings)
    crf: int = 18
    overwrite: bool = False
    keep_going: bool = False  # use what decodes of a damaged video


@dataclass(frozen=True, slots=True)
class Summary:
    """What a job did."""

    video: str
    out: str
    frames: int
    seconds: float
    busy: Mapping[str, float]  # seconds of work by stage; stages overlap, so the sum may exceed `seconds`
    bundle: str
    backend: str
    precision: str
    schedule: str
    empty_mask: bool
    notes: tuple[str, ...]
    lost: tuple[str, ...]  # what --keep-going passed over

    @property
    def fps(self) -> float:
        """Frames a second, everything included."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Result:
    frames: int
    empty_mask: bool
    notes: tuple[str, ...]


class _NothingToRepair(Exception):
    """No frame had a hole: the encoded copy is dropped, the source itself is copied."""


def repair(job: Job, progress: Progress) -> Summary:
    """Run the job; the result has its final name only when it is complete.  Raises `VidmendError`."""
    started = time.perf_counter()
    with VideoReader(job.video, keep_going=job.keep_going) as reader:
        mask = _mask_of(job)
        check_output(job.out, [path for path in (job.video, mask) if path is not None], overwrite=job.overwrite)
        with closing(open_masks(mask, job.boxes, reader.info)) as masks:
            bundle = read_bundle(find_bundle(job.bundle))
            backend_name, backend = backends.choose(job.backend)
            session = Session(bundle, backend, job.settings)
            result = _run(job, reader, masks, session, progress)
        notes = (*reader.info.notes, *result.notes)
        lost = tuple(reader.lost)
    return Summary(
        video=str(job.video),
        out=str(job.out),
        frames=result.frames,
        seconds=time.perf_counter() - started,
        busy=session.clock.seconds(),
        bundle=str(bundle.root),
        backend=backend_name,
        precision=session.precision,
        schedule=job.settings.schedule,
        empty_mask=result.empty_mask,
        notes=notes,
        lost=lost,
    )


def find_bundle(name: str) -> Path:
    """The folder `name`, or the shipped bundle of that name; raises `NotABundle`."""
    if (Path(name) / MANIFEST).exists() or Path(name).is_dir():
        return Path(name)
    if (SHIPPED_BUNDLES / name).is_dir() and Path(name).name == name:
        return SHIPPED_BUNDLES / name
    shipped = ", ".join(sorted(path.name for path in SHIPPED_BUNDLES.glob("*") if path.is_dir()))
    raise NotABundle(f"{name}: no such bundle, neither a folder nor one of: {shipped}. Make one: python export.py")


def _mask_of(job: Job) -> Path | None:
    if job.mask is not None or job.boxes:
        return job.mask
    beside = find_mask_beside(job.video)
    if beside is None:
        stem = job.video.with_suffix("").name
        raise UsageError(
            f"{job.video}: no mask. Give --mask FILE_OR_FOLDER or --box X,Y,W,H, or put {stem}_mask/, {stem}_mask.png "
            f"or {stem}_mask.mp4 beside the video; white is what gets replaced."
        )
    return beside


def _run(job: Job, reader: VideoReader, masks: MaskSource, session: Session, progress: Progress) -> _Result:
    seen = _Seen()
    written = 0
    with _source_copied_if_nothing(job), open_writer(job.out, reader.info, crf=job.crf) as writer:
        with closing(session.restore(_masked(reader, masks, seen))) as repaired:
            for frame in repaired:
                with session.clock.busy("write"):
                    writer.write(frame)
                written += 1
                progress(written, reader.info.frames)
        if not reader.lost:  # with frames missing nobody knows how many masks there should be
            masks.finish(reader.counted)
        same_kind = job.out.suffix.lower() == job.video.suffix.lower()
        if not seen.hole and same_kind and not reader.lost:
            raise _NothingToRepair
    notes = writer.notes if seen.hole else ["the mask is empty: nothing was repaired"]
    return _Result(written, not seen.hole, tuple(notes))


class _Seen:
    """Whether any mask had something in it."""

    hole = False


def _masked(reader: VideoReader, masks: MaskSource, seen: _Seen) -> Iterator[tuple[Frame, Hole | None]]:
    checked: Hole | None = None
    for frame in reader:
        mask = masks.read(frame.index)
        if mask is not None and mask is not checked:
            seen.hole = seen.hole or bool(mask.any())
            checked = mask
        yield frame, mask


@contextmanager
def _source_copied_if_nothing(job: Job) -> Generator[None, None, None]:
    try:
        yield
    except _NothingToRepair:
        partial = job.out.with_name(f".{job.out.name}.part")
        try:
            shutil.copyfile(job.video, partial)
            partial.replace(job.out)
        finally:
            partial.unlink(missing_ok=True)
