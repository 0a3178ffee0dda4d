"""HDR on a plain screen: anchored where the standards anchor it."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.frame import RGB
from runtime.tones import HLG, PQ, is_hdr, to_screen
from tests.tolerances import TOLERANCE


def shown(level: float, transfer: int) -> RGB:
    """A grey of `level` of the signal's range, on the screen."""
    return to_screen(np.full((1, 1, 3), round(level * 65535), np.uint16), transfer)[0, 0]


@pytest.mark.parametrize(("pq", "hlg"), [(0.38, 0.38), (0.58, 0.75)])  # BT.2408, table 1: grey card, diffuse white
def test_pq_and_hlg_agree_where_the_standard_says_they_do(pq: float, hlg: float) -> None:
    tolerance = TOLERANCE["tones", "levels between PQ and HLG"]
    assert abs(int(shown(pq, PQ)[0]) - int(shown(hlg, HLG)[0])) <= tolerance


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_more_light_is_never_darker_and_white_leaves_room(transfer: int) -> None:
    ramp = np.repeat(np.arange(65536, dtype=np.uint16)[None, ::16, None], 3, axis=-1)
    levels = to_screen(ramp, transfer)[0].astype(int)
    assert levels[0].max() == 0
    assert (np.diff(levels, axis=0) >= 0).all()
    white = int(shown(0.58 if transfer == PQ else 0.75, transfer)[0])
    assert 220 <= white < int(levels[-1, 0])


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_grey_stays_grey_and_red_stays_red(transfer: int) -> None:
    grey = shown(0.5, transfer).astype(int)
    assert np.ptp(grey) <= TOLERANCE["tones", "levels of tint on grey"]
    red, green, blue = to_screen(np.array([[[40000, 20000, 20000]]], np.uint16), transfer)[0, 0].astype(int)
    assert red > green
    assert red > blue


def test_only_pq_and_hlg_are_hdr() -> None:
    assert [number for number in range(20) if is_hdr(number)] == [PQ, HLG]
