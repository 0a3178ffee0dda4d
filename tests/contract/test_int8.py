"""Bundles in int8: what they record, how layers are kept, what sessions run, and what is refused."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

import export.int8
from calib.observe import find_clips
from calib.ranges import RangeTable, read_table, to_json
from calib.report import REPORT, write_report
from export._int8_layers import convolutions, levels_of
from export._int8_parts import quantised_part
from export._int8_qdq import float_graph
from export.int8 import RANGES, add_int8, order_of
from export.trial import Array
from runtime import backends
from runtime.bundle import MANIFEST, ParityRecord, read_bundle
from runtime.errors import ExportError, FileMissing, UnsafePath, UsageError
from runtime.session import Session, Settings
from tests.clips import Clip, write_clip
from tests.quantised import Made, copied, float_graphs, graph_of, quiet
from tests.tolerances import TOLERANCE


def test_the_manifest_names_graphs_table_and_what_was_kept(made: Made) -> None:
    for stage in made.bundle.manifest.stages:
        (typed,) = stage.typed
        assert typed.compute == "int8"
        assert typed.kept_float32 == ()
        assert typed.ranges is not None
        assert made.bundle.checked(typed.ranges).name == RANGES
        assert typed.parity.nan_count == 0
    table = read_table(made.bundle.root / RANGES)
    assert [clip.name for clip in table.clips] != []
    assert {clip.sha256 for clip in table.clips} == {clip.sha256 for clip in find_clips([made.calibration])}
    hashes = {stage.name: stage.files["onnx"].sha256 for stage in made.bundle.manifest.stages}
    assert dict(table.graphs) == hashes


def test_the_graph_for_parts_has_the_types_of_the_whole_one(made: Made) -> None:
    decoder = made.bundle.stage("decoder")
    assert decoder.part is not None
    (whole,), (part,) = decoder.typed, decoder.part.typed
    assert (part.compute, part.kept_float32, part.ranges) == ("int8", (), whole.ranges)
    assert part.parity.stage == "decoder.part"
    assert part.parity.frames.endswith(", 5 parts")
    assert part.parity.psnr_db == pytest.approx(whole.parity.psnr_db, abs=TOLERANCE["int8", "parts db"])
    scales = [activation_scales(onnx.load(str(made.bundle.checked(graph.file)))) for graph in (whole, part)]
    assert scales[0] == scales[1]
    assert len(scales[0]) == 2 * 4  # of what its four convolutions read and give


def activation_scales(model: ModelProto) -> list[float]:
    """Of what convolutions read and give, in the graph's order."""
    constants = {item.name: item for item in model.graph.initializer}
    found = [node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    return [float(numpy_helper.to_array(constants[name])) for name in found]


def test_parts_keep_the_layers_that_the_whole_keeps_and_no_other_networks(made: Made) -> None:
    decoder = made.bundle.stage("decoder")
    assert decoder.part is not None
    whole, part = (
        float_graph(made.bundle.checked(record).read_bytes()) for record in (decoder.files["onnx"], decoder.part.file)
    )
    levels = levels_of(whole, "decoder", made.evidence.table, "entropy")
    names = [[node.name for node in convolutions(graph)] for graph in (whole, part)]
    narrow, kept = quantised_part(part, whole, levels, [names[0][2], "a node of another stage"])
    assert kept == (names[1][2],)
    weights = {item.name: item.data_type for item in narrow.graph.initializer}
    types = [weights.get(node.input[1]) for node in convolutions(narrow)]
    assert types == [None, None, TensorProto.FLOAT, None]  # int8 stands behind a DequantizeLinear
    with pytest.raises(ExportError, match="has 4 convolutions, the whole stage's"):
        quantised_part(part, float_graphs(made.bundle)["transformer"], levels, ())
    (weight,) = [item for item in part.graph.initializer if item.name == convolutions(part)[1].input[1]]
    weight.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(weight), weight.name))
    with pytest.raises(ExportError, match="for parts has other weights than"):
        quantised_part(part, whole, levels, ())


