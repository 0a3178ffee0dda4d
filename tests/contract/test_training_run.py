"""A run as a whole: resumed equals left alone, what it writes down, and how it ends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

import models
from export.checkpoint import choose_variant, read_checkpoint
from models._spec import Size
from models.sttn import SPEC
from runtime.errors import UsageError, VidmendError
from tests.tables import rows_of
from tests.tolerances import TOLERANCE
from tests.trained import (
    CONFIG,
    HERE,
    KINDS,
    Onlooker,
    WaveFeed,
    add_tiny_variant,
    assert_equal,
    tables,
    train,
    without_critic,
)
from training import checkpoints
from training.distributed import World
from training.log import Log
from training.loop import Run, Setting
from training.losses import composite, reconstruction
from training.networks import first_generator, make_discriminator
from training.sample import Batch
from training.schedule import Stretch, rate, stretches
from training.settings import settle
from training.state import first_state
from training.step import LOSSES, Trainer


@pytest.fixture(autouse=True)
def _tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    add_tiny_variant(monkeypatch)


def without_times(found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{**row, "samples_per_s": ""} for row in found]


@pytest.mark.parametrize(("cut", "method"), [(1, "adam"), (2, "adam"), (3, "adam"), (4, "adam"), (5, "muon")])
def test_a_run_resumed_equals_a_run_left_alone(tmp_path: Path, cut: int, method: Literal["adam", "muon"]) -> None:
    """Bit for bit: networks, optimisers, average, log and best validation, wherever in whichever phase it was cut."""
    phases = tuple(replace(phase, forcing=0.5 if method == "muon" else 0.0) for phase in CONFIG.phases)
    config = replace(CONFIG, optimiser=replace(CONFIG.optimiser, method=method), phases=phases)
    train(config, tmp_path / "alone", first_state(config), 6)
    train(config, tmp_path / "cut", first_state(config), 6, stop_after=[cut])
    assert checkpoints.latest(tmp_path / "cut") == cut
    train(config, tmp_path / "cut", checkpoints.read(tmp_path / "cut", SPEC, adversarial=True), 6)
    assert_equal(tables(tmp_path / "cut", 6), tables(tmp_path / "alone", 6))
    for name in ("log.csv", "validation.csv"):
        alone, resumed = (without_times(rows_of(tmp_path / folder / name)) for folder in ("alone", "cut"))
        assert resumed == alone
        assert len(alone) == (6 if name == "log.csv" else 3)


def test_a_run_that_was_killed_takes_up_its_log_where_its_checkpoint_is(tmp_path: Path) -> None:
    """It had logged steps that no checkpoint holds: they come again, and stand in the table once."""
    config = replace(CONFIG, record=replace(CONFIG.record, checkpoint=4))
    train(config, tmp_path, first_state(config), 5)
    for kind in KINDS:
        (tmp_path / f"{kind}_00005.pth").unlink()
    (tmp_path / "latest.ckpt").write_text("00004")
    train(config, tmp_path, checkpoints.read(tmp_path, SPEC, adversarial=True), 6)
    assert [row["step"] for row in rows_of(tmp_path / "log.csv")] == ["1", "2", "3", "4", "5", "6"]


def test_another_seed_is_another_run() -> None:
    weights = [first_generator(replace(CONFIG, seed=seed)).state_dict()["encoder.0.weight"] for seed in (3, 3, 4)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_phases_change_what_the_network_is_shown(tmp_path: Path) -> None:
    feed = WaveFeed()
    Run(Setting(CONFIG, feed, tmp_path, HERE, Onlooker()), first_state(CONFIG), None).go(6, lambda: False)
    assert feed.asked == [(Size(96, 48), 0), (Size(48, 48), 6)]


def test_the_log_holds_means_rates_and_counts(tmp_path: Path) -> None:
    every_two = replace(CONFIG, record=replace(CONFIG.record, log=2))
    train(CONFIG, tmp_path / "each", first_state(CONFIG), 6)
    train(every_two, tmp_path / "two", first_state(CONFIG), 6)
    each, two = rows_of(tmp_path / "each" / "log.csv"), rows_of(tmp_path / "two" / "log.csv")
    assert [row["step"] for row in two] == ["2", "3", "4", "6"]  # 3 ends a phase
    assert [row["phase"] for row in two] == ["1", "1", "2", "2"]
    for name in LOSSES:
        mean = (float(each[0][name]) + float(each[1][name])) / 2
        assert float(two[0][name]) == pytest.approx(mean, rel=TOLERANCE["training log", "six digits"])
    assert [float(row["rate"]) for row in each] == pytest.approx(
        [rate(CONFIG.optimiser, step, 6) for step in range(6)], rel=TOLERANCE["training log", "six digits"]
    )
    assert all(float(row["samples_per_s"]) > 0 for row in each)


@dataclass
class BrokenFeed(WaveFeed):
    """Skips a sample in each batch, two of them the same."""

    def training(self, stretch: Stretch, world: World) -> Iterator[Batch]:
        """See `Feed`."""
        for number, batch in enumerate(WaveFeed().training(stretch, world)):
            yield Batch(batch.levels, batch.holes, (f"clip {number // 2}.zip: broken",))


def test_broken_samples_are_counted_and_each_is_said_once(tmp_path: Path) -> None:
    config = without_critic(CONFIG)
    onlooker, log = Onlooker(), Log(tmp_path, 0, tensorboard=False)
    Run(Setting(config, BrokenFeed(), tmp_path, HERE, onlooker), first_state(config), log).go(4, lambda: False)
    assert [row["skipped"] for row in rows_of(tmp_path / "log.csv")] == ["1", "2", "3", "4"]  # the last of phase 2
    assert [line for line in onlooker.notes if "broken" in line] == [
        "skipped: clip 0.zip: broken",
        "skipped: clip 1.zip: broken",
    ]


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(tmp_path: Path) -> None:
    config = replace(CONFIG, optimiser=replace(CONFIG.optimiser, rate=1e30, clip=0.0, warmup=0))
    with pytest.raises(VidmendError, match=r"is (nan|inf) by step \d; lower optimiser\.rate") as caught:
        train(config, tmp_path, first_state(config), 6)
    assert "\n" not in str(caught.value)
    step = checkpoints.latest(tmp_path)
    saved = () if step is None else checkpoints.read(tmp_path, SPEC, adversarial=True).generator.values()
    assert all(bool(torch.isfinite(value).all()) for value in saved)


def test_the_best_validation_is_kept(tmp_path: Path) -> None:
    """The rate is so high towards the end that the first validation is the best."""
    config = without_critic(CONFIG)
    train(config, tmp_path, first_state(config), 6)
    found = [float(row["psnr_in_hole_db"]) for row in rows_of(tmp_path / "validation.csv")]
    state = checkpoints.read(tmp_path, SPEC, adversarial=False)
    assert state.best_db == pytest.approx(max(found), rel=TOLERANCE["training log", "six digits"])
    best = torch.load(tmp_path / "best.pth", weights_only=True)["netG"]
    assert torch.equal(best["encoder.0.weight"], state.average["encoder.0.weight"]) == (found[-1] == max(found))


def test_a_sheet_shows_input_prediction_composite_and_truth(tmp_path: Path) -> None:
    config = replace(without_critic(CONFIG), record=replace(CONFIG.record, sheet=3))
    train(config, tmp_path, first_state(config), 3)
    assert [path.name for path in (tmp_path / "sheets").iterdir()] == ["000003.png"]
    sheet = np.asarray(Image.open(tmp_path / "sheets" / "000003.png"))
    given, predicted, whole, truth = np.split(sheet, 4)
    assert given.shape == (48, 2 * 96, 3)
    hole = (given == 127).all(axis=2)
    assert hole.any()
    assert not hole.all()
    np.testing.assert_array_equal(whole[~hole], truth[~hole])
    np.testing.assert_array_equal(whole[hole], predicted[hole])


def test_tensorboard_is_told_what_the_table_holds(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
    )
    config = replace(CONFIG, record=replace(CONFIG.record, tensorboard=True, sheet=3))
    train(config, tmp_path, first_state(config), 3)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    table = rows_of(tmp_path / "log.csv")
    for name in LOSSES:
        told = [(event.step, event.value) for event in events.Scalars(f"loss/{name}")]
        assert [step for step, _ in told] == [1, 2, 3]
        assert [value for _, value in told] == pytest.approx(
            [float(row[name]) for row in table], rel=TOLERANCE["training log", "six digits"]
        )
    assert [event.step for event in events.Images("sheet")] == [3]


@pytest.mark.parametrize("kind", ["gen_00003", "ema_00003", "best"])
def test_a_checkpoint_is_what_the_exporter_reads(tmp_path: Path, kind: str) -> None:
    train(CONFIG, tmp_path, first_state(CONFIG), 3)
    checkpoint = read_checkpoint(tmp_path / f"{kind}.pth", SPEC.containers)
    assert choose_variant(checkpoint, models.get("sttn"), None).name == "tiny"


def test_a_step_is_the_published_order_by_hand() -> None:
    """D learns first, from the prediction before G's step; G then meets the new D: by hand, with plain autograd."""
    config = replace(CONFIG, optimiser=replace(CONFIG.optimiser, clip=0.0))
    state = first_state(config)
    (stretch, *_) = stretches(config.phases, 0, 1)
    batch = next(WaveFeed().training(stretch, HERE))
    trainer = Trainer(config, stretch.phase, HERE, state)
    generator, critic = first_generator(config), make_discriminator(config.objective, config.seed)
    assert critic is not None
    adams = [torch.optim.Adam(network.parameters(), 1e-3, betas=(0.0, 0.99)) for network in (generator, critic)]
    frames, masks = batch.on(HERE.device)
    for _ in range(2):  # the second meets what the first left in the optimisers and the spectral norms
        found: dict[str, float] = dict(zip(LOSSES, trainer.step(batch, 1e-3).tolist(), strict=True))
        prediction = generator(frames * (1 - masks), masks).view_as(frames)
        whole = composite(prediction, frames, masks)
        real, fake = critic(frames.transpose(1, 2)), critic(whole.detach().transpose(1, 2))
        criticism = 0.5 * (torch.relu(1 - real).mean() + torch.relu(1 + fake).mean())
        adams[1].zero_grad()
        criticism.backward()
        adams[1].step()
        close = reconstruction(prediction, frames, masks)
        persuasion = -critic(whole.transpose(1, 2)).mean()
        adams[0].zero_grad()
        (close.hole + close.valid + 0.01 * persuasion).backward()
        adams[0].step()
        wanted = {"hole": close.hole, "valid": close.valid, "adversarial": persuasion, "discriminator": criticism}
        assert {name: found[name] for name in wanted} == pytest.approx(
            {name: loss.item() for name, loss in wanted.items()}, rel=TOLERANCE["training step", "float32"]
        )
    for mine, theirs in ((trainer.generator, generator), (trainer.discriminator, critic)):
        assert mine is not None
        for key, value in theirs.state_dict().items():
            torch.testing.assert_close(
                mine.state_dict()[key], value, rtol=0, atol=TOLERANCE["training step", "weights"], msg=key
            )


