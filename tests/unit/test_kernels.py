"""The fatbin is what the sources make, and all languages agree on what a call looks like."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels import build, layout
from kernels.record import fatbin, file_digests, read, write
from tests.machines import host

RECORD = read(build.FOLDER)


def test_the_fatbin_was_made_from_these_sources() -> None:
    assert file_digests(build.FOLDER, build.sources(build.FOLDER)) == RECORD.sources, "run python -m kernels.build"


def test_the_fatbin_was_made_as_build_makes_it() -> None:
    assert (RECORD.flags, RECORD.ptx, RECORD.architectures) == (build.FLAGS, build.PTX, build.ARCHITECTURES)
    assert RECORD.kernels == build.entry_points(build.FOLDER)
    assert RECORD.nvcc.startswith(f"{build.RELEASE}.")


def test_the_fatbin_is_the_one_that_was_recorded() -> None:
    assert len(fatbin(build.FOLDER)) == RECORD.fatbin_bytes


def test_every_architecture_of_the_record_is_in_the_fatbin() -> None:
    found = sorted(contents(fatbin(build.FOLDER)))
    wanted = [("binary", name) for name in RECORD.architectures] + [("ptx", RECORD.ptx)]
    assert found == sorted(wanted)


def test_every_folder_has_a_kernel_and_a_reference() -> None:
    folders = [path.parent for path in build.FOLDER.glob("*/__init__.py")]
    assert [path for path in folders if not (path / "reference.py").is_file()] == []
    assert build.unit(build.FOLDER).count("#include") == len(folders)
    assert all(any(name.startswith(path.name) for name in RECORD.kernels) for path in folders)


def test_a_changed_source_is_noticed(tmp_path: Path) -> None:
    for path in build.sources(build.FOLDER):
        copy = tmp_path / path.relative_to(build.FOLDER)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert file_digests(tmp_path, build.sources(tmp_path)) == RECORD.sources
    with (tmp_path / "dilate" / "kernel.cu").open("a") as file:
        file.write("\n")
    assert file_digests(tmp_path, build.sources(tmp_path)) != RECORD.sources


def test_a_damaged_fatbin_is_refused_in_one_line(tmp_path: Path) -> None:
    data = bytearray(fatbin(build.FOLDER))
    data[len(data) // 2] ^= 1
    write(tmp_path, RECORD, bytes(data))
    with pytest.raises(ValueError, match="fetch the file again or run") as caught:
        fatbin(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_nvcc_makes_these_bytes_for_all_architectures() -> None:
    nvcc = build.compiler()
    if nvcc is None or build.version_of(nvcc) != RECORD.nvcc:
        pytest.skip(f"nvcc {RECORD.nvcc}, which made the fatbin, is not installed")
    assert build.build(build.FOLDER, nvcc) == fatbin(build.FOLDER)


def test_cuda_and_numpy_agree_on_every_struct() -> None:
    wanted = {
        name: {"": kind.itemsize, **{field: offset for field, (_, offset, *_) in (kind.fields or {}).items()}}
        for name, kind in layout.STRUCTS.items()
    }
    assert {name: host().places(name) for name in layout.STRUCTS} == wanted
    assert set(RECORD.kernels.values()) <= set(layout.STRUCTS)


def test_the_hosts_halves_are_numpys() -> None:
    bits = np.arange(65536).astype(np.uint16)
    floats = host().convert("widen", bits, np.float32)
    assert np.array_equal(floats, bits.view(np.float16).astype(np.float32), equal_nan=True)
    numbers = ~np.isnan(floats)
    assert np.array_equal(host().convert("narrow", floats, np.uint16)[numbers], bits[numbers])


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=200))
def test_the_host_rounds_to_halves_as_numpy_does(values: list[float]) -> None:
    floats = np.array(values, np.float32)
    with np.errstate(over="ignore"):
        wanted = floats.astype(np.float16)
    assert np.array_equal(host().convert("narrow", floats, np.uint16), wanted.view(np.uint16))


def test_ties_between_halves_go_to_the_even_one() -> None:
    halves = np.arange(0x7BFF).astype(np.uint16).view(np.float16).astype(np.float64)
    ties = ((halves[:-1] + halves[1:]) / 2).astype(np.float32)
    assert np.array_equal(host().convert("narrow", ties, np.uint16), ties.astype(np.float16).view(np.uint16))


@pytest.mark.parametrize(("size", "wanted"), [((1, 1), (1, 1, 1)), ((32, 8), (1, 1, 1)), ((33, 9), (2, 2, 1))])
def test_a_launch_has_a_thread_for_everything(size: tuple[int, int], wanted: tuple[int, int, int]) -> None:
    assert layout.blocks(*size) == wanted


def contents(data: bytes) -> Iterator[tuple[str, str]]:
    """Kind and compute capability of everything in a fatbin; the format is as its producer writes it, undocumented."""
    magic, _, head, size = struct.unpack_from("<IHHQ", data)
    assert magic == 0xBA55ED50
    assert len(data) == head + size
    place = head
    while place < len(data):
        kind, _, own, payload = struct.unpack_from("<HHIQ", data, place)
        (number,) = struct.unpack_from("<I", data, place + 28)
        yield {1: "ptx", 2: "binary"}[kind], f"{number // 10}.{number % 10}"
        place += own + payload
