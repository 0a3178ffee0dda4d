"""Tracks that share crops, and the crops of each group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from runtime._regions.crops import STEPS, Extent, Field, Tile
from runtime._regions.tracks import GAP, Track
from runtime.patch import Crop

_GROWTH = 12  # eighths; the factor by which a scale may exceed what the hole needs where that saves crops


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a plan."""

    share: float  # of a crop's width and height that a hole may take
    largest: int  # scale, in eighths
    active: int  # crops at one time


@dataclass(frozen=True, slots=True)
class Placed:
    """A crop and the first and last frame in which it is needed."""

    crop: Crop
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Group:
    """Tracks that are covered together."""

    extent: Extent
    width: int  # of the largest piece of a single frame
    height: int
    first: int  # frame of any of them
    last: int
    tracks: tuple[Track, ...]

    def joined(self, other: Group) -> Group:
        """Both in one."""
        return Group(
            self.extent.joined(other.extent),
            max(self.width, other.width),
            max(self.height, other.height),
            min(self.first, other.first),
            max(self.last, other.last),
            (*self.tracks, *other.tracks),
        )


@dataclass(frozen=True, slots=True)
class _Covered:
    """A group and its crops, all of one scale."""

    group: Group
    scale: int
    crops: tuple[Placed, ...]

    @property
    def cost(self) -> int:
        """Frames of all crops, each worth its scale: half the frames justify twice the scale."""
        return self.scale * sum(crop.last - crop.first + 1 for crop in self.crops)


