"""Which frames the network sees together.  Arithmetic only: no pixels, no device.

A schedule asks `exists(index)` instead of knowing the clip's length: asking makes the caller decode that far, so a
clip is planned while it streams, and memory follows the schedule, never the clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

from runtime.bundle import ScheduleRule
from runtime.errors import UsageError

Exists = Callable[[int], bool]  # whether the clip has a frame of this index
Quality = Literal["draft", "standard", "best"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """The frames of one call of the transformer."""

    targets: tuple[int, ...]  # frames this call repaints, ascending and contiguous
    references: tuple[int, ...]  # distant frames it may look at, ascending

    @property
    def centre(self) -> float:
        """The middle of the targets."""
        return (self.targets[0] + self.targets[-1]) / 2


@dataclass(frozen=True, slots=True)
class Step:
    """One window and what becomes free when it is done."""

    window: FrameWindow
    finished: tuple[int, ...]  # frames that no later window repaints: they may leave
    oldest_target: int  # no later window repaints a frame below this index


class Schedule(Protocol):
    """A policy over the frames of a clip."""

    @property
    def name(self) -> str:
        """What the command line calls it."""
        ...

    @property
    def to_the_letter(self) -> bool:
        """Whether every rounding of the published program is kept: fp32, truncation, averages in order."""
        ...

    @property
    def full_window(self) -> tuple[int, int] | None:
        """(targets, references) of nearly every window, where they are always the same."""
        ...

    @property
    def reach_frames(self) -> int | None:
        """How far from a frame the windows that repaint it may look; None: as far as the clip goes."""
        ...

    def windows(self, exists: Exists) -> Iterator[FrameWindow]:
        """Every window of the clip, in order; first targets never go down."""
        ...

    def keeps(self, index: int, oldest_target: int, exists: Exists) -> bool:
        """Whether a window whose targets begin at `oldest_target` or later may still look at frame `index`."""
        ...


class Reference:
    """The published protocol to the letter: every reference of the whole clip in every window.

    Source: STTN (ECCV 2020), released test program: for f = 0, s, 2s, ... the targets are f-s .. f+s inside the clip,
    the references all multiples of the reference step that are no targets.  Its memory grows with the clip.
    """

    name = "reference"
    to_the_letter = True
    full_window = None
    reach_frames = None

    def __init__(self, rule: ScheduleRule) -> None:
        self._stride = rule.neighbour_stride
        self._step = rule.reference_step

    def windows(self, exists: Exists) -> Iterator[FrameWindow]:
        """Every window of the clip; asks for the whole clip first, as the published program does."""
        length = _length(exists)
        for centre in range(0, length, self._stride):
            targets = range(max(0, centre - self._stride), min(length, centre + self._stride + 1))
            references = (index for index in range(0, length, self._step) if index not in targets)
            yield FrameWindow(tuple(targets), tuple(references))

    def keeps(self, index: int, oldest_target: int, exists: Exists) -> bool:
        """Every reference is kept to the end."""
        return index >= oldest_target or index % self._step == 0


class Steady:
    """Every window alike: the same number of targets and of references, whatever the clip's length.

    Targets are contiguous and move by the stride; the last window is shifted inside the clip.  References are the
    multiples of the reference step nearest the window's centre that are no targets; where the clip has too few, the
    step halves (10, 5, 2, 1).  Only clips shorter than targets + references frames have smaller windows.
    """

    name = "steady"
    to_the_letter = False

    def __init__(self, rule: ScheduleRule) -> None:
        self._targets = rule.targets
        self._references = rule.references
        self._stride = rule.neighbour_stride
        self._step = rule.reference_step
        self.full_window = (rule.targets, rule.references)
        # From one end of the targets over the others to the farthest reference, all of them on that side.
        self.reach_frames = rule.targets - 1 + rule.references * rule.reference_step

    def windows(self, exists: Exists) -> Iterator[FrameWindow]:
        """Every window of the clip; asks for frames only as far as the window's own references lie."""
        start = 0
        while exists(start + self._targets - 1):
            yield self._window(range(start, start + self._targets), exists)
            start += self._stride
        length = _length(exists)
        last = max(0, length - self._targets)
        # The window before this one began at start - stride; when it already ended at the clip's end, all is done.
        if length and (start == 0 or last > start - self._stride):
            yield self._window(range(last, length), exists)

    def keeps(self, index: int, oldest_target: int, exists: Exists) -> bool:
        """Targets to come, and what the references of later windows can reach.

        At the clip's end all references lie on the left, the farthest `references` steps below the first target.  In
        a clip too short for the undivided step any frame may become a reference.
        """
        if index >= oldest_target:
            return True
        inside = -(-self._targets // self._step)  # multiples that the targets can cover
        if not exists((self._references + inside - 1) * self._step):
            return True
        return index % self._step == 0 and index >= oldest_target - self._references * self._step

    def _window(self, targets: range, exists: Exists) -> FrameWindow:
        return FrameWindow(tuple(targets), tuple(sorted(self._nearest(targets, exists))))

    def _nearest(self, targets: range, exists: Exists) -> list[int]:
        centre = (targets[0] + targets[-1]) / 2
        step = self._step
        while True:
            found = self._multiples(step, targets, centre, exists)
            if len(found) == self._references or step == 1:
                return found
            step //= 2

    def _multiples(self, step: int, targets: range, centre: float, exists: Exists) -> list[int]:
        """Up to `references` multiples of `step` outside `targets`, nearest first; of two as near the earlier."""
        left = (targets[0] - 1) // step * step  # largest multiple below the targets
        right = (targets[-1] // step + 1) * step
        found: list[int] = []
        while len(found) < self._references:
            left_open = left >= 0
            if left_open and (centre - left <= right - centre or not exists(right)):
                found.append(left)
                left -= step
            elif exists(right):
                found.append(right)
                right += step
            else:
                break
        return found


def steps(schedule: Schedule, exists: Exists) -> Iterator[Step]:
    """The schedule's windows, each with the frames that are finished after it."""
    waiting = 0  # the first frame that has not left yet
    ahead = schedule.windows(exists)
    window = next(ahead, None)
    while window is not None:
        following = next(ahead, None)
        end = window.targets[-1] + 1 if following is None else following.targets[0]
        yield Step(window, tuple(range(waiting, end)), end)
        waiting = end
        window = following


_SCHEDULES: tuple[type[Reference | Steady], ...] = (Steady, Reference)
NAMES = tuple(kind.name for kind in _SCHEDULES)


def make_schedule(name: str, rule: ScheduleRule, quality: Quality = "standard") -> Schedule:
    """The schedule called `name` with the bundle's numbers, at the pace of `quality`; raises `UsageError`."""
    for kind in _SCHEDULES:
        if kind.name == name:
            if kind.to_the_letter and rule.fixed:
                raise UsageError(
                    f"schedule '{name}': this bundle's transformer takes exactly {rule.targets}+{rule.references} "
                    f"frames, the published windows grow with the clip. Use --schedule steady, or export without "
                    f"--frames."
                )
            if kind.to_the_letter and quality != "standard":
                raise UsageError(
                    f"--quality {quality}: schedule '{name}' is the published protocol, whose windows are given. Leave "
                    f"--quality out, or use --schedule steady."
                )
            return kind(paced(rule, quality))
    raise UsageError(f"schedule '{name}': unknown; choose one of {', '.join(NAMES)}")


def paced(rule: ScheduleRule, quality: Quality) -> ScheduleRule:
    """The bundle's numbers at another pace; `standard` leaves them.

    Draft paints every frame once and looks at half the references; best moves by half the stride and looks at twice as
    many.  A fixed window keeps its frames, and only the stride changes.  What each costs: docs/measurements.md.
    """
    if quality == "standard":
        return rule
    draft = quality == "draft"
    stride = rule.targets if draft else (rule.neighbour_stride + 1) // 2
    if rule.fixed:
        return replace(rule, neighbour_stride=stride)
    references = rule.references // 2 if draft else 2 * rule.references
    return replace(rule, neighbour_stride=stride, references=references)


def _length(exists: Exists) -> int:
    """The clip's length, found by doubling and halving: `exists` holds below it and fails from it on."""
    low, high = 0, 1
    while exists(high - 1):
        low, high = high, high * 2
    while low < high - 1:
        middle = (low + high) // 2
        if exists(middle - 1):
            low = middle
        else:
            high = middle
    return low
