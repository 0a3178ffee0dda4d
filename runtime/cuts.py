"""Where one scene ends and the next begins: seen while frames go by, or read from a file."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, cast

import cv2
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector

from runtime.boxes import SLACK_S
from runtime.errors import InputError
from runtime.frame import RGB, Frame
from runtime.glimpse import glimpse
from runtime.timecode import FORMS, parse_seconds
from runtime.video import VideoInfo

# Measured on 464 cuts between nine real clips, in scenes of 3 to 40 frames, and inside 132 clips of 17,000 frames.  A
# fixed threshold (ContentDetector's 27) finds all cuts, and inside the clips 120 that are none, in pans and fast moves;
# a ratio to the motion around (AdaptiveDetector's 3) misses a fifth of the cuts, between clips that move fast.  These
# find all, at their frame, and inside the clips four that are none: two in a whip pan, one in a blurred close-up, and
# the end of a light leak.
PICTURE = (128, 72)  # columns and rows that scenes are compared at
RATIO = 1.8  # of a frame's change to the mean of its neighbours'
CHANGE = 25.0  # least change in levels of hue, saturation and value, as PySceneDetect counts them
NEIGHBOURS = 2  # frames before and after whose change is the measure; decisions come as many frames late

# A flash, a strobe or a lost picture changes as much as a cut does, but then the scene goes on: something behind it
# looks like something before it.  Compared blurred, so that motion in between does not matter.
BLURRED = (16, 9)
SAME_SCENE = 24.0
SAME_LIGHT = 4.0
_FRAME = re.compile(r"\d{1,9}", re.ASCII)  # in a file of cuts
_QUOTED = 40  # characters of its lines in a message
BEFORE = 3  # frames before a change that are compared with it and the NEIGHBOURS frames behind it


class Cuts(Protocol):
    """Tells with which frames a new scene begins."""

    found: list[int]  # the frames so far

    def marked(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
        """All frames in order, each with whether a new scene begins with it; asked for once."""
        ...


class KnownCuts:
    """Cuts that somebody has listed, by the number of a frame or by time; or none at all."""

    def __init__(self, frames: Iterable[int], seconds: Iterable[float], info: VideoInfo | None) -> None:
        self.found: list[int] = []
        self._frames = frozenset(frames)
        self._seconds = sorted(seconds)
        self._info = info

    def marked(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
        """A cut by time begins with the first frame that is shown then or later."""
        passed = 0
        for number, frame in enumerate(frames):
            due = passed
            if self._info is not None and self._seconds:
                due = bisect_left(self._seconds, self._info.seconds(frame.pts) + SLACK_S)
            cut = number > 0 and (frame.index in self._frames or due > passed)
            passed = due
            if cut:
                self.found.append(frame.index)
            yield frame, cut


class SceneCuts:
    """Cuts that show: PySceneDetect's adaptive detector, and a second look that tells flashes from cuts."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def marked(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
        """Keeps `NEIGHBOURS` frames back until it is known whether a scene begins with them."""
        watch = _Watch()
        waiting: deque[Frame] = deque()
        for frame in frames:
            waiting.append(frame)
            decided = watch.see(glimpse(frame, *PICTURE))
            if decided is not None:
                yield self._decided(waiting.popleft(), decided)
        for _ in range(len(waiting)):
            yield self._decided(waiting.popleft(), watch.see_no_more())

    def _decided(self, frame: Frame, cut: bool) -> tuple[Frame, bool]:
        if cut:
            self.found.append(frame.index)
        return frame, cut


