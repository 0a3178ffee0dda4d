"""One video from file to file."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import datetime

from runtime import backends
from runtime._video.extent import cut_short
from runtime.cuts import files_of, no_cuts, open_cuts
from runtime.decoding import decide
from runtime.errors import OutputError
from runtime.fingerprint import fingerprint, runs_on
from runtime.foreseen import Foreseen
from runtime.frame import Frame, Masked
from runtime.job import Job
from runtime.masks import MaskSource, open_masks
from runtime.outlook import Outlook, look, replaced
from runtime.plural import plural
from runtime.progress import Progress
from runtime.report import ReportData, Samples, write_report
from runtime.session import Restored, Session, longest_of, moves, precision_of
from runtime.summary import Summary
from runtime.video import FrameReader, FrameWriter, copy_video, copyable, open_work, open_writer
from runtime.work import noted

NOTHING_MASKED = "the mask is empty: nothing was repaired"


def repair(job: Job, progress: Progress) -> Summary:
    """Run the job; the result has its final name only when it is complete.  Raises `VidmendError`."""
    started = time.perf_counter()
    with job.open() as reader:
        outlook = look(job, reader.info, progress)
        samples = Samples(feather=job.settings.feather)
        if not outlook.regions and _copyable(job, outlook):
            summary = _copied(job, outlook, started)
        else:
            with closing(_Run(job, outlook, reader, progress)) as run:
                run.write(None if job.report is None else samples)
                summary = run.summary(time.perf_counter() - started)
    if job.report is not None:
        try:
            write_report(job.report, _report(job, outlook, summary), samples)
        except OutputError as error:  # the result is there all the same
            return replace(summary, notes=(*summary.notes, f"there is no report: {error}"))
    return summary


class _Run:
    """Frames from the reader through the session to the writer."""

    def __init__(self, job: Job, outlook: Outlook, reader: FrameReader, progress: Progress) -> None:
        self._job = job
        self._outlook = outlook
        self._reader = reader
        self._progress = progress
        begun_on = runs_on(noted(job.out)) if job.resume else ""
        longest = longest_of(outlook.bundle, job.settings)
        search = backends.Search(job.settings.threads, bool(outlook.regions), longest, begun_on, progress)
        precision = precision_of(outlook.bundle, job.settings)
        self._cuts = open_cuts(job.cuts, outlook.info) if outlook.regions else no_cuts()
        self._resumed = 0
        self._written = 0
        self._repaired = 0
        self._encoder = "none"
        self._notes: list[str] = []
        self._chosen, self._session = backends.opened(job.backend, outlook.bundle, precision, search, self._open)
        try:
            self._decoding = decide(job, outlook.info, self._session.device)
        except BaseException:
            self.close()
            raise

    def _open(self, chosen: backends.Chosen) -> Session:
        settings = replace(self._job.settings, arithmetic=chosen.arithmetic)
        return Session(self._outlook.bundle, chosen.backend, settings)

    def close(self) -> None:
        """Free what the session has; the summary may be asked for before and after."""
        self._session.close()

    def write(self, samples: Samples | None) -> None:
        """Write the whole result, or nothing."""
        job, info = self._job, self._outlook.info
        with ExitStack() as stack:
            if self._decoding.nvdec is not None:  # the reader that is open knows of no GPU
                self._reader = stack.enter_context(job.open(self._decoding.nvdec))
            masks = stack.enter_context(closing(open_masks(self._outlook.request, info)))
            work = stack.enter_context(
                open_work(job.out, self._fingerprint(), resume=job.resume, overwrite=job.overwrite)
            )
            writer = stack.enter_context(open_writer(job.out, info, job.encoding, work))
            self._resumed = self._written = writer.start
            restored = self._session.restore(
                self._masked(masks), self._outlook.regions, start=writer.start, again=self._again
            )
            with closing(restored):
                for done in restored:
                    self._take(done, writer, samples)
            if not self._reader.lost:  # with frames missing nobody knows how many masks there should be
                masks.finish(self._reader.counted)
            self._encoder = writer.encoder
            self._notes = writer.notes  # the writer adds to them until it is through

    def summary(self, seconds: float) -> Summary:
        """What was done in `seconds`."""
        job, outlook, session = self._job, self._outlook, self._session
        empty = () if outlook.regions else (NOTHING_MASKED,)
        return Summary(
            video=str(job.video),
            out=str(job.out),
            frames=self._written,
            repaired=self._repaired,
            masks=replaced(outlook.request),
            resumed=self._resumed,
            seconds=seconds,
            busy=session.clock.seconds(),
            overlap=session.clock.overlap(),
            bundle=str(outlook.bundle.root),
            backend=self._chosen.name,
            decoder=self._decoding.name,
            precision=session.precision,
            schedule=job.settings.schedule,
            quality=job.settings.quality,
            encoder=self._encoder,
            regions=tuple(
                (region.crop.left, region.crop.top, region.crop.width, region.crop.height) for region in outlook.regions
            ),
            cuts=tuple(self._cuts.found),
            copied=False,
            notes=(*self._reader.info.notes, *outlook.notes, *self._chosen.notes, *self._told(), *self._notes, *empty),
            lost=tuple(self._reader.lost),
        )

    def _told(self) -> tuple[str, ...]:
        return (*self._session.notes, *self._decoding.notes)

    def _masked(self, masks: MaskSource) -> Iterator[Masked]:
        foreseen = Foreseen(self._outlook.regions)
        for frame, cut in self._cuts.marked(self._reader):
            hole = masks.read(frame.index, self._outlook.info.seconds(frame.pts))
            foreseen.insist(frame.index, hole)
            yield Masked(frame, hole, cut)

    def _take(self, done: Restored, writer: FrameWriter, samples: Samples | None) -> None:
        with self._session.clock.busy("write"):
            writer.write(done.frame)
        self._written += 1
        self._repaired += bool(done.patches)
        if samples is not None:
            samples.offer(done, self._outlook.info.seconds(done.source.pts))
        self._progress("repairing", self._written, self._outlook.info.frames)

    def _again(self) -> Generator[Frame, None, None]:
        """The frames a second time, for a session that cannot hold them."""
        with self._job.open(self._decoding.nvdec) as reader:
            yield from reader

    def _fingerprint(self) -> str:
        job, outlook = self._job, self._outlook
        files = [job.video, *outlook.request.masks, *files_of(job.cuts)]
        # Left out: when frames are done, not how they look.
        settings = replace(job.settings, windows=None, cuda_graph=True, threads=None)
        choices = (outlook.request, job.cuts, outlook.regions, settings, job.encoding)
        more = (job.deinterlace, job.fps, job.keep_going)
        return fingerprint(outlook.bundle, files, (*choices, *more), self._chosen.label)


def _copyable(job: Job, outlook: Outlook) -> bool:
    """Whether the source's packets can be the result when nothing in them is to change."""
    as_is = not job.deinterlace and copyable(outlook.info, job.out, job.encoding)
    return as_is and cut_short(outlook.info.path) is None


