"""The training losses against their written formulas, in double precision."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.tolerances import TOLERANCE
from training.losses import ADVERSARIAL, adversarial, composite, reconstruction

CLOSE = TOLERANCE["losses", "double"]
Shape = tuple[int, ...]


def doubles(values: list[float], shape: Shape) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(shape)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_reconstruction_is_what_a_pencil_gives() -> None:
    """Two pixels of three channels, the left one a hole: off by 0.3, 0.6, 0.9 there and by 0.2, 0, 0.1 beside it."""
    clip = doubles([0.5, -1.0, 0.25, 0.0, -0.5, 1.0], (1, 1, 3, 1, 2))
    prediction = clip + doubles([0.3, 0.2, -0.6, 0.0, 0.9, -0.1], (1, 1, 3, 1, 2))
    found = reconstruction(prediction, clip, doubles([1, 0], (1, 1, 1, 1, 2)))
    # mean over 6 elements of what is in the part, over the part's share 1/2: (1.8 / 6) / 0.5 and (0.3 / 6) / 0.5
    assert found.hole.item() == pytest.approx(0.6, abs=CLOSE)
    assert found.valid.item() == pytest.approx(0.1, abs=CLOSE)


@pytest.mark.parametrize(("squared", "hole"), [(0.0, 0.6), (0.25, 0.555), (1.0, 0.42)])
def test_a_share_of_the_holes_loss_is_squared(squared: float, hole: float) -> None:
    """As above: squares of 0.3, 0.6 and 0.9 have the mean 0.42, and what is beside the hole stays L1."""
    clip = doubles([0.5, -1.0, 0.25, 0.0, -0.5, 1.0], (1, 1, 3, 1, 2))
    prediction = clip + doubles([0.3, 0.2, -0.6, 0.0, 0.9, -0.1], (1, 1, 3, 1, 2))
    found = reconstruction(prediction, clip, doubles([1, 0], (1, 1, 1, 1, 2)), squared=squared)
    assert found.hole.item() == pytest.approx(hole, abs=CLOSE)
    assert found.valid.item() == pytest.approx(0.1, abs=CLOSE)


@pytest.mark.parametrize(("moved", "hole"), [(0.25, 0.225), (1.0, 0.0)])
def test_a_share_of_the_holes_loss_is_of_the_moved_prediction(moved: float, hole: float) -> None:
    """Off by 0.3 everywhere, of which nothing is left where the prediction is moved by what it is off beside a hole."""
    clip, mask = noise(1, 2, 3, 6, 7), doubles([0.0] * 42, (1, 1, 1, 6, 7)).repeat(1, 2, 1, 1, 1)
    mask[..., 2:4, 1:6] = 1
    found = reconstruction(clip + 0.3, clip, mask, moved=moved)
    assert found.hole.item() == pytest.approx(hole, abs=CLOSE)
    assert found.valid.item() == pytest.approx(0.3, abs=CLOSE)


def test_reconstruction_is_the_written_formula() -> None:
    """`sum |P-Y| over the part's samples / their number`, element by element."""
    prediction, clip = noise(2, 3, 3, 4, 5), noise(2, 3, 3, 4, 5, seed=1)
    mask = (noise(2, 3, 1, 4, 5, seed=2) > 0.7).double()
    inside = [
        abs(float(prediction[index] - clip[index]))
        for index in torch.cartesian_prod(*(torch.arange(side) for side in clip.shape)).unbind()
        for index in [tuple(index.tolist())]
        if mask[(*index[:2], 0, *index[3:])] == 1
    ]
    found = reconstruction(prediction, clip, mask)
    assert found.hole.item() == pytest.approx(sum(inside) / len(inside), abs=CLOSE)
    rest = float((prediction - clip).abs().sum()) - sum(inside)
    assert found.valid.item() == pytest.approx(rest / (clip.numel() - len(inside)), abs=CLOSE)


@pytest.mark.parametrize(("filled", "hole", "valid"), [(0.0, 0.0, 0.5), (1.0, 0.5, 0.0)])
def test_a_part_that_is_nowhere_costs_nothing_and_gives_no_nan(filled: float, hole: float, valid: float) -> None:
    clip = noise(1, 2, 3, 4, 4)
    prediction = (clip + 0.5).requires_grad_()
    found = reconstruction(prediction, clip, torch.full((1, 2, 1, 4, 4), filled, dtype=torch.float64))
    assert found.hole.item() == pytest.approx(hole, abs=CLOSE)
    assert found.valid.item() == pytest.approx(valid, abs=CLOSE)
    (found.hole + found.valid).backward()  # pyright: ignore[reportUnknownMemberType]
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()


def test_a_single_pixel_of_hole_counts_in_full() -> None:
    clip = torch.zeros(1, 5, 3, 240, 432)
    mask = torch.zeros(1, 5, 1, 240, 432)
    mask[0, 2, 0, 7, 9] = 1
    assert reconstruction(clip + 0.25, clip, mask).hole.item() == pytest.approx(0.25, rel=TOLERANCE["losses", "float"])


def test_halves_of_a_batch_that_know_its_share_of_hole_average_to_its_loss() -> None:
    prediction, clip = noise(2, 3, 3, 8, 8), noise(2, 3, 3, 8, 8, seed=1)
    mask = torch.zeros(2, 3, 1, 8, 8, dtype=torch.float64)
    mask[0, :, :, :6], mask[1, :, :, :1] = 1, 1
    whole = reconstruction(prediction, clip, mask)
    halves = [reconstruction(prediction[i : i + 1], clip[i : i + 1], mask[i : i + 1], mask.mean()) for i in (0, 1)]
    apart = [reconstruction(prediction[i : i + 1], clip[i : i + 1], mask[i : i + 1]) for i in (0, 1)]
    assert (halves[0].hole + halves[1].hole).item() / 2 == pytest.approx(whole.hole.item(), abs=CLOSE)
    assert (halves[0].valid + halves[1].valid).item() / 2 == pytest.approx(whole.valid.item(), abs=CLOSE)
    assert (apart[0].hole + apart[1].hole).item() / 2 != pytest.approx(whole.hole.item(), abs=CLOSE)


def test_a_composite_is_the_prediction_in_the_hole_and_the_clip_beside_it() -> None:
    prediction, clip = noise(1, 2, 3, 4, 4), noise(1, 2, 3, 4, 4, seed=1)
    mask = (noise(1, 2, 1, 4, 4, seed=2) > 0).double()
    found = composite(prediction, clip, mask)
    inside = mask.expand_as(clip) == 1
    assert torch.equal(found[inside], prediction[inside])
    assert torch.equal(found[~inside], clip[~inside])


@pytest.mark.parametrize("function", [reconstruction, composite])
@pytest.mark.parametrize(
    ("prediction", "mask"),
    [
        ((4, 3, 4, 4), (2, 2, 1, 4, 4)),  # as the generator gives it: would broadcast to 2 x 4 frames
        ((2, 2, 3, 4, 4), (2, 2, 3, 4, 4)),
        ((2, 2, 3, 4, 4), (2, 1, 1, 4, 4)),
    ],
)
def test_shapes_that_would_broadcast_wrongly_are_refused(
    function: Callable[[Tensor, Tensor, Tensor], object], prediction: Shape, mask: Shape
) -> None:
    with pytest.raises(
        ValueError, match=r"over a clip \(2, 2, 3, 4, 4\); wanted \(2, 2, 3, 4, 4\) and \(2, 2, 1, 4, 4"
    ):
        function(torch.zeros(prediction), torch.zeros(2, 2, 3, 4, 4), torch.zeros(mask))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


REAL, FAKE = (0.5, 2.0, -3.0), (-0.25, -4.0, 1.5)
# what the discriminator minimises for REAL and FAKE, what the generator does for FAKE: by the formulas, score by score
WRITTEN = {
    "hinge": (
        (sum(max(0.0, 1 - x) for x in REAL) / 3 + sum(max(0.0, 1 + x) for x in FAKE) / 3) / 2,
        -sum(FAKE) / 3,
    ),
    "lsgan": (
        (sum((sigmoid(x) - 1) ** 2 for x in REAL) / 3 + sum(sigmoid(x) ** 2 for x in FAKE) / 3) / 2,
        sum((sigmoid(x) - 1) ** 2 for x in FAKE) / 3,
    ),
    "nsgan": (
        (-sum(math.log(sigmoid(x)) for x in REAL) / 3 - sum(math.log(1 - sigmoid(x)) for x in FAKE) / 3) / 2,
        -sum(math.log(sigmoid(x)) for x in FAKE) / 3,
    ),
}


@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_an_adversarial_loss_is_the_written_formula(name: str) -> None:
    game = adversarial(name)
    real, fake = doubles(list(REAL), (1, 3, 1, 1)), doubles(list(FAKE), (1, 3, 1, 1))
    assert game.discriminator(real, fake).item() == pytest.approx(WRITTEN[name][0], abs=CLOSE)
    assert game.generator(fake).item() == pytest.approx(WRITTEN[name][1], abs=CLOSE)


def test_the_hinge_is_what_a_pencil_gives() -> None:
    """Hinge of REAL: 0.5, 0, 4; of FAKE: 0.75, 0, 2.5; so (4.5 / 3 + 3.25 / 3) / 2, and 2.75 / 3."""
    assert WRITTEN["hinge"] == (pytest.approx(7.75 / 6, abs=CLOSE), pytest.approx(2.75 / 3, abs=CLOSE))


@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_both_players_of_a_game_want_the_opposite_of_a_composites_score(name: str) -> None:
    score = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    game = adversarial(name)
    (down,) = torch.autograd.grad(game.discriminator(torch.zeros_like(score), score), score)
    (up,) = torch.autograd.grad(game.generator(score), score)
    assert down.item() > 0 > up.item()


def test_certain_scores_overflow_nowhere() -> None:
    """Half precision's largest scores: the published log of a sigmoid would be infinite, were it not cut off."""
    game = adversarial("nsgan")
    scores = torch.tensor([-60000.0, 60000.0], requires_grad=True)
    loss = game.discriminator(scores, scores) + game.generator(scores)
    loss.backward()  # pyright: ignore[reportUnknownMemberType]
    assert loss.isfinite()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_another_name_is_refused_with_the_choices() -> None:
    with pytest.raises(LookupError, match="no adversarial loss 'wgan'; there are: hinge, lsgan, nsgan"):
        adversarial("wgan")
