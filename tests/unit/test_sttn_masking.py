"""The variant whose attention leaves out what is mostly hole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from models._spec import Window
from models._sttn_masking import SILENT, key_biases
from models.sttn import SPEC, official_patches
from tests.attention import attend, attention_of, error
from tests.tiny import HEIGHT, MASKED, WIDTH, tiny_network
from tests.tolerances import TOLERANCE

MASKED_PATCHES = official_patches(MASKED.size)

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def holes_of(frames: int) -> torch.Tensor:
    """Masks `[frames, 1, H, W]`: a box, from most of the frame to little of it, at places that no patch fits."""
    masks = torch.zeros(frames, 1, HEIGHT, WIDTH)
    for index, mask in enumerate(masks):
        shrunk = 1 + index % 3
        mask[0, 2 : HEIGHT // shrunk - 3, 5 + 7 * index : 5 + 7 * index + 70 // shrunk] = 1
    return masks


def test_masked_attention_is_the_papers_formula() -> None:
    """Patches of mostly hole are no keys; those of exactly half a hole are."""
    layer = attention_of(tiny_network(MASKED))
    x = torch.randn(3, 16, 12, 24, generator=torch.Generator().manual_seed(1))
    masks = holes_of(3)[..., ::4, ::4]
    masks[1, :, :, :12], masks[1, :, :, 12:] = 1, 0
    dead = masks[:, 0].numpy()
    assert 2 * dead[1].sum() == dead[1].size
    assert 2 * dead[0].sum() > dead[0].size  # so that something is silent even where a patch is a whole frame
    found = layer(x, 1, key_biases(masks, layer.patches, clips=1))
    assert error(found, attend(layer, x, dead)) < TOLERANCE["stage", "float32"]
    assert error(found, layer(x, clips=1)) > 100 * TOLERANCE["stage", "float32"]


def test_a_masked_network_sees_nothing_of_a_frame_that_is_all_hole() -> None:
    network = tiny_network(MASKED)
    features = torch.randn(4, 16, 12, 24, generator=torch.Generator().manual_seed(3))
    masks = torch.zeros(4, 1, HEIGHT, WIDTH)
    masks[2] = 1
    changed = features.clone()
    changed[2] = 5
    assert torch.equal(network.infer(features, masks)[[0, 1, 3]], network.infer(changed, masks)[[0, 1, 3]])
    assert not torch.equal(network.infer(features, 0 * masks)[:1], network.infer(changed, 0 * masks)[:1])


@pytest.mark.parametrize("filled", [0, 1])
def test_where_nothing_or_everything_is_hole_a_masked_network_is_the_published_one(filled: int) -> None:
    frames = torch.rand(1, 3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) * 2 - 1
    found = tiny_network(MASKED)(frames, torch.full((1, 3, 1, HEIGHT, WIDTH), float(filled)))
    assert torch.equal(found, tiny_network()(frames))


def test_a_clip_that_is_all_hole_silences_nothing_and_its_neighbour_does() -> None:
    """An even shift of all scores would round to nearly the same, and exactly so where the bias itself is 0."""
    masks = torch.zeros(4, 1, HEIGHT // 4, WIDTH // 4)
    masks[:3] = 1  # all of the first clip, the first frame of the second
    for bias in key_biases(masks, MASKED_PATCHES, clips=2):
        assert bias.shape == (2, 1, bias.numel() // 2)
        first, second = bias.reshape(2, 2, -1)
        assert not first.any()
        assert (second[0] == SILENT).all()
        assert not second[1].any()


def test_a_masked_network_without_masks_is_refused() -> None:
    with pytest.raises(ValueError, match="it needs the masks beside the frames"):
        tiny_network(MASKED)(torch.zeros(1, 1, 3, HEIGHT, WIDTH))


@pytest.mark.parametrize("window", [None, Window(4, 2, 1, 10)], ids=["any", "fixed"])
def test_the_stages_of_a_masked_network_in_a_row_are_the_network(window: Window | None) -> None:
    network = tiny_network(MASKED)
    encoder, transformer, _ = SPEC.stages(network, window)
    frames = torch.rand(6, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(6)) * 2 - 1
    masks = holes_of(6)
    shapes = [port.shape for port in transformer.inputs if port.name.startswith("key_bias")]
    assert shapes == [(6 if window else "T", *grid) for grid in ((1, 1), (3, 3), (6, 6), (12, 12))]
    biases = key_biases(masks[..., ::4, ::4], network.geometry.patches, clips=1)
    inputs = [bias.reshape(6, *(int(side) for side in shape[1:])) for bias, shape in zip(biases, shapes, strict=True)]
    counts = [] if window else [torch.tensor(4)]
    completed = transformer.module(encoder.module(frames), *counts, *inputs)
    assert error(completed, network.infer(network.encoder(frames), masks)[:4]) < TOLERANCE["stage", "float32"]
    assert error(completed, tiny_network().infer(network.encoder(frames))[:4]) > 100 * TOLERANCE["stage", "float32"]


def test_masked_clips_of_a_batch_never_meet() -> None:
    network = tiny_network(MASKED)
    clips = torch.rand(2, 3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) * 2 - 1
    masks = holes_of(6).reshape(2, 3, 1, HEIGHT, WIDTH)
    masks[1] = 1  # a clip that is all hole must not silence the other's keys, nor be heard by them
    together = network(clips, masks)
    alone = torch.cat([network(clip[None], mask[None]) for clip, mask in zip(clips, masks, strict=True)])
    assert error(together, alone) < TOLERANCE["stage", "float32"]
