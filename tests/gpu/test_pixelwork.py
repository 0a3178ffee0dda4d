"""Whole runs on a GPU whose pixels are the kernels' work, against NumPy's, byte for byte.

The network is a stand-in that computes on the host, so that both runs paint the same; who does the rest differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the bundles are made with PyTorch, which is not installed here")
pytest.importorskip("onnx", reason="the bundles are made with ONNX, which is not installed here")

from runtime._device.cuda import CudaDevice
from runtime.bundle import Compute, read_bundle
from runtime.clock import Clock
from runtime.device import HostArray, KernelImage, Memory, Stream
from runtime.errors import DeviceFailed
from runtime.program import Program, Request, Tensors
from runtime.session import Session
from tests.contract.test_streams_kernels import CASES, Case, assert_same, by_numpy
from tests.stand_ins import Mixing, MixingProgram
from tests.tiny import tiny_bundle

pytestmark = pytest.mark.gpu


class MixingByWayOfTheHost(Mixing):
    """`Mixing`, its tensors in the GPU's memory and fetched from there for every call."""

    memory: Memory = "cuda"

    def open(self, request: Request) -> Program:
        return _Fetching(MixingProgram(self, request.stage.name))


class _Fetching:
    compute: Compute = "float32"

    def __init__(self, inner: MixingProgram) -> None:
        self._inner = inner

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        """Unlike any other program this one waits: what it computes is needed before it can be written."""
        feed: dict[str, HostArray] = {}
        for name, tensor in inputs.items():
            if isinstance(tensor, np.ndarray):
                feed[name] = tensor
            else:
                stream.read(tensor, partial(_keep, feed, name))
        stream.mark().wait()
        results: Mapping[str, HostArray] = {
            name: np.empty(tensor.shape, tensor.dtype) for name, tensor in outputs.items()
        }
        self._inner.mix(feed, results)
        for name, tensor in outputs.items():
            stream.write(tensor, partial(np.copyto, src=results[name]))


def _keep(kept: dict[str, HostArray], name: str, array: HostArray) -> None:
    kept[name] = array.copy()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gpu")
    return {"reference": tiny_bundle(folder), "steady": tiny_bundle(folder, frames=(4, 2), pace=(2, 4))}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_gpu_gives_the_frames_that_numpy_gives(case: Case, bundles: dict[str, Path]) -> None:
    bundle = bundles[case.chosen.schedule]
    with Session(read_bundle(bundle), MixingByWayOfTheHost(), case.chosen) as session:
        assert_same(case.restored(session), by_numpy(bundle, case))


def test_what_is_no_fatbin_is_one_line() -> None:
    image = KernelImage(Path("bundle/some.fatbin"), b"no fatbin at all" * 64, "13.0")
    said = r"cannot load bundle/some\.fatbin; [^\n]*--backend onnxruntime$"
    with closing(CudaDevice(Clock())) as device, pytest.raises(DeviceFailed, match=said):
        device.kernels(lambda: image)
