"""Film grain for the fill: noise with the strength and the texture of the source's own around the hole.

The spectrum of the source's noise is measured in blocks beside the hole, that of the fill in blocks inside it; white
noise filtered to the difference is added.  Source of the filter: B. Galerne, Y. Gousseau, J.-M. Morel, "Random phase
textures: theory and synthesis", IEEE Transactions on Image Processing 20(1), 2011 (a Gaussian texture is its spectrum).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from runtime._composite.layers import Opacity
from runtime._composite.samples import cell_sums
from runtime.frame import Frame, Hole, Plane
from runtime.patch import Crop
from runtime.resize import Area

Reals = npt.NDArray[np.float32]

_BLOCK = 32  # samples; grain is correlated over far fewer, and blocks of 16 lost a sixth of coarse grain's strength
_STEP = 16  # samples from one block to the next
_PARTS = 4  # a block's structure is the variance of its 4 x 4 means, to which fine noise adds next to nothing
_FEWEST, _MOST = 8, 512  # blocks that are looked at
_TILE = 256  # samples after which the noise repeats


@dataclass(frozen=True, slots=True)
class _Surface:
    """One plane before and after the fill, and how much of each sample is fill."""

    source: Plane
    painted: Plane
    share: Reals  # 0 to 1
    crops: tuple[Area, ...]  # in the plane's own grid

    def added_power(self, peak: int) -> Reals | None:
        """Spectrum of the noise that the fill lacks; None where the source shows too little to tell."""
        wanted = _spectrum(self.blocks(self.source, inside=False), peak)
        if wanted is None:
            return None
        there = _spectrum(self.blocks(self.painted, inside=True), peak)
        return wanted if there is None else np.maximum(wanted - there, 0)

    def blocks(self, plane: Plane, *, inside: bool) -> Reals:
        """Blocks `[n, 32, 32]` of `plane` that lie in a crop and wholly in the fill, or wholly outside of it."""
        kept: list[Reals] = []
        for crop in self.crops:
            box = np.s_[crop.top : crop.bottom, crop.left : crop.right]
            whole = _windows(self.share[box] == 1) if inside else _windows(self.share[box] == 0)
            places = np.argwhere(whole)
            places = places[:: -(-len(places) * len(self.crops) // _MOST) or 1]
            tops, lefts = places[:, 0] * _STEP, places[:, 1] * _STEP
            if len(places):
                windows = sliding_window_view(plane[box], (_BLOCK, _BLOCK))
                kept.append(windows[tops, lefts].astype(np.float32))
        return np.concatenate(kept) if kept else np.empty((0, _BLOCK, _BLOCK), np.float32)


def add_grain(
    planes: tuple[Plane, ...], frame: Frame, crops: Sequence[Crop], done: Sequence[tuple[Area, Opacity]], depth: int
) -> None:
    """Add noise to what the fill changed in `planes`, copies of the frame's.

    `done` are the painted areas with their opacity of 0 to `2**depth`; the source's noise is looked for in `crops`.
    The noise depends on the frame's index and samples only.  Where fewer than 8 blocks beside the hole can be used
    (all flat, clipped or masked) the plane stays as it is.
    """
    opacity = np.zeros((frame.height, frame.width), np.uint16)
    for area, amount in done:
        opacity[area.top : area.bottom, area.left : area.right] = amount
    peak = (1 << frame.layout.bits) - 1
    surfaces = [_surface(frame, plane, number, opacity, crops, depth) for number, plane in enumerate(planes)]
    white = [_white((frame.index, number)) for number in range(len(planes))]
    if frame.layout.family == "rgb":  # grain of red, green and blue is mostly one; luma and chroma are as good as apart
        white = _alike(white, surfaces, peak)
    for number, surface in enumerate(surfaces):
        power = surface.added_power(peak)
        if power is not None:
            noise = _noise(power, white[number])
            for area, _ in done:
                _add(surface, noise, _on_grid(area, *_shifts(frame, number)), peak)


def _surface(frame: Frame, plane: Plane, number: int, opacity: Opacity, crops: Sequence[Crop], depth: int) -> _Surface:
    across, down = _shifts(frame, number)
    total = cell_sums(opacity, across, down, np.int32)
    share = (total / (1 << (across + down + depth))).astype(np.float32)
    areas = tuple(_on_grid(Area(crop.left, crop.top, crop.right, crop.bottom), across, down) for crop in crops)
    return _Surface(frame.planes[number], plane, share, areas)


def _shifts(frame: Frame, number: int) -> tuple[int, int]:
    return (frame.layout.chroma_shift_x, frame.layout.chroma_shift_y) if number else (0, 0)


def _add(surface: _Surface, noise: Reals, area: Area, peak: int) -> None:
    """Noise onto the fill's part of `area`: as much as the source's own lost when the fill was mixed in."""
    box = np.s_[area.top : area.bottom, area.left : area.right]
    rows, columns = np.arange(area.top, area.bottom) % _TILE, np.arange(area.left, area.right) % _TILE
    part, target = surface.share[box], surface.painted[box]
    level = target + np.sqrt(1 - (1 - part) ** 2) * noise[np.ix_(rows, columns)]
    level = np.clip(np.floor(level + np.float32(0.5)), 0, peak)
    np.copyto(target, level, where=part > 0, casting="unsafe")


def _on_grid(area: Area, across: int, down: int) -> Area:
    return Area(area.left >> across, area.top >> down, -(-area.right >> across), -(-area.bottom >> down))


def _windows(mask: Hole) -> Hole:
    """For every block of `mask`, a block every 16 samples across and down, whether all of it is True."""
    rows, columns = mask.shape[0] // _STEP, mask.shape[1] // _STEP
    cells = mask[: rows * _STEP, : columns * _STEP].reshape(rows, _STEP, columns, _STEP)
    whole: Hole = np.logical_and.reduce(cells, axis=(1, 3))
    pairs = np.logical_and(whole[1:], whole[:-1])
    return np.logical_and(pairs[:, 1:], pairs[:, :-1])


def _spectrum(blocks: Reals, peak: int) -> Reals | None:
    """Power `[32, 17]` of the noise in the flattest of `blocks`; None where fewer than 8 can be used.

    The median over the blocks, so that structure in some of them does not count; the power of Gaussian noise is
    distributed exponentially, and its median is ln 2 of its mean.
    """
    flat = _flattest([blocks], peak)
    if flat is None:
        return None
    power = np.abs(np.fft.rfft2(flat[0])) ** 2
    return (np.median(power, axis=0) / np.log(2)).astype(np.float32)


def _flattest(planes: Sequence[Reals], peak: int) -> list[Reals] | None:
    """The flattest quarter of blocks, less their slope; `planes` hold the same blocks of one or more planes.

    None where fewer than 8 can be used: black bars and clipped skies show no noise.
    """
    usable = np.ones(len(planes[0]), np.bool_)
    for blocks in planes:
        low, high = blocks.min(axis=(1, 2), initial=peak), blocks.max(axis=(1, 2), initial=0)
        usable &= (low < high) & (low > 0) & (high < peak)
    if np.count_nonzero(usable) < _FEWEST:
        return None
    level = [_without_slope(blocks[usable]) for blocks in planes]
    part = _BLOCK // _PARTS
    means = [blocks.reshape(-1, _PARTS, part, _PARTS, part).mean(axis=(2, 4)) for blocks in level]
    structure = np.sum([each.var(axis=(1, 2)) for each in means], axis=0)
    order = np.argsort(structure, kind="stable")[: max(len(structure) // 4, _FEWEST)]
    return [blocks[order] for blocks in level]


def _without_slope(blocks: Reals) -> Reals:
    """Each block less the plane that fits it best."""
    ramp = np.arange(_BLOCK, dtype=np.float32) - np.float32((_BLOCK - 1) / 2)
    norm = _BLOCK * (ramp**2).sum()
    down = (blocks * ramp[:, None]).sum(axis=(1, 2)) / norm
    across = (blocks * ramp).sum(axis=(1, 2)) / norm
    level = blocks.mean(axis=(1, 2))
    return blocks - (
        level[:, None, None] + down[:, None, None] * ramp[:, None] + across[:, None, None] * ramp[None, None]
    )


def _alike(white: list[Reals], surfaces: Sequence[_Surface], peak: int) -> list[Reals]:
    """White noise of several planes, as much alike as the source's noise is."""
    flat = _flattest([surface.blocks(surface.source, inside=False) for surface in surfaces], peak)
    if flat is None or min(blocks.std() for blocks in flat) == 0:
        return white
    alike = np.corrcoef([blocks.ravel() for blocks in flat])
    mixing = np.linalg.cholesky(0.999 * alike + 0.001 * np.eye(len(white)))  # planes may be equal, which has no root
    return list(np.tensordot(mixing.astype(np.float32), np.stack(white), axes=1))


def _white(seed: tuple[int, int]) -> Reals:
    generator = np.random.Generator(np.random.PCG64(seed))
    return generator.standard_normal((_TILE, _TILE), np.float32)


def _noise(power: Reals, white: Reals) -> Reals:
    """`white` noise `[256, 256]` with that spectrum, without a seam where it repeats."""
    kernel = np.fft.irfft2(np.sqrt(power / _BLOCK**2), s=(_BLOCK, _BLOCK))
    padded = np.zeros((_TILE, _TILE))
    padded[:_BLOCK, :_BLOCK] = np.fft.fftshift(kernel)
    return np.fft.irfft2(np.fft.rfft2(white) * np.fft.rfft2(padded), s=(_TILE, _TILE)).astype(np.float32)