def test_a_forced_step_learns_what_follows_from_looking_right() -> None:
    """Not what an unforced one learns, and the network looks for itself again when it is validated."""
    config = without_critic(CONFIG)
    (stretch,) = stretches(config.phases, 0, 1)
    batch = next(WaveFeed().training(stretch, HERE))
    losses: list[float] = []
    for share in (0.0, 1.0):
        trainer = Trainer(config, replace(config.phases[0], forcing=share), HERE, first_state(config))
        losses += trainer.step(batch, 0.0)[:1].tolist() + trainer.step(batch, 0.0)[:1].tolist()
        trainer.phase = replace(trainer.phase, forcing=0.0)
        losses += trainer.step(batch, 0.0)[:1].tolist()
    own, again, unforced, _, forced, last = losses
    assert own == again == unforced == last
    assert forced != own


def test_half_precision_is_of_the_products_alone() -> None:
    (stretch, *_) = stretches(CONFIG.phases, 0, 1)
    batch = next(WaveFeed().training(stretch, HERE))
    losses: list[torch.Tensor] = []
    for precision in ("float32", "bfloat16"):
        config = replace(CONFIG, speed=replace(CONFIG.speed, precision=precision, channels_last=True))
        trainer = Trainer(config, stretch.phase, HERE, first_state(config))
        losses.append(trainer.step(batch, 1e-3))
        assert {value.dtype for value in trainer.state().generator.values()} == {torch.float32}
    assert losses[1].dtype == torch.float32
    assert not torch.equal(losses[0], losses[1])
    torch.testing.assert_close(losses[1][:2], losses[0][:2], rtol=TOLERANCE["training step", "bf16"], atol=0)


