"""Runs that take in blocks as they go, and whose attention is guided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.sttn import SPEC
from tests.tables import rows_of
from tests.tolerances import TOLERANCE
from tests.trained import CONFIG, add_tiny_variant, assert_equal, tables, train
from training import checkpoints
from training.state import first_state


@pytest.fixture(autouse=True)
def _tiny_variant(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    add_tiny_variant(monkeypatch)


GROWING = replace(
    CONFIG,
    phases=(replace(CONFIG.phases[0], blocks=1), CONFIG.phases[1]),
    objective=replace(CONFIG.objective, guidance=0.1, squared=0.5),
)


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_a_run_that_grows_is_resumed_as_well(tmp_path: Path, cut: int) -> None:
    """Before, at and after the step that brings in a block."""
    train(GROWING, tmp_path / "alone", first_state(GROWING), 6)
    train(GROWING, tmp_path / "cut", first_state(GROWING), 6, stop_after=[cut])
    train(GROWING, tmp_path / "cut", checkpoints.read(tmp_path / "cut", SPEC, adversarial=True), 6)
    assert_equal(tables(tmp_path / "cut", 6), tables(tmp_path / "alone", 6))


def test_a_block_learns_from_the_phase_on_that_brings_it_in(tmp_path: Path) -> None:
    """Before, it keeps silent in all that is saved, so that any checkpoint is the network that was trained."""
    train(GROWING, tmp_path, first_state(GROWING), 3)
    first = first_state(GROWING).generator
    last = "transformer.1.feed_forward.conv.2.weight"
    for kind in ("gen", "ema"):
        saved = torch.load(tmp_path / f"{kind}_00003.pth", weights_only=True)["netG"]
        assert not saved[last].any()
        names = [name for name in saved if name.startswith("transformer.")]
        unchanged = {name for name in names if torch.equal(saved[name], first[name])}
        assert unchanged == {name for name in names if name.startswith("transformer.1.")}
    train(GROWING, tmp_path, checkpoints.read(tmp_path, SPEC, adversarial=True), 6)
    for kind in ("gen", "ema"):
        saved = torch.load(tmp_path / f"{kind}_00006.pth", weights_only=True)["netG"]
        assert saved[last].any()


def test_a_block_comes_into_the_average_as_the_average_of_the_one_before(tmp_path: Path) -> None:
    """One step later it is that, moved towards the network's own block by what the average takes in at step 3."""
    train(GROWING, tmp_path, first_state(GROWING), 3)
    train(GROWING, tmp_path, checkpoints.read(tmp_path, SPEC, adversarial=True), 4)
    names = [f"transformer.{block}.attention.query_embedding.weight" for block in (0, 1)]
    before = torch.load(tmp_path / "ema_00003.pth", weights_only=True)["netG"][names[0]]
    now, own = (
        torch.load(tmp_path / f"{kind}_00004.pth", weights_only=True)["netG"][names[1]] for kind in ("ema", "gen")
    )
    torch.testing.assert_close(
        now, before.lerp(own, 1 - (1 + 3) / (10 + 3)), rtol=0, atol=TOLERANCE["average", "float32"]
    )


def test_guidance_is_logged_and_takes_part_in_the_sum(tmp_path: Path) -> None:
    train(GROWING, tmp_path / "guided", first_state(GROWING), 2)
    alone = replace(GROWING, objective=replace(GROWING.objective, guidance=0.0))
    train(alone, tmp_path / "alone", first_state(alone), 2)
    guided, unguided = (rows_of(tmp_path / name / "log.csv") for name in ("guided", "alone"))
    assert [float(row["guidance"]) > 0 for row in guided] == [True, True]
    assert [row["guidance"] for row in unguided] == ["0", "0"]
    assert guided[0]["hole"] == unguided[0]["hole"]
    assert guided[1]["hole"] != unguided[1]["hole"]
