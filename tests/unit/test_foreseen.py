"""Masks that come are held against the regions that were planned from them."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.errors import InputError
from runtime.foreseen import Foreseen
from runtime.patch import Crop
from runtime.regions import Region

REGIONS = (Region(Crop(0, 0, 8, 8), 2, 5), Region(Crop(8, 0, 8, 8), 0, None))


def mask(*places: tuple[int, int]) -> np.ndarray:
    """Of 8 by 20 pixels, with holes at these rows and columns."""
    hole = np.zeros((8, 20), np.bool_)
    for place in places:
        hole[place] = True
    return hole


@pytest.mark.parametrize(
    ("index", "places", "held"),
    [
        (2, [(0, 0), (7, 15)], True),
        (5, [(0, 0)], True),
        (1, [(0, 0)], False),
        (6, [(0, 0)], False),
        (6, [(3, 8)], True),
        (4, [(3, 8), (0, 16)], False),
        (99, [], True),
    ],
)
def test_every_masked_pixel_lies_in_a_region_that_is_there(
    index: int, places: list[tuple[int, int]], held: bool
) -> None:
    foreseen = Foreseen(REGIONS)
    foreseen.insist(0, None)
    if held:
        foreseen.insist(index, mask(*places))
        return
    with pytest.raises(InputError, match=f"^frame {index}: its mask marks what none was foreseen for"):
        foreseen.insist(index, mask(*places))


def test_a_mask_that_stays_is_looked_at_again_when_a_region_goes() -> None:
    foreseen, hole = Foreseen(REGIONS), mask((0, 0))
    for index in range(2, 6):
        foreseen.insist(index, hole)
    with pytest.raises(InputError, match=r"^frame 6: "):
        foreseen.insist(6, hole)
