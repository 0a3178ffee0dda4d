"""How each release of TensorRT is asked to build, what is refused, and what is found in the network that it parsed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from export.choice import choose_targets, half_of, parse_capabilities, parse_range
from export.engines import lengths, shapes
from export.targets import _trt_child
from export.targets._target import Options, Order
from export.targets._trt import build_in_child, check_types, refuse
from export.targets._trt_config import configure, typed_strongly
from export.targets._trt_network import census, hold_types, set_shapes
from export.targets.tensorrt import limits_of
from runtime.bundle import DEFAULT, Compute, StageSpec, TensorSpec
from runtime.errors import ExportError, UsageError
from tests.engines import Layer, Recorder, Tensor, enumeration, library, network
from tests.guard.sources import ROOT

FLOAT, HALF, INT64 = enumeration("DataType", "FLOAT", "HALF", "INT64")
RELEASES = {"8.5.3": (8, 5, 3), "8.6.1": (8, 6, 1), "10.13.3": (10, 13, 3), "11.1.0": (11, 1, 0)}
LACKING: list[tuple[str, Options, Compute, str | None]] = [
    ("8.5.3", Options(opt_level=3), "float16", "TensorRT 8.5.3 has no --opt-level here; leave it out"),
    ("8.5.3", Options(hardware_compat=True), "float16", "no --hardware-compat"),
    ("8.5.3", Options(version_compat=True), "float16", "no --version-compat"),
    ("8.6.1", Options(), "bfloat16", "no --bf16"),
    ("8.6.1", Options(frames=(1, 16, 32)), "float16", "no --frames-range"),
    ("8.6.1", Options(capabilities=("8.9",)), "float16", "builds for the GPU of this machine alone"),
    ("8.5.3", Options(workspace_mib=64, timing_cache=Path("cache")), "float16", None),
    ("8.6.1", Options(opt_level=3, hardware_compat=True, version_compat=True), "float16", None),
    ("10.13.3", Options(frames=(1, 16, 32)), "bfloat16", None),
]


@pytest.mark.parametrize(("release", "options", "compute", "told"), LACKING)
def test_what_a_release_lacks_is_refused(release: str, options: Options, compute: Compute, told: str | None) -> None:
    said = refuse(options, compute, limits_of(RELEASES[release], f"TensorRT {release}"))
    assert (said is None) == (told is None)
    assert (told or "") in (said or "")


def asked(release: str, compute: Compute, options: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What a build by `release` sets and calls on its configuration, named."""
    plain = {field.name: None for field in fields(Options)} | {"capabilities": [], "hardware_compat": False}
    config = Recorder()
    request = {"compute": compute, "options": plain | {"version_compat": False} | options}
    configure(library(release), config, request, portable=bool(options.get("capabilities")))
    return [tuple(getattr(part, "name", part) for part in call) for call in config.calls]


def test_before_10_types_are_allowed_by_flags_and_held_by_another() -> None:
    flags = [call[1] for call in asked("8.5.3", "float16", {}) if call[0] == "set_flag"]
    assert flags == ["OBEY_PRECISION_CONSTRAINTS", "FP16"]
    assert [call for call in asked("8.5.3", "float32", {}) if call[1] == "FP16"] == []
    for release in ("10.13.3", "11.1.0"):
        assert typed_strongly(library(release))
        assert [call for call in asked(release, "float16", {}) if call[0] == "set_flag"] == []


def test_networks_are_created_as_each_release_wants() -> None:
    made = {release: _trt_child._flags(library(release)) for release in RELEASES}
    assert made == {"8.5.3": 1, "8.6.1": 1, "10.13.3": 2, "11.1.0": 0}


MADE: list[tuple[str, Compute]] = [
    ("8.5.3", "float32"),
    ("8.5.3", "float16"),
    ("11.1.0", "float32"),
    ("11.1.0", "bfloat16"),
    ("11.1.0", "int8"),
    ("1.7.1", "float32"),
    ("1.7.1", "float16"),
]


@pytest.mark.parametrize(("release", "compute"), MADE)
def test_float32_is_never_computed_in_tf32_but_in_what_int8_leaves_over(release: str, compute: Compute) -> None:
    """The libraries allow it by themselves."""
    options = {"capabilities": ["8.9"]} if release == "1.7.1" else {}
    assert asked(release, compute, options).count(("clear_flag", "TF32")) == (compute != "int8")


