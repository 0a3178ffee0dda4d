"""The processes that train together: one where the program is started by hand, several under torchrun."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from runtime.errors import UsageError, VidmendError, first_line


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
        """Over all processes; the tensor itself where there is one.  Like `total`, but on the tensor's own device."""
        if self.size > 1:
            value = value.detach().clone()
            self._add_up(value)
            value /= self.size
        return value

    def total(self, count: int) -> int:
        """The sum over all processes.  All of them must call it; raises `VidmendError` where one is gone.

        It lies in the host's memory, and so waits for no GPU.
        """
        if self.size > 1:
            tensor = torch.tensor(count)
            self._add_up(tensor)
            count = int(tensor)
        return count

    def _add_up(self, tensor: Tensor) -> None:
        try:
            distributed.all_reduce(tensor)
        except RuntimeError as error:  # what gloo raises when a connection closes, or at its timeout
            raise VidmendError(
                f"process {self.rank}: another one is gone, or silent for half an hour; what it wrote says why. Go on "
                f"from the last checkpoint with --resume ({first_line(error)})"
            ) from None


@contextmanager
def joined(device: str) -> Generator[World, None, None]:
    """Join the processes that torchrun started, by its environment; `device` is auto, cpu, cuda or cuda:N.

    Raises `UsageError` when the device is not there, or is one GPU and the processes are several.
    """
    size, rank, local = (int(os.environ.get(name, default)) for name, default in _TORCHRUN)
    name = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if size > 1 and name.startswith("cuda:"):
        raise UsageError(f"--device {device}: one GPU for all {size} processes; --device cuda gives each its own")
    if name == "cuda":  # PyTorch takes no GPU without a number for the current one
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
    distributed.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo")
    try:
        yield World(rank, size, place)
    except BaseException:
        _leave()
        raise
    distributed.destroy_process_group()


def _leave() -> None:
    """Without the others: to destroy the group alone would wait for processes that wait for this one.

    Aborted it is destroyed too: threads of it that outlive the interpreter end the process by SIGABRT, once in a while.
    """
    if distributed.group.WORLD is not None:
        distributed.group.WORLD.abort()
        distributed.destroy_process_group()


_TORCHRUN = (("WORLD_SIZE", "1"), ("RANK", "0"), ("LOCAL_RANK", "0"))