@dataclass(frozen=True, slots=True)
class _Ruler:
    """The scale of a group: what its largest piece needs, between two bounds."""

    field: Field
    cell: int
    share: float
    smallest: int
    largest: int

    def scale(self, group: Group) -> int:
        need = self.field.need(group.width, group.height, self.share)
        return min(max(self.smallest, min(need, self.largest)), self.field.limit)

    def grown(self, scale: int) -> int:
        """The largest scale that a group may get instead of `scale` where that saves crops."""
        return max(scale, min(scale * _GROWTH // STEPS, self.largest, self.field.limit))

    def cover(self, group: Group) -> _Covered:
        """The cheapest crops of the scale that the group needs or of somewhat more."""
        scale = self.scale(group)
        best = self._cover(group, scale)
        for larger in range(scale + 1, self.grown(scale) + 1):
            if len(best.crops) == 1:
                break
            covered = self._cover(group, larger)
            best = covered if covered.cost < best.cost else best
        return best

    def may_share(self, one: _Covered, other: _Covered) -> bool:
        """Whether it is worth finding out: the extents meet, or one crop holds both."""
        a, b = one.group.extent, other.group.extent
        if a.left < b.right and b.left < a.right and a.top < b.bottom and b.top < a.bottom:
            return True
        return self.field.fits(a.joined(b), self.grown(max(one.scale, other.scale)))

    def _cover(self, group: Group, scale: int) -> _Covered:
        tiles = list(self.field.tiles(group.extent, scale, self.cell))
        if len(tiles) == 1:
            return _Covered(group, scale, (Placed(tiles[0].crop, group.first, group.last),))
        return _Covered(group, scale, tuple(_needed(group.tracks, tiles, self.cell)))


def group_tracks(tracks: Sequence[Track], field: Field, cell: int, limits: Limits) -> list[Placed]:
    """The crops of all tracks, each scene of the mask planned by itself.

    Of all scales up to the largest allowed one that leads to the fewest crops is taken, the largest of such, for its
    context.  Where every one leads to more than `limits.active` crops at a time, all scales grow beyond what was
    allowed until it does not.
    """
    placed: list[Placed] = []
    for scene in _scenes(tracks):
        placed += _fewest(scene, field, cell, limits) or _bounded(scene, field, cell, limits)
    return placed


def lay_tiles(tracks: Sequence[Track], field: Field, cell: int, active: int) -> list[Placed]:
    """The crops of a grid over the whole frame that some hole needs, at scale 1 or as much more as `active` asks."""
    frame = Extent(0, 0, field.across.size, field.down.size)
    for scale in range(STEPS, field.limit):
        placed = _needed(tracks, field.tiles(frame, scale, cell), cell)
        if most_active(placed) <= active:
            return placed
    return _needed(tracks, field.tiles(frame, field.limit, cell), cell)


def most_active(placed: Iterable[Placed]) -> int:
    """The largest number of crops that are needed at one time."""
    changes = sorted(change for item in placed for change in ((item.first, 1), (item.last + 1, -1)))
    active = most = 0
    for _, change in changes:
        active += change
        most = max(most, active)
    return most


def _scenes(tracks: Sequence[Track]) -> Iterator[list[Group]]:
    """Tracks, in the order of their first frames, apart where nothing was masked for a while."""
    scene: list[Group] = []
    last = 0
    for track in tracks:
        if scene and track.first > last + GAP:
            yield scene
            scene = []
        scene.append(Group(track.extent, track.width, track.height, track.first, track.last, (track,)))
        last = max(last, track.last)
    yield scene


def _fewest(scene: list[Group], field: Field, cell: int, limits: Limits) -> list[Placed]:
    """The plan of the fewest crops; empty where none keeps to `limits.active`."""
    ruler = _Ruler(field, cell, limits.share, STEPS, min(limits.largest, field.limit))
    best: list[Placed] = []
    for largest in range(max(ruler.grown(ruler.scale(group)) for group in scene), STEPS - 1, -1):
        placed = _share(scene, _Ruler(field, cell, limits.share, STEPS, largest))
        if most_active(placed) <= limits.active and (not best or len(placed) < len(best)):
            best = placed
        if len(best) == 1:
            break
    return best


def _bounded(scene: list[Group], field: Field, cell: int, limits: Limits) -> list[Placed]:
    """The plan of the smallest scale, the same for all, that keeps to `limits.active`; the whole frame at last."""
    scale = STEPS
    while scale < field.limit:
        placed = _share(scene, _Ruler(field, cell, limits.share, scale, scale))
        if most_active(placed) <= limits.active:
            return placed
        scale += max(1, scale // 4)
    everything = Crop(0, 0, field.across.size, field.down.size, field.turns)
    return [Placed(everything, min(group.first for group in scene), max(group.last for group in scene))]


def _share(scene: list[Group], ruler: _Ruler) -> list[Placed]:
    """The crops of the scene after neighbours were put together where that needs fewer crops."""
    covered = [ruler.cover(group) for group in scene]
    while True:
        joined = _join_neighbours(covered, ruler)
        if len(joined) == len(covered):
            return [crop for item in covered for crop in item.crops]
        covered = sorted(joined, key=lambda item: (item.group.first, item.group.extent.top, item.group.extent.left))


def _join_neighbours(covered: list[_Covered], ruler: _Ruler) -> list[_Covered]:
    """Each with the first of its neighbours in time and space that shares crops with it at less cost."""
    settled: list[_Covered] = []
    near: list[_Covered] = []
    for new in covered:
        settled += [other for other in near if other.group.last + GAP < new.group.first]
        near = [other for other in near if other.group.last + GAP >= new.group.first]
        for position, other in enumerate(near):
            if ruler.may_share(other, new):
                joined = ruler.cover(other.group.joined(new.group))
                fewer = len(joined.crops) < len(other.crops) + len(new.crops)
                if fewer and (joined.scale <= max(other.scale, new.scale) or joined.cost < other.cost + new.cost):
                    near[position] = joined
                    break
        else:
            near.append(new)
    return settled + near


def _needed(tracks: Iterable[Track], tiles: Iterable[Tile], cell: int) -> list[Placed]:
    """The tiles whose core some hole reaches, each from the first to the last frame in which one does."""
    found: list[Placed] = []
    for tile in tiles:
        times = [span for track in tracks if (span := track.times(tile.core, cell)) is not None]
        if times:
            found.append(Placed(tile.crop, min(first for first, _ in times), max(last for _, last in times)))
    return found
