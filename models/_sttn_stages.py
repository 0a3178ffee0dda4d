"""STTN as three graphs of static reshapes: encoder, transformer, decoder (docs/adr/0002).

Attention does not care in which order a token's values lie as long as queries, keys and values agree.  So tokens are
cut from channels-innermost maps `[T, h, w, c]`: a patch row is then one run of memory, and only the axes (row in patch,
column of patches) swap, at rank 4.  A head whose patch is as wide as the map needs not even that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models._spec import Part, Port, Size, Stage, Window

if TYPE_CHECKING:
    from models.sttn import PatchAttention, Sttn, TransformerBlock, UpsamplingConv

_REACHES = (2, 2)  # by how many pixels the decoder's convolutions look to each side, after either doubling


class Projection(nn.Module):
    """Several 1x1 convolutions of one input as one, each multiplied by a constant per output channel.

    The product is left to the graph (the exporter or the runtime folds it), so that weights which are half-precision
    numbers can be stored as such: scaled ones would not be.
    """

    scale: Tensor
    bias: Tensor

    def __init__(self, parts: Sequence[tuple[nn.Conv2d, Tensor]]) -> None:
        super().__init__()
        scale = torch.cat([factor for _, factor in parts])
        self.weight = nn.Parameter(torch.cat([conv.weight for conv, _ in parts]).detach())
        self.register_buffer("scale", scale.reshape(-1, 1, 1, 1))
        self.register_buffer("bias", torch.cat([cast("Tensor", conv.bias) for conv, _ in parts]).detach() * scale)

    def forward(self, x: Tensor) -> Tensor:
        """`[T, C, h, w]` -> `[T, rows of all parts, h, w]`."""
        return F.conv2d(x, self.weight * self.scale, self.bias)


class StaticAttention(nn.Module):
    """Patch attention with every size but the number of frames a constant; may compute the first frames alone."""

    def __init__(self, published: PatchAttention, features: Size, last: bool) -> None:
        super().__init__()
        self.features = features
        self.patches = published.patches
        self.last = last
        channels = published.query_embedding.out_channels
        self.width = channels // len(self.patches)
        # d^-1/4 into both Q and K: 1/sqrt(d) into one alone would push it into fp16's subnormals
        gentle = torch.cat([torch.full((self.width,), self._token_width(patch) ** -0.25) for patch in self.patches])
        query = (published.query_embedding, gentle)
        key_value = [(published.key_embedding, gentle), (published.value_embedding, torch.ones(channels))]
        self.qkv = Projection(key_value if last else [query, *key_value])
        self.query = Projection([query]) if last else nn.Identity()
        self.output = published.output_linear

    def forward(self, x: Tensor, targets: Tensor | int, biases: Sequence[Tensor]) -> Tensor:
        """`[T, C, h, w]` -> the same, or `[targets, C, h, w]` in the last block; a bias `[tokens]` per head or none."""
        parts = self.qkv(x).split(self.width, dim=1)
        if self.last:
            parts = self.query(x[:targets]).split(self.width, dim=1) + parts
        heads = len(self.patches)
        attended: list[Tensor] = []
        for head, patch in enumerate(self.patches):
            query, key, value = (self.cut(part.permute(0, 2, 3, 1), patch) for part in parts[head::heads])
            scores = query @ key.transpose(0, 1)
            if biases:
                scores = scores + biases[head]
            attended.append(self.paste(torch.softmax(scores, dim=1) @ value, patch))
        return self.output(torch.cat(attended, dim=3).permute(0, 3, 1, 2))

    def grids(self) -> list[tuple[int, int]]:
        """Rows and columns of patches in a frame, head by head."""
        return [(self._rows(patch), self._columns(patch)) for patch in self.patches]

    def cut(self, x: Tensor, patch: Size) -> Tensor:
        """`[T, h, w, c]` -> tokens `[T*rows*columns, patch height*patch width*c]`."""
        columns, run = self._columns(patch), patch.width * self.width
        if columns > 1:
            x = x.reshape(-1, patch.height, columns, run).transpose(1, 2)
        return x.reshape(-1, patch.height * run)

    def paste(self, tokens: Tensor, patch: Size) -> Tensor:
        """The inverse of `cut`."""
        columns, run = self._columns(patch), patch.width * self.width
        if columns > 1:
            tokens = tokens.reshape(-1, columns, patch.height, run).transpose(1, 2)
        return tokens.reshape(-1, self.features.height, self.features.width, self.width)

    def _columns(self, patch: Size) -> int:
        return self.features.width // patch.width

    def _rows(self, patch: Size) -> int:
        return self.features.height // patch.height

    def _token_width(self, patch: Size) -> int:
        return self.width * patch.width * patch.height


class StaticBlock(nn.Module):
    """A transformer block; the last one computes the target frames alone, which are all that is decoded."""

    def __init__(self, published: TransformerBlock, features: Size, last: bool) -> None:
        super().__init__()
        self.attention = StaticAttention(published.attention, features, last)
        self.feed_forward = published.feed_forward
        self.last = last

    def forward(self, x: Tensor, targets: Tensor | int, biases: Sequence[Tensor]) -> Tensor:
        """`[T, C, h, w]` -> the same, or `[targets, C, h, w]` in the last block."""
        attended = self.attention(x, targets, biases)
        x = (x[:targets] if self.last else x) + attended
        return x + self.feed_forward(x)


class WindowTransformer(nn.Module):
    """All blocks over one window, target frames first."""

    def __init__(self, network: Sttn, targets: int | None) -> None:
        super().__init__()
        last = len(network.transformer) - 1
        published = cast("Sequence[TransformerBlock]", network.transformer)
        self.targets = targets
        self.masked = network.geometry.masked
        self.blocks = nn.ModuleList(
            StaticBlock(block, network.feature_size, i == last) for i, block in enumerate(published)
        )

    def forward(self, features: Tensor, *inputs: Tensor) -> Tensor:
        """`[T, C, h, w]`; the number of targets unless fixed; a key bias per head where fixed or masked."""
        targets, biases = (inputs[0], inputs[1:]) if self.targets is None else (self.targets, inputs)
        if self.masked:
            biases = tuple(bias.reshape(-1) for bias in biases)
        for block in self.blocks:
            features = block(features, targets, biases)
        return features


class RgbDecoder(nn.Module):
    """The decoder with the tanh that the published code applies outside it."""

    def __init__(self, network: Sttn) -> None:
        super().__init__()
        self.decoder = network.decoder

    def forward(self, features: Tensor) -> Tensor:
        """`[B, C, h, w]` -> `[B, 3, 4h, 4w]` in [-1, 1]."""
        return torch.tanh(self.decoder(features))


class PartDecoder(nn.Module):
    """The decoder for a rectangle of its features, with the whole picture's interpolation handed in (docs/adr/0016)."""

    def __init__(self, network: Sttn) -> None:
        super().__init__()
        first, *between, second, _, last = network.decoder
        self.first, self.second = cast("UpsamplingConv", first).conv, cast("UpsamplingConv", second).conv
        self.between = nn.Sequential(*between)
        self.last = nn.Sequential(nn.LeakyReLU(0.2), last)

    def forward(self, features: Tensor, *doublings: Tensor) -> Tensor:
        """`[B, C, h, w]` and `rows` `[2h, h]`, `columns` `[w, 2w]` of both doublings -> `[B, 3, 4h, 4w]` in [-1, 1]."""
        rows_1, columns_1, rows_2, columns_2 = doublings
        x = self.between(self.first(rows_1 @ (features @ columns_1)))
        return torch.tanh(self.last(self.second(rows_2 @ (x @ columns_2))))


