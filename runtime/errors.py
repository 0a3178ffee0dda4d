"""Every error that a user can meet: one line that says where, what was found, what was wanted, what to do.

VidmendError                    exit code 2
├── UsageError                  the command line asks for something impossible
├── InputError                  a video, mask or box that cannot be used
│   ├── DamagedVideo            what decodes is shorter than the file claims (--keep-going uses it, exit code 3)
│   └── Unsure                  whether there is an overlay, and where, cannot be told
├── OutputError                 the result cannot be written where it was asked for
├── BundleError                 a bundle that cannot be read
│   ├── NotABundle              no folder, or no manifest in it
│   ├── ManifestInvalid         not JSON, or a key unknown, missing, of the wrong type or out of its range
│   ├── BundleTooNew            written by a later schema
│   ├── BundleTooOld            written by a schema that is no longer read
│   ├── UnsafePath              a path in the manifest that leaves the bundle's folder
│   ├── FileMissing             the manifest names a file that is not there
│   ├── FileDamaged             size or sha256 differ from the manifest's
│   ├── EngineUnfit             no engine in the bundle fits this GPU, this library or this network
│   └── KernelsUnfit            the bundle's kernels are called in another way than this program calls them
├── BackendUnavailable          the backend asked for cannot run on this machine
├── DecoderUnavailable          the decoder asked for cannot decode this video here
├── DeviceFailed                no GPU, or it was lost
│   └── DeviceFull              its memory is used up
├── SystemRefused               the system cannot: no space left, no permission, a name too long, out of memory
├── CheckpointError             weights that cannot be read or do not fit the network
└── ExportError                 the export failed or was refused
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

_LOOP = "Symlink loop"  # what pathlib says of links in a circle before Python 3.13, as a `RuntimeError`


class VidmendError(Exception):
    """Base of all errors a user can cause or repair; its text is one complete line."""

    exit_code = 2


class UsageError(VidmendError):
    """The command line asks for something impossible."""


class InputError(VidmendError):
    """A video, mask or box that cannot be used."""


class DamagedVideo(InputError):
    """The file claims more frames than it yields."""


class Unsure(InputError):
    """Whether there is an overlay, and where, cannot be told from the video."""


class OutputError(VidmendError):
    """The result cannot be written where it was asked for."""


class BundleError(VidmendError):
    """A bundle that cannot be read."""


class NotABundle(BundleError):
    """No folder there, or no manifest in it."""


class ManifestInvalid(BundleError):
    """The manifest is not JSON, or one of its keys is unknown, missing, of the wrong type or out of its range."""


class BundleTooNew(BundleError):
    """The manifest's schema is later than this program reads."""


class BundleTooOld(BundleError):
    """The manifest's schema is no longer read."""


class UnsafePath(BundleError):
    """A path in the manifest leaves the bundle's folder."""


class FileMissing(BundleError):
    """The manifest names a file that is not there."""


class FileDamaged(BundleError):
    """A file's size or sha256 differs from the manifest's."""


class EngineUnfit(BundleError):
    """No engine in the bundle fits this GPU, this library or this network."""


class KernelsUnfit(BundleError):
    """The bundle's kernels are called in another way than this program calls them."""


class BackendUnavailable(VidmendError):
    """The backend asked for cannot run on this machine."""


class DecoderUnavailable(VidmendError):
    """The decoder asked for cannot decode this video on this machine."""


class DeviceFailed(VidmendError):
    """There is no GPU, it has too little memory, or it stopped working."""


class DeviceFull(DeviceFailed):
    """The GPU's memory, or what the host may pin for it, is used up."""


class SystemRefused(VidmendError):
    """The system cannot do what was asked of it, where nobody foresaw that it might not."""


class CheckpointError(VidmendError):
    """Weights that cannot be read, or that do not fit the network."""


class ExportError(VidmendError):
    """The export failed or was refused."""


def first_line(error: BaseException) -> str:
    """What a library's error says first, for a line of ours; its type's name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def is_of_writing(error: OSError, folder: Path) -> bool:
    """Whether it is of a file in `folder`; one that is open when the disk is full is not named."""
    if isinstance(error, BrokenPipeError):
        return False
    paths = [path for path in (error.filename, error.filename2) if isinstance(path, str)]
    return not paths or any(Path(path).is_relative_to(folder) for path in paths)


@contextmanager
def refusals_told() -> Generator[None, None, None]:
    """In the block an `OSError` or `MemoryError` that nobody foresaw becomes `SystemRefused`.

    Not so a `BrokenPipeError`: whoever reads what is printed has gone, and nothing is left to be said.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SystemRefused(_refusal(error)) from error
    except MemoryError as error:
        raise SystemRefused(f"out of memory: {first_line(error)}") from error
    except RuntimeError as error:
        if not str(error).startswith(_LOOP):
            raise
        raise SystemRefused(first_line(error)) from error


def _refusal(error: OSError) -> str:
    """`PATH: reason`; of two paths the one that was to be made."""
    reason = error.strerror or first_line(error)
    path = cast("str | bytes | int | None", error.filename2 or error.filename)  # a number: of a file that is open
    return f"{os.fsdecode(path)}: {reason}" if isinstance(path, (str, bytes)) else reason