class _Watch:
    """Small pictures of a clip in order; says of each, `NEIGHBOURS` pictures later, whether a scene begins with it."""

    def __init__(self) -> None:
        self._detector = AdaptiveDetector(RATIO, min_scene_len=1, window_width=NEIGHBOURS, min_content_val=CHANGE)
        self._shown = 0  # pictures that the detector has been shown
        self._last: deque[RGB] = deque(maxlen=NEIGHBOURS + 1)
        empty: list[RGB | None] = [None] * (BEFORE + 1 + NEIGHBOURS)
        self._blurred = deque(empty, maxlen=len(empty))  # around the picture that is decided about

    def see(self, picture: RGB) -> bool | None:
        """The decision about the picture `NEIGHBOURS` before this one; None where there is none."""
        self._last.append(picture)
        self._blurred.append(cast(RGB, cv2.resize(picture, BLURRED, interpolation=cv2.INTER_AREA)))
        if len(self._last) <= NEIGHBOURS:
            return None
        if self._shown:
            return self._decide(picture)
        for known in (*list(self._last)[:0:-1], *self._last):  # before it begins the clip runs backwards
            self._show(known)
        return False  # the first scene has begun before

    def see_no_more(self) -> bool:
        """The decision about the next of the last `NEIGHBOURS` pictures."""
        self._blurred.append(None)
        if not self._shown:  # too short for a scene
            return False
        self._last.pop()  # behind its end the clip runs backwards
        return self._decide(self._last[-1])

    def _decide(self, picture: RGB) -> bool:
        return self._show(picture) and not self._goes_on()

    def _show(self, picture: RGB) -> bool:
        """Whether the detector sees a cut `NEIGHBOURS` pictures before this one."""
        time = FrameTimecode(self._shown, 25.0)  # only its number counts
        self._shown += 1
        return bool(self._detector.process_frame(time, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)))

    def _goes_on(self) -> bool:
        """Whether a picture behind the change looks like one before it."""
        pictures = list(self._blurred)
        before = [picture for picture in pictures[:BEFORE] if picture is not None]
        after = [picture for picture in pictures[BEFORE:] if picture is not None]
        return any(_alike(a, b) for a in before for b in after)


def _alike(a: RGB, b: RGB) -> bool:
    """Whether they differ little, or in colour only: hues of what is nearly black are noise."""
    whole = ContentDetector(SAME_SCENE, min_scene_len=0)
    light = ContentDetector(SAME_LIGHT, min_scene_len=0, luma_only=True)
    for detector in (whole, light):
        detector.process_frame(FrameTimecode(0, 25.0), cv2.cvtColor(a, cv2.COLOR_RGB2BGR))
        if not detector.process_frame(FrameTimecode(1, 25.0), cv2.cvtColor(b, cv2.COLOR_RGB2BGR)):
            return True
    return False


def no_cuts() -> Cuts:
    """One scene."""
    return KnownCuts((), (), None)


def files_of(choice: str) -> tuple[Path, ...]:
    """What `open_cuts` reads besides the video."""
    return () if choice in ("auto", "none") else (Path(choice),)


def open_cuts(choice: str, info: VideoInfo) -> Cuts:
    """The cuts of the video `info`: "auto" looks for them, "none" has none, anything else names a file of them."""
    if choice == "none":
        return no_cuts()
    return SceneCuts() if choice == "auto" else read_cuts(Path(choice), info)


def read_cuts(path: Path, info: VideoInfo) -> Cuts:
    """The cuts that a text file lists: a line each, the number of a scene's first frame (from 0) or a time.

    Blank lines and what follows a # are passed over.  Raises `InputError` when the file cannot be read, a line is
    neither, or it lies behind the video's end.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InputError(f"{path}: cuts cannot be read: {reason}; wanted a file, or --cuts auto or none") from None
    frames: list[int] = []
    seconds: list[float] = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if text:
            _read_line(f"{path}:{number}", text, info, (frames, seconds))
    return KnownCuts(frames, seconds, info)


def _quoted(text: str) -> str:
    """A line as a message has it: what is no list of cuts may be anything, of any length."""
    short = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."
    return f"'{short}'" if short.isprintable() else ascii(short)


def _read_line(where: str, text: str, info: VideoInfo, into: tuple[list[int], list[float]]) -> None:
    frames, seconds = into
    if _FRAME.fullmatch(text):
        frames.append(int(text))
        if info.frames is not None and frames[-1] >= info.frames:
            raise InputError(f"{where}: frame {text}, but the video's last one is {info.frames - 1}; remove the line")
        return
    time = parse_seconds(text)
    if time is None:
        raise InputError(f"{where}: {_quoted(text)} is no cut; wanted the number of a frame, or a time such as {FORMS}")
    if info.duration_s is not None and time > info.duration_s + 1:  # durations are rounded, and may leave out a frame
        raise InputError(f"{where}: {text} lies behind the video's end at {info.duration_s:g} s; remove the line")
    seconds.append(time)
