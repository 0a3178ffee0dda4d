"""Interpreters and drivers that only act: shell scripts that answer as the real ones would."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUN = ("av", "cv2", "numpy", "PIL", "rich", "scenedetect")
TORCH_SIDE = (*RUN, "torch", "onnx", "onnxruntime", "polygraphy", "safetensors")
ENGINE_SIDE = (*RUN, "PyNvVideoCodec", "pycuda", "pytest", "pytest_timeout", "hypothesis", "tensorrt")


def answer(modules: tuple[str, ...], *, cuda: bool = False, engines: bool = False) -> dict[str, Any]:
    """What `bench._gpu_probe` tells of an interpreter with these modules."""
    missing = None if engines else "TensorRT is not installed."
    return {
        "python": "3.10.13" if engines else "3.12.3",
        "modules": dict.fromkeys(modules, "1.0"),
        "torch_cuda": cuda,
        "backends": {
            "tensorrt": {"memory": "cuda", "target": "tensorrt", "why_not": missing},
            "onnxruntime": {"memory": "host", "target": "onnx", "why_not": None},
        },
        "compilers": {"tensorrt": {"version": "8.5.3.1" if engines else "", "why_not": missing}},
    }


def script(path: Path, text: str) -> Path:
    """A program made of `text`."""
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def interpreter(path: Path, told: Mapping[str, Any], steps: Mapping[str, str]) -> Path:
    """Answers the probe, and what is in `steps` for a call whose arguments hold the word; else it does nothing."""
    cases = "\n".join(f'  *"{word}"*) {text} ;;' for word, text in {**steps, "": "echo done"}.items())
    probe = f"  *_gpu_probe*) echo '{json.dumps(told)}' ;;"
    return script(path, f'case "$*" in\n{probe}\n{cases}\nesac')


def driver(folder: Path) -> None:
    """An nvidia-smi that knows the driver's version."""
    script(folder / "nvidia-smi", 'case "$1" in *driver_version*) echo 999.99 ;; *) exit 2 ;; esac')


def printed(figures: Mapping[str, float], note: str = "") -> str:
    """A shell command that prints figures as a step does."""
    told = [{"name": name, "value": value, "unit": "", "note": note} for name, value in figures.items()]
    return f"echo '{json.dumps({'figures': told, 'said': ''})}'"
