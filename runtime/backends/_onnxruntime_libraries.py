"""The shared libraries behind onnxruntime's providers for NVIDIA GPUs: where packages put them, and what is missing."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterator
from contextlib import redirect_stdout
from ctypes import CDLL
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from runtime.errors import first_line


@dataclass(frozen=True, slots=True)
class GpuProvider:
    """What runs graphs on a GPU; a shared library beside onnxruntime's own, which links to NVIDIA's."""

    name: str  # as onnxruntime calls it
    stem: str  # of its file
    install: str  # what brings NVIDIA's libraries


CUDA = GpuProvider("CUDAExecutionProvider", "cuda", "pip install 'onnxruntime-gpu[cuda,cudnn]'")
TENSORRT = GpuProvider(
    "TensorrtExecutionProvider",
    "tensorrt",
    "pip install 'tensorrt==10.*', and name its folder, tensorrt_libs, in LD_LIBRARY_PATH",
)


def preload(library: Any) -> None:
    """Load CUDA and cuDNN that came as Python packages, so that providers find them; what is not there is not missed.

    By itself the library looks beside its own folder alone, which is not where everybody installs packages.
    """
    if not hasattr(library, "preload_dlls"):
        return
    with redirect_stdout(StringIO()):  # it prints what it does not find, where the summary belongs
        library.preload_dlls()
        for folder in _folders():
            library.preload_dlls(directory=str(folder))


def why_not_found(library: Any, provider: GpuProvider) -> str | None:
    """What `provider` lacks here, in one sentence; None where there is all that it loads.  `preload` comes before.

    The library's own list of providers is that of its build.  A provider is loaded here as the library does it itself,
    for good, which is safe once that was imported: before, a provider's first lines end the process.  In 1.31 CUDA's no
    longer links to cuDNN but looks for it, under the same names as here, when it comes to a convolution.
    """
    windows = platform.system() == "Windows"
    file = f"onnxruntime_providers_{provider.stem}.dll" if windows else f"libonnxruntime_providers_{provider.stem}.so"
    path = Path(library.__file__).parent / "capi" / file
    reason = _refusal(str(path))
    if reason is not None and not path.is_file():
        return f"the installed onnxruntime lacks {file}: pip install --force-reinstall onnxruntime-gpu."
    reason = reason or _refusal(*(("cudnn64_9.dll",) if windows else ("libcudnn.so.9", "libcudnn.so")))
    return reason and f"onnxruntime's {provider.name} cannot work here ({reason}): {provider.install}."


def _refusal(*names: str) -> str | None:
    """What the system's loader says of the first of a library's names; None where it finds it by one of them."""
    reasons: list[str] = []
    for name in names:
        try:
            CDLL(name)
        except OSError as error:
            reasons.append(first_line(error))
        else:
            return None
    return reasons[0]


def _folders() -> Iterator[Path]:
    """Where NVIDIA's packages put CUDA (`cu13`; `cublas`, `cuda_runtime` and others up to 12) and cuDNN.

    In the alphabet's order what others link to happens to come first.
    """
    spec = importlib.util.find_spec("nvidia")
    for root in (spec and spec.submodule_search_locations) or ():
        yield from sorted(folder for folder in Path(root).glob("cu*/lib") if folder.is_dir())
