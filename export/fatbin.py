"""The compiled kernels on their way into a bundle."""

from __future__ import annotations

from pathlib import Path

from kernels import record
from runtime import bundle
from runtime.bundle import KernelsRecord
from runtime.errors import ExportError

NAME = "vidmend.fatbin"


def seal_kernels(folder: Path) -> KernelsRecord:
    """Copy the committed fatbin into `folder`; raises `ExportError` when it is not the one that was recorded."""
    try:
        data = record.fatbin(record.FOLDER)
    except (OSError, ValueError) as error:
        raise ExportError(f"the kernels cannot be sealed: {error}") from error
    found = record.read(record.FOLDER)
    (folder / NAME).write_bytes(data)
    return KernelsRecord(
        file=bundle.file_record(folder, folder / NAME),
        interface=found.sources[record.INTERFACE],
        cuda=".".join(found.nvcc.split(".")[:2]),
        capabilities=found.architectures,
        ptx=found.ptx,
    )