def halo_of(reaches: Sequence[int]) -> int:
    """How many pixels at a side of a rectangle are wrong when it ends inside the picture.

    With `wrong` of them before a doubling, the interpolation lacks a neighbour in `2 wrong + 1` of its results: those
    that lie beside wrong ones, and the outermost of the others, whose source lies up to half a pixel further out
    (docs/adr/0016).  Convolutions then spread them by their reach.
    """
    wrong = 0
    for reach in reaches:
        wrong = 2 * wrong + 1 + reach
    return wrong


def part_of(network: Sttn, batch: Port) -> Part:
    """The decoder for a rectangle; `batch` is the whole decoder's input."""
    inputs = [Port(batch.name, (*batch.shape[:2], "h", "w"))]
    for number, (small, large) in enumerate((("", "2"), ("2", "4")), start=1):
        inputs.append(Port(f"rows_{number}", (f"{large}h", f"{small}h")))
        inputs.append(Port(f"columns_{number}", (f"{small}w", f"{large}w")))
    return Part(PartDecoder(network), tuple(inputs), (Port("rgb", ("B", 3, "4h", "4w")),), halo_of(_REACHES))


def stages(module: nn.Module, window: Window | None) -> tuple[Stage, ...]:
    """The three graphs of a network; with a `window` the transformer takes exactly its frames, else any number.

    A fixed transformer has the slots of all targets first, then those of all references, and per head a `key_bias`
    over all tokens: 0 for a real frame's, `SILENT` for a filler's, which then weighs exactly nothing.  A masked network
    has them with any number of frames, too, and then they say more, so that their shape says which patch is whose.
    """
    network = cast("Sttn", module)
    size, channels = network.size, network.geometry.channels
    inside = (channels, network.feature_size.height, network.feature_size.width)
    rgb = (3, size.height, size.width)
    transformer = WindowTransformer(network, window.targets if window else None)
    total: int | str = window.targets + window.references if window else "T"
    extra = [] if window else [Port("targets", (), "int64", holds="N")]
    for head, (rows, columns) in enumerate(cast("StaticBlock", transformer.blocks[0]).attention.grids()):
        if network.geometry.masked:
            extra.append(Port(f"key_bias_{head}", (total, rows, columns)))
        elif window:
            extra.append(Port(f"key_bias_{head}", ((window.targets + window.references) * rows * columns,)))
    features = Port("features", ("B", *inside))
    return (
        Stage("encoder", network.encoder, (Port("rgb", ("B", *rgb)),), (features,)),
        Stage(
            "transformer",
            transformer,
            (Port("features", (total, *inside)), *extra),
            (Port("completed", (window.targets if window else "N", *inside)),),
        ),
        Stage(
            "decoder", RgbDecoder(network), (features,), (Port("rgb", ("B", *rgb)),), part=part_of(network, features)
        ),
    )
