"""What to repair, with what, and where the result goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from runtime.bundle import DEFAULT
from runtime.masks import Request
from runtime.nvdec import Nvdec
from runtime.regions import Choice
from runtime.session import Settings
from runtime.shipped import SHIPPED_BUNDLES, find_bundle
from runtime.video import Encoding, FrameReader, open_reader

__all__ = ["SHIPPED_BUNDLES", "Job", "find_bundle"]


@dataclass(frozen=True, slots=True)
class Job:
    """One video from file to file."""

    video: Path  # a file, or a folder or pattern of pictures
    out: Path
    masks: Request = field(default_factory=Request)  # nothing asked for: the mask beside the video, else an overlay
    find_overlay: bool = False
    cuts: str = "auto"  # "auto", "none", or a file
    regions: Choice = field(default_factory=Choice)
    bundle: str = DEFAULT  # a folder, or the name of a shipped bundle
    backend: str = "auto"
    settings: Settings = field(default_factory=Settings)
    encoding: Encoding = field(default_factory=Encoding)
    deinterlace: bool = False
    fps: Fraction | None = None  # of pictures
    resume: bool = False  # go on where an earlier run was stopped, and stay resumable
    overwrite: bool = False
    keep_going: bool = False  # use what decodes of a damaged video
    report: Path | None = None  # a page about the run
    decoder: str = "auto"  # of `runtime.decoding.DECODERS`

    def open(self, nvdec: Nvdec | None = None) -> FrameReader:
        """The video, to be read once; decoded by `nvdec` where one is given."""
        keep_going, deinterlace = self.keep_going, self.deinterlace
        return open_reader(self.video, keep_going=keep_going, deinterlace=deinterlace, fps=self.fps, nvdec=nvdec)
