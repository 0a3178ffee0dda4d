"""What runs the CUDA kernels in tests: this processor (kernels/on_host.h), and a GPU where there is one."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from kernels import build, layout
from kernels.record import fatbin
from kernels.resize import taps_of
from runtime.device import Launch
from runtime.frame import Frame
from runtime.kernels import Axis, Picture, Surface

Array = np.ndarray[Any, Any]

MARGIN = 4096  # bytes; some rows of the pictures that tests use
UNTOUCHED = 0xA5

FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-shared", "-fPIC")
HALVES = """
extern "C" void widen(const unsigned short* in, float* out, int count) {
  for (int k = 0; k < count; ++k) out[k] = __half2float(__half{in[k]});
}
extern "C" void narrow(const float* in, unsigned short* out, int count) {
  for (int k = 0; k < count; ++k) out[k] = __float2half_rn(in[k]).bits;
}
"""


class Memory(Protocol):
    """Arrays where the kernels see them, until the end of a `with`."""

    def put(self, array: Array) -> int:
        """The address of the contiguous array's copy, the same one for the same array."""
        ...

    def get(self, array: Array) -> None:
        """Copy back into the array what the kernels made of it."""
        ...


class Machine(Protocol):
    """Runs kernels by name."""

    def memory(self) -> Any:
        """A context that gives a `Memory`."""
        ...

    def run(self, *launches: Launch) -> None:
        """Run each launch to its end."""
        ...


class HostMemory:
    """Copies with a margin on both sides, which no kernel may write to."""

    def __init__(self) -> None:
        self._copies: list[tuple[Array, Array]] = []

    def put(self, array: Array) -> int:
        for kept, copy in self._copies:
            if kept is array:
                return int(copy.ctypes.data) + MARGIN
        assert array.flags.c_contiguous
        copy = np.full(array.nbytes + 2 * MARGIN, UNTOUCHED, np.uint8)
        copy[MARGIN : MARGIN + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
        self._copies.append((array, copy))
        return int(copy.ctypes.data) + MARGIN

    def get(self, array: Array) -> None:
        copy = next(copy for kept, copy in self._copies if kept is array)
        array[...] = copy[MARGIN : MARGIN + array.nbytes].view(array.dtype).reshape(array.shape)

    def check(self) -> None:
        """Fails when a kernel wrote beside what it was given."""
        for array, copy in self._copies:
            margins = np.concatenate([copy[:MARGIN], copy[MARGIN + array.nbytes :]])
            assert (margins == UNTOUCHED).all(), f"written beside an array {array.shape} of {array.dtype}"


class Host:
    """The kernels compiled for this processor."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    @contextmanager
    def memory(self) -> Generator[Memory]:
        memory = HostMemory()
        yield memory
        memory.check()

    def run(self, *launches: Launch) -> None:
        for launch in launches:
            call = ctypes.create_string_buffer(launch.call, len(launch.call))
            self._library[f"run_{launch.kernel}"](call, launch.columns, launch.rows)

    def places(self, struct: str) -> dict[str, int]:
        """Where the C++ compiler puts the members of a struct of calls.h, and under "" how large it is."""
        names = layout.STRUCTS[struct].names or ()
        found = {name: int(self._library[f"offset_{struct}_{name}"]()) for name in names}
        return {"": int(self._library[f"size_{struct}"]()), **found}

    def convert(self, name: str, values: Array, kind: type[np.generic]) -> Array:
        """`widen` halves (as their bits) to floats, or `narrow` floats."""
        out = np.zeros(values.shape, kind)
        self._library[name](ctypes.c_void_p(values.ctypes.data), ctypes.c_void_p(out.ctypes.data), values.size)
        return out


class GpuMemory:
    """Copies in a GPU's memory."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._copies: list[tuple[Array, int]] = []

    def put(self, array: Array) -> int:
        for kept, address in self._copies:
            if kept is array:
                return address
        assert array.flags.c_contiguous
        place = ctypes.c_uint64()
        self._driver.call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(max(array.nbytes, 1)))
        self._copies.append((array, place.value))
        source = ctypes.c_void_p(array.ctypes.data)
        self._driver.call("cuMemcpyHtoD_v2", place, source, ctypes.c_size_t(array.nbytes))
        return place.value

    def get(self, array: Array) -> None:
        address = next(address for kept, address in self._copies if kept is array)
        target = ctypes.c_void_p(array.ctypes.data)
        self._driver.call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), ctypes.c_size_t(array.nbytes))

    def free(self) -> None:
        for _, address in self._copies:
            self._driver.call("cuMemFree_v2", ctypes.c_uint64(address))


