"""Runs whose backend and types were chosen by a trial: by stand-ins of known speed, and by the libraries themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import backends
from runtime.backends import choose
from runtime.bundle import read_bundle
from runtime.cli import main
from runtime.cores import processor
from runtime.kept import user_cache
from runtime.program import Request
from runtime.trial import CLOSE
from runtime.video import open_reader
from tests.clips import Clip, write_clip
from tests.paced import Fault, Field
from tests.quantised import Made
from tests.tolerances import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 24
FAST, SLOW = 0.1, 0.2  # seconds a call


@dataclass(frozen=True)
class Rig:
    """infer.py on one clip, pictures out."""

    folder: Path
    bundle: Path
    capsys: pytest.CaptureFixture[str]

    def infer(self, *more: str) -> tuple[int, str]:
        """The exit code, and the summary or what was said instead."""
        code = main([*command(self.folder, self.bundle), *more])
        said = self.capsys.readouterr()
        return code, said.out if code == 0 else said.err


def command(folder: Path, bundle: Path) -> list[str]:
    files = [str(folder / "clip.mp4"), "--out", str(folder / "out/%05d.png"), "--bundle", str(bundle)]
    return [*files, "--box", "20,12,30,20", "--cuts", "none", "--region", "full", "--json"]


@pytest.fixture
def rig(any_window: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    write_clip(tmp_path / "clip.mp4", Clip(96, 48, FRAMES))
    return Rig(tmp_path, any_window, capsys)


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Field:
    made = Field()
    made.enter(monkeypatch, tmp_path / "cache")
    made.add("first", 10, fp32=FAST)
    made.add("second", 20, fp32=SLOW)
    return made


def test_the_summary_says_what_was_measured_the_first_time(rig: Rig, field: Field) -> None:
    code, said = rig.infer("--threads", "3")
    assert code == 0
    summary = json.loads(said)
    assert (summary["backend"], summary["precision"]) == ("first", "fp32")
    assert [note for note in summary["notes"] if "first fp32 was chosen" in note]
    assert field.backends["first"].threads == field.backends["second"].threads == {3}
    code, said = rig.infer("--threads", "3", "--overwrite")
    assert (code, json.loads(said)["notes"]) == (0, [])


def test_a_resumed_run_goes_on_with_what_it_began_with(
    rig: Rig, field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = field.backends["first"]
    first.fault = Fault(computing=KeyboardInterrupt, after=60)
    code, said = rig.infer("--resume")
    assert (code, said.count("\n")) == (130, 1)
    assert "the same command goes on from there" in said
    first.fault, first.pace = Fault(), {"fp32": 10 * SLOW}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another cache"))  # what was measured is lost
    code, said = rig.infer("--resume")
    assert code == 0, said
    summary = json.loads(said)
    assert summary["backend"] == "first"
    assert 0 < summary["resumed"] < FRAMES
    code, said = rig.infer("--overwrite")
    assert (code, json.loads(said)["backend"]) == (0, "second")


def test_other_types_than_it_began_with_are_refused(rig: Rig, field: Field) -> None:
    first = field.backends["first"]
    first.fault = Fault(computing=KeyboardInterrupt, after=60)
    assert rig.infer("--resume")[0] == 130
    first.fault = Fault()
    code, said = rig.infer("--resume", "--backend", "second")
    assert (code, said.count("\n")) == (2, 1)
    assert "of other files or settings" in said
    assert rig.infer("--resume", "--backend", "first")[0] == 0


def test_ctrl_c_in_the_trial_leaves_nothing(rig: Rig, field: Field, tmp_path: Path) -> None:
    field.backends["second"].fault = Fault(computing=KeyboardInterrupt)
    code, said = rig.infer("--resume")
    assert (code, said.count("\n")) == (130, 1)
    assert "nothing was written" in said
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("threads", [1, 2])
def test_libraries_take_as_many_threads_as_they_are_told(threads: int, any_window: Path) -> None:
    bundle = read_bundle(any_window)
    spec = bundle.stage("encoder")
    path = bundle.file(spec, "onnx")
    ours: Any = backends.able("onnxruntime").open(Request(path, spec, {"B": 1}, "fp32", threads=threads))
    assert ours._session.get_session_options().intra_op_num_threads == threads
    theirs: Any = backends.able("openvino").open(Request(path, spec, {"B": 1}, "fp32", threads=threads))
    compiled = theirs._request.get_compiled_model()
    assert compiled.get_property("INFERENCE_NUM_THREADS") == threads


def test_libraries_are_timed_once_and_the_choice_follows_the_figures(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = choose("auto", made.bundle, "auto")
    (note,) = found.notes
    seconds = remembered()["seconds"]
    assert {label.split()[0] for label in seconds} == {"onnxruntime", "openvino"}
    assert {"int8" in label for label in seconds} == {False, True}
    assert seconds[found.label] <= CLOSE * min(seconds.values())
    assert note.startswith(f"{found.label} was chosen by a quick trial on this processor: ")
    again = choose("auto", made.bundle, "auto")
    assert (again.label, again.notes) == (found.label, ())


def remembered() -> Any:
    """The only record that there is."""
    (path,) = (user_cache() / "trials").iterdir()
    return json.loads(path.read_bytes())


# What OpenVINO takes for its kernels is told by the layers that it runs.
CHILD = """
import sys
from pathlib import Path
import openvino
from runtime.bundle import read_bundle
from runtime.cli import main
bundle = read_bundle(Path(sys.argv[1]))
path = str(bundle.file(bundle.stage("encoder"), "onnx"))
model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
layers = [node.get_rt_info()["primitiveType"].astype(str) for node in model.get_runtime_model().get_ops()]
sys.stderr.write(" ".join(sorted(set(layers))))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif("avx2" not in " ".join(processor()), reason="needs an x86 processor with AVX2")
def test_a_processor_without_vnni_and_amx_gets_the_right_frames_by_its_own_choice(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(96, 48, 6))
    bundle = made.bundle.root
    limited = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    asked = [sys.executable, "-c", CHILD, str(bundle), *command(tmp_path, bundle)]
    done = subprocess.run(asked, cwd=ROOT, env=limited, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    kernels = done.stderr.splitlines()[0]
    assert "avx2" in kernels
    assert "avx512" not in kernels
    assert "amx" not in kernels
    summary = json.loads(done.stdout)
    assert not [note for note in summary["notes"] if "passed over" in note]
    (path,) = (tmp_path / "cache" / "vidmend" / "trials").iterdir()
    record = json.loads(path.read_bytes())
    chosen = record["seconds"][f"{summary['backend']} {summary['precision']}"]
    assert chosen <= CLOSE * min(record["seconds"].values())
    assert "ONEDNN_MAX_CPU_ISA=AVX2" in record["holds_for"]["candidates"]["openvino fp32"]
    found = pictures(tmp_path)
    code, _ = Rig(tmp_path, bundle, capsys).infer("--backend", "onnxruntime", "--precision", "fp32", "--overwrite")
    assert code == 0
    apart = np.abs(found.astype(int) - pictures(tmp_path))
    assert apart.max() <= TOLERANCE["int8 frames", "levels"]


def pictures(folder: Path) -> np.ndarray:
    with open_reader(folder / "out") as reader:
        return np.stack([np.concatenate([plane.ravel() for plane in frame.planes]) for frame in reader])
