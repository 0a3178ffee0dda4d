"""Numbers between stages: bfloat16 as PyTorch rounds it, halves as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from runtime.numbers import as_floats, floats, from_bfloat16, to_bfloat16

any_floats = arrays.arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32))


@given(any_floats)
def test_bfloat16_is_rounded_as_pytorch_does(values: np.ndarray) -> None:
    wanted = torch.from_numpy(values).to(torch.bfloat16)
    found = to_bfloat16(values)
    is_nan = np.isnan(values)
    assert np.array_equal(found[~is_nan], wanted.view(torch.uint16).numpy()[~is_nan])
    assert np.isnan(from_bfloat16(found)[is_nan]).all()
    assert np.array_equal(from_bfloat16(found)[~is_nan], wanted.to(torch.float32).numpy()[~is_nan])


def test_ties_go_to_the_even_neighbour_and_a_nan_without_upper_bits_stays_one() -> None:
    ties = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF], np.uint32).view(np.float32)
    assert [hex(bits) for bits in to_bfloat16(ties)] == ["0x3f80", "0x3f82", "0x3f81", "0x7f80"]
    hidden = np.array([0x7F800001], np.uint32).view(np.float32)  # cut off, it would be infinite
    assert np.isnan(from_bfloat16(to_bfloat16(hidden))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint16])
def test_what_is_filled_as_floats_is_read_as_floats(dtype: type[np.generic]) -> None:
    """Of values that every type holds; only bfloat16 is copied."""
    values = np.array([[0.5, -1.0], [0.0, 96.0]], np.float32)
    out = np.zeros(values.shape, dtype)
    with as_floats(out) as numbers:
        assert (numbers is out) == (dtype is not np.uint16)
        numbers[...] = values
    assert np.array_equal(floats(out), values)
