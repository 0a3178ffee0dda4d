"""What goes to a device in one copy: arrays one behind the other, parts of a frame among them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from runtime.colour import resolve_matrix
from runtime.device import Form, HostArray
from runtime.frame import Frame, Plane
from runtime.kernels import Picture, Surface
from runtime.patch import Crop
from runtime.pixels import cut
from runtime.resize import Area

_ALIGNED = 16  # bytes; the structs and doubles that kernels read want 8
_FINENESS = 4  # log2 of how many sizes there are between a power of two and the next


class Parcel:
    """Arrays, each at a place of its own in bytes that are copied together."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._items: list[tuple[int, HostArray]] = []

    def add(self, array: HostArray) -> int:
        """The place where `array` will lie, contiguous however it lies now."""
        place = self.nbytes
        self._items.append((place, array))
        self.nbytes = -(-(place + array.nbytes) // _ALIGNED) * _ALIGNED
        return place

    def close(self) -> Form:
        """What holds all that was added so far; what is added later comes behind it."""
        form = room(self.nbytes)
        self.nbytes = form.shape[0]
        return form

    def fill(self, out: HostArray) -> None:
        """Write every array into bytes of the host, at least `nbytes` of them."""
        for place, array in self._items:
            out[place : place + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array


def room(nbytes: int) -> Form:
    """Bytes for so many or up to a sixteenth more: crops come in all sizes, and every form has buffers of its own."""
    unit = max(1 << max(nbytes.bit_length() - 1 - _FINENESS, 0), _ALIGNED)
    return Form((-(-nbytes // unit) * unit,), "uint8")


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a frame that are in a parcel."""

    frame: Frame
    areas: tuple[Area, ...]  # which do not overlap
    planes: tuple[tuple[Plane, ...], ...]  # of each area
    places: tuple[tuple[int, ...], ...]  # where those lie

    def holding(self, area: Area | Crop) -> int:
        """The number of the part that holds `area`."""
        return next(number for number, part in enumerate(self.areas) if _holds(part, area))

    def unpack(self, data: HostArray, frame: Frame) -> None:
        """Write the parts from the parcel's bytes into the planes of `frame`, which is like the one they are of."""
        for part, places in zip(self.areas, self.places, strict=True):
            for plane, place in zip(cut(frame, part), places, strict=True):
                plane[...] = data[place : place + plane.nbytes].view(plane.dtype).reshape(plane.shape)

    def picture(self, number: int, address: int) -> Picture:
        """A part as a picture of its own, in a parcel that was sent to `address`."""
        surfaces = tuple(
            Surface(address + place, plane.shape[1] * plane.itemsize, plane.itemsize, plane.shape[1], plane.shape[0])
            for place, plane in zip(self.places[number], self.planes[number], strict=True)
        )
        frame = self.frame  # where no matrix is told it is the size of the whole frame that decides
        matrix = resolve_matrix(frame.colour.matrix, frame.width, frame.height)
        return Picture(surfaces, frame.layout, replace(frame.colour, matrix=matrix))


def pack(frame: Frame, areas: Iterable[Area | Crop], parcel: Parcel) -> Parts:
    """Add what the areas cover to the parcel, with as few samples as joining some of them allows."""
    parts = tuple(joined(Area(area.left, area.top, area.right, area.bottom) for area in areas))
    planes = tuple(cut(frame, part) for part in parts)
    return Parts(frame, parts, planes, tuple(tuple(parcel.add(plane) for plane in part) for part in planes))


def joined(areas: Iterable[Area]) -> list[Area]:
    """Areas that do not overlap and hold all of `areas`, as few samples as joining some of them allows."""
    done: list[Area] = []
    for area in areas:
        grown = area
        while (other := next((each for each in done if _belong_together(each, grown)), None)) is not None:
            done.remove(other)
            grown = _around(other, grown)
        done.append(grown)
    return done


def _holds(part: Area, area: Area | Crop) -> bool:
    across = part.left <= area.left and area.right <= part.right
    return across and part.top <= area.top and area.bottom <= part.bottom


def _belong_together(one: Area, other: Area) -> bool:
    """Whether they overlap, or lie so that both together take no more samples than each by itself."""
    apart = one.right <= other.left or other.right <= one.left or one.bottom <= other.top or other.bottom <= one.top
    return not apart or _samples(_around(one, other)) <= _samples(one) + _samples(other)


def _around(one: Area, other: Area) -> Area:
    return Area(
        min(one.left, other.left), min(one.top, other.top), max(one.right, other.right), max(one.bottom, other.bottom)
    )


def _samples(area: Area) -> int:
    return (area.right - area.left) * (area.bottom - area.top)
