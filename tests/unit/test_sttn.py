"""The published network and its export form."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models._spec import Size, Window
from models._sttn_masking import SILENT
from models._sttn_stages import StaticAttention
from models.sttn import SPEC, PatchAttention, Sttn, official_patches, patchify, unpatchify
from tests.attention import attend, attention_of, error
from tests.tiny import HEIGHT, TINY, WIDTH, tiny_network
from tests.tolerances import TOLERANCE

pytestmark = pytest.mark.usefixtures("without_gradients")

VARIANTS = [variant.name for variant in SPEC.variants]


@pytest.fixture
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_has_exactly_the_published_number_of_parameters(name: str) -> None:
    variant = SPEC.variant(name)
    with torch.device("meta"):
        network = variant.build(variant.size)
    assert sum(parameter.numel() for parameter in network.parameters()) == variant.parameters


@pytest.mark.parametrize(
    ("name", "keys"), [("official", 112), ("vsr-auto", 112), ("modelscope", 88), ("small", 88), ("masked", 88)]
)
def test_a_variant_has_exactly_the_published_keys(name: str, keys: int) -> None:
    variant = SPEC.variant(name)
    with torch.device("meta"):
        found = variant.build(variant.size).state_dict()
    assert len(found) == keys
    blocks = (keys - 16) // 12
    layers = ["encoder.0", "encoder.2", "encoder.4", "encoder.6"]
    layers += ["decoder.0.conv", "decoder.2", "decoder.4.conv", "decoder.6"]
    for block in range(blocks):
        layers += [f"transformer.{block}.attention.{part}_embedding" for part in ("query", "key", "value")]
        layers += [f"transformer.{block}.attention.output_linear.0"]
        layers += [f"transformer.{block}.feed_forward.conv.{index}" for index in (0, 2)]
    assert set(found) == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}


def test_the_layers_of_the_official_variant_have_the_published_shapes() -> None:
    with torch.device("meta"):
        found = SPEC.variant("official").build(Size(432, 240)).state_dict()
    shapes = {
        "encoder.0.weight": [64, 3, 3, 3],
        "encoder.4.weight": [128, 64, 3, 3],
        "encoder.6.weight": [256, 128, 3, 3],
        "transformer.7.attention.query_embedding.weight": [256, 256, 1, 1],
        "transformer.7.feed_forward.conv.0.weight": [256, 256, 3, 3],
        "decoder.0.conv.weight": [128, 256, 3, 3],
        "decoder.2.weight": [64, 128, 3, 3],
        "decoder.4.conv.weight": [64, 64, 3, 3],
        "decoder.6.weight": [3, 64, 3, 3],
    }
    assert {key: list(found[key].shape) for key in shapes} == shapes


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variants_patches_divide_its_feature_map(name: str) -> None:
    variant = SPEC.variant(name)
    with torch.device("meta"):
        network = variant.build(variant.size)
    assert isinstance(network, Sttn)
    features = network.feature_size
    for patch in network.geometry.patches:
        assert features.width % patch.width == 0
        assert features.height % patch.height == 0


def test_patches_follow_the_official_ratios_on_any_multiple_of_48() -> None:
    assert official_patches(Size(432, 240)) == (Size(108, 60), Size(36, 20), Size(18, 10), Size(9, 5))
    assert official_patches(Size(192, 96)) == (Size(48, 24), Size(16, 8), Size(8, 4), Size(4, 2))
    with torch.device("meta"):
        elsewhere = SPEC.variant("vsr-auto").build(Size(96, 48))
    assert isinstance(elsewhere, Sttn)
    assert elsewhere.geometry.patches == official_patches(Size(96, 48))


@pytest.mark.parametrize("size", [Size(100, 48), Size(48, 100), Size(0, 48), Size(47, 47)])
def test_a_size_that_patches_cannot_divide_is_refused_with_the_nearest_that_they_can(size: Size) -> None:
    with pytest.raises(ValueError, match=r"multiples of 48; the nearest is \d+x\d+"):
        TINY.build(size)


def test_attention_is_the_written_formula() -> None:
    layer = attention_of(tiny_network())
    x = torch.randn(3, 16, 12, 24, generator=torch.Generator().manual_seed(1))
    assert error(layer(x, clips=1), attend(layer, x)) < TOLERANCE["stage", "float32"]


def test_the_attention_mask_is_dead() -> None:
    """Our output is the formula's without masks; with living masks the formula gives something else (ADR 0001)."""
    network = tiny_network()
    layer = attention_of(network)
    x = torch.randn(3, 16, 12, 24, generator=torch.Generator().manual_seed(1))
    dead = np.zeros((3, 12, 24))
    dead[1] = 1
    assert error(layer(x, clips=1), attend(layer, x, dead)) > 100 * TOLERANCE["stage", "float32"]
    frames = torch.rand(1, 3, 3, HEIGHT, WIDTH) * 2 - 1
    holes = torch.zeros(1, 3, 1, HEIGHT, WIDTH)
    expected = network(frames)
    assert torch.equal(network(frames, holes), expected)
    assert torch.equal(network(frames, 1 - holes), expected)


