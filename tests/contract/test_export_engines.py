"""Real engines, built without a GPU: TensorRT-RTX compiles every stage in half precision for several GPUs at once.

An RTX plan is not deserialised without a GPU, so types are those of the network that was parsed, layer by layer; what
the engine made of them is a test marked `gpu`.  The published network's trained weights are not shipped: its engines
are built from seeded ones, which changes neither types nor sizes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the graphs are made with PyTorch, which is not installed here")
pytest.importorskip("onnx", reason="the graphs are made with ONNX, which is not installed here")

import torch
from onnx import ModelProto, numpy_helper

from export import cli, targets
from export.build import build
from export.checkpoint import Checkpoint, load, read_checkpoint
from export.compile import compile_into
from export.engines import lengths, shapes
from export.frames import DEMO
from export.plan import WEIGHTS, Plan
from export.precision import lower
from export.targets import tensorrt_rtx as rtx
from export.targets._target import Built, Half, Options, Order
from export.targets._trt_config import configure
from models._spec import Stage
from models.sttn import SPEC
from runtime.bundle import Compute, StageSpec, TensorSpec, read_bundle
from runtime.engines import identity
from runtime.errors import ExportError
from runtime.machine import gpus
from tests.engines import FULL, full_graphs
from tests.quantised import Made, copied
from tests.tiny import TINY, tiny_network
from tests.tolerances import TOLERANCE

CAPABILITIES = ("8.6", "8.9", "12.0")
MALFORMED = 32  # EngineInvalidityDiagnostics.MALFORMED_ENGINE
NUMBERS = ("FLOAT", "HALF", "BF16")

_missing = rtx.TARGET.why_not()
pytestmark = pytest.mark.skipif(_missing is not None, reason=f"tensorrt_rtx: {_missing}")


@dataclass(frozen=True, slots=True)
class Compiled:
    """One stage of a full window, compiled."""

    name: str
    graph: ModelProto  # in half precision
    built: Built
    plan: bytes
    float32_plan_bytes: int  # of the same stage in float32


def network(variant: str) -> torch.nn.Module:
    chosen = SPEC.variant(variant)
    path = WEIGHTS / f"{SPEC.name}-{variant}.safetensors"
    if path.is_file():
        return load(read_checkpoint(path, SPEC.containers), chosen, chosen.size)
    torch.manual_seed(0)
    return chosen.build(chosen.size).eval()


def make(stage: Stage, graph: ModelProto, compute: Compute, folder: Path, kept: tuple[str, ...] = ()) -> Built:
    """The stage's engine, from `graph` of type `compute`."""
    path = folder / f"{stage.name}.{compute}.onnx"
    path.write_bytes(graph.SerializeToString())
    inputs = tuple(TensorSpec(port.name, port.dtype, port.shape, port.holds) for port in stage.inputs)
    sizes = shapes(StageSpec(stage.name, inputs, (), {}), lengths((FULL.targets, FULL.references), None))
    order = Order(stage.name, path, compute, kept, sizes, Options(capabilities=CAPABILITIES))
    return rtx.TARGET.build(order, path.with_suffix(".plan"), lambda _: None)


@pytest.fixture(scope="module", params=["small", "official"])
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Compiled]:
    """All stages in half precision for three GPUs, 11+5 frames at 432x240."""
    folder = tmp_path_factory.mktemp(request.param)
    found: list[Compiled] = []
    for stage, graph in full_graphs(network(request.param)):
        half = lower(graph, "float16", ())
        built = make(stage, half, "float16", folder)
        whole = make(stage, graph, "float32", folder).plan.stat().st_size
        found.append(Compiled(stage.name, half, built, built.plan.read_bytes(), whole))
    return found


