"""A part of a frame, as the network sees and repaints it."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.frame import RGB, Frame, Hole


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of the frame's planes that the network sees as one picture, resized to the network's size.

    Its left and top lie on the frame's chroma grid, and so do its right and bottom where they are not the frame's own.
    """

    left: int
    top: int
    width: int
    height: int
    turns: int = 0  # quarter turns counter-clockwise (np.rot90) after which the picture stands upright

    @property
    def right(self) -> int:
        """The first column behind it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class Patch:
    """What the network painted of one crop of one frame; all three upright and of the network's size `[h, w]`."""

    crop: Crop
    shown: RGB | None  # what the source shows there, in the hole maybe blank; None: only a device saw it
    fill: RGB  # what the network painted, inside the hole and as far around it as a finish looks; beyond maybe black
    hole: Hole  # dilated; True somewhere

    @property
    def view(self) -> RGB:
        """What the source shows there; raises `ValueError` where only a device saw it."""
        if self.shown is None:
            raise ValueError("the view of this patch was made on a device and stayed there")
        return self.shown


@dataclass(frozen=True, slots=True)
class Painted:
    """A frame that no window repaints any more."""

    frame: Frame  # the source's
    patches: tuple[Patch, ...]  # one a region that has a hole in this frame; none: the frame stays as it is
    shot: int  # number of the scene that the frame belongs to, from 0
