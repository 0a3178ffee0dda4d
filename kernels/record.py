"""What vidmend.json says of vidmend.fatbin: from which sources, by which compiler, for which GPUs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
INTERFACE = "calls.h"  # how the kernels are called

_RECORD = "vidmend.json"
_FATBIN = "vidmend.fatbin"


@dataclass(frozen=True, slots=True)
class Record:
    """The manifest of the fatbin."""

    sources: Mapping[str, str]  # path from the folder -> sha256
    kernels: Mapping[str, str]  # entry point -> struct of calls.h that it is called with
    architectures: tuple[str, ...]  # compute capabilities that have a binary
    ptx: str  # the compute capability of the PTX, from which a driver compiles for all later ones
    flags: tuple[str, ...]  # of nvcc
    nvcc: str  # its version
    fatbin_sha256: str
    fatbin_bytes: int


def digest(data: bytes) -> str:
    """Sha256, hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def file_digests(folder: Path, paths: Iterable[Path]) -> dict[str, str]:
    """The sha256 of each file, by its path from `folder`; line ends count as written in the repository."""
    return {
        path.relative_to(folder).as_posix(): digest(path.read_bytes().replace(b"\r\n", b"\n")) for path in sorted(paths)
    }


def read(folder: Path) -> Record:
    """The record in `folder`; raises `TypeError` when a key is missing or unknown."""
    found = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    found["architectures"], found["flags"] = tuple(found["architectures"]), tuple(found["flags"])
    return Record(**found)


def fatbin(folder: Path) -> bytes:
    """The fatbin in `folder`; raises `ValueError` when it is not the one that the record names."""
    data, record = (folder / _FATBIN).read_bytes(), read(folder)
    if digest(data) != record.fatbin_sha256:
        raise ValueError(
            f"{folder / _FATBIN}: {len(data)} bytes of sha256 {digest(data)[:12]}, {record.fatbin_bytes} of "
            f"{record.fatbin_sha256[:12]} wanted; fetch the file again or run python -m kernels.build"
        )
    return data


def write(folder: Path, record: Record, data: bytes) -> None:
    """Put both files into `folder`."""
    (folder / _FATBIN).write_bytes(data)
    (folder / _RECORD).write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
