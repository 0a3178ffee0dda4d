"""STTN, the Spatial-Temporal Transformer Network for video inpainting, as published.

Zeng, Fu, Chao: "Learning Joint Spatial-Temporal Transformations for Video Inpainting", ECCV 2020, arXiv:2007.10247;
code at github.com/researchmm/STTN (MIT).  State-dict keys are the published ones: its checkpoints load unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models._spec import ModelSpec, Pixels, Size, Variant, Window
from models._sttn_masking import key_biases
from models._sttn_stages import stages

SCALE = 4  # pixels per feature, both ways
HEAD_RATIOS = (1, 3, 6, 12)  # feature map over patch, head by head, in the official geometry
SIZE_MULTIPLE = SCALE * HEAD_RATIOS[-1]

Look = Callable[[Tensor, int], Tensor]  # scores `[clips, queries, keys]` and the head's number -> shares that sum to 1


@dataclass(frozen=True, slots=True)
class Geometry:
    """The widths and patches that make one STTN out of the family."""

    channels: int  # of a feature; the encoder's and decoder's widths follow
    blocks: int
    patches: tuple[Size, ...]  # of each head, in features
    masked: bool = False  # whether attention leaves out keys that show mostly hole


class UpsamplingConv(nn.Module):
    """Bilinear doubling, corners aligned, then a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, inputs, h, w]` -> `[B, outputs, 2h, 2w]`."""
        return self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True))


class PatchAttention(nn.Module):
    """Each head attends between patches of its own size across all frames of a clip (paper, section 3.2)."""

    def __init__(self, channels: int, patches: tuple[Size, ...]) -> None:
        super().__init__()
        self.patches = patches
        self.look: Look = attend  # training puts another in its place for some steps
        self.query_embedding = nn.Conv2d(channels, channels, 1)
        self.value_embedding = nn.Conv2d(channels, channels, 1)
        self.key_embedding = nn.Conv2d(channels, channels, 1)
        self.output_linear = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor, clips: int, biases: Sequence[Tensor] = ()) -> Tensor:
        """`[clips*T, C, h, w]` -> the same; frames of different clips never meet.

        `biases`, one per head or none, are added to the scores: `[clips, 1, tokens]`, see `key_biases`.
        """
        heads = len(self.patches)
        queries = self.query_embedding(x).chunk(heads, dim=1)
        keys = self.key_embedding(x).chunk(heads, dim=1)
        values = self.value_embedding(x).chunk(heads, dim=1)
        attended: list[Tensor] = []
        for head, (query, key, value, patch) in enumerate(zip(queries, keys, values, self.patches, strict=True)):
            q, k, v = (patchify(part, patch, clips) for part in (query, key, value))
            scores = attention_scores(q, k)
            if biases:
                scores = scores + biases[head]
            attended.append(unpatchify(self.look(scores, head) @ v, patch, value.shape))
        return self.output_linear(torch.cat(attended, dim=1))


class FeedForward(nn.Module):
    """Two 3x3 convolutions, the first dilated."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """`[T, C, h, w]` -> the same."""
        return self.conv(x)


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each added to what came in; no normalisation."""

    def __init__(self, channels: int, patches: tuple[Size, ...]) -> None:
        super().__init__()
        self.attention = PatchAttention(channels, patches)
        self.feed_forward = FeedForward(channels)

    def forward(self, x: Tensor, clips: int, biases: Sequence[Tensor] = ()) -> Tensor:
        """`[clips*T, C, h, w]` -> the same; `biases` as in `PatchAttention`."""
        x = x + self.attention(x, clips, biases)
        return x + self.feed_forward(x)


class Sttn(nn.Module):
    """The published generator; with `geometry.masked` its attention as the paper describes it."""

    def __init__(self, geometry: Geometry, size: Size) -> None:
        super().__init__()
        channels = geometry.channels
        half, quarter = channels // 2, channels // 4
        self.geometry = geometry
        self.size = size
        self.feature_size = Size(size.width // SCALE, size.height // SCALE)
        self.encoder = nn.Sequential(
            nn.Conv2d(3, quarter, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, quarter, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, half, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.transformer = nn.Sequential(
            *(TransformerBlock(channels, geometry.patches) for _ in range(geometry.blocks))
        )
        self.decoder = nn.Sequential(
            UpsamplingConv(channels, half),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.LeakyReLU(0.2),
            UpsamplingConv(quarter, quarter),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, 3, 3, padding=1),
        )

    def forward(self, masked_frames: Tensor, masks: Tensor | None = None) -> Tensor:
        """Clips `[B, T, 3, H, W]` in [-1, 1], holes at 0 -> completed frames `[B*T, 3, H, W]` in [-1, 1].

        `masks` `[B, T, 1, H, W]`, 1 = hole, is in the published signature.  It has no effect, as it has none there
        (docs/adr/0001), unless the geometry is `masked`: then it is needed, and `ValueError` says so.
        """
        clips = masked_frames.shape[0]
        frame_masks = None if masks is None else masks.flatten(0, 1)
        features = self.infer(self.encoder(masked_frames.flatten(0, 1)), frame_masks, clips)
        return torch.tanh(self.decoder(features))

    def infer(self, features: Tensor, masks: Tensor | None = None, clips: int = 1) -> Tensor:
        """Encoded frames `[clips*T, C, h, w]` -> completed features, same shape; `masks` `[clips*T, 1, H, W]`."""
        biases = self.biases(masks, clips)
        for block in self.transformer:
            features = block(features, clips, biases)
        return features

    def biases(self, masks: Tensor | None, clips: int = 1) -> tuple[Tensor, ...]:
        """What is added to each head's scores, see `key_biases`; nothing unless the geometry is `masked`."""
        if not self.geometry.masked:
            return ()
        if masks is None:
            raise ValueError("this network's attention is masked: it needs the masks beside the frames")
        # the published reduction, F.interpolate by 1/4, is nearest: the top left pixel of each feature
        return key_biases(masks[..., ::SCALE, ::SCALE], self.geometry.patches, clips)


def attention_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Before the softmax, of tokens `[clips, tokens, length]`: `[clips, queries, keys]` (paper, section 3.2)."""
    return queries @ keys.transpose(1, 2) / math.sqrt(queries.shape[2])


def attend(scores: Tensor, _head: int) -> Tensor:
    """How much each query looks at each key: the softmax of its scores, `[clips, queries, keys]`."""
    return torch.softmax(scores, dim=2)


def patchify(x: Tensor, patch: Size, clips: int) -> Tensor:
    """`[clips*T, C, h, w]` -> tokens `[clips, T*rows*columns, C*patch area]`.

    Tokens are ordered (frame, patch row, patch column), a token's values (channel, row, column).
    """
    frames, channels, height, width = x.shape
    rows, columns = height // patch.height, width // patch.width
    x = x.reshape(frames, channels, rows, patch.height, columns, patch.width).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(clips, frames // clips * rows * columns, channels * patch.height * patch.width)


def unpatchify(tokens: Tensor, patch: Size, shape: torch.Size) -> Tensor:
    """The inverse of `patchify`; `shape` is that of the picture."""
    frames, channels, height, width = shape
    rows, columns = height // patch.height, width // patch.width
    x = tokens.reshape(frames, rows, columns, channels, patch.height, patch.width).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(shape)


def official_patches(size: Size) -> tuple[Size, ...]:
    """The patches of the published geometry on another size; raises `ValueError` when they do not divide it."""
    if min(size.width, size.height) < SIZE_MULTIPLE or size.width % SIZE_MULTIPLE or size.height % SIZE_MULTIPLE:
        nearest = Size(*(max(1, round(side / SIZE_MULTIPLE)) * SIZE_MULTIPLE for side in (size.width, size.height)))
        raise ValueError(
            f"size {size}: width and height must be multiples of {SIZE_MULTIPLE}; the nearest is {nearest}"
        )
    features = Size(size.width // SCALE, size.height // SCALE)
    return tuple(Size(features.width // ratio, features.height // ratio) for ratio in HEAD_RATIOS)


def variant(
    name: str,
    summary: str,
    *,
    size: Size,
    parameters: int,
    channels: int = 256,
    blocks: int = 8,
    patches: tuple[Size, ...] | None = None,
    pixels: Pixels | None = None,
    window: Window | None = None,
    masked: bool = False,
) -> Variant:
    """A member of the family; whatever is not named is as published.  `patches` hold at `size` only."""
    own_patches = official_patches(size) if patches is None else patches

    def build(at: Size) -> Sttn:
        return Sttn(Geometry(channels, blocks, own_patches if at == size else official_patches(at), masked), at)

    return Variant(
        name=name,
        summary=summary,
        size=size,
        parameters=parameters,
        pixels=pixels or Pixels("rgb", low=-1.0, high=1.0, mask_applied=True, hole_value=0.0, dilate=4),
        window=window or Window(targets=11, references=5, neighbour_stride=5, reference_step=10),
        build=build,
        by_name_only=masked,  # no tensor tells it from the network of the same widths
    )


SPEC = ModelSpec(
    name="sttn",
    source="Zeng, Fu, Chao, ECCV 2020, arXiv:2007.10247; published code: MIT",
    variants=(
        variant(
            "small",
            "432x240, 128 channels, 6 blocks: half the width of the published network",
            size=Size(432, 240),
            parameters=3_158_595,
            channels=128,
            blocks=6,
        ),
        variant(
            "masked",
            "432x240, as small, but attention leaves out what is mostly hole, as the paper describes it",
            size=Size(432, 240),
            parameters=3_158_595,
            channels=128,
            blocks=6,
            masked=True,
        ),
        variant(
            "official",
            "432x240, 256 channels, 8 blocks: sttn.pth, and sttn-det of video-subtitle-remover",
            size=Size(432, 240),
            parameters=16_556_163,
        ),
        variant(
            "vsr-auto",
            "640x120, 256 channels, 8 blocks, sees the frame unmasked: sttn-auto of video-subtitle-remover",
            size=Size(640, 120),
            parameters=16_556_163,
            patches=(Size(80, 15), Size(32, 6), Size(10, 5), Size(5, 3)),
            pixels=Pixels("rgb", low=-1.0, high=1.0, mask_applied=False, hole_value=0.0, dilate=4),
        ),
        variant(
            "modelscope",
            "192x96, 256 channels, 6 blocks, blue first: the ModelScope hub's STTN",
            size=Size(192, 96),
            parameters=12_620_931,
            blocks=6,
            pixels=Pixels("bgr", low=-1.0, high=1.0, mask_applied=True, hole_value=0.0, dilate=4),
            window=Window(targets=41, references=1, neighbour_stride=20, reference_step=300),
        ),
    ),
    default_variant="small",
    containers=("netG",),
    size_rule=f"width and height are multiples of {SIZE_MULTIPLE}, or the variant's own size",
    stages=stages,
)