def test_engines_of_rtx_are_given_their_memory_so_that_their_work_can_be_recorded() -> None:
    wanted = ("set_flag", "REQUIRE_USER_ALLOCATION")
    assert wanted in asked("1.7.1", "float16", {"capabilities": ["8.9"]})
    assert wanted not in asked("11.1.0", "float16", {})


def test_the_number_of_compute_capabilities_is_set_first() -> None:
    calls = asked("1.7.1", "float16", {"capabilities": ["8.6", "12.0"]})
    assert calls[:3] == [
        ("num_compute_capabilities", 2),
        ("set_compute_capability", "SM86", 0),
        ("set_compute_capability", "SM120", 1),
    ]


def test_options_reach_the_builder() -> None:
    options = {"workspace_mib": 64, "opt_level": 3, "hardware_compat": True, "version_compat": True}
    calls = asked("8.6.1", "float16", options)
    for call in (
        ("set_memory_pool_limit", "WORKSPACE", 64 << 20),
        ("builder_optimization_level", 3),
        ("hardware_compatibility_level", "AMPERE_PLUS"),
        ("set_flag", "VERSION_COMPATIBLE"),
    ):
        assert call in calls


def test_layers_are_held_to_the_graphs_types_but_not_those_that_compute_shapes() -> None:
    conv = Layer("conv", "CONVOLUTION", [Tensor("x", HALF)], [Tensor("y", HALF)])
    softmax = Layer("softmax", "SOFTMAX", [Tensor("y", HALF)], [Tensor("z", FLOAT)])
    shape = Layer("shape", "SHAPE", [Tensor("z", FLOAT)], [Tensor("s", INT64, is_shape_tensor=True)])
    hold_types(network(conv, softmax, shape))
    assert (conv.calls, softmax.calls, shape.calls) == (
        [("precision", HALF), ("set_output_type", 0, HALF)],
        [("precision", FLOAT), ("set_output_type", 0, FLOAT)],
        [],
    )


def test_layers_are_counted_and_those_of_islands_are_no_surprise() -> None:
    x, y = Tensor("x", HALF), Tensor("y", HALF)
    wide, soft, mended = Tensor("y.float32", FLOAT), Tensor("s", FLOAT), Tensor("s2", FLOAT)
    layers = (
        Layer("conv", "CONVOLUTION", [x], [y]),
        Layer("y.float32.cast", "CAST", [y], [wide]),
        Layer("softmax", "SOFTMAX", [wide], [soft]),
        Layer("reshape of the parser", "SHUFFLE", [soft], [mended]),
        Layer("weights", "CONSTANT", [], [Tensor("w", FLOAT)]),
        Layer("stray", "ACTIVATION", [Tensor("other", FLOAT)], [Tensor("t", FLOAT)]),
        Layer("shape", "SHAPE", [x], [Tensor("n", INT64)]),
    )
    counted = {"float16": 1, "float32": 4, "other": 2}
    assert census(network(*layers), ["softmax"], "float16") == (counted, ["stray"])
    unasked = ["y.float32.cast", "softmax", "reshape of the parser", "stray"]
    assert census(network(*layers), [], "float16") == (counted, unasked)


def order(compute: Compute = "float16", graph: Path = Path("x.onnx")) -> Order:
    return Order("encoder", graph, compute, (), {"rgb": ((1, 3, 48, 48),)}, Options())


@pytest.mark.parametrize(
    ("layers", "unexpected", "types", "told"),
    [
        ({"float16": 90}, [f"l{i}" for i in range(10)], {"rgb": "float16"}, "only 90 of 100 layers compute in float16"),
        ({"other": 3}, [], {"rgb": "float16"}, "only 0 of 0 layers"),
        ({"float16": 8}, [], {"rgb": "float32"}, "rgb is float32, wanted float16"),
    ],
)
def test_too_few_half_layers_or_a_float32_port_fail_the_build(
    layers: dict[str, int], unexpected: list[str], types: dict[str, str], told: str
) -> None:
    with pytest.raises(ExportError, match=told):
        check_types(order(), layers, unexpected, types)
    check_types(order("float32"), layers, unexpected, types)
    check_types(order(), {"float16": 96}, ["l"] * 4, {"rgb": "float16", "targets": "int64"})


