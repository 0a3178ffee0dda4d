"""What a video network says of a clip: the features that VFID compares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from runtime import backends
from runtime.bundle import StageSpec, TensorSpec
from runtime.clock import Clock
from runtime.devices import open_device
from runtime.errors import BackendUnavailable, InputError, ManifestInvalid
from runtime.frame import RGB
from runtime.program import Request

Features = npt.NDArray[np.float32]  # [F], of one clip

RUNS_IT = "onnxruntime"  # the backend; its graphs take any number of dimensions
LENGTH = 1024  # channels of the last Inception block
STAGE = StageSpec(
    name="i3d",
    inputs=(TensorSpec("clip", "float32", (1, 3, "T", "H", "W")),),
    outputs=(TensorSpec("features", "float32", (1, LENGTH)),),
    files={},
)
WANTED = (
    f"wanted I3D as an ONNX graph with input 'clip' float32 [1, 3, T, H, W] of 0 to 1 and output 'features' "
    f"float32 [1, {LENGTH}]; docs/evaluation.md says how it is made"
)


class VideoFeatures:
    """I3D from an ONNX file, run by onnxruntime: calib has no PyTorch.

    By the field's convention the whole filled clip goes in at the size it is evaluated at, as RGB of 0 to 1, and the
    last Inception block comes out, averaged over time and place.  Source: T.-C. Wang et al., "Video-to-Video
    Synthesis", NeurIPS 2018; J. Carreira and A. Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017.
    """

    def __init__(self, path: Path) -> None:
        """Load the graph; raises `InputError` when it is none, `BackendUnavailable` without onnxruntime."""
        if not path.is_file():
            raise InputError(f"{path}: no such file; {WANTED}")
        backend = backends.able(RUNS_IT)
        self._path = path
        self._stream = open_device(backend.memory, Clock(), 1).stream("i3d")
        try:
            self._program = backend.open(Request(path, STAGE, {}, "fp32"))
        except BackendUnavailable as error:
            raise InputError(f"{path}: cannot be loaded by {RUNS_IT}; {WANTED}") from error
        except ManifestInvalid as error:  # which it says of graphs that take or give something else
            raise InputError(f"{path}: another graph; {WANTED}") from error

    def of(self, pictures: Sequence[RGB]) -> Features:
        """Features `[1024]` of a clip of uint8 pictures `[H, W, 3]`; raises `InputError` where the graph differs."""
        clip = np.stack(pictures).transpose(3, 0, 1, 2)[None].astype(np.float32)
        clip /= 255
        features = np.full((1, LENGTH), np.nan, np.float32)
        try:
            self._program.enqueue({"clip": np.ascontiguousarray(clip)}, {"features": features}, self._stream)
        except Exception as error:  # the library's own exception types are private
            raise InputError(f"{self._path}: cannot be run: {str(error).splitlines()[0]}; {WANTED}") from error
        if not np.isfinite(features).all():
            raise InputError(f"{self._path}: gave features that are no numbers; {WANTED}")
        return features[0]
