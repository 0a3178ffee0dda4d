"""How the rate goes, which phase a step belongs to, and the average of the weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from models._spec import Size
from tests.tolerances import TOLERANCE
from training.average import Average
from training.config import Optimiser, Phase
from training.schedule import rate, samples_before, stretches

EXACT = TOLERANCE["schedule", "rate"]
PHASES = (Phase(3, Size(96, 48), 5, 2), Phase(5, Size(48, 48), 3, 1), Phase(2, Size(144, 96), 5, 4))


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 1e-4), (149_999, 1e-4), (150_000, 1e-5), (299_999, 1e-5), (300_000, 1e-6), (499_999, 1e-6)],
)
def test_the_staircase_is_the_published_one(step: int, expected: float) -> None:
    assert rate(Optimiser(), step, 500_000) == pytest.approx(expected, rel=EXACT)


def test_the_staircase_of_the_smaller_data_set_has_one_stair() -> None:
    davis = Optimiser(stair=300_000)
    assert rate(davis, 299_999, 500_000) == pytest.approx(1e-4, rel=EXACT)
    assert rate(davis, 499_999, 500_000) == pytest.approx(1e-5, rel=EXACT)


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, 0.1), (8, 0.9), (9, 1.0), (10, 1.0), (60, 0.1 + 0.9 / 2), (110, 0.1)],
)
def test_the_cosine_rises_and_falls(step: int, share: float) -> None:
    cosine = Optimiser(rate=2e-4, schedule="cosine", warmup=10, floor=0.1)
    assert rate(cosine, step, 110) == pytest.approx(2e-4 * share, rel=EXACT)


def test_the_cosine_falls_at_every_step() -> None:
    cosine = Optimiser(schedule="cosine", warmup=3)
    rates = [rate(cosine, step, 50) for step in range(3, 50)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == len(rates)


@given(st.integers(0, 10), st.integers(0, 10))
def test_a_run_cut_anywhere_meets_every_step_once_with_its_own_samples(cut: int, until: int) -> None:
    whole = _steps(0, until)
    assert _steps(0, min(cut, until)) + _steps(cut, until) == whole
    assert [step for step, _, _ in whole] == list(range(until))
    assert all(sample == samples_before(PHASES, step) for step, _, sample in whole)


def test_phases_follow_each_other() -> None:
    assert [(part.number, part.first, part.last, part.sample) for part in stretches(PHASES, 4, 10)] == [
        (2, 4, 8, 7),
        (3, 8, 10, 11),
    ]


def _steps(done: int, until: int) -> list[tuple[int, int, int]]:
    """Step, phase and first sample of all steps of a run."""
    return [
        (step, part.number, part.sample + (step - part.first) * part.phase.batch)
        for part in stretches(PHASES, done, until)
        for step in range(part.first, part.last)
    ]


def test_the_average_is_the_formula() -> None:
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = Average(network, 0.5)
    expected = 0.0
    for step, value in enumerate([4.0, 8.0, -2.0, 1.0, 6.0, 3.0, 5.0, 9.0, 2.0, 7.0]):
        nn.init.constant_(network.weight, value)
        average.update(network, step)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * value
        assert average.state["weight"].item() == pytest.approx(expected, rel=TOLERANCE["average", "float32"])
    assert not math.isclose(expected, 7.0)


def test_without_decay_the_average_is_the_weights() -> None:
    network = nn.Linear(3, 2)
    average = Average(network, 0.0)
    nn.init.normal_(network.weight)
    average.update(network, 1000)
    assert torch.equal(average.state["weight"], network.weight)
    assert average.state["weight"].data_ptr() != network.weight.data_ptr()
