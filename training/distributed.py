"""The processes that train together: one where the program is started by hand, several under torchrun."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class World:
    """A process among those that train together."""

    rank: int
    size: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """Over all processes; the tensor itself where there is one.  All of them must call it."""
        if self.size > 1:
            value = value.detach().clone()
            distributed.all_reduce(value)
            value /= self.size
        return value

    def total(self, count: int) -> int:
        """The sum over all processes.  All of them must call it."""
        if self.size > 1:
            tensor = torch.tensor(count, device=self.device)
            distributed.all_reduce(tensor)
            count = int(tensor)
        return count


@contextmanager
def joined(device: str) -> Generator[World, None, None]:
    """Join the processes that torchrun started, by its environment; `device` is auto, cpu, cuda or cuda:N.

    Raises `UsageError` when the device is not there, or is one GPU and the processes are several.
    """
    size, rank, local = (int(os.environ.get(name, default)) for name, default in _TORCHRUN)
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if size > 1 and name.startswith("cuda:"):
        raise UsageError(f"--device {device}: one GPU for all {size} processes; --device cuda gives each its own")
    if name == "cuda" and size > 1:
        name = f"cuda:{local}"
    try:
        place = torch.device(name)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:  # what torch raises where CUDA is not compiled in, or not there
        raise UsageError(f"--device {device}: {str(error).splitlines()[0]}") from None
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if size == 1:
        yield World(0, 1, place)
        return
    distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(rank, size, place)
    finally:
        distributed.destroy_process_group()


_TORCHRUN = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))
