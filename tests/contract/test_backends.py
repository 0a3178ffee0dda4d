"""Every backend computes what PyTorch computes, stage by stage, for sizes known beforehand and for others."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from runtime import backends
from runtime._device.host import HostDevice
from runtime.backends import choose
from runtime.backends.openvino import compiled
from runtime.bundle import StageSpec, TensorSpec, read_bundle
from runtime.clock import Clock
from runtime.errors import BackendUnavailable, UsageError
from runtime.program import PRECISIONS, Precision, Request
from tests.tiny import HEIGHT, WIDTH, tiny_network
from tests.tolerances import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
RANKED = [name for name in backends.names() if backends.get(name).rank is not None]
COMPUTING = [name for name in RANKED if backends.get(name).memory == "host"]  # those on a GPU: tests/gpu
Feed = dict[str, np.ndarray]
STREAM = HostDevice(Clock(), threads=False).stream("inline")
CHANNELS, FEATURE_HEIGHT, FEATURE_WIDTH = 16, HEIGHT // 4, WIDTH // 4


def needs(name: str) -> pytest.MarkDecorator:
    reason = backends.get(name).why_not()
    return pytest.mark.skipif(reason is not None, reason=f"{name}: {reason}")


every_backend = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in COMPUTING])


def run(bundle: Path, stage: str, name: str, precision: Precision, sizes: dict[str, int], feed: Feed) -> np.ndarray:
    opened = read_bundle(bundle)
    spec = opened.stage(stage)
    lengths = {"B": len(feed.get("rgb", feed.get("features", ()))), "N": int(feed.get("targets", np.array(0)))}
    (output,) = spec.outputs
    result = np.full([lengths[axis] if isinstance(axis, str) else axis for axis in output.shape], np.nan, np.float32)
    backend = backends.get(name)
    program = backend.open(Request(opened.file(spec, backend.target), spec, sizes, precision))
    program.enqueue(feed, {output.name: result}, STREAM)
    return result


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape) + sum(shape)).standard_normal(shape).astype(np.float32)


def assert_close(found: np.ndarray, wanted: torch.Tensor, name: str, precision: Precision) -> None:
    reference = wanted.numpy()
    allowed = TOLERANCE["backend", backends.get(name).precision(precision)] * max(1.0, float(np.abs(reference).max()))
    assert np.abs(found - reference).max() <= allowed


@every_backend
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("frames", "targets"), [(1, 1), (7, 3), (16, 11)])
@pytest.mark.parametrize("known", [True, False], ids=["sizes known", "sizes symbolic"])
@torch.no_grad()
def test_transformer_equals_pytorch(
    name: str, precision: Precision, frames: int, targets: int, known: bool, any_window: Path
) -> None:
    features = random(frames, CHANNELS, FEATURE_HEIGHT, FEATURE_WIDTH)
    sizes = {"T": frames, "N": targets} if known else {}
    feed = {"features": features, "targets": np.array(targets, np.int64)}
    wanted = tiny_network().infer(torch.from_numpy(features))[:targets]
    assert_close(run(any_window, "transformer", name, precision, sizes, feed), wanted, name, precision)


@every_backend
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_encoder_and_decoder_equal_pytorch(name: str, precision: Precision, batch: int, any_window: Path) -> None:
    network = tiny_network()
    rgb = random(batch, 3, HEIGHT, WIDTH).clip(-1, 1)
    features = random(batch, CHANNELS, FEATURE_HEIGHT, FEATURE_WIDTH)
    encoded = run(any_window, "encoder", name, precision, {"B": batch}, {"rgb": rgb})
    decoded = run(any_window, "decoder", name, precision, {"B": batch}, {"features": features})
    assert_close(encoded, network.encoder(torch.from_numpy(rgb)), name, precision)
    assert_close(decoded, torch.tanh(network.decoder(torch.from_numpy(features))), name, precision)


@every_backend
def test_programs_write_into_the_callers_memory_again_and_again(name: str, any_window: Path) -> None:
    opened = read_bundle(any_window)
    spec = opened.stage("encoder")
    backend = backends.get(name)
    program = backend.open(Request(opened.file(spec, backend.target), spec, {"B": 1}, "fp32"))
    result = np.empty((1, CHANNELS, FEATURE_HEIGHT, FEATURE_WIDTH), np.float32)
    seen: list[np.ndarray] = []
    for scale in (0.25, 1.0, 0.25):
        program.enqueue({"rgb": random(1, 3, HEIGHT, WIDTH) * np.float32(scale)}, {"features": result}, STREAM)
        seen.append(result.copy())
    assert (seen[0] == seen[2]).all()
    assert (seen[0] != seen[1]).any()


GONE_FIRST_IN = """
import gc, signal, sys
from pathlib import Path
from runtime import backends
from runtime.bundle import read_bundle
from runtime.program import Request

bundle, backend = read_bundle(Path(sys.argv[1])), backends.get(sys.argv[2])
stages = [bundle.stage(name) for name in ("encoder", "decoder")]
programs = [backend.open(Request(bundle.file(stage, backend.target), stage, {"B": 1}, "fp32")) for stage in stages]
while programs:
    programs.pop(0)
    gc.collect()