def test_sessions_take_int8_by_themselves_and_float32_when_it_is_to_be_exact(made: Made, any_window: Path) -> None:
    backend = backends.get("onnxruntime")
    plain = read_bundle(any_window)
    assert Session(made.bundle, backend, Settings()).precision == "int8 and fp32"
    assert Session(made.bundle, backend, Settings(precision="fp32")).precision == "fp32"
    assert Session(made.bundle, backend, Settings(schedule="reference")).precision == "fp32"
    assert Session(plain, backend, Settings()).precision == "fp32"


def test_a_session_notices_that_its_int8_graph_is_gone(made: Made, tmp_path: Path) -> None:
    broken = copied(made.bundle.root, tmp_path / "broken")
    (broken.root / "transformer.int8.onnx").unlink()
    with pytest.raises(FileMissing, match=r"transformer\.int8\.onnx: named in the manifest but not there"):
        Session(broken, backends.get("onnxruntime"), Settings())
    Session(broken, backends.get("onnxruntime"), Settings(precision="fp32"))


def another(folder: Path) -> Path:
    """A clip that is in no fixture."""
    return write_clip(folder / "another.mp4", Clip(96, 48, 15))


def test_with_tables_alone_layers_are_compared_on_a_clip_that_is_not_measured_on(made: Made, tmp_path: Path) -> None:
    order = order_of([made.bundle.root / RANGES], [another(tmp_path), made.holdout], 0.1)
    assert order.sample == tmp_path / "another.mp4"
    assert [clip.path for clip in order.holdout] == list(made.holdout.iterdir())
    with pytest.raises(UsageError, match="give another clip to --calib or --holdout"):
        order_of([made.bundle.root / RANGES], [made.holdout], 0.1)


