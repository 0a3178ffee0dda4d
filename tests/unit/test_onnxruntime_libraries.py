"""Where CUDA and cuDNN are looked for, and what is said of a provider that lacks one of them: before a run begins."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runtime import backends
from runtime.backends import _onnxruntime_libraries as libraries
from tests.engined import GPU

PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
ABSENT = "cannot open shared object file: No such file or directory"
CUDA = "onnxruntime's CUDAExecutionProvider cannot work here ({}): pip install 'onnxruntime-gpu[cuda,cudnn]'."
TENSORRT = (
    "onnxruntime's TensorrtExecutionProvider cannot work here ({}): pip install 'tensorrt==10.*', and name its folder, "
    "tensorrt_libs, in LD_LIBRARY_PATH."
)


class Installed:
    """onnxruntime-gpu in a folder, and what of NVIDIA's is beside it."""

    def __init__(self, root: Path) -> None:
        self.__file__ = str(root / "__init__.py")
        self.capi = root / "capi"
        self.capi.mkdir()
        for name in ("cuda", "tensorrt"):
            (self.capi / f"libonnxruntime_providers_{name}.so").write_text("no library")
        self.refusals: Mapping[str, str] = {}  # by part of a file's name
        self.looked_in: list[Path | None] = []

    def get_available_providers(self) -> tuple[str, ...]:
        return PROVIDERS

    def preload_dlls(self, *, directory: str | None = None) -> None:
        """As the library's; it speaks of what is not there."""
        self.looked_in.append(None if directory is None else Path(directory))
        sys.stdout.write("Failed to load libcufft.so.11")

    def load(self, name: str) -> None:
        """The system's loader."""
        for part, refusal in self.refusals.items():
            if part in name:
                raise OSError(f"{refusal}\nand more of it")

    def why_not(self, name: str) -> str | None:
        backend: Any = backends.get(name)
        return replace(backend, library=lambda: self).why_not()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """On a machine with a GPU."""
    library = Installed(tmp_path)
    pycuda = ModuleType("pycuda")
    pycuda.__spec__ = ModuleSpec("pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda", pycuda)
    monkeypatch.setattr("runtime.backends._onnxruntime.gpus", lambda: (GPU,))
    monkeypatch.setattr(libraries, "CDLL", library.load)
    monkeypatch.setattr(libraries.platform, "system", lambda: "Linux")
    return library


@pytest.mark.parametrize(
    ("name", "refusals", "said"),
    [
        ("onnxruntime_cuda", {}, None),
        (
            "onnxruntime_cuda",
            {"providers_cuda": f"libcublas.so.13: {ABSENT}"},
            CUDA.format(f"libcublas.so.13: {ABSENT}"),
        ),
        ("onnxruntime_cuda", {"libcudnn.so": f"libcudnn.so.9: {ABSENT}"}, CUDA.format(f"libcudnn.so.9: {ABSENT}")),
        ("onnxruntime_cuda", {"libcudnn.so.9": "it is there by its other name"}, None),
        ("onnxruntime_cuda", {"providers_tensorrt": "not its business"}, None),
        ("onnxruntime_tensorrt", {}, None),
        (
            "onnxruntime_tensorrt",
            {"providers_tensorrt": f"libnvinfer.so.10: {ABSENT}"},
            TENSORRT.format(f"libnvinfer.so.10: {ABSENT}"),
        ),
        ("onnxruntime_tensorrt", {"providers_cuda": "it is needed too"}, CUDA.format("it is needed too")),
    ],
)
def test_what_a_provider_lacks_is_said_in_one_sentence(
    name: str, refusals: Mapping[str, str], said: str | None, installed: Installed
) -> None:
    installed.refusals = refusals
    assert installed.why_not(name) == said
    assert installed.looked_in, "packages were not looked at"


def test_a_file_that_the_loader_refuses_is_named_with_its_reason(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libraries, "CDLL", ctypes.CDLL)
    said = installed.why_not("onnxruntime_cuda") or ""
    assert said.startswith("onnxruntime's CUDAExecutionProvider cannot work here (")
    assert "libonnxruntime_providers_cuda.so" in said
    assert "\n" not in said


def test_a_provider_that_is_not_there_at_all(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "CDLL", ctypes.CDLL)
    (installed.capi / "libonnxruntime_providers_cuda.so").unlink()
    assert installed.why_not("onnxruntime_cuda") == (
        "the installed onnxruntime lacks libonnxruntime_providers_cuda.so: "
        "pip install --force-reinstall onnxruntime-gpu."
    )


def test_without_a_gpu_nothing_is_loaded(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.backends._onnxruntime.gpus", tuple)
    installed.refusals = {"": "it is asked for"}
    assert (installed.why_not("onnxruntime_cuda") or "").startswith("no NVIDIA GPU here")
    assert not installed.looked_in


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["onnxruntime_cuda", "onnxruntime_tensorrt"])
def test_a_library_that_cannot_be_imported_is_no_traceback(name: str) -> None:
    def broken() -> Any:
        raise ImportError("libcudart.so.12: is not there\nand more of it")

    backend: Any = backends.get(name)
    assert replace(backend, library=broken).why_not() == (
        "onnxruntime cannot be imported (libcudart.so.12: is not there): pip install --force-reinstall onnxruntime-gpu."
    )


def test_packages_are_found_wherever_they_lie(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As CUDA 13 lays them out, and as CUDA 12 did; each behind what it links to, and nothing of theirs is printed."""
    new, old = tmp_path / "new" / "nvidia", tmp_path / "old" / "nvidia"
    wanted = [new / "cu13" / "lib", new / "cudnn" / "lib"]
    wanted += [old / part / "lib" for part in ("cublas", "cuda_nvrtc", "cuda_runtime", "cudnn", "cufft", "curand")]
    for folder in (*reversed(wanted), old / "nccl" / "lib", new / "cu13" / "bin"):
        folder.mkdir(parents=True)
    spec = ModuleSpec("nvidia", None, is_package=True)
    spec.submodule_search_locations = [str(new), str(old)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    libraries.preload(installed)
    assert installed.looked_in == [None, *wanted]
    assert capsys.readouterr().out == ""


def test_without_packages_the_library_looks_where_it_does_by_itself(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    libraries.preload(installed)
    assert installed.looked_in == [None]
