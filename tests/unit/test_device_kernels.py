"""Kernels through the CUDA device, on a driver that is none: what they are given, and what is said where they fail."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kernels.record import FOLDER, fatbin
from runtime._device.cuda import CudaDevice
from runtime._device.host import HostDevice
from runtime.bundle import PixelRule
from runtime.clock import Clock
from runtime.device import Form, KernelImage, Launch
from runtime.errors import DeviceFailed
from runtime.kernels import Visit, accumulate
from tests.devices import contents
from tests.stand_in_cuda import FakeCuda


def installed(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", cuda.module())
    return cuda


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    made = installed(FakeCuda(delays=(0.0, 0.002, 0.0, 0.001)), monkeypatch)
    yield made
    made.owned.check()
    for stream in made.streams.values():
        stream.end()


@pytest.fixture
def device(cuda: FakeCuda) -> Iterator[CudaDevice]:
    assert not cuda.streams
    made = CudaDevice(Clock())
    with made.bound():
        yield made
    made.close()


def image(data: bytes | None = None) -> KernelImage:
    return KernelImage(Path("bundle/some.fatbin"), fatbin(FOLDER) if data is None else data, "13.0")


def test_a_kernel_works_on_the_memory_that_its_call_names_in_the_streams_order(
    device: CudaDevice, cuda: FakeCuda
) -> None:
    rule = PixelRule(8, 4, "bgr", -1.0, 1.0, True, 0.0, "bicubic-antialias", 4)
    loaded = device.kernels(image)
    assert loaded is not None
    painted, sums, fill = (device.allocate(Form((3, 4, 8), kind)) for kind in ("float16", "float32", "uint8"))
    addresses = [loaded.address_of(tensor) for tensor in (painted, sums, fill)]
    visit = Visit(1.0, 1.0, first=True, halving=False)
    launch = accumulate((addresses[0], True), addresses[1], addresses[2], rule, visit)
    with closing(device.stream("any")) as stream:
        for value in (-1, 1):
            stream.write(painted, lambda array, value=value: array.fill(value))
            loaded.enqueue(launch, [painted], [sums, fill], stream)
    assert np.array_equal(contents(device, fill), np.full((3, 4, 8), 255))
    assert cuda.launched == {"accumulate": 2}


REFUSED = {
    "older driver": (
        image,
        12040,
        "the driver here is for CUDA 12.4: [^\n]*toolchain.; wanted a driver for CUDA 13.0 or later. Update the driver",
    ),
    "no fatbin": (
        lambda: image(b"no fatbin"),
        13010,
        "the driver here is for CUDA 13.1: [^\n]*image is invalid; wanted [^\n]*. Copy the bundle again",
    ),
}


@pytest.mark.parametrize(("given", "version", "said"), REFUSED.values(), ids=REFUSED)
def test_kernels_that_a_driver_refuses_are_one_line(
    given: Callable[[], KernelImage], version: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = installed(FakeCuda(driver_version=version), monkeypatch)
    line = f"^Fake GPU: cannot load bundle/some.fatbin; {said}[^\n]*--backend onnxruntime$"
    with pytest.raises(DeviceFailed, match=line), closing(CudaDevice(Clock())) as device:
        device.kernels(given)
    cuda.owned.check()


def test_a_kernel_that_the_fatbin_lacks_is_one_line(device: CudaDevice) -> None:
    loaded = device.kernels(image)
    assert loaded is not None
    with closing(device.stream("any")) as stream, pytest.raises(DeviceFailed, match="find the kernel blur: "):
        loaded.enqueue(Launch("blur", b"", 1, 1), [], [], stream)


def test_the_host_reads_no_kernels() -> None:
    def unread() -> KernelImage:
        raise AssertionError

    assert HostDevice(Clock(), threads=False).kernels(unread) is None