def test_a_profile_is_given_for_ranges_and_shapes_are_constants_otherwise() -> None:
    features, targets = Recorder(name="features", is_shape_tensor=False), Recorder(name="targets", is_shape_tensor=True)
    inputs = [features, targets]
    parsed = Recorder(num_inputs=2, num_outputs=0, get_input=inputs.__getitem__)
    profile, config = Recorder(), Recorder()
    builder = Recorder(create_optimization_profile=lambda: profile)
    set_shapes(builder, config, parsed, {"features": [[16, 8]], "targets": [[11]]})
    assert features.calls == [("shape", (16, 8))]
    assert profile.calls == [("set_shape_input", "targets", [11], [11], [11])]
    profile.calls.clear()
    config.calls.clear()
    set_shapes(builder, config, parsed, {"features": [[1, 8], [16, 8], [32, 8]], "targets": [[1], [11], [32]]})
    assert profile.calls == [
        ("set_shape", "features", (1, 8), (16, 8), (32, 8)),
        ("set_shape_input", "targets", [1], [11], [32]),
    ]
    assert config.calls == [("add_optimization_profile", profile)]


def test_shapes_follow_the_stage_and_the_window() -> None:
    ports_of = (TensorSpec("features", "float32", ("T", 8, 4, 4)), TensorSpec("targets", "int64", (), holds="N"))
    stage = StageSpec("transformer", ports_of, (), {})
    assert shapes(stage, lengths((11, 5), None)) == {"features": ((16, 8, 4, 4),), "targets": ((11,),)}
    assert shapes(stage, lengths((11, 5), (1, 16, 32))) == {
        "features": ((1, 8, 4, 4), (16, 8, 4, 4), (32, 8, 4, 4)),
        "targets": ((1,), (11,), (32,)),
    }


def test_a_builder_that_dies_is_one_line_with_its_last_words(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(ExportError) as caught:
        build_in_child("onnx", order(), tmp_path / "plan", said.append)  # no library in that target
    assert str(caught.value).startswith("target 'onnx', stage 'encoder': the builder ended with code 1: AttributeError")
    assert "\n" not in str(caught.value)
    assert said == ["building encoder with onnx, 0 s"]
    assert list(tmp_path.iterdir()) == []


def test_compiling_and_inspecting_need_neither_pytorch_nor_onnx() -> None:
    text = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'onnx', 'onnxruntime', 'polygraphy', 'tensorrt')))\n"
        "import export.targets._trt_child, export.targets.tensorrt, export.targets.tensorrt_rtx\n"
        "from export.cli import main\n"
        "sys.exit(main(['--inspect', sys.argv[1]]) or main(['--compile', sys.argv[1], '--target', 'tensorrt']))"
    )
    bundle = ROOT / "assets" / "bundles" / DEFAULT
    command = [sys.executable, "-c", text, str(bundle)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"bundle      {bundle}" in done.stdout, done.stderr
    assert done.stderr.splitlines()[-1].startswith("export.py: target 'tensorrt': TensorRT is not installed")
    assert done.returncode == 2


def test_wishes_are_checked_before_anything_is_computed() -> None:
    assert parse_capabilities("8.6, 8.9,8.6") == ("8.6", "8.9")
    assert parse_range("1,16,32") == (1, 16, 32)
    for parse, text in (
        (parse_capabilities, "sm_89"),
        (parse_capabilities, ""),
        (parse_range, "16"),
        (parse_range, "9,1,2"),
    ):
        with pytest.raises(UsageError, match="wanted"):
            parse(text)
    assert (half_of(fp16=True, bf16=False), half_of(fp16=False, bf16=False)) == ("float16", None)
    with pytest.raises(UsageError, match="choose one"):
        half_of(fp16=True, bf16=True)
    with pytest.raises(UsageError, match="options of engines without an engine"):
        choose_targets(["onnx"], None, Options(opt_level=3))
    assert [target.name for target in choose_targets([], None, Options())] == ["onnx"]