signal.signal(signal.SIGUSR1, lambda number, frame: print("heard"))
signal.raise_signal(signal.SIGUSR1)
"""


@every_backend
def test_a_signal_is_heard_after_the_programs_are_gone(name: str, any_window: Path) -> None:
    """Python's handlers run on the thread's stack for signals, which a library may have set and unmapped."""
    command = [sys.executable, "-c", GONE_FIRST_IN, str(any_window), name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


@every_backend
def test_a_file_that_is_no_graph_is_one_line(name: str, any_window: Path, tmp_path: Path) -> None:
    spec = read_bundle(any_window).stage("encoder")
    (tmp_path / "encoder.onnx").write_bytes(b"no graph at all")
    with pytest.raises(BackendUnavailable) as caught:
        backends.get(name).open(Request(tmp_path / "encoder.onnx", spec, {"B": 1}, "fp32"))
    assert "\n" not in str(caught.value)
    assert "encoder.onnx" in str(caught.value)


def test_the_automatic_choice_is_one_that_can_run(any_window: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(any_window)
    assert choose("auto", bundle, "auto").name in [name for name in COMPUTING if backends.get(name).why_not() is None]
    for name in RANKED:
        monkeypatch.setattr(type(backends.get(name)), "why_not", lambda self: "gone.")
    with pytest.raises(BackendUnavailable, match="no backend can run here"):
        choose("auto", bundle, "auto")


def test_gpu_backends_come_before_those_of_the_cpu_and_engines_before_graphs() -> None:
    by_rank = sorted(RANKED, key=lambda name: backends.get(name).rank or 0)
    memories = [backends.get(name).memory for name in by_rank]
    assert memories == sorted(memories)  # cuda, host
    runs_graphs = [bool(backends.get(name).graphs) for name in by_rank]
    assert runs_graphs == sorted(runs_graphs)


def test_an_unknown_backend_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=", ".join(backends.names())):
        backends.get("abacus")


AMX = "avx512_bf16 amx_bf16"


@dataclass
class Noting:
    """OpenVINO's core and a model in one, both only as far as `compiled` looks at them."""

    dynamic: bool
    known: bool = True
    narrow: bool = False
    asked: list[Mapping[str, str]] = field(default_factory=list[Mapping[str, str]])

    def is_dynamic(self) -> bool:
        return self.dynamic

    def get_ops(self) -> list[SimpleNamespace]:
        kinds = ["MatMul", "Softmax", *(["FakeQuantize"] if self.narrow else [])]
        return [SimpleNamespace(get_type_name=lambda kind=kind: kind) for kind in kinds]

    def compile_model(self, model: Noting, device: str, settings: Mapping[str, str]) -> Mapping[str, str]:
        self.asked.append(settings)
        if "SNIPPETS_MODE" in settings and not self.known:
            raise RuntimeError("[ NOT_FOUND ] Unsupported property SNIPPETS_MODE by CPU plugin.")
        return settings


@pytest.mark.parametrize(
    ("precision", "processor", "model", "unfused"),
    [
        ("f32", AMX, Noting(dynamic=False), True),
        ("f32", AMX, Noting(dynamic=False, known=False), False),
        ("f32", AMX, Noting(dynamic=True), False),
        ("f32", AMX, Noting(dynamic=False, narrow=True), False),
        ("bf16", "avx512_bf16", Noting(dynamic=False), True),
        ("bf16", "avx512_bf16", Noting(dynamic=True), False),
        ("bf16", "avx512_bf16", Noting(dynamic=False, narrow=True), False),
        ("bf16", AMX, Noting(dynamic=False), False),
    ],
)
def test_attention_is_unfused_where_that_is_measured_to_be_faster(
    precision: str, processor: str, model: Noting, unfused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.backends.openvino.core", lambda: model)
    monkeypatch.setattr("runtime.backends.openvino.cores.processor", lambda: ("A CPU", f"sse2 {processor} fma"))
    settings = {"INFERENCE_PRECISION_HINT": precision}
    wanted = {**settings, "SNIPPETS_MODE": "DISABLE"} if unfused else settings
    assert compiled(model, settings) == wanted


@every_backend
def test_an_input_that_goes_through_a_product_with_one_keeps_its_name(name: str, tmp_path: Path) -> None:
    """OpenVINO drops the product and gives its name to the input, beside the input's own."""
    shape = ["B", 2, 3]
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, shape) for end in ("pixels", "out")]
    nodes = [
        helper.make_node("Mul", ["pixels", "one"], ["a name that sorts first"]),
        helper.make_node("Exp", ["a name that sorts first"], ["out"]),
    ]
    one = numpy_helper.from_array(np.ones((1, 2, 1), np.float32), "one")
    graph = helper.make_graph(nodes, "unchanged", ends[:1], ends[1:], [one])
    path = tmp_path / "unchanged.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    ports = [TensorSpec(end, "float32", ("B", 2, 3)) for end in ("pixels", "out")]
    spec = StageSpec("unchanged", (ports[0],), (ports[1],), {})
    program = backends.get(name).open(Request(path, spec, {"B": 4}, "fp32"))
    value, found = random(4, 2, 3), np.full((4, 2, 3), np.nan, np.float32)
    program.enqueue({"pixels": value}, {"out": found}, STREAM)
    np.testing.assert_allclose(found, np.exp(value), rtol=TOLERANCE["backend", "exponential"])


@pytest.mark.parametrize("name", COMPUTING)
def test_a_library_that_cannot_be_imported_is_one_that_is_not_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load = importlib.import_module

    def broken(module: str, package: str | None = None) -> ModuleType:
        if module == name:
            raise ImportError("libnot.so.1: cannot open shared object file\nand more of it")
        return load(module, package)

    monkeypatch.setattr(importlib, "import_module", broken)
    said = "cannot be imported (libnot.so.1: cannot open shared object file)"
    assert backends.get(name).why_not() == f"{name} {said}: pip install --force-reinstall {name}."
    with pytest.raises(BackendUnavailable, match="cannot be imported"):
        backends.able(name)
