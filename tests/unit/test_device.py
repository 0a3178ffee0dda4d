"""Pools: memory is reused, and a lease ends once."""

from __future__ import annotations

import pytest

from runtime._device.host import HostDevice
from runtime.clock import Clock
from runtime.device import Form, host_array
from runtime.pool import Pool

HOST = HostDevice(Clock(), threads=False)
INLINE = HOST.stream("inline")


def test_a_released_buffer_is_the_next_one_taken() -> None:
    pool = Pool(HOST)
    first = pool.take(Form((2, 3)), INLINE)
    first.release()
    assert pool.take(Form((2, 3)), INLINE) is first


def test_buffers_on_lease_never_share_memory() -> None:
    pool = Pool(HOST)
    one, other = pool.take(Form((4,)), INLINE), pool.take(Form((4,)), INLINE)
    host_array(one.tensor)[:] = 1
    host_array(other.tensor)[:] = 2
    assert host_array(one.tensor).sum() == 4
    assert pool.leased == 2
    assert pool.leased_bytes == 2 * 4 * 4
    one.release()
    assert pool.leased_bytes == 4 * 4


def test_a_shape_is_never_served_by_another() -> None:
    pool = Pool(HOST)
    pool.take(Form((6,)), INLINE).release()
    assert pool.take(Form((2, 3)), INLINE).tensor.shape == (2, 3)


def test_releasing_twice_is_an_error() -> None:
    buffer = Pool(HOST).take(Form((1,)), INLINE)
    buffer.release()
    with pytest.raises(ValueError, match="not on lease"):
        buffer.release()