def test_clips_of_a_batch_never_meet() -> None:
    network = tiny_network()
    clips = torch.rand(2, 3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(2)) * 2 - 1
    together = network(clips)
    alone = torch.cat([network(clip[None]) for clip in clips])
    assert error(together, alone) < TOLERANCE["stage", "float32"]


def test_a_far_reference_frame_changes_the_output() -> None:
    network = tiny_network()
    features = torch.randn(6, 16, 12, 24, generator=torch.Generator().manual_seed(3))
    changed = features.clone()
    changed[5] = torch.randn(16, 12, 24, generator=torch.Generator().manual_seed(4))
    for run in (network.infer, lambda x: SPEC.stages(network, None)[1].module(x, torch.tensor(2))):
        difference = (run(features)[:2] - run(changed)[:2]).abs()
        assert difference.flatten(1).max(dim=1).values.min() > 100 * TOLERANCE["stage", "float32"]


@pytest.mark.parametrize(("total", "targets"), [(1, 1), (2, 1), (5, 5), (16, 11)])
def test_the_stages_in_a_row_are_the_published_network(total: int, targets: int) -> None:
    network = tiny_network()
    encoder, transformer, decoder = SPEC.stages(network, None)
    frames = torch.rand(total, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(total)) * 2 - 1
    completed = transformer.module(encoder.module(frames), torch.tensor(targets))
    assert completed.shape[0] == targets
    assert error(completed, network.infer(network.encoder(frames))[:targets]) < TOLERANCE["stage", "float32"]
    assert error(decoder.module(completed), network(frames[None])[:targets]) < TOLERANCE["stage", "float32"]


@pytest.mark.parametrize("name", ["vsr-auto", "modelscope"])
def test_the_stages_fit_the_variants_with_patches_of_their_own(name: str) -> None:
    variant = SPEC.variant(name)
    torch.manual_seed(0)
    network = variant.build(variant.size).eval()
    assert isinstance(network, Sttn)
    height, width = network.feature_size.height, network.feature_size.width
    features = torch.randn(2, 256, height, width)
    with torch.no_grad():
        block = attention_of(network)
        found = StaticAttention(block, network.feature_size, last=False)(features, 0, ())
        assert error(found, block(features, clips=1)) < TOLERANCE["stage", "float32"]


@pytest.mark.parametrize(("targets", "references"), [(4, 3), (2, 1), (1, 0)])
def test_fillers_in_a_fixed_window_weigh_nothing(targets: int, references: int) -> None:
    network = tiny_network()
    window = Window(targets=4, references=3, neighbour_stride=1, reference_step=10)
    fixed, any_length = SPEC.stages(network, window)[1], SPEC.stages(network, None)[1]
    real = torch.randn(targets + references, 16, 12, 24, generator=torch.Generator().manual_seed(5))
    slots = torch.full((7, 16, 12, 24), 3.0)  # what fillers hold does not matter
    slots[:targets], slots[4 : 4 + references] = real[:targets], real[targets:]
    silent = torch.full((7,), SILENT)
    silent[:targets], silent[4 : 4 + references] = 0.0, 0.0
    biases = [silent.repeat_interleave(int(port.shape[0]) // 7) for port in fixed.inputs[1:]]
    found = fixed.module(slots, *biases)[:targets]
    wanted = any_length.module(real, torch.tensor(targets))
    assert error(found, wanted) < TOLERANCE["filler", "float32"]


@given(
    frames=st.integers(1, 3),
    channels=st.integers(1, 3),
    rows=st.integers(1, 4),
    columns=st.integers(1, 4),
    patch=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
@settings(max_examples=60, deadline=None)
def test_cutting_and_pasting_patches_gives_back_the_picture(
    frames: int, channels: int, rows: int, columns: int, patch: tuple[int, int]
) -> None:
    size = Size(*patch)
    features = Size(columns * size.width, rows * size.height)
    shape = torch.Size((frames, 4 * channels, features.height, features.width))
    x = torch.arange(shape.numel(), dtype=torch.float32).reshape(shape)
    tokens = patchify(x, size, clips=1)
    assert torch.equal(unpatchify(tokens, size, shape), x)
    layer = StaticAttention(PatchAttention(4 * channels, (size,)), features, last=False)
    innermost = x.permute(0, 2, 3, 1)
    static = layer.cut(innermost, size)
    assert static.shape == tokens.shape[1:]
    assert torch.equal(layer.paste(static, size), innermost)
    # the same patches in the same order, their values permuted alike
    assert torch.equal(static.sort(dim=1).values, tokens[0].sort(dim=1).values)