def parsed(graph: ModelProto) -> tuple[Any, ...]:
    """The network that the library makes of `graph`, and what keeps it alive."""
    library = rtx.library()
    logger = library.Logger(library.Logger.ERROR)
    builder = library.Builder(logger)
    network = builder.create_network(1 << int(library.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = library.OnnxParser(network, logger)
    assert parser.parse(graph.SerializeToString())
    return network, parser, builder, logger


def kind(thing: Any) -> str:
    return str(thing).rpartition(".")[2]


def test_every_layer_that_gives_numbers_gives_halves_and_no_stage_converts(compiled: list[Compiled]) -> None:
    for stage in compiled:
        network, *_keep = parsed(stage.graph)
        layers = [network.get_layer(index) for index in range(network.num_layers)]
        given = Counter(
            kind(tensor.dtype)
            for layer in layers
            for tensor in (layer.get_output(index) for index in range(layer.num_outputs))
            if kind(tensor.dtype) in NUMBERS
        )
        assert given["HALF"] / given.total() > TOLERANCE["engine", "share of half layers"]
        casts = [layer for layer in layers if kind(layer.type) == "CAST"]
        assert all(kind(layer.get_output(0).dtype) not in NUMBERS for layer in casts)
        doors = [network.get_input(index) for index in range(network.num_inputs)]
        doors += [network.get_output(index) for index in range(network.num_outputs)]
        assert {kind(door.dtype) for door in doors} == {"HALF"}
        assert stage.built.layers.get("float16", 0) > 0
        assert stage.built.layers.keys() <= {"float16", "other"}
        assert sum(stage.built.layers.values()) == len(layers)


def test_plans_hold_their_weights_as_halves(compiled: list[Compiled]) -> None:
    weights = sum(numpy_helper.to_array(item).nbytes for stage in compiled for item in stage.graph.graph.initializer)
    saved = sum(stage.float32_plan_bytes - len(stage.plan) for stage in compiled)  # the rest is as large in both
    assert sum(len(stage.plan) for stage in compiled) > weights
    assert abs(saved / weights - 1) < TOLERANCE["engine", "share of weights"]


def test_plans_have_headers_that_the_runtime_understands(compiled: list[Compiled]) -> None:
    library = rtx.library()
    runtime = library.Runtime(library.Logger(library.Logger.INTERNAL_ERROR))
    for stage in compiled:
        assert stage.built.capabilities == CAPABILITIES
        assert stage.built.gpu is None
        assert not int(runtime.get_engine_validity(stage.plan)[1]) & MALFORMED
        for damaged in (b"X" + stage.plan[1:], stage.plan[:40]):
            assert int(runtime.get_engine_validity(damaged)[1]) & MALFORMED


@pytest.mark.gpu
def test_the_engine_itself_computes_in_halves(compiled: list[Compiled]) -> None:
    here = [gpu.capability for gpu in gpus()][:1]
    if not set(here) & set(CAPABILITIES):
        pytest.skip(
            f"the engines are for SM {', '.join(CAPABILITIES)}, the GPU here is SM {''.join(here) or 'unknown'}"
        )
    library = rtx.library()
    runtime = library.Runtime(library.Logger(library.Logger.ERROR))
    for stage in compiled:
        assert runtime.get_engine_validity(stage.plan)[0] == library.EngineValidity.VALID
        engine = runtime.deserialize_cuda_engine(stage.plan)
        assert engine is not None
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        assert {kind(engine.get_tensor_dtype(name)) for name in names} == {"HALF"}
        report = engine.create_engine_inspector().get_engine_information(library.LayerInformationFormat.JSON)
        assert "Float" not in json.dumps(json.loads(report)["Layers"])


def test_the_builder_takes_the_settings_that_records_do_not_tell() -> None:
    library = rtx.library()
    for compute, tf32 in (("float32", False), ("float16", False), ("int8", True)):
        config = library.Builder(library.Logger(library.Logger.ERROR)).create_builder_config()
        assert config.get_flag(library.BuilderFlag.TF32), "it is on by itself"
        configure(library, config, {"compute": compute, "options": asdict(Options())}, portable=True)
        assert config.get_flag(library.BuilderFlag.TF32) == tf32
        assert config.get_flag(library.BuilderFlag.REQUIRE_USER_ALLOCATION)


def test_islands_are_built_as_islands_and_a_float32_graph_is_no_half_engine(tmp_path: Path) -> None:
    stage, graph = full_graphs(tiny_network())[1]
    softmax = tuple(node.name for node in graph.graph.node if node.op_type == "Softmax")
    built = make(stage, lower(graph, "float16", softmax), "float16", tmp_path, softmax)
    assert built.layers["float32"] >= len(softmax)
    with pytest.raises(ExportError, match=r"^stage 'transformer': only \d+ of \d+ layers compute in float16"):
        make(stage, lower(graph, "float16", softmax), "float16", tmp_path)  # islands that nobody asked for
    with pytest.raises(ExportError, match="only 0 of"):
        make(stage, graph, "float16", tmp_path)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_an_export_makes_engines_and_a_second_run_adds_those_of_another_gpu(
    half: Half, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint(tmp_path / "tiny.safetensors", "0" * 64, "made for tests", tiny_network().state_dict())
    options = Options(capabilities=("8.9",), frames=(1, 16, 24))
    chosen = (targets.get("tensorrt_rtx"),)
    plan = Plan(SPEC, TINY, checkpoint, TINY.size, FULL, False, chosen, tmp_path / "bundle", (), half, options)
    manifest = build(plan, DEMO, lambda _: None, force=False).manifest
    for stage in manifest.stages:
        (engine,), (typed,) = stage.engines, stage.typed
        assert engine.key == identity(engine)
        assert engine.graph_sha256 == typed.file.sha256
        assert (engine.compute, typed.compute, typed.kept_float32) == (half, half, ())
        assert len(engine.shapes["features"]) == 3 if stage.name == "transformer" else 1
        assert typed.parity.psnr_db > TOLERANCE["engine", f"{half} db"]
    command = ["--compile", str(plan.out), "--target", "tensorrt_rtx", "--compute-capabilities", "12.0"]
    assert cli.main(command) == 0
    assert "SM 12.0, built without a GPU" in capsys.readouterr().out
    for stage in read_bundle(plan.out).manifest.stages:
        assert [engine.capabilities for engine in stage.engines] == [("8.9",), ("12.0",)]
    before = read_bundle(plan.out)
    assert cli.main([*command[:-1], "9.0"]) == 2
    assert "--compute-capabilities 9.0: TensorRT-RTX" in capsys.readouterr().err
    assert read_bundle(plan.out) == replace(before, root=plan.out)


def test_an_export_for_a_range_without_its_full_window_is_refused_before_anything_is_computed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wish = ["--target", "tensorrt_rtx", "--compute-capabilities", "8.9", "--dry-run", "--frames-range"]
    assert cli.main([*wish, "1,8,12"]) == 2
    assert "export.py: --frames-range 1,8,12: leaves out the full window, which has " in capsys.readouterr().err
    assert cli.main([*wish, "1,16,16"]) == 0


def test_a_bundle_in_int8_gets_float32_engines_where_the_library_has_no_int8(made: Made, tmp_path: Path) -> None:
    opened = copied(made.bundle.root, tmp_path / "int8")
    compiled = compile_into(opened.root, ["tensorrt_rtx"], Options(capabilities=("8.9",)), lambda _: None)
    for stage in compiled.manifest.stages:
        (engine,) = stage.engines
        assert (engine.compute, engine.graph_sha256) == ("float32", stage.files["onnx"].sha256)
        assert [typed.compute for typed in stage.typed] == ["int8"]
