"""train.py as it is started: exit codes, one line for a mistake, Ctrl-C, several processes."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.guard.sources import ROOT
from tests.tables import rows_of
from tests.tolerances import TOLERANCE

CONFIG = """
seed = 5
[model]
initial = "scaled"
[data]
root = "{root}"
workers = 0
[[data.clips]]
name = "clips"
[objective]
adversarial = 0.01
discriminator_channels = 4
guidance = 0.5
[optimiser]
rate = 1e-4
clip = 1.0
[speed]
threads = 1
precision = "float32"
[record]
log = 1
tensorboard = false
[[phases]]
steps = 400
size = "48x48"
frames = 2
batch = 2
"""
FEW_THREADS = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two clips of noise, cut into archives as published."""
    root = tmp_path_factory.mktemp("data")
    generator = np.random.default_rng(1)
    (root / "clips" / "JPEGImages").mkdir(parents=True)
    for name in ("a", "b"):
        with zipfile.ZipFile(root / "clips" / "JPEGImages" / f"{name}.zip", "w") as archive:
            for index in range(4):
                content = io.BytesIO()
                Image.fromarray(generator.integers(0, 256, (60, 80, 3), np.uint8)).save(content, "JPEG")
                archive.writestr(f"{index:05d}.jpg", content.getvalue())
    (root / "clips" / "train.json").write_text(json.dumps({"a": 4, "b": 4}))
    path = root / "run.toml"
    path.write_text(CONFIG.format(root=root.as_posix()), encoding="utf-8")
    return path


def started(*arguments: str | Path, several: int = 1) -> subprocess.Popen[str]:
    """train.py in the repository's root, in `several` processes that train together."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(several)] if several > 1 else []
    command = [sys.executable, *torchrun, "train.py", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **FEW_THREADS})


def run(*arguments: str | Path, several: int = 1) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    process = started(*arguments, several=several)
    out, err = process.communicate()
    return process.returncode, out, err


def rows(folder: Path) -> list[dict[str, str]]:
    return rows_of(folder / "log.csv")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_saves_and_resume_goes_on(
    config: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "run"
    process = started("--config", config, "--out", out, "--workers", "1")
    while process.poll() is None and not ((out / "log.csv").exists() and rows(out)):
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    step = int((out / "latest.ckpt").read_text())
    assert 0 < step < 400
    assert [int(row["step"]) for row in rows(out)] == list(range(1, step + 1))
    code, said, err = run("--config", config, "--out", out, "--resume", "--steps", str(step + 1))
    assert code == 0, err
    assert f"{step + 1} of 400 steps done and saved" in said
    assert [int(row["step"]) for row in rows(out)] == list(range(1, step + 2))


@pytest.mark.slow
def test_two_processes_learn_what_one_does(config: Path, tmp_path: Path) -> None:
    """The same samples shared by two: with beta1 = 0 Adam's first moment is the gradient."""
    for several in (1, 2):
        code, _, err = run("--config", config, "--out", tmp_path / str(several), "--steps", "1", several=several)
        assert code == 0, err
    one, two = (torch.load(tmp_path / name / "opt_00001.pth", weights_only=True) for name in ("1", "2"))
    for network in ("optimG", "optimD"):
        alone, shared = (
            {index: moments["exp_avg"] for index, moments in found[network]["state"].items()} for found in (one, two)
        )
        largest = max(float(gradient.abs().max()) for gradient in alone.values())
        bound = TOLERANCE["two processes", "share of the largest gradient"] * largest
        for index, gradient in alone.items():
            assert float((shared[index] - gradient).abs().max()) <= bound, (network, index)
    for alone, shared in zip(rows(tmp_path / "1"), rows(tmp_path / "2"), strict=True):
        for name in ("hole", "valid", "adversarial", "discriminator", "guidance", "gradient"):
            expected = pytest.approx(float(alone[name]), rel=TOLERANCE["two processes", "losses"])
            assert float(shared[name]) == expected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--config", "nowhere.toml"], "nowhere.toml: cannot be read: No such file or directory"),
        (["--config", "{config}", "--steps", "0"], "--steps: found 0, wanted at least 1"),
        (["--config", "{config}", "--workers", "-1"], "--workers: found -1, wanted at least 0"),
        (["--config", "{config}", "--init", "w.pth", "--resume"], "--init: a run that is resumed goes on with its own"),
        (["--config", "{config}", "--device", "abacus"], "--device abacus: "),
        (["--config", "{config}", "--device", "cuda"], "--device cuda: "),
        (["--config", "{config}", "--out", "{out}", "--resume"], "holds no latest.ckpt, so there is nothing to resume"),
        (["--config", "{config}", "--out", "{out}", "--init", "{config}"], "run.toml: no checkpoint, or a damaged one"),
        (["--config", "{config}", "--out", "{config}/x"], "cannot be made: Not a directory"),
    ],
)
def test_a_mistake_is_one_line(
    config: Path,
    tmp_path: Path,
    arguments: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from training.cli import main

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code = main([argument.format(config=config, out=tmp_path) for argument in arguments])
    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith("train.py: ")
    assert complaint in said
    assert said.count("\n") == 1


def test_a_run_is_not_begun_where_another_lies(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from training.cli import main

    assert main(["--config", str(config), "--out", str(tmp_path), "--steps", "1"]) == 0
    before = (tmp_path / "gen_00001.pth").read_bytes()
    assert main(["--config", str(config), "--out", str(tmp_path)]) == 2
    assert "holds a run, its last checkpoint is 00001; --resume goes on with it" in capsys.readouterr().err
    assert (tmp_path / "gen_00001.pth").read_bytes() == before
    other = tmp_path / "other.toml"
    other.write_text(config.read_text().replace("rate = 1e-4", "rate = 2e-4"), encoding="utf-8")
    assert main(["--config", str(other), "--out", str(tmp_path), "--resume", "--steps", "2"]) == 0
    assert "optimiser.rate was 0.0001, is 0.0002" in capsys.readouterr().err


def test_a_run_is_not_begun_where_checkpoints_lie(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Saving would delete them as the oldest ones."""
    from training.cli import main

    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "gen_00050.pth").write_bytes(b"dear")
    assert main(["--config", str(config), "--out", str(tmp_path / "runs"), "--steps", "1"]) == 2
    assert "holds gen_00050.pth but no latest.ckpt; --out takes another folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["gen_00050.pth"]


def test_the_help_is_there_without_pytorch() -> None:
    text = "import sys; sys.modules['torch'] = None\nfrom training.cli import main\nmain(['--help'])"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--resume" in done.stdout
    assert "130 interrupted and saved" in done.stdout
