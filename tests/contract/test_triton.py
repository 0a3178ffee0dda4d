"""Triton repositories: configurations by Triton's own schema, tensors by the manifest, files by the bundle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export import cli, triton
from export.trial import make_feed
from export.triton import SIGN, Wish, choose, model_name, wish_of, write_repository
from runtime.bundle import Bundle, Compute, EngineRecord, StageSpec, file_record, read_bundle, write_manifest
from runtime.engines import identity
from runtime.errors import ExportError, FileDamaged, OutputError, UsageError
from tests.tiny import MASKED, tiny_bundle

SCHEMA: Any = model_config_pb2
ANY_WINDOW = Wish((), None)
L4 = Wish((), "8.9")
GRAPHS = "onnxruntime_onnx"
TYPES = {"TYPE_FP32": "float32", "TYPE_FP16": "float16", "TYPE_BF16": "bfloat16", "TYPE_INT64": "int64"}


@pytest.fixture(scope="module")
def any_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("any"))


@pytest.fixture(scope="module")
def fixed_window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("fixed"), frames=(3, 2), pace=(2, 4), of=MASKED)


@pytest.fixture
def compiled(fixed_window: Path, tmp_path: Path) -> Bundle:
    """A bundle with engines of a fixed window for SM 8.9."""
    root = Path(shutil.copytree(fixed_window, tmp_path / "bundle"))
    return with_engines(root, ("float16",) * 3)


def with_engines(root: Path, computes: Sequence[Compute], target: str = "tensorrt", **changes: Any) -> Bundle:
    manifest = read_bundle(root).manifest
    made = [
        replace(stage, engines=(*stage.engines, engine(root, stage, compute, target, changes)))
        for stage, compute in zip(manifest.stages, computes, strict=True)
    ]
    write_manifest(root, replace(manifest, stages=tuple(made)))
    return read_bundle(root)


def engine(root: Path, stage: StageSpec, compute: Compute, target: str, changes: dict[str, Any]) -> EngineRecord:
    plan = root / f"{stage.name}.{target}.{compute}.plan"
    plan.write_bytes(f"{stage.name} in {compute}".encode() * 9)
    shapes = {port.name: (tuple(1 if side == "B" else int(side) for side in port.shape),) for port in stage.inputs}
    record = EngineRecord(
        target=target,
        version="10.13.3.9",
        capabilities=("8.9",),
        gpu="NVIDIA L4",
        compute=compute,
        graph_sha256=stage.files["onnx"].sha256,
        shapes=shapes,
        options={},
        key="",
        file=file_record(root, plan),
        layers={compute: 9},
        parity=None,
    )
    record = replace(record, **changes)
    return replace(record, key=identity(record))


def served(opened: Bundle, wish: Wish, out: Path) -> dict[str, Any]:
    """The configurations by stage, as Triton reads them; the repository lies in `out`."""
    write_repository(opened, out, wish, lambda step: None, force=False)
    found: dict[str, Any] = {}
    for stage in opened.manifest.stages:
        name = model_name(opened, stage)
        text = (out / name / "config.pbtxt").read_text(encoding="utf-8")
        found[stage.name] = text_format.Parse(text, SCHEMA.ModelConfig())
        assert found[stage.name].name == name
    assert {path.name for path in out.iterdir()} == {*(config.name for config in found.values()), SIGN}
    return found


def whole_shape(config: Any, tensor: Any) -> list[int]:
    """What a request's tensor looks like, by Triton's rule: where batches are allowed their axis comes in front."""
    return [-1, *tensor.dims] if config.max_batch_size else list(tensor.dims)


def check_tensors(opened: Bundle, configs: dict[str, Any], compute: str, lengths: dict[str, int]) -> None:
    for stage in opened.manifest.stages:
        config = configs[stage.name]
        for ports, tensors in ((stage.inputs, config.input), (stage.outputs, config.output)):
            assert [tensor.name for tensor in tensors] == [port.name for port in ports]
            for port, tensor in zip(ports, tensors, strict=True):
                wanted = [side if isinstance(side, int) else lengths.get(side, -1) for side in port.shape]
                assert whole_shape(config, tensor) == (wanted or [1])
                kind = TYPES[SCHEMA.DataType.Name(tensor.data_type)]
                assert kind == (compute if port.dtype == "float32" else port.dtype)
                assert not tensor.HasField("reshape")


def test_graphs_are_served_with_the_manifests_tensors_and_the_bundles_bytes(any_window: Path, tmp_path: Path) -> None:
    opened = read_bundle(any_window)
    configs = served(opened, ANY_WINDOW, tmp_path / "models")
    check_tensors(opened, configs, "float32", {})
    assert {name: config.max_batch_size for name, config in configs.items()} == {
        "encoder": 16,
        "transformer": 0,
        "decoder": 16,
    }
    for stage in opened.manifest.stages:
        config = configs[stage.name]
        assert config.platform == "onnxruntime_onnx"
        assert [group.kind for group in config.instance_group] == [SCHEMA.ModelInstanceGroup.KIND_AUTO]
        assert config.HasField("dynamic_batching") == (config.max_batch_size > 0)
        assert not config.HasField("optimization")
        path = tmp_path / "models" / config.name / "1" / "model.onnx"
        assert path.read_bytes() == opened.file(stage, "onnx").read_bytes()
        assert config.parameters["sha256"].string_value == stage.files["onnx"].sha256
        files = {found.name for found in (tmp_path / "models" / config.name).rglob("*") if found.is_file()}
        assert files == {"config.pbtxt", "model.onnx"}
    assert (tmp_path / "models" / SIGN).read_bytes() == (any_window / "manifest.json").read_bytes()


def test_a_scalar_has_one_number_and_no_reshape_which_triton_refuses_without_batches(
    any_window: Path, tmp_path: Path
) -> None:
    targets = served(read_bundle(any_window), ANY_WINDOW, tmp_path / "models")["transformer"].input[1]
    assert (targets.name, list(targets.dims), targets.HasField("reshape")) == ("targets", [1], False)


def test_engines_are_served_for_their_gpu_with_their_types_and_shapes(compiled: Bundle, tmp_path: Path) -> None:
    configs = served(compiled, L4, tmp_path / "models")
    check_tensors(compiled, configs, "float16", {"B": 1})
    for stage in compiled.manifest.stages:
        config = configs[stage.name]
        assert (config.platform, config.max_batch_size) == ("tensorrt_plan", 0)
        assert [group.kind for group in config.instance_group] == [SCHEMA.ModelInstanceGroup.KIND_GPU]
        assert config.optimization.cuda.graphs
        path = tmp_path / "models" / config.name / "1" / "model.plan"
        assert path.read_bytes() == compiled.checked(stage.engines[0].file).read_bytes()


def test_a_call_of_a_fixed_window_has_exactly_the_configured_shapes(compiled: Bundle, tmp_path: Path) -> None:
    """What the runtime feeds a stage is what its configuration takes."""
    configs = served(compiled, Wish(("onnx",), None), tmp_path / "models")
    rule, stage = compiled.manifest.schedule, compiled.stage("transformer")
    value = np.zeros((rule.targets + rule.references, *map(int, stage.inputs[0].shape[1:])), np.float32)
    feed = make_feed(stage.inputs, value, rule.targets)
    assert len(feed) > 2
    assert {tensor.name: list(tensor.dims) for tensor in configs["transformer"].input} == {
        name: list(values.shape) for name, values in feed.items()
    }


@pytest.mark.parametrize(
    ("wish", "changes", "platform", "told"),
    [
        (Wish(("tensorrt",), None), {}, GRAPHS, "no GPU here, and none named: --compute-capabilities 8.9 names one"),
        (Wish(("tensorrt",), "9.0"), {}, GRAPHS, "was built for SM 8.9, this GPU (SM 9.0) is SM 9.0"),
        (Wish(("tensorrt_rtx",), "8.9"), {}, "tensorrt_plan", "tensorrt_rtx: Triton does not serve it"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    wish: Wish, changes: dict[str, Any], platform: str, told: str, fixed_window: Path, tmp_path: Path
) -> None:
    opened = with_engines(Path(shutil.copytree(fixed_window, tmp_path / "bundle")), ("float16",) * 3, **changes)
    with pytest.raises(ExportError) as caught:
        write_repository(opened, tmp_path / "models", wish, lambda step: None, force=False)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "models").exists()
    anything = choose(opened, replace(wish, targets=()))
    assert {each.serving.platform for each in anything.stages} == {platform}
    assert bool(anything.passed_over) == (platform == GRAPHS)


def test_engines_that_differ_in_type_or_take_a_scalar_are_passed_over(
    fixed_window: Path, any_window: Path, tmp_path: Path
) -> None:
    mixed = with_engines(Path(shutil.copytree(fixed_window, tmp_path / "mixed")), ("float16", "float32", "float16"))
    types = "encoder float16, transformer float32, decoder float16"
    told = f"its engines have another type in one stage than in the next ({types}); compile all of them in one"
    assert choose(mixed, L4).passed_over == (f"tensorrt: {told}",)
    scalar = choose(read_bundle(any_window), L4)
    assert "takes a scalar, which Triton's TensorRT has not" in scalar.passed_over[0]
    both = with_engines(mixed.root, ("float32", "float16", "float32"))
    assert [each.engine is not None for each in choose(both, L4).stages] == [True] * 3


def test_engines_in_int8_and_float32_are_served_together_since_both_take_float32(
    fixed_window: Path, tmp_path: Path
) -> None:
    both = with_engines(Path(shutil.copytree(fixed_window, tmp_path / "int8")), ("float32", "int8", "float32"))
    configs = served(both, L4, tmp_path / "models")
    check_tensors(both, configs, "float32", {"B": 1})
    assert {config.platform for config in configs.values()} == {"tensorrt_plan"}


def test_a_repository_is_whole_or_absent_and_replaced_only_by_force(
    compiled: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "models"
    plan = compiled.root / compiled.manifest.stages[2].engines[0].file.path
    good = plan.read_bytes()
    plan.write_bytes(good + b"!")
    with pytest.raises(ExportError, match="the manifest says"):
        write_repository(compiled, out, Wish(("tensorrt",), "8.9"), lambda step: None, force=False)
    plan.write_bytes(good)
    chosen = choose(compiled, L4)
    plan.write_bytes(good + b"!")
    monkeypatch.setattr(triton, "choose", lambda opened, wish: chosen)
    with pytest.raises(FileDamaged):
        write_repository(compiled, out, L4, lambda step: None, force=False)
    assert {path.name for path in tmp_path.iterdir()} == {"bundle"}
    plan.write_bytes(good)
    write_repository(compiled, out, L4, lambda step: None, force=False)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(OutputError, match="exists already; --force replaces it"):
        write_repository(compiled, out, L4, lambda step: None, force=False)
    write_repository(compiled, out, L4, lambda step: None, force=True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    with pytest.raises(OutputError, match=f"holds no {SIGN}; refusing to replace it"):
        write_repository(compiled, compiled.root, L4, lambda step: None, force=True)


def test_the_command_line(fixed_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "models")
    assert cli.main(["--triton", out, "--bundle", str(fixed_window)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"repository  {out} (")
    assert "sttn-tiny-masked-encoder, sttn-tiny-masked-transformer, sttn-tiny-masked-decoder" in told.out
    assert "note: graphs are served; tensorrt: no GPU here" in told.out
    assert "writing transformer" in told.err
    for wrong, why in (
        (["--triton", out, "--bundle", str(fixed_window)], "exists already; --force replaces it"),
        (["--bundle", str(fixed_window)], "--bundle: names what --triton DIR is made of"),
        (["--triton", out, "--force", "--inspect", str(fixed_window)], "is made of one bundle"),
        (["--triton", out, "--force", "--bundle", "nothing"], "nothing: no such bundle"),
        (
            ["--triton", out, "--force", "--bundle", str(fixed_window), "--compute-capabilities", "8.6,8.9"],
            "one repository serves one GPU",
        ),
    ):
        assert cli.main(wrong) == 2
        line = capsys.readouterr().err
        assert why in line
        assert line.count("\n") == 1


def test_after_compiling_the_same_bundle_is_served(
    compiled: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Path] = []
    monkeypatch.setattr("export.compile.compile_into", lambda root, *_: seen.append(root))
    models = ["--triton", str(tmp_path / "models"), "--compute-capabilities", "8.9"]
    assert cli.main(["--compile", str(compiled.root), "--target", "tensorrt", *models]) == 0
    assert seen == [compiled.root]
    assert "serve it by a Triton whose TensorRT is 10.13.3.9, on a GPU of SM 8.9" in capsys.readouterr().out
    assert len(list((tmp_path / "models").rglob("model.plan"))) == len(compiled.manifest.stages)


def test_what_can_never_be_served_is_not_even_compiled(
    any_window: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("export.compile.compile_into", lambda *_: pytest.fail("something was compiled"))
    models = ["--triton", str(tmp_path / "models"), "--compute-capabilities", "8.9"]
    assert cli.main(["--compile", str(any_window), "--target", "tensorrt_rtx", *models]) == 2
    assert "tensorrt_rtx: Triton does not serve it" in capsys.readouterr().err
    assert cli.main(["--compile", str(any_window), "--target", "tensorrt,tensorrt_rtx", *models]) == 2
    said = capsys.readouterr().err
    assert "tensorrt: its transformer takes a scalar, which Triton's TensorRT has not; export it with --frames" in said
    assert said.count("\n") == 1


def test_a_gpu_is_the_one_named_else_the_one_here() -> None:
    assert wish_of(["onnx"], ["8.9"], "9.0") == Wish(("onnx",), "8.9")
    assert wish_of([], [], "9.0") == Wish((), "9.0")
    with pytest.raises(UsageError):
        wish_of([], ["8.6", "8.9"], None)
