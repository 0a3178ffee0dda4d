"""What a job will do to its video: all that can be known before a frame of it is repaired."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime import mask_choice
from runtime.bundle import Bundle, read_bundle
from runtime.errors import UsageError
from runtime.frame import Frame, Hole
from runtime.job import Job, find_bundle
from runtime.masks import Request, open_masks
from runtime.plural import plural
from runtime.preview import write_preview
from runtime.progress import Progress, counted
from runtime.regions import Canvas, Region, plan, whole
from runtime.schedule import make_schedule
from runtime.sidecar import check_sidecar
from runtime.video import FrameReader, VideoInfo, check_output
from runtime.work import noted

PREVIEWED = 4  # frames
GUESSED_FRAMES = 250  # of a video that tells neither its length nor its duration


@dataclass(frozen=True, slots=True)
class Outlook:
    """The plan of a job."""

    info: VideoInfo
    bundle: Bundle
    request: Request  # the masks, those that were found among them
    regions: tuple[Region, ...]  # none: nothing is masked
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Previewed:
    """A preview that was drawn."""

    video: str
    preview: str
    masks: tuple[str, ...]  # as in a summary
    regions: tuple[tuple[int, int, int, int], ...]  # left, top, width, height; none: nothing is masked

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    def as_line(self) -> str:
        """One line for people."""
        if not self.regions:
            return f"{self.preview}: the mask is empty; there is nothing to repair"
        return f"{self.preview}: {plural(len(self.regions), 'region')}; nothing was repaired"


def look(job: Job, info: VideoInfo, progress: Progress, instead: Path | None = None) -> Outlook:
    """Find and read the masks, plan the regions, check that the result can be written; raises `VidmendError`.

    Reads the masks once, and the video once where an overlay is to be found in it.  `instead` is a preview, drawn in
    place of the result: whether the result could be written does not matter then.
    """
    bundle = read_bundle(find_bundle(job.bundle))
    schedule = make_schedule(job.settings.schedule, bundle.manifest.schedule, job.settings.quality)
    if instead is None:
        check_output(job.out, [job.video, *job.masks.masks], overwrite=job.overwrite)
    request, notes = _masks(job, info, progress, instead)
    if instead is None:
        check_output(job.out, request.masks, overwrite=job.overwrite)
    canvas = Canvas(info.width, info.height, info.layout.chroma_shift_x, info.layout.chroma_shift_y, info.turns)
    picture = (bundle.manifest.pixels.width, bundle.manifest.pixels.height)
    with closing(open_masks(request, info, may_lose=job.keep_going)) as masks:
        regions = plan(counted(masks.runs(), "reading masks", masks.frames, progress), canvas, picture, job.regions)
    if regions and schedule.to_the_letter:
        regions = (whole(canvas),)  # the published program knows no crops
    return Outlook(info, bundle, request, regions, notes)


def _masks(job: Job, info: VideoInfo, progress: Progress, instead: Path | None) -> tuple[Request, tuple[str, ...]]:
    _check_sidecars(job, job.masks, instead)  # before a search that takes a while
    known = None if job.find_overlay else mask_choice.with_mask_beside(job.video, job.masks)
    if known is not None:
        if known.invert and not (known.masks or known.alpha):
            raise UsageError("--invert-mask: has no meaning for boxes, which say what is replaced; leave it out")
        _check_sidecars(job, known, instead)
        return known, ()
    if job.masks.invert:
        raise UsageError("--invert-mask: has no meaning for an overlay that is looked for; name the mask with --mask")
    target = mask_choice.found_mask(job.out)
    if not (job.resume and noted(job.out) and mask_choice.was_found(target)):  # by the run that is gone on with
        replace = job.overwrite or mask_choice.was_found(target)
        sources = [job.video, *job.masks.masks]
        check_sidecar(target, ".png", sources, overwrite=replace, sources=sources)
        mask_choice.find_mask(info, target, progress)
    return job.masks.with_masks(target), (f"the overlay that was found is marked in {target}",)


def _check_sidecars(job: Job, request: Request, preview: Path | None) -> None:
    """Raises `OutputError` when report or preview cannot be written, or would overwrite a file of the run."""
    for path, suffix in ((job.report, ".html"), (preview, ".png")):
        if path is not None:
            sources = [job.video, *request.masks]
            files = [job.out, mask_choice.found_mask(job.out), *sources]
            check_sidecar(path, suffix, files, overwrite=job.overwrite, sources=sources)


def replaced(request: Request) -> tuple[str, ...]:
    """What the request replaces, each as the user knows it."""
    way = ", the other way round" if request.invert else ""
    named = [*(f"{mask}{way}" for mask in request.masks), *(f"box {box}" for box in request.boxes)]
    return (*named, f"the video's transparency{way}") if request.alpha else tuple(named)


def preview(job: Job, target: Path, progress: Progress) -> Previewed:
    """Draw mask and regions over a few frames into the PNG `target`, repair nothing."""
    with job.open() as reader:
        outlook = look(job, reader.info, progress, instead=target)
        rule = outlook.bundle.manifest.pixels
        frames = _few_frames(outlook, reader, progress)
        write_preview(target, frames, outlook.regions, reader.info, (rule.width, rule.height))
    crops = [region.crop for region in outlook.regions]
    boxes = tuple((crop.left, crop.top, crop.width, crop.height) for crop in crops)
    return Previewed(str(job.video), str(target), replaced(outlook.request), boxes)


def _few_frames(outlook: Outlook, reader: FrameReader, progress: Progress) -> list[tuple[Frame, Hole | None]]:
    """Frames spread over the part of the video in which something is masked, with their holes."""
    wanted = _spread(outlook)
    frames: list[tuple[Frame, Hole | None]] = []
    latest: list[tuple[Frame, Hole | None]] = []  # to be shown where the video is shorter than it seemed
    with closing(open_masks(outlook.request, outlook.info)) as masks:
        for frame in counted(reader, "reading frames", wanted[-1] + 1, progress):
            hole = masks.read(frame.index, outlook.info.seconds(frame.pts))
            latest = [(frame, hole)]
            if frame.index in wanted:
                frames += latest
            if frame.index >= wanted[-1]:
                break
    return frames or latest


def _spread(outlook: Outlook) -> list[int]:
    """Which frames to show, ascending."""
    end = _length(outlook.info) - 1
    first = min((region.first for region in outlook.regions), default=0)
    last = max((end if region.last is None else min(region.last, end) for region in outlook.regions), default=end)
    return sorted({first + (last - first) * (2 * number + 1) // (2 * PREVIEWED) for number in range(PREVIEWED)})


def _length(info: VideoInfo) -> int:
    """How many frames the video has, as far as it tells."""
    if info.frames:
        return info.frames
    return max(1, round(info.duration_s * info.rate)) if info.duration_s else GUESSED_FRAMES