def _copied(job: Job, outlook: Outlook, started: float) -> Summary:
    frames, notes = copy_video(outlook.info, job.out)
    return Summary(
        video=str(job.video),
        out=str(job.out),
        frames=frames,
        repaired=0,
        masks=replaced(outlook.request),
        resumed=0,
        seconds=time.perf_counter() - started,
        busy={},
        overlap=0.0,
        bundle=str(outlook.bundle.root),
        backend="none",
        decoder="none",
        precision="none",
        schedule=job.settings.schedule,
        quality=job.settings.quality,
        encoder="none",
        regions=(),
        cuts=(),
        copied=True,
        notes=(*outlook.notes, *notes, NOTHING_MASKED),  # nothing of the video's is converted or dropped
        lost=(),
    )


def _report(job: Job, outlook: Outlook, summary: Summary) -> ReportData:
    rule = outlook.bundle.manifest.pixels
    settings = job.settings
    asked = (
        ("Quality", settings.quality),
        ("Region", f"{job.regions.mode}, enlarged at most {job.regions.max_upscale:g} times"),
        ("Scene cuts", job.cuts),
        ("Mask grown by", f"{rule.dilate if settings.dilate is None else settings.dilate} of the network's pixels"),
        ("Fill", "moved to continue the picture" if moves(outlook.bundle, settings) else "as the network painted it"),
        ("Feather", plural(settings.feather, "pixel")),
        ("Smoothed over", f"{plural(settings.smooth, 'frame')} on each side"),
        ("Grain", "matched" if settings.grain else "not added"),
    )
    finished = ("Finished", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"))
    facts = (*(() if summary.copied else asked), finished)  # where nothing was repaired, nothing was repaired so
    return ReportData(job.video.name, summary, outlook.info, outlook.regions, (rule.width, rule.height), facts)
