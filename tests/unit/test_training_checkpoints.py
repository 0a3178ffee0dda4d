"""Checkpoints: the published layout, whole or not at all, the last ones kept."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.sttn import SPEC
from runtime.errors import CheckpointError, OutputError
from tests.tiny import TINY
from tests.trained import CONFIG, HERE, WaveFeed, add_tiny_variant, without_critic
from training import checkpoints
from training.schedule import stretches
from training.state import State, first_state
from training.step import Trainer
from training.weights import read_weights


@pytest.fixture(autouse=True)
def _tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    add_tiny_variant(monkeypatch)


@pytest.fixture
def state() -> State:
    """After one step with a discriminator."""
    (stretch, *_) = stretches(CONFIG.phases, 0, 1)
    trainer = Trainer(CONFIG, stretch.phase, HERE, first_state(CONFIG))
    trainer.step(next(WaveFeed().training(stretch, HERE)), 1e-3)
    return trainer.state()


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_files_and_keys_are_the_published_ones(tmp_path: Path, state: State) -> None:
    checkpoints.save(tmp_path, state, "tiny", epoch=4, keep=1)
    assert files(tmp_path) == ["dis_00001.pth", "ema_00001.pth", "gen_00001.pth", "latest.ckpt", "opt_00001.pth"]
    assert (tmp_path / "latest.ckpt").read_text().strip() == "00001"
    generator, critic, optimisers = (
        torch.load(tmp_path / f"{kind}_00001.pth", weights_only=True) for kind in ("gen", "dis", "opt")
    )
    assert set(generator["netG"]) == set(TINY.build(TINY.size).state_dict())
    assert {"conv.0.weight_orig", "conv.0.weight_u", "conv.0.weight_v", "conv.10.bias"} <= set(critic["netD"])
    assert {"epoch", "iteration", "optimG", "optimD"} <= set(optimisers)
    assert (optimisers["epoch"], optimisers["iteration"]) == (4, 1)
    assert {"step", "exp_avg", "exp_avg_sq"} == set(optimisers["optimG"]["state"][0])


def test_what_was_saved_is_what_is_read(tmp_path: Path, state: State) -> None:
    saved = replace(state, best_db=31.5, config={"seed": "3"})
    checkpoints.save(tmp_path, saved, "tiny", epoch=0, keep=1)
    found = checkpoints.read(tmp_path, SPEC, adversarial=True)
    assert (found.step, found.best_db, found.config) == (1, 31.5, {"seed": "3"})
    for kind in ("generator", "average", "discriminator"):
        torch.testing.assert_close(getattr(found, kind), dict(getattr(saved, kind)), rtol=0, atol=0)
    for kind in ("generator_optimiser", "discriminator_optimiser"):
        torch.testing.assert_close(getattr(found, kind)["state"], getattr(saved, kind)["state"], rtol=0, atol=0)


def test_what_the_published_program_wrote_is_gone_on_with(tmp_path: Path, state: State) -> None:
    """Its files lack the average and our keys, and its optimiser's table is another Adam's, older and shorter.

    They are numbered by the iteration over `save_freq`, 10,000 in its configurations.
    """
    adam = state.generator_optimiser
    assert adam is not None
    (tmp_path / "latest.ckpt").write_text("00001")
    torch.save({"netG": state.generator}, tmp_path / "gen_00001.pth")
    torch.save({"netD": state.discriminator}, tmp_path / "dis_00001.pth")
    group = {"lr": 1e-4, "betas": (0, 0.99), "eps": 1e-8, "weight_decay": 0, "amsgrad": False}
    groups = [{**group, "params": adam["param_groups"][0]["params"]}]
    old = {"state": adam["state"], "param_groups": groups}
    critic = state.discriminator_optimiser
    assert critic is not None
    old_critic = {"state": critic["state"], "param_groups": [{**group, "params": critic["param_groups"][0]["params"]}]}
    torch.save({"epoch": 2, "iteration": 10_000, "optimG": old, "optimD": old_critic}, tmp_path / "opt_00001.pth")
    found = checkpoints.read(tmp_path, SPEC, adversarial=True)
    assert found.step == 10_000
    torch.testing.assert_close(found.average, found.generator, rtol=0, atol=0)
    (stretch, *_) = stretches(CONFIG.phases, 1, 2)
    trainer = Trainer(CONFIG, stretch.phase, HERE, found)
    assert bool(torch.isfinite(trainer.step(next(WaveFeed().training(stretch, HERE)), 1e-3)).all())
    assert trainer.done == 10_001
    checkpoints.save(tmp_path, trainer.state(), "tiny", epoch=2, keep=1)
    assert checkpoints.latest(tmp_path) == 10_001
    assert {"gen_00001.pth", "gen_10001.pth"} <= set(files(tmp_path)), "what the other program wrote is not ours"


def test_the_last_ones_are_kept_and_the_best(tmp_path: Path, state: State) -> None:
    checkpoints.save_best(tmp_path, state.average, "tiny")
    for step in (2, 4, 6, 8):
        checkpoints.save(tmp_path, replace(state, step=step, discriminator=None), "tiny", epoch=0, keep=2)
    numbered = [f"{kind}_0000{step}.pth" for kind in ("ema", "gen", "opt") for step in (6, 8)]
    assert files(tmp_path) == sorted([*numbered, "best.pth", "latest.ckpt"])
    assert checkpoints.latest(tmp_path) == 8


def test_what_a_crash_left_of_a_later_checkpoint_does_not_push_out_the_last(tmp_path: Path, state: State) -> None:
    checkpoints.save(tmp_path, replace(state, step=2), "tiny", epoch=0, keep=1)
    (tmp_path / "gen_00009.pth").write_bytes(b"cut off")
    checkpoints.save(tmp_path, replace(state, step=4), "tiny", epoch=0, keep=1)
    assert checkpoints.read(tmp_path, SPEC, adversarial=True).step == 4
    assert "gen_00009.pth" not in files(tmp_path)


@contextmanager
def files_of_at_most(size_bytes: int) -> Generator[None, None, None]:
    """As on a disk that is full then: the system refuses to let any file grow further."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_leaves_the_checkpoint_before(tmp_path: Path, state: State) -> None:
    checkpoints.save(tmp_path, replace(state, step=2), "tiny", epoch=0, keep=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    room = len(before["gen_00002.pth"])  # enough for the generator, not for the optimisers
    with files_of_at_most(room), pytest.raises(OutputError, match=r"could not be written \(File too large\)") as caught:
        checkpoints.save(tmp_path, replace(state, step=4), "tiny", epoch=0, keep=1)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("survivors", range(6))
def test_a_crash_between_any_two_renames_leaves_a_checkpoint(
    tmp_path: Path, state: State, survivors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints.save(tmp_path, replace(state, step=2), "tiny", epoch=0, keep=1)
    renamed: list[str] = []
    rename = os.replace

    def crash(source: Path, target: Path) -> None:
        if len(renamed) == survivors:
            raise SystemError("power cut")
        renamed.append(target.name)
        rename(source, target)

    monkeypatch.setattr(os, "replace", crash)
    with suppress(SystemError):
        checkpoints.save(tmp_path, replace(state, step=4), "tiny", epoch=0, keep=1)
    found = checkpoints.read(tmp_path, SPEC, adversarial=True)
    assert found.step == (4 if survivors == 5 else 2)
    assert renamed[4:] == (["latest.ckpt"] if survivors == 5 else [])


def test_a_disk_error_keeps_its_reason(tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        checkpoints.save_best(tmp_path, state.average, "tiny")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("latest.ckpt", b"last", "latest.ckpt: found 'last', wanted the number of a checkpoint"),
        ("latest.ckpt", b"00007", "gen_00007.pth: cannot be read: No such file"),
        ("gen_00001.pth", b"PK\x03\x04 cut", "gen_00001.pth: no checkpoint, or a damaged one"),
        ("opt_00001.pth", b"", "opt_00001.pth: no checkpoint, or a damaged one"),
    ],
)
def test_a_damaged_checkpoint_is_one_line(
    tmp_path: Path, state: State, name: str, content: bytes, complaint: str
) -> None:
    checkpoints.save(tmp_path, state, "tiny", epoch=0, keep=1)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        checkpoints.read(tmp_path, SPEC, adversarial=True)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_nothing_lies_nothing_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        checkpoints.read(tmp_path, SPEC, adversarial=False)


def test_weights_of_another_network_are_refused_by_key(tmp_path: Path, state: State) -> None:
    checkpoints.save(tmp_path, state, "tiny", epoch=0, keep=1)
    config = replace(
        without_critic(CONFIG), model=replace(CONFIG.model, variant="small", init=tmp_path / "gen_00001.pth")
    )
    with pytest.raises(
        CheckpointError, match=r"does not fit the network: decoder\.0\.conv\.bias is \(8,\), wanted \(64,"
    ):
        first_state(config)


@pytest.mark.parametrize("form", ["bare", "netG", "parallel", "safetensors"])
def test_weights_are_read_in_every_form(tmp_path: Path, state: State, form: str) -> None:
    from safetensors.torch import save_file

    weights = dict(state.generator)
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    tables = {
        "bare": weights,
        "netG": {"netG": weights},
        "parallel": {"netG": {f"module.{key}": value for key, value in weights.items()}},
    }
    if form == "safetensors":
        save_file({key: value.half() for key, value in weights.items()}, path)
        weights = {key: value.half().float() for key, value in weights.items()}
    else:
        torch.save(tables[form], path)
    torch.testing.assert_close(dict(read_weights(path, ("netG",))), weights, rtol=0, atol=0)


def test_weights_are_told_apart_by_content_and_refused_when_not_finite(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "w.pth"
    save_file({"a": torch.ones(1), "b": torch.full((1,), torch.inf)}, path)
    with pytest.raises(CheckpointError, match=r"w\.pth: b holds values that are not finite"):
        read_weights(path, ("netG",))
