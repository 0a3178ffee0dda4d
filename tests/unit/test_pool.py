"""How much memory a pool keeps, what it does where there is too little, and what is left when it is closed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import pool as pools
from runtime._device.host import HostDevice, HostEvent, InlineStream, WorkerStream
from runtime.clock import Clock
from runtime.device import Form, Stream, Tensor
from runtime.errors import DeviceFailed, DeviceFull
from runtime.pool import Buffer, Pool

INLINE: Stream = InlineStream("inline", Clock())


class Counted(HostDevice):
    """Memory of `nbytes`, every tensor of which must be freed once."""

    def __init__(self, nbytes: int = 1 << 40) -> None:
        super().__init__(Clock(), threads=False)
        self.left, self.living = nbytes, dict[int, Tensor]()
        self.allocated = 0

    def allocate(self, form: Form) -> Tensor:
        tensor = super().allocate(form)
        if tensor.nbytes > self.left:
            raise DeviceFull("out of memory")
        self.left -= tensor.nbytes
        self.living[id(tensor)] = tensor
        self.allocated += 1
        return tensor

    def free(self, tensor: Tensor) -> None:
        self.left += self.living.pop(id(tensor)).nbytes

    @property
    def used(self) -> int:
        return sum(tensor.nbytes for tensor in self.living.values())


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_IDLE_BYTES", 100)


def of(nbytes: int) -> Form:
    return Form((nbytes,), "uint8")


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=60), together=st.integers(1, 4))
def test_however_sizes_come_and_go_a_pool_has_no_more_than_twice_its_need_or_a_little_more(
    sizes: list[int], together: int
) -> None:
    device = Counted()
    pool, held, most = Pool(device), list[Buffer](), 0
    for nbytes in sizes:
        held.append(pool.take(of(nbytes), INLINE))
        most = max(most, sum(buffer.tensor.nbytes for buffer in held))
        assert device.used <= most + max(100, most)
        assert device.used == pool.leased_bytes + pool.idle_bytes
        if len(held) > together:
            held.pop(0).release()


def test_sizes_that_recur_are_allocated_once() -> None:
    device = Counted()
    pool = Pool(device)
    for _ in range(20):
        for nbytes in (30, 40, 20):
            pool.take(of(nbytes), INLINE).release()
    assert device.allocated == 3


def test_the_form_that_was_used_last_is_given_up_last() -> None:
    device = Counted()
    pool = Pool(device)
    for nbytes in (60, 50, 60):
        pool.take(of(nbytes), INLINE).release()
    pool.take(of(10), INLINE)  # 110 are idle, 10 too many
    pool.take(of(60), INLINE)
    assert device.allocated == 3
    pool.take(of(50), INLINE)
    assert device.allocated == 4


def test_where_memory_is_used_up_spares_are_freed_and_it_is_asked_once_more() -> None:
    device = Counted(120)
    pool = Pool(device)
    beside = Pool(device, pool)
    beside.take(of(50), INLINE).release()
    pool.take(of(40), INLINE).release()
    assert pool.take(of(110), INLINE).tensor.nbytes == 110
    with pytest.raises(DeviceFull):
        pool.take(of(20), INLINE)
    assert device.used == 110


def test_a_spare_is_not_freed_before_everybody_is_through_with_it() -> None:
    device, stream = Counted(100), WorkerStream("writer", Clock())
    pool, read, order = Pool(device), HostEvent(), list[str]()
    buffer = pool.take(of(60), stream)
    buffer.hold(read)
    buffer.release()
    other = WorkerStream("reader", Clock())
    other.run(lambda: order.append("read"))
    other.run(lambda: read.reach(None))
    free = device.free
    device.free = lambda tensor: (order.append("freed"), free(tensor))[1]  # type: ignore[method-assign]
    pool.take(of(80), stream)
    assert order == ["read", "freed"]
    for each in (stream, other):
        each.close()


def test_a_pool_that_is_closed_has_freed_what_was_on_lease_too_and_a_late_release_changes_nothing() -> None:
    device = Counted()
    pool = Pool(device)
    pool.take(of(10), INLINE).release()
    late, never = pool.take(of(20), INLINE), pool.take(of(30), INLINE)
    pool.close()
    assert device.used == 0
    late.release()
    pool.close()
    assert (device.used, pool.idle_bytes, pool.leased) == (0, 0, 1)
    assert never.tensor.nbytes == 30
    with pytest.raises(ValueError, match="closed"):
        pool.take(of(10), INLINE)


def test_another_failure_than_too_little_memory_is_told_at_once() -> None:
    class Lost(Counted):
        def allocate(self, form: Form) -> Tensor:
            if self.allocated:
                self.allocated += 1
                raise DeviceFailed("lost")
            return super().allocate(form)

    device = Lost()
    pool = Pool(device)
    pool.take(of(10), INLINE).release()
    with pytest.raises(DeviceFailed, match="lost"):
        pool.take(of(20), INLINE)
    assert device.allocated == 2
    assert pool.idle_bytes == 10
