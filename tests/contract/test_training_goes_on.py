"""What a run is told before its first step: held-out clips, checkpoints and settings that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from models._spec import Size
from models.sttn import SPEC
from runtime.errors import CheckpointError, InputError, UsageError
from tests.tables import rows_of
from tests.trained import CONFIG, HERE, Onlooker, WaveFeed, add_tiny_variant, assert_equal, tables, train
from training import checkpoints
from training.cli import differences
from training.config import Phase
from training.distributed import World, joined
from training.log import Log
from training.loop import Run, Setting
from training.sample import Batch
from training.schedule import Stretch
from training.state import check_state, first_state, judged_alike


@pytest.fixture(autouse=True)
def _tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    add_tiny_variant(monkeypatch)


@dataclass
class ShortFeed(WaveFeed):
    """Has clips to train on and none to hold out."""

    def validation(self, size: Size) -> Iterator[Batch]:
        """See `Feed`."""
        raise InputError(f"held-out.zip: 5 frames, the sample takes 8 at {size}")


def test_held_out_clips_that_cannot_be_used_end_the_run_before_its_first_step(tmp_path: Path) -> None:
    onlooker, log = Onlooker(), Log(tmp_path, 0, tensorboard=False)
    run = Run(Setting(CONFIG, ShortFeed(), tmp_path, HERE, onlooker), first_state(CONFIG), log)
    with pytest.raises(InputError, match="the sample takes 8 at 48x48"):
        run.go(6, lambda: False)
    assert onlooker.steps == []


@dataclass
class DryingFeed(WaveFeed):
    """Gives out in the middle."""

    def training(self, stretch: Stretch, world: World) -> Iterator[Batch]:
        """See `Feed`."""
        yield from islice(WaveFeed.training(self, stretch, world), 1)
        raise InputError("50 samples in a row were broken")


def test_when_the_samples_give_out_the_steps_done_are_saved(tmp_path: Path) -> None:
    log = Log(tmp_path, 0, tensorboard=False)
    seldom = replace(CONFIG, record=replace(CONFIG.record, checkpoint=1000, log=1000))
    with pytest.raises(InputError, match="50 samples in a row were broken"):
        Run(Setting(seldom, DryingFeed(), tmp_path, HERE, Onlooker()), first_state(seldom), log).go(6, lambda: False)
    log.close()
    assert checkpoints.read(tmp_path, SPEC, adversarial=True).step == 1
    assert [row["step"] for row in rows_of(tmp_path / "log.csv")] == ["1"]
    train(CONFIG, tmp_path, checkpoints.read(tmp_path, SPEC, adversarial=True), 6)
    train(CONFIG, tmp_path / "alone", first_state(CONFIG), 6)
    assert_equal(tables(tmp_path, 6), tables(tmp_path / "alone", 6))


def test_the_last_step_is_validated_in_any_case(tmp_path: Path) -> None:
    config = replace(CONFIG, validation=replace(CONFIG.validation, every=4))
    train(config, tmp_path, first_state(config), 6)
    assert [row["step"] for row in rows_of(tmp_path / "validation.csv")] == ["4", "6"]


def test_several_processes_are_not_given_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = r"^--device cuda:0: one GPU for all 2 processes; --device cuda gives each"
    with pytest.raises(UsageError, match=told), joined("cuda:0"):
        pytest.fail("they went on")


@pytest.mark.parametrize(("size", "local", "wanted"), [("1", "0", "cuda:0"), ("8", "3", "cuda:3")])
def test_a_gpu_is_named_by_its_number(monkeypatch: pytest.MonkeyPatch, size: str, local: str, wanted: str) -> None:
    """PyTorch makes none that has no number the current one; shown with a stand-in for the GPU."""
    chosen: list[int] = []
    for name, value in {"WORLD_SIZE": size, "RANK": local, "LOCAL_RANK": local}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch, "empty", lambda *_, device: device)
    monkeypatch.setattr("torch._C._cuda_setDevice", chosen.append, raising=False)
    monkeypatch.setattr("torch.distributed.init_process_group", lambda _: None)
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: None)
    with joined("cuda") as world:
        assert str(world.device) == wanted
    assert chosen == [int(local)]


@pytest.mark.parametrize("change", ["network", "critic"])
def test_another_network_is_not_resumed(tmp_path: Path, change: str) -> None:
    train(CONFIG, tmp_path, first_state(CONFIG), 2)
    state = checkpoints.read(tmp_path, SPEC, adversarial=True)
    check_state(CONFIG, state, tmp_path)
    wider = replace(CONFIG, objective=replace(CONFIG.objective, discriminator_channels=8))
    other = replace(CONFIG, model=replace(CONFIG.model, variant="small"))
    named = {"network": (other, "gen"), "critic": (wider, "dis")}[change]
    with pytest.raises(CheckpointError, match=rf"{named[1]}_00002\.pth: does not fit the network: .* wanted \("):
        check_state(named[0], state, tmp_path)


def test_validations_are_compared_where_they_are_of_the_same_samples() -> None:
    before = CONFIG.described()
    more = replace(CONFIG, validation=replace(CONFIG.validation, samples=3)).described()
    faster = replace(CONFIG, optimiser=replace(CONFIG.optimiser, rate=1.0)).described()
    by_phase = replace(CONFIG, validation=replace(CONFIG.validation, size=None))
    larger = replace(by_phase, phases=(CONFIG.phases[0], replace(CONFIG.phases[1], size=Size(96, 96))))
    assert judged_alike(before, before)
    assert judged_alike(None, before)
    assert judged_alike(before, faster)
    assert not judged_alike(before, more)
    assert not judged_alike(by_phase.described(), larger.described())


def test_a_key_that_an_earlier_program_did_not_know_is_no_difference() -> None:
    now, plain = CONFIG.described(), CONFIG.plain().described()
    before = {key: text for key, text in now.items() if "forcing" not in key}
    forced = replace(CONFIG, phases=(replace(CONFIG.phases[0], forcing=0.5), CONFIG.phases[1])).described()
    assert differences(before, now, plain) == ""
    assert differences(None, now, plain) == ""
    assert differences(before, forced, plain) == "phases[0].forcing was 0.0, is 0.5"


def test_a_phase_that_is_new_was_nothing_before() -> None:
    longer = replace(CONFIG, phases=(*CONFIG.phases, Phase(7, Size(96, 96))))
    said = differences(CONFIG.described(), longer.described(), longer.plain().described())
    assert said.startswith("phases[2].steps was not there, is 7, phases[2].size was not there, is 96x96, ")
    assert said.count("phases[2].") == said.count(" was not there, ") == said.count(" was ")
