"""Which keys of a window the transformer's attention leaves out: a bias per patch and head.

Fillers are always left out.  Where a bias has the patches' own axes, `[T, rows, columns]`, the network was trained to
leave out what is mostly hole as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from runtime.bundle import StageSpec
from runtime.device import Array
from runtime.frame import Hole

SILENCED = -1e4  # added to the scores of a key: its softmax weight is then zero in every type

Slots = Sequence[Hole | None]  # what is hole `[H, W]` in each slot's frame, or None where nothing is
Cells = npt.NDArray[np.bool_]


def key_biases(stage: StageSpec, real: Cells, holes: Slots, features: tuple[int, int]) -> dict[str, Array]:
    """The transformer's `key_bias` inputs for a window of which the slots `real` `[T]` hold frames, the others fillers.

    `holes` are at the network's size, `features` are the rows and columns of a feature map.
    """
    biases: dict[str, Array] = {}
    for spec in stage.inputs:
        if not spec.name.startswith("key_bias"):
            continue
        if len(spec.shape) == 1:  # the patches of all frames in a row
            silent = np.repeat(~real, int(spec.shape[0]) // len(real))
        else:
            silent = _left_out(real, holes, features, (int(spec.shape[1]), int(spec.shape[2])))
        biases[spec.name] = np.where(silent, np.float32(SILENCED), np.float32(0))
    return biases


def _left_out(real: Cells, holes: Slots, features: tuple[int, int], grid: tuple[int, int]) -> Cells:
    """Fillers, and what is mostly hole unless that is everything: `[T, *grid]`."""
    blank = np.zeros((len(real), *grid), np.bool_)
    for slot, hole in enumerate(holes):
        if hole is not None:
            blank[slot] = mostly_hole(hole, features, grid)
    if blank[real].all():
        blank[:] = False  # else a softmax over nothing but fillers would bring them back
    return blank | ~real[:, None, None]


def mostly_hole(hole: Hole, features: tuple[int, int], grid: tuple[int, int]) -> Cells:
    """`[H, W]` -> which of `grid` patches of a feature map have more than half of their features in the hole.

    A feature is in the hole when the top left of its pixels is.
    """
    down, across = hole.shape[0] // features[0], hole.shape[1] // features[1]
    height, width = features[0] // grid[0], features[1] // grid[1]
    cells = hole[::down, ::across].reshape(grid[0], height, grid[1], width)
    return 2 * np.count_nonzero(cells, axis=(1, 3)) > height * width
