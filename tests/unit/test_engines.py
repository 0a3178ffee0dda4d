"""Engines: which one fits a machine, what is said of those that do not, and how they come into a bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from export.choice import parse_capabilities
from export.engines import lengths
from export.inspection import inspect
from export.options import build_parser, engine_options
from runtime import machine
from runtime.bundle import Bundle, EngineRecord, StageSpec, file_record, read_bundle, write_manifest
from runtime.engines import Machine, choose, identity, rebuild_command, short_of, unverified, why_not
from runtime.errors import DeviceFailed, EngineUnfit, VidmendError
from runtime.machine import Gpu, gpus
from tests.stand_in_gpus import Driver
from tests.tiny import tiny_bundle

HERE = Machine("tensorrt_rtx", "1.7.1.116", "8.9", "NVIDIA L4", portable=True)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network's bundle."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def opened(exported: Path, tmp_path: Path) -> Bundle:
    """A bundle whose encoder has one engine, which fits `HERE`."""
    bundle = read_bundle(exported)
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    plan = tmp_path / "encoder.plan"
    plan.write_bytes(b"a plan" * 50)
    encoder = bundle.manifest.stages[0]
    record = EngineRecord(
        target="tensorrt_rtx",
        version="1.7.1.116",
        capabilities=("8.6", "8.9"),
        gpu=None,
        compute="float16",
        graph_sha256=encoder.files["onnx"].sha256,
        shapes={"rgb": ((1, 3, 48, 96),)},
        options={},
        key="",
        file=file_record(tmp_path, plan),
        layers={"float16": 8},
        parity=None,
    )
    return with_engines(tmp_path, replace(record, key=identity(record)))


def with_engines(root: Path, *engines: EngineRecord) -> Bundle:
    manifest = read_bundle(root).manifest
    first, *rest = manifest.stages
    write_manifest(root, replace(manifest, stages=(replace(first, engines=engines), *rest)))
    return read_bundle(root)


def only(bundle: Bundle) -> tuple[StageSpec, EngineRecord]:
    stage = bundle.manifest.stages[0]
    return stage, stage.engines[0]


def changed(bundle: Bundle, **changes: Any) -> Bundle:
    """The bundle with another engine, as if it had been built so."""
    engine: EngineRecord = replace(only(bundle)[1], **changes)
    return with_engines(bundle.root, replace(engine, key=identity(engine)))


def test_the_engine_that_fits_is_chosen_and_survives_the_manifest(opened: Bundle) -> None:
    stage, engine = only(opened)
    assert choose(opened, stage, HERE) is engine
    assert why_not(opened, stage, engine, HERE) is None
    assert engine.shapes == {"rgb": ((1, 3, 48, 96),)}


UNFIT: list[tuple[str, Callable[[Bundle], Bundle], Machine, str]] = [
    ("other SM", lambda b: b, replace(HERE, capability="9.0", gpu="NVIDIA H200"), "this GPU (NVIDIA H200) is SM 9.0"),
    (
        "other version",
        lambda b: b,
        replace(HERE, version="1.8.0.1"),
        "built by tensorrt_rtx 1.7.1.116, here is 1.8.0.1",
    ),
    ("other library", lambda b: b, replace(HERE, target="tensorrt"), "it has none for tensorrt"),
    ("other network", lambda b: changed(b, graph_sha256="0" * 64), HERE, "which is none of this network's"),
    ("edited", lambda b: with_engines(b.root, replace(only(b)[1], capabilities=("9.0",))), HERE, "was changed after"),
    ("damaged", lambda b: spoil(b, b"b plan" * 50), HERE, "the manifest says"),
    ("cut", lambda b: spoil(b, b"a plan"), HERE, "6 bytes, the manifest says 300"),
    ("gone", lambda b: spoil(b, None), HERE, "named in the manifest but not there"),
    ("not installed", lambda b: b, replace(HERE, version=None), "Install tensorrt_rtx, or: --backend onnxruntime"),
    ("no GPU", lambda b: b, replace(HERE, capability=None, gpu=None), "no NVIDIA GPU here"),
    ("none at all", lambda b: with_engines(b.root), HERE, "it has none for tensorrt_rtx"),
]


def spoil(bundle: Bundle, content: bytes | None) -> Bundle:
    path = bundle.root / "encoder.plan"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    return bundle


@pytest.mark.parametrize(("spoilt", "machine", "told"), [case[1:] for case in UNFIT], ids=[case[0] for case in UNFIT])
def test_an_engine_that_does_not_fit_is_one_line_with_reason_and_remedy(
    opened: Bundle, spoilt: Callable[[Bundle], Bundle], machine: Machine, told: str
) -> None:
    bundle = spoilt(opened)
    with pytest.raises(EngineUnfit) as caught:
        choose(bundle, bundle.manifest.stages[0], machine)
    text = str(caught.value)
    assert told in text
    assert text.startswith(f"{bundle.root}: no engine of stage 'encoder' can run here: ")
    assert "--backend onnxruntime runs the bundle on the CPU" in text
    assert "\n" not in text
    assert ("--compile" in text) == (machine.version is not None and machine.capability is not None)


def test_the_command_that_rebuilds_is_one_that_the_parser_takes(opened: Bundle) -> None:
    command = rebuild_command(opened, HERE).split()
    options = build_parser().parse_args(command[2:])
    assert (options.compile, options.target) == (opened.root, "tensorrt_rtx")
    assert parse_capabilities(options.compute_capabilities) == ("8.9",)
    assert options.frames_range is None


def test_the_command_that_rebuilds_builds_for_every_window_of_the_schedule(opened: Bundle) -> None:
    """Without fixed windows a short scene has short ones; what the command's options make of the shapes takes all."""
    rule, able = opened.manifest.schedule, replace(HERE, ranges=True)
    built = engine_options(build_parser().parse_args(rebuild_command(opened, able).split()[2:]))
    assert not rule.fixed
    full = rule.targets + rule.references
    assert lengths((rule.targets, rule.references), built.frames)["T"] == (1, full, full)
    stage = opened.manifest.stages[1]
    windows = next(port.name for port in stage.inputs if port.shape and port.shape[0] == "T")
    record = opened.manifest.stages[0].engines[0]
    for frames, machine_, told in (
        ((full,), able, f"Compile for a range: {rebuild_command(opened, able)}, export with --frames "),
        ((full,), HERE, "has fewer. Export with --frames "),
        ((1, full, full), able, None),
    ):
        engine = replace(record, shapes={windows: tuple((count, 8) for count in frames)})
        said = short_of(opened, stage, engine, machine_)
        assert said is None if told is None else told in str(said)
    fixed = replace(opened.manifest, schedule=replace(rule, fixed=True))
    assert "--frames-range" not in rebuild_command(replace(opened, manifest=fixed), able)


