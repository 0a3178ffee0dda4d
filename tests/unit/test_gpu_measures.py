"""What make gpu measures with, on the host: busy time, copies, stages alone, frames; and what it may import."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import _gpu_backend, _gpu_compile, _gpu_frames, _gpu_torch
from bench._gpu_spy import Spy, exposed, length, union, within
from bench._gpu_steps import Figure, read_output
from bench._gpu_table import BUSY, EXPOSED, SPEED
from bench.clip import make_clip
from bench.torch_rows import published
from runtime.bundle import read_bundle
from runtime.clock import Clock
from runtime.devices import open_device
from runtime.session import Session, Settings
from tests.guard.sources import ROOT
from tests.stand_ins import Counting
from tests.tiny import tiny_bundle, tiny_network

ENGINE_SIDE = ("gpu", "_gpu_probe", "_gpu_clips", "_gpu_compile", "_gpu_frames", "_gpu_backend", "_gpu_table")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("tiny"), frames=(3, 1), pace=(1, 10))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip"), 6)[0]


def test_intervals_are_united_cut_and_measured() -> None:
    found = [(3.0, 4.0), (0.0, 1.0), (0.5, 2.0), (4.0, 5.0), (7.0, 7.0)]
    assert union(found) == [(0.0, 2.0), (3.0, 5.0)]
    assert length(found) == 4.0
    assert list(within(found, (0.75, 3.5))) == [(3.0, 3.5), (0.75, 1.0), (0.75, 2.0)]


def test_copies_count_where_nothing_is_computed_meanwhile() -> None:
    busy = {"upload": [(0.0, 2.0)], "download": [(1.0, 3.0)], "encoder": [(1.5, 2.5)], "decoder": [(5.0, 6.0)]}
    assert exposed(busy) == 2.0
    figures = _gpu_backend.occupancy({stage: list(found) for stage, found in busy.items()}, 10.0)
    assert figures == [Figure(BUSY, 10.0, "%", "encoder"), Figure(EXPOSED, 20.0, "%")]
    assert _gpu_backend.occupancy({}, 10.0) == []


def test_a_watched_clock_passes_everything_on_and_keeps_what_streams_tell() -> None:
    spy, clock = Spy(Counting()), Clock()
    spy.make_device()("host", clock, 1)
    assert spy.clock is not None
    spy.clock.end(spy.clock.begin(), "encoder", 1.0, 3.0)
    with spy.clock.busy("upload"):
        pass
    assert spy.clock.intervals == {"encoder": [(1.0, 3.0)]}
    assert clock.seconds()["encoder"] == 2.0
    assert "upload" in clock.seconds()


def test_a_stage_is_called_through_all_of_its_copies_with_the_numbers_of_a_real_call(bundle: Path, clip: Path) -> None:
    counting = Counting()
    spy = Spy(counting)
    session = Session(read_bundle(bundle), spy.backend(), Settings(), spy.make_device())
    assert _gpu_backend.run_clip(session, clip)[0] == 6
    assert set(spy.programs) == {"encoder", "transformer", "decoder"}
    before = counting.calls["encoder"]
    seen = spy.programs["encoder"]
    nbytes = sum(tensor.nbytes for tensor in (*seen.inputs.values(), *seen.outputs.values()))
    assert _gpu_backend.stage_ms(seen, open_device("host", Clock(), 1), 5 * nbytes - 1) > 0
    assert counting.calls["encoder"] == before + 5 * 11


def test_a_backends_row_and_a_pytorch_row_tell_the_same_things(
    bundle: Path, clip: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gpu_backend, "ROTATED_BYTES", 1)
    _gpu_backend.main("null", clip, bundle)
    said, figures = read_output(capsys.readouterr().out)
    names = [figure.name for figure in figures]
    assert (said, names[0], sorted(names[1:])) == ("zeros", SPEED, ["decoder", "encoder", "transformer"])
    manifest = read_bundle(bundle).manifest
    with torch.inference_mode():
        network = published(tiny_network())
        frames, seconds = _gpu_torch.run_clip(network, "steady", clip, manifest, "cpu")
        alone = _gpu_torch.stages(network, manifest, "cpu", 1)
    assert frames == 6
    assert seconds > 0
    assert [figure.name for figure in alone] == ["encoder", "transformer", "decoder"]
    assert all(figure.value > 0 and math.isfinite(figure.value) for figure in alone)


def test_frames_are_compared_as_a_whole_and_in_the_hole() -> None:
    wanted = np.full((4, 4, 3), 100, np.uint8)
    found, mask = wanted.copy(), np.zeros((4, 4, 3), np.uint8)
    found[0, 0] += 16
    mask[0, :2] = 255
    frame, hole = _gpu_frames.compare(found, wanted, mask)
    assert hole == pytest.approx(20 * math.log10(255 / 16) + 10 * math.log10(2))
    assert frame == pytest.approx(20 * math.log10(255 / 16) + 10 * math.log10(16))
    assert _gpu_frames.compare(wanted, wanted, mask) == (200.0, 200.0)


@pytest.mark.parametrize(("damage", "code", "told"), [(0, 0, ""), (60, 1, "dB from float32, wanted above 50 dB")])
def test_frames_far_from_float32_fail_the_step(
    damage: int, code: int, told: str, bundle: Path, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "reference"
    out = ["--out", str(tmp_path / "found" / "%05d.png")]
    call = [
        str(clip),
        "--region",
        "full",
        "--cuts",
        "none",
        "--bundle",
        str(bundle),
        "--backend",
        "null",
        "--overwrite",
    ]
    assert _gpu_frames.cli.main([*call, "--out", str(folder / "%05d.png")]) == 0
    first = folder / "00000.png"
    with Image.open(first) as image:
        pixels = np.array(image)
    pixels[:80] += np.uint8(damage)
    Image.fromarray(pixels).save(first)
    capsys.readouterr()
    assert _gpu_frames.main(folder, clip.with_name("clip_mask"), [*call, *out]) == code
    told_out = capsys.readouterr()
    assert told in told_out.err
    assert [figure.name for figure in read_output(told_out.out)[1]] == ["frames", "in the hole"]
    first.unlink()
    assert _gpu_frames.main(folder, clip.with_name("clip_mask"), [*call, *out]) == 1
    assert "6 frames, 5 of the reference, 6 masks" in capsys.readouterr().err


def test_engines_are_compiled_by_export_and_reported(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _gpu_compile.main(bundle, "tensorrt_rtx", "8.9") == 0
    said, _ = read_output(capsys.readouterr().out)
    assert said == "unverified: encoder, transformer, decoder"
    assert _gpu_compile.main(bundle, "tensorrt_rtx", "9.0") == 2


def test_what_runs_beside_the_engines_needs_neither_pytorch_nor_onnx() -> None:
    refused = ("torch", "onnx", "onnxruntime", "openvino", "polygraphy", "safetensors", "tensorrt", "pycuda")
    text = (
        f"import sys, importlib; sys.modules.update(dict.fromkeys({refused}))\n"
        f"for name in {ENGINE_SIDE}: importlib.import_module(f'bench.{{name}}')\n"
        "from bench._gpu_probe import main\n"
        "main('9.0')"
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not set(json.loads(done.stdout)["modules"]) & set(refused)


def test_the_script_itself_needs_the_standard_library_alone() -> None:
    text = "import sys, bench.gpu; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "rich", "av", "PIL", "cv2"} & set(done.stdout.split())
