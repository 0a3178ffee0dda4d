"""What quantised graphs give that is no number counts as the worst, never as nothing."""

from __future__ import annotations

import numpy as np
import pytest

from export._int8_sensitivity import sqnr_db
from export.trial import measure

WANTED = np.array([0.5, -1.0, 0.25], np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_without_bounds_is_worse_than_any_noise(value: float) -> None:
    found = WANTED.copy()
    found[1] = value
    assert sqnr_db(found, WANTED) < sqnr_db(np.zeros_like(WANTED), WANTED)
    assert measure(found, WANTED).nan_count == 1


def test_what_is_equal_is_best() -> None:
    assert sqnr_db(WANTED, WANTED) > sqnr_db(WANTED + np.float32(1e-6), WANTED)
    assert measure(WANTED, WANTED).nan_count == 0