@pytest.mark.parametrize(("precision", "asked"), [("float32", "highest"), ("auto", "high")])
def test_float32_is_not_rounded_to_tf32(precision: Literal["float32", "auto"], asked: str) -> None:
    settle(replace(CONFIG, speed=replace(CONFIG.speed, precision=precision)), HERE)
    assert torch.get_float32_matmul_precision() == asked
    assert torch.backends.cudnn.allow_tf32 == (precision == "auto")


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    with pytest.raises(UsageError, match=r"phases\.batch: found 1, wanted a multiple of the 2 processes"):
        settle(CONFIG, World(0, 2, torch.device("cpu")))


def test_a_teacher_pulls_the_prediction_towards_its_own(tmp_path: Path) -> None:
    config = without_critic(CONFIG)
    train(config, tmp_path, first_state(replace(config, seed=9)), 1)
    objective = replace(config.objective, hole=0.0, valid=0.0, distillation=1.0, teacher=tmp_path / "gen_00001.pth")
    config = replace(config, objective=replace(objective, teacher_variant="tiny"))
    (stretch, *_) = stretches(config.phases, 0, 3)
    trainer = Trainer(config, stretch.phase, HERE, first_state(config))
    batch = next(WaveFeed().training(stretch, HERE))
    before, *_, after = [trainer.step(batch, 1e-3)[LOSSES.index("distillation")].item() for _ in range(12)]
    assert 0 < after < before
