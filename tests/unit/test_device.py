"""Pools: memory is reused, and a lease ends once."""

from __future__ import annotations

import pytest

from runtime.device import Pool


def test_a_released_buffer_is_the_next_one_taken() -> None:
    pool = Pool()
    first = pool.take((2, 3))
    first.release()
    assert pool.take((2, 3)) is first


def test_buffers_on_lease_never_share_memory() -> None:
    pool = Pool()
    one, other = pool.take((4,)), pool.take((4,))
    one.array[:] = 1
    other.array[:] = 2
    assert one.array.sum() == 4
    assert pool.leased == 2
    assert pool.leased_bytes == 2 * 4 * 4
    one.release()
    assert pool.leased_bytes == 4 * 4


def test_a_shape_is_never_served_by_another() -> None:
    pool = Pool()
    pool.take((6,)).release()
    assert pool.take((2, 3)).array.shape == (2, 3)


def test_releasing_twice_is_an_error() -> None:
    buffer = Pool().take((1,))
    buffer.release()
    with pytest.raises(ValueError, match="not on lease"):
        buffer.release()