def test_compatible_engines_fit_later_versions_and_other_gpus(opened: Bundle) -> None:
    newer = Machine("tensorrt", "8.7.0", "9.0", "NVIDIA H200", portable=False)
    built = {"target": "tensorrt", "version": "8.6.1.6", "capabilities": ("8.0",), "gpu": "NVIDIA A100"}
    plain = changed(opened, **built)
    assert "here is 8.7.0" in str(why_not(plain, *only(plain), newer))
    hard = changed(opened, **built, options={"hardware-compat": "yes", "version-compat": "yes"})
    assert why_not(hard, *only(hard), newer) is None
    assert why_not(hard, *only(hard), replace(newer, capability="7.5")) is not None
    assert why_not(hard, *only(hard), replace(newer, version="10.0.1")) is not None
    assert why_not(hard, *only(hard), replace(newer, version="8.5.3")) is not None


def test_halves_come_before_float32(opened: Bundle) -> None:
    half = only(opened)[1]
    full = replace(half, compute="float32")
    both = with_engines(opened.root, replace(full, key=identity(full)), half)
    assert choose(both, both.manifest.stages[0], HERE).compute == "float16"


def test_an_engine_that_never_ran_is_called_unverified(opened: Bundle) -> None:
    engine = only(opened)[1]
    assert "unverified engine encoder.plan" in str(unverified(engine))
    assert unverified(replace(engine, parity=opened.manifest.parity[0])) is None


def test_the_key_holds_what_an_engine_is_built_from_and_nothing_else(opened: Bundle) -> None:
    engine = only(opened)[1]
    other: dict[str, Any] = {
        "target": "tensorrt",
        "version": "1.7.2",
        "capabilities": ("8.9",),
        "gpu": "NVIDIA L4",
        "compute": "bfloat16",
        "graph_sha256": "1" * 64,
        "shapes": {"rgb": ((2, 3, 48, 96),)},
        "options": {"opt-level": "3"},
    }
    results: dict[str, Any] = {"key": "?", "file": replace(engine.file, path="x"), "layers": {}, "parity": None}
    assert {field.name for field in fields(engine)} == other.keys() | results.keys()
    keys = [identity(replace(engine, **{name: value})) for name, value in other.items()]
    assert len({engine.key, *keys}) == len(other) + 1
    assert {identity(replace(engine, **{name: value})) for name, value in results.items()} == {engine.key}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda e: e.pop("gpu"), r"stages\[0\]\.engines\[0\]\.gpu: missing key"),
        (lambda e: e.update(driver=1), r"engines\[0\]\.driver: unknown key"),
        (lambda e: e.update(capabilities="8.9"), r"capabilities: found text, wanted a list"),
        (lambda e: e.update(shapes={"rgb": [1, 3]}), r"shapes\.rgb\[0\]: found a number, wanted a list"),
        (lambda e: e["file"].update(path="../x"), "leaves the bundle"),
    ],
)
def test_a_record_is_read_strictly(opened: Bundle, change: Callable[[dict[str, Any]], object], told: str) -> None:
    path = opened.root / "manifest.json"
    document = json.loads(path.read_text())
    change(document["stages"][0]["engines"][0])
    path.write_text(json.dumps(document))
    with pytest.raises(VidmendError, match=told):
        read_bundle(opened.root)


def test_inspection_prints_every_file_with_a_verdict(opened: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "load_driver", Driver)
    text = "\n".join(inspect(opened.root))
    for fact in (
        "encoder.plan",
        "SM 8.6, 8.9, built without a GPU",
        "rgb 1x3x48x96",
        "unverified",
        "does not run here",
    ):
        assert fact in text
    for stage in opened.manifest.stages:
        assert stage.files["onnx"].path in text
    (opened.root / "decoder.onnx").write_bytes(b"")
    assert "decoder.onnx: unusable: " in "\n".join(inspect(opened.root))


H200, L4 = Gpu("NVIDIA H200", "9.0"), Gpu("NVIDIA L4, the small one", "8.9")


def test_gpus_are_what_the_driver_shows_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for shown in ((L4, H200), (H200, L4), (H200,), ()):
        monkeypatch.setattr(machine, "load_driver", lambda shown=shown: Driver(*shown))
        assert gpus() == shown


@pytest.mark.parametrize(
    "fails", ["cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute"]
)
def test_a_driver_that_does_not_answer_shows_none(fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "load_driver", lambda: Driver(H200, fails=fails))
    assert gpus() == ()


def test_without_a_driver_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Driver:
        raise DeviceFailed("libcuda.so.1: cannot be loaded")

    monkeypatch.setattr(machine, "load_driver", missing)
    assert gpus() == ()
