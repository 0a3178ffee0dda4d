"""What one interpreter has, as JSON: python -m bench._gpu_probe; standard library alone until something is there."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from export.targets._target import Options
from runtime.errors import first_line

MODULES = {  # what a step may need, and the distributions whose version is named
    "av": "av",
    "cv2": "opencv-python-headless",
    "hypothesis": "hypothesis",
    "numpy": "numpy",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "PIL": "pillow",
    "PyNvVideoCodec": "PyNvVideoCodec",
    "polygraphy": "polygraphy",
    "pycuda": "pycuda",
    "pytest": "pytest",
    "pytest_timeout": "pytest-timeout",
    "rich": "rich",
    "safetensors": "safetensors",
    "scenedetect": "scenedetect-headless",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt-rtx",
    "torch": "torch",
}


def main(capability: str) -> None:
    """Print what is here, in one line; compilers are asked whether they can build for a GPU of that capability."""
    modules = {name: _version(package) for name, package in MODULES.items() if importlib.util.find_spec(name)}
    found = {
        "python": platform.python_version(),
        "modules": modules,
        "torch_cuda": "torch" in modules and bool(importlib.import_module("torch").cuda.is_available()),
        "backends": _plugins("runtime.backends", ("memory", "target")),
        "compilers": _compilers(capability),
    }
    print(json.dumps(found))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:  # unpacked, not installed, or called otherwise
        return ""


def _plugins(package: str, attributes: Iterable[str]) -> dict[str, Any]:
    """Every plug-in of a package with some of its attributes, and why it cannot be used here."""
    try:
        listing: Any = importlib.import_module(package)
    except ImportError:  # NumPy is not here
        return {}
    found: dict[str, Any] = {}
    for name in listing.names():
        with suppress(ImportError):
            plugin = listing.get(name)
            found[name] = {attribute: getattr(plugin, attribute) for attribute in attributes}
            found[name]["why_not"] = _why_not(plugin)
    return found


def _why_not(plugin: Any) -> str | None:
    """The plug-in's own word, or what its library ends with where that is broken: the others are asked all the same."""
    try:
        reason: str | None = plugin.why_not()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        return first_line(error)
    return reason


def _compilers(capability: str) -> dict[str, Any]:
    """Every target that compiles, with the version of its library where there is one."""
    found: dict[str, Any] = {}
    for name, told in _plugins("export.targets", ("compiler",)).items():
        compiler, reason, version = told["compiler"], told["why_not"], ""
        if compiler is None:
            continue
        if reason is None:
            asked = Options(capabilities=(capability,) if compiler.portable and capability else ())
            reason, version = compiler.refuse(asked, "float16"), compiler.version()
        found[name] = {"version": version, "why_not": reason}
    return found


if __name__ == "__main__":
    main(sys.argv[1])
