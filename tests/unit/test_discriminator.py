"""T-PatchGAN: the published layers, keys and numbers, and torch's spectral norm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from tests.tolerances import TOLERANCE
from training.discriminator import Discriminator, Normalised, SpectralConv3d
from training.initial import initialise

NARROW = 4  # channels of the first layer where a test is about something else
# key of the convolution -> inputs, outputs, parameters, of the published discriminator
LAYERS = {
    "conv.0": (3, 64, 14_400),
    "conv.2": (64, 128, 614_400),
    "conv.4": (128, 256, 2_457_600),
    "conv.6": (256, 256, 4_915_200),
    "conv.8": (256, 256, 4_915_200),
    "conv.10": (256, 256, 4_915_456),
}


def on_meta(normalised: Normalised = "published") -> Discriminator:
    with torch.device("meta"):
        return Discriminator(normalised=normalised)


@pytest.fixture
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


@pytest.fixture
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def clips(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def with_hooks(channels: int) -> nn.Sequential:
    """The published layers, as its program writes them: torch's own convolutions under torch's own hook."""
    widths = (3, channels, 2 * channels, 4 * channels, 4 * channels, 4 * channels)
    layers: list[nn.Module] = []
    for index in range(5):
        padding = (1, 2, 2) if index else 1
        convolution = nn.Conv3d(widths[index], widths[index + 1], (3, 5, 5), (1, 2, 2), padding, bias=False)
        layers += [spectral_norm(convolution), nn.LeakyReLU(0.2, inplace=True)]
    layers.append(nn.Conv3d(4 * channels, 4 * channels, (3, 5, 5), (1, 2, 2), (1, 2, 2)))
    return nn.Sequential(*layers)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_has_exactly_the_published_number_of_parameters(layer: str) -> None:
    assert sum(parameter.numel() for parameter in on_meta().get_submodule(layer).parameters()) == LAYERS[layer][2]


def test_keys_and_shapes_are_the_published_ones() -> None:
    wanted: dict[str, list[int]] = {}
    for layer, (inputs, outputs, _) in LAYERS.items():
        kernel = [outputs, inputs, 3, 5, 5]
        if layer == "conv.10":
            wanted |= {f"{layer}.weight": kernel, f"{layer}.bias": [outputs]}
        else:
            wanted |= {f"{layer}.weight_orig": kernel}
            wanted |= {f"{layer}.weight_u": [outputs], f"{layer}.weight_v": [inputs * 75]}
    assert {key: list(tensor.shape) for key, tensor in on_meta().state_dict().items()} == wanted


def test_all_normalised_is_the_last_layer_more() -> None:
    published, every = on_meta().state_dict(), on_meta("all").state_dict()
    assert set(every) - set(published) == {f"conv.10.weight_{part}" for part in ("orig", "u", "v")}
    assert set(published) - set(every) == {"conv.10.weight"}
    counts = [sum(parameter.numel() for parameter in on_meta(how).parameters()) for how in ("published", "all")]
    assert counts[0] == counts[1] == sum(count for _, _, count in LAYERS.values())


@pytest.mark.usefixtures("without_gradients")
def test_the_layers_outputs_have_the_published_shapes() -> None:
    x = torch.zeros(1, 3, 5, 240, 432)
    found: list[list[int]] = []
    for layer in Discriminator(NARROW).eval().conv:
        x = layer(x)
        found += [] if isinstance(layer, nn.LeakyReLU) else [list(x.shape[2:])]
    assert found == [[5, 119, 215], [5, 60, 108], [5, 30, 54], [5, 15, 27], [5, 8, 14], [5, 4, 7]]


@pytest.mark.usefixtures("without_gradients")
@pytest.mark.parametrize(("chained", "batch", "length"), [(False, 2, 5), (True, 1, 10)])
def test_scores_have_the_published_shape(chained: bool, batch: int, length: int) -> None:
    scores = Discriminator(NARROW, chained=chained).eval()(torch.zeros(2, 3, 5, 240, 432))
    assert tuple(scores.shape) == (batch, length, 4 * NARROW, 4, 7)


@pytest.mark.usefixtures("seeded")
def test_chained_clips_follow_each_other_in_time() -> None:
    ours = Discriminator(NARROW, chained=True).eval()
    both = clips(2, 3, 3, 16, 16)
    alone = Discriminator(NARROW).eval()
    alone.load_state_dict(ours.state_dict())
    assert torch.equal(ours(both), alone(torch.cat([both[0], both[1]], dim=1)[None]))


@pytest.mark.usefixtures("seeded")
def test_clips_side_by_side_never_meet() -> None:
    network = Discriminator(NARROW).eval()
    both = clips(2, 3, 3, 16, 16)
    changed = both.clone()
    changed[1] = 0
    assert torch.equal(network(both)[0], network(changed)[0])
    assert not torch.equal(network(both)[1], network(changed)[1])


@pytest.mark.usefixtures("seeded")
def test_scores_gradients_and_norms_are_those_of_torchs_own_hook() -> None:
    """Two forwards before one backward, as a step has it, then the weights move, then one more."""
    ours, theirs = Discriminator(NARROW).double(), with_hooks(NARROW).double()
    theirs.load_state_dict({key.removeprefix("conv."): tensor for key, tensor in ours.state_dict().items()})
    real, fake = clips(1, 3, 3, 16, 16).double(), clips(1, 3, 3, 16, 16).double() ** 3
    for _ in range(2):
        for network in (ours, theirs):
            network.zero_grad()
            loss = network(real).square().mean() + (network(fake) - 1).square().mean()
            loss.backward()
        for mine, wanted in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert mine.grad is not None
            assert wanted.grad is not None
            assert error(mine.grad, wanted.grad) < TOLERANCE["spectral norm", "double"]
            with torch.no_grad():
                mine.add_(mine.grad / mine.grad.norm(), alpha=-0.05)
                wanted.add_(wanted.grad / wanted.grad.norm(), alpha=-0.05)
    for mine, wanted in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert error(mine, wanted) < TOLERANCE["spectral norm", "double"]


def error(found: Tensor, wanted: Tensor) -> float:
    """Length of the difference, as a share of the length."""
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.usefixtures("seeded")
def test_a_checkpoint_goes_out_to_the_published_layers_and_in_from_them(tmp_path: Path) -> None:
    ours, theirs, back = Discriminator(NARROW), nn.Module(), Discriminator(NARROW)
    theirs.conv = with_hooks(NARROW)
    ours(clips(1, 3, 3, 16, 16))  # so that the norms are not those of the beginning
    torch.save({"netD": ours.state_dict()}, tmp_path / "dis_00001.pth")
    theirs.load_state_dict(torch.load(tmp_path / "dis_00001.pth", weights_only=True)["netD"], strict=True)
    torch.save({"netD": theirs.state_dict()}, tmp_path / "dis_00002.pth")
    back.load_state_dict(torch.load(tmp_path / "dis_00002.pth", weights_only=True)["netD"], strict=True)
    same = [torch.equal(tensor, back.state_dict()[key]) for key, tensor in ours.state_dict().items()]
    assert same == [True] * 17


@pytest.mark.usefixtures("seeded")
def test_the_norm_that_training_finds_is_the_largest_singular_value() -> None:
    layer = SpectralConv3d(3, 8, (1, 2, 2), biased=False)
    initialise(layer)
    with torch.no_grad():
        for _ in range(200):
            layer._normalised()
        weight = layer._normalised()
    norm = torch.linalg.matrix_norm(weight.flatten(1), ord=2)
    assert norm.item() == pytest.approx(1, rel=TOLERANCE["spectral norm", "converged"])


@pytest.mark.usefixtures("seeded")
def test_only_training_refines_the_norm() -> None:
    network = Discriminator(NARROW).eval()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(clips(1, 3, 3, 16, 16))
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    network.train()(clips(1, 3, 3, 16, 16))
    assert not any(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())


@pytest.mark.usefixtures("seeded")
def test_autocast_leaves_norms_in_float32_and_scores_in_the_clips_type() -> None:
    plain, cast = Discriminator(NARROW), Discriminator(NARROW)
    cast.load_state_dict(plain.state_dict())
    wanted = plain(clips(1, 3, 3, 16, 16))
    with torch.autocast("cpu", torch.bfloat16):
        found = cast(clips(1, 3, 3, 16, 16))
    assert found.dtype == torch.float32
    assert not torch.equal(found, wanted)  # the convolutions did run in half precision
    assert all(torch.equal(one, other) for one, other in zip(plain.buffers(), cast.buffers(), strict=True))


@pytest.mark.usefixtures("seeded")
def test_a_network_begins_as_published() -> None:
    network = Discriminator(16)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=TOLERANCE["initial weights", "deviation"])
            assert abs(parameter.mean().item()) < 0.02 * TOLERANCE["initial weights", "deviation"]