def test_a_graph_that_gives_something_else_costs_one_trial_and_leaves_no_file(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nothing kept the transformer is beyond use; with all of the encoder kept, which is left out, it is not."""
    encoder = [layer for item in made.evidence.sensitivities for layer in item.layers if layer.stage == "encoder"]
    whole = frozenset((layer.stage, layer.node) for layer in encoder)
    _measured_before(made, monkeypatch)
    monkeypatch.setattr(export.int8, "drop_db", lambda *_: 0.0)
    monkeypatch.setattr(export.int8, "islands", lambda _: (frozenset(), whole, frozenset()))
    monkeypatch.setattr(export.int8, "_parity", _failing_first(export.int8._parity))
    said: list[str] = []
    opened = copied(made.bundle.root, tmp_path / "again")
    order = order_of([made.calibration], [made.holdout], 0.1)
    narrow, evidence = add_int8(opened, order, said.append)
    assert [(len(trial.kept), trial.drop_db) for trial in evidence.trials] == [(0, math.inf), (len(encoder), 0.0)]
    assert any("in int8 differs from float32" in line for line in said)
    assert "encoder.int8.onnx" not in {path.name for path in narrow.root.iterdir()}
    assert {path.name for path in narrow.root.glob("*.int8.onnx")} == {
        "transformer.int8.onnx",
        "decoder.int8.onnx",
        "decoder.part.int8.onnx",
    }


def _failing_first(parity: Callable[..., ParityRecord]) -> Callable[..., ParityRecord]:
    """`parity`, to which the transformer is something else the first time."""
    left = ["transformer"]

    def failing(found: Array, wanted: Array, name: str, frames: str) -> ParityRecord:
        if name in left:
            left.remove(name)
            return parity(found * np.float32("nan"), wanted, name, frames)
        return parity(found, wanted, name, frames)

    return failing


def _measured_before(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search alone: fills, sensitivity and speeds are those that were measured once."""
    found = {item.stage: item for item in made.evidence.sensitivities}
    monkeypatch.setattr(export.int8, "fill", lambda *_: made.evidence.exact)
    monkeypatch.setattr(export.int8, "sensitivity", lambda sample, *_: found[sample.stage])
    monkeypatch.setattr(export.int8, "measure_speeds", lambda *_: made.evidence.speeds)


def test_layers_are_kept_the_costliest_first_until_the_budget_holds(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([1.0, 0.5, 0.05])
    _measured_before(made, monkeypatch)
    monkeypatch.setattr(export.int8, "drop_db", lambda *_: next(losses))
    opened = copied(made.bundle.root, tmp_path / "again")
    narrow, evidence = add_int8(
        opened, order_of([made.bundle.root / RANGES], [made.holdout, another(tmp_path)], 0.1), quiet
    )
    layers = [layer for item in evidence.sensitivities for layer in item.layers]
    costliest = sorted(layers, key=lambda layer: layer.sqnr_db)[:2]
    wanted = {(layer.stage, layer.node) for layer in costliest}
    assert [len(trial.kept) for trial in evidence.trials] == [0, 1, 2]
    assert evidence.trials[-1].kept == wanted
    kept = {
        (stage.name, node) for stage in narrow.manifest.stages for typed in stage.typed for node in typed.kept_float32
    }
    assert kept == wanted
    for stage, name in wanted:
        graph = graph_of(narrow, stage)
        (node,) = [node for node in convolutions(graph) if node.name == name]
        weights = {item.name: item.data_type for item in graph.graph.initializer}
        assert weights[node.input[1]] == TensorProto.FLOAT


def test_a_budget_that_cannot_hold_is_an_error_that_says_what_was_reached(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _measured_before(made, monkeypatch)
    monkeypatch.setattr(export.int8, "drop_db", lambda *_: 0.75)
    opened = copied(made.bundle.root, tmp_path / "again")
    with pytest.raises(ExportError, match=r"^int8 loses 0\.750 dB at least.*allowed 0\.1 dB; allow more"):
        add_int8(opened, order_of([made.bundle.root / RANGES], [made.holdout, another(tmp_path)], 0.1), quiet)


def test_without_real_clips_or_with_a_clip_on_both_sides_it_refuses(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--int8 needs real clips"):
        order_of([], [made.holdout], 0.1)
    with pytest.raises(UsageError, match="--holdout CLIP"):
        order_of([made.calibration], [], 0.1)
    twin = tmp_path / "another name.mp4"
    shutil.copy(next(made.calibration.iterdir()), twin)
    with pytest.raises(UsageError, match=r"another name\.mp4: is among the clips of --calib too \(sha256 "):
        order_of([made.calibration], [twin], 0.1)
    with pytest.raises(UsageError, match=r"another name\.mp4: is among the clips of --calib too"):
        order_of([made.bundle.root / RANGES], [twin], 0.1)
    with pytest.raises(UsageError, match="no such file; wanted a video"):
        order_of([tmp_path / "none.mp4"], [made.holdout], 0.1)
    table = made.bundle.root / RANGES
    with pytest.raises(UsageError, match="the same clip twice; name every clip once"):
        order_of([table, made.calibration], [made.holdout], 0.1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no video in it"):
        order_of([tmp_path / "empty"], [made.holdout], 0.1)


def test_a_table_of_another_network_is_refused(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    other = RangeTable({"encoder": "0" * 64}, made.evidence.table.clips, made.evidence.table.tensors)
    path.write_text(to_json(other), encoding="utf-8")
    with pytest.raises(UsageError, match="ranges of other graphs"):
        add_int8(made.bundle, order_of([path], [made.holdout, another(tmp_path)], 0.1), quiet)


def test_the_report_shows_everything_and_loads_nothing(made: Made, tmp_path: Path) -> None:
    path = tmp_path / REPORT
    write_report(path, "<tiny>", made.evidence)
    text = path.read_text(encoding="utf-8")
    assert "<tiny>" not in text
    assert "&lt;tiny&gt;" in text
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", text)
    assert "url(" not in text
    for item in made.evidence.sensitivities:
        for layer in item.layers:
            assert f"{layer.stage} {layer.node}" in text
    for clip in made.evidence.table.clips:
        assert clip.sha256 in text
    assert text.count("data:image/jpeg") == 3 * len(made.evidence.exact)
    assert f"{made.evidence.trials[-1].drop_db:+.3f} dB" in text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["../ranges.json", "/etc/passwd"])
def test_a_table_outside_the_bundle_is_refused(made: Made, tmp_path: Path, path: str) -> None:
    opened = copied(made.bundle.root, tmp_path / "unsafe")
    manifest = opened.root / MANIFEST
    manifest.write_text(manifest.read_text(encoding="utf-8").replace(f'"{RANGES}"', f'"{path}"'), encoding="utf-8")
    with pytest.raises(UnsafePath, match="leaves the bundle"):
        read_bundle(opened.root)