class Driver:
    """The CUDA driver, by ctypes: nothing else is needed to load a fatbin and to launch from it."""

    def __init__(self, library: str) -> None:
        self._library = ctypes.CDLL(library)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self.call("cuInit", ctypes.c_uint(0))
        self.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self.call("cuCtxSetCurrent", context)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver; fails with its name and code."""
        code = self._library[name](*arguments)
        assert code == 0, f"{name}: CUDA error {code}"


class Gpu:
    """The fatbin on the first GPU."""

    def __init__(self, driver: Driver, data: bytes) -> None:
        self._driver = driver
        self._module = ctypes.c_void_p()
        driver.call("cuModuleLoadData", ctypes.byref(self._module), ctypes.c_char_p(data))

    @contextmanager
    def memory(self) -> Generator[Memory]:
        memory = GpuMemory(self._driver)
        try:
            yield memory
        finally:
            memory.free()

    def run(self, *launches: Launch) -> None:
        for launch in launches:
            function = ctypes.c_void_p()
            name = launch.kernel.encode()
            self._driver.call("cuModuleGetFunction", ctypes.byref(function), self._module, ctypes.c_char_p(name))
            call = ctypes.create_string_buffer(launch.call, len(launch.call))
            parameters = (ctypes.c_void_p * 1)(ctypes.addressof(call))
            sizes = (*layout.blocks(launch.columns, launch.rows), *layout.BLOCK, 0)  # no dynamic shared memory
            self._driver.call("cuLaunchKernel", function, *map(ctypes.c_uint, sizes), None, parameters, None)
        self._driver.call("cuCtxSynchronize")


@cache
def host() -> Host:
    """The kernels of the repository, compiled once a process; skips where there is no compiler."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed: the kernels' source cannot be run on the host")
    with tempfile.TemporaryDirectory() as made:  # a library that is loaded needs its file no more
        source, library = Path(made, "unit.cpp"), Path(made, "kernels.so")
        source.write_text(build.unit(build.FOLDER) + _entries() + HALVES, encoding="utf-8")
        include = ("-include", str(build.FOLDER / "on_host.h"), "-I", str(build.FOLDER))
        command = [compiler, *FLAGS, *include, str(source), "-o", str(library)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return Host(ctypes.CDLL(str(library)))


@cache
def gpu() -> Gpu:
    """The committed fatbin on the first GPU."""
    return Gpu(Driver("libcuda.so.1"), fatbin(build.FOLDER))


MACHINES = [pytest.param(host, id="host"), pytest.param(gpu, id="gpu", marks=pytest.mark.gpu)]
OnMachine = Callable[[], Machine]


def axes(memory: Memory) -> Callable[[int, int, bool], Axis]:
    """Filters in a machine's memory."""

    def axis_of(source: int, count: int, deep: bool) -> Axis:
        first, weights = _taps(source, count, deep)
        return Axis(memory.put(first), memory.put(weights), count, weights.shape[0])

    return axis_of


def picture_of(frame: Frame, memory: Memory) -> Picture:
    """The frame's planes in a machine's memory."""
    surfaces = tuple(
        Surface(memory.put(plane), plane.strides[0], plane.strides[1], plane.shape[1], plane.shape[0])
        for plane in frame.planes
    )
    return Picture(surfaces, frame.layout, frame.colour)


@cache
def _taps(source: int, count: int, deep: bool) -> tuple[Array, Array]:
    taps = taps_of(source, count, deep=deep)
    return taps.first, taps.weights


def _entries() -> str:
    """What ctypes calls: each kernel over a launch, and the places of the structs' members."""
    lines = [
        f'extern "C" void run_{kernel}(const {struct}* call, int columns, int rows) '
        f"{{ on_host({kernel}, *call, columns, rows); }}"
        for kernel, struct in build.entry_points(build.FOLDER).items()
    ]
    for struct, fields in layout.STRUCTS.items():
        lines.append(f'extern "C" int size_{struct}() {{ return sizeof({struct}); }}')
        lines += [
            f'extern "C" int offset_{struct}_{name}() {{ return offsetof({struct}, {name}); }}'
            for name in fields.names or ()
        ]
    return "\n".join(lines)
