"""From edges that stay put to the shapes that they outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from runtime._overlay.edges import EDGE_LEVELS, Map, Steadiness
from runtime.frame import Hole

Labels = npt.NDArray[np.int32]  # [rows, columns], 0 is no piece

# Thresholds were chosen on 132 real clips and drawn overlays; docs/measurements.md has what they find and miss.
SURE = 0.45  # steadiness of an edge that starts a shape
LIKELY = 0.22  # of an edge that continues one
SURE_LEVELS, LIKELY_LEVELS = 3.0, 1.5  # their strength; below are compression and noise
LEAST_SURE = 0.0003  # of the picture's pixels start a shape; a logo of 20 by 20 at 854x480 has as many

# Of the edges of an overlay at least this share is sure.  What merely stays in its place for a while, because a camera
# follows it or zooms in on it, has fewer, or it is surrounded by edges that stay nearly as well: those raise the bar.
SURE_SHARE = 0.4
AROUND = 2.0  # times the share of likely edges around the piece
RING = (0.025, 0.16)  # of the shorter side: how far around it that is looked at, and how near other pieces it is not
NEIGHBOUR_SHARE = 0.25  # of a piece beside a sure one, such as the letter of a word that something bright passed behind
# Times the height of the sure piece.  Letters of a word are nearly of one height; what is far taller than the speck
# of it that stayed put is more often a body that a camera follows, and would be marked whole for that speck's sake.
NEIGHBOUR_HEIGHT = 1.5

# Letters and logos have edges in all directions.  Streaks (what moves along its own edge, letterbox bars) have one.
LEAST_ROUND = 0.12  # smaller over larger eigenvalue of the edges' tensor
JOIN = 0.012  # of the shorter side: edges this close belong together,
MEND = 0.04  # and within what is an overlay gaps as wide are closed: strokes that something alike passed behind
MARGIN = 0.01  # of the shorter side, all around and half of it on each: soft edges, and what compression smears
STILL_LEVELS = 2.0  # standard deviation over time of what stands still, compression included
BAR_SHARE = 0.9  # of a line stands still where a bar is
BAR_EDGE = 4  # pixels on either side of a bar's end that compression smears it over
LARGEST_SPAN = 0.7  # of the width and of the height; what spans both is a frame around the picture
LARGEST_GAP = 0.005  # of the picture: what edges enclose is filled up to here,
STILL_GAP = 0.7  # and beyond where it varies less than this times the picture's median


@dataclass(frozen=True, slots=True)
class Piece:
    """Edges that lie close together."""

    label: int
    left: int
    top: int
    width: int
    height: int
    share: float  # of the sure among its edges
    around: float  # share of the likely among edges around it

    def near(self, other: Piece) -> bool:
        """Whether the gap between both is no wider than the taller one is high."""
        reach = max(self.height, other.height)
        across = max(self.left, other.left) - min(self.left + self.width, other.left + other.width)
        down = max(self.top, other.top) - min(self.top + self.height, other.top + other.height)
        return across <= reach and down <= reach

    def continues(self, other: Piece) -> bool:
        """Whether it may be part of the overlay that `other` surely is."""
        return self.near(other) and self.height <= NEIGHBOUR_HEIGHT * other.height


@dataclass(frozen=True, slots=True)
class _Found:
    """Edges, and the pieces that they form."""

    labels: Labels
    stats: Labels  # [piece, left top width height area]
    edges: Hole
    sure: npt.NDArray[np.intp]  # how many sure edges each piece has
    candidates: npt.NDArray[np.intp]  # the pieces with enough of them to start a shape


@dataclass(frozen=True, slots=True)
class Shapes:
    """What seems to lie over the picture."""

    hole: Hole  # filled, and a pixel wider than the edges
    confidence: float  # mean steadiness of its edges, 0 to 1


def find_shapes(clip: Steadiness) -> Shapes | None:
    """The shapes that edges outline which stay put; None where there are none."""
    within = ~_bar_edges(clip.varied)
    edges = within & (clip.steady > LIKELY) & (clip.strength > LIKELY_LEVELS)
    sure = within & (clip.steady > SURE) & (clip.strength > SURE_LEVELS)
    size = min(edges.shape)
    joined = cv2.morphologyEx(edges.astype(np.uint8), cv2.MORPH_CLOSE, _disc(size * JOIN))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    counts = np.bincount(labels[sure], minlength=len(stats))
    candidates = np.flatnonzero(counts[1:] >= LEAST_SURE * sure.size) + 1
    found = _Found(cast(Labels, labels), cast(Labels, stats), edges, counts, candidates)
    chosen = [piece.label for piece in _choose(_pieces(found, clip))]
    if not chosen:
        return None
    body = np.isin(labels, chosen)
    confidence = float(clip.steady[body & edges].mean())
    whole = cv2.morphologyEx(body.astype(np.uint8), cv2.MORPH_CLOSE, _disc(size * MEND)) > 0
    filled = _fill(whole, clip.varied).astype(np.uint8)
    return Shapes(cv2.dilate(filled, _disc(size * MARGIN)) > 0, confidence)


def _pieces(found: _Found, clip: Steadiness) -> list[Piece]:
    """The pieces that may be an overlay by their size and their directions."""
    rows, columns = found.labels.shape
    number = len(found.stats)
    labels = found.labels[found.edges]
    counts = np.bincount(labels, minlength=number)
    tensors = [np.bincount(labels, part[found.edges], number) for part in (clip.across, clip.down, clip.mixed)]
    pieces: list[Piece] = []
    for label in found.candidates:
        left, top, width, height = (int(value) for value in found.stats[label][:4])
        framing = width > LARGEST_SPAN * columns and height > LARGEST_SPAN * rows
        across, down, mixed = (float(tensor[label]) for tensor in tensors)
        if not framing and _roundness(across, down, mixed) > LEAST_ROUND:
            share = float(found.sure[label] / counts[label])
            pieces.append(Piece(int(label), left, top, width, height, share, _around(int(label), found, clip)))
    return pieces


def _around(label: int, found: _Found, clip: Steadiness) -> float:
    """Share of edges that stay fairly well among those around a piece, all pieces left out."""
    near, far = (round(min(found.edges.shape) * reach) for reach in RING)
    left, top, width, height = (int(value) for value in found.stats[label][:4])
    window = (slice(max(0, top - far), top + height + far), slice(max(0, left - far), left + width + far))
    labels = found.labels[window]
    reached = cv2.dilate((labels == label).astype(np.uint8), _disc(far)) > 0
    pieces = cv2.dilate(np.isin(labels, found.candidates).astype(np.uint8), _disc(near)) > 0
    edges = reached & ~pieces & (clip.busy[window] > EDGE_LEVELS)
    return float((clip.steady[window][edges] > LIKELY).mean()) if edges.any() else 0.0


def _choose(pieces: list[Piece]) -> list[Piece]:
    """The sure pieces, and those beside them that are nearly so."""
    sure = [piece for piece in pieces if piece.share >= SURE_SHARE + AROUND * piece.around]
    beside = [piece for piece in pieces if piece.share >= NEIGHBOUR_SHARE and piece not in sure]
    return [*sure, *(piece for piece in beside if any(piece.continues(other) for other in sure))]


def _roundness(across: float, down: float, mixed: float) -> float:
    middle = (across + down) / 2
    spread = float(np.hypot((across - down) / 2, mixed))
    return (middle - spread) / (middle + spread)


def _fill(body: Hole, varied: Map) -> Hole:
    """The body with what it encloses, unless that is large and moves like the rest of the picture."""
    rows, columns = body.shape
    filled = body.copy()
    _, gaps, stats, _ = cv2.connectedComponentsWithStats((~body).astype(np.uint8), connectivity=4)
    usual = float(np.median(varied))
    for label, (left, top, width, height, area) in enumerate(stats):
        outside = left == 0 or top == 0 or left + width == columns or top + height == rows
        if label and not outside:
            small = area <= LARGEST_GAP * rows * columns
            if small or float(np.median(varied[gaps == label])) < STILL_GAP * usual:
                filled |= gaps == label
    return filled


def _bar_edges(varied: Map) -> Hole:
    """Where bars at the sides of the picture end; what is written on a bar is none of its edge."""
    found = np.zeros(varied.shape, np.bool_)
    still = varied < STILL_LEVELS
    for lines, view in ((still, found), (still.T, found.T)):
        bars = lines.mean(axis=1) > BAR_SHARE
        if bars.all():
            continue
        for size, side in ((int(bars.argmin()), view), (int(bars[::-1].argmin()), view[::-1])):
            if size:
                side[max(0, size - BAR_EDGE) : size + BAR_EDGE] = True
    return found


def _disc(size: float) -> npt.NDArray[np.uint8]:
    across = max(3, round(size) | 1)
    return cast(npt.NDArray[np.uint8], cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (across, across)))
