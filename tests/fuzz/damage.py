"""Small whole videos, and seeded ways to damage them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from tests.clips import Clip, write_clip

SAMPLES = {
    "phone.mp4": Clip(64, 48, 24, options=(("bf", "2"),), gop=8, audio_codec="aac", audio_seconds=1),
    "archive.mkv": Clip(64, 48, 24, codec="ffv1", time_base=Fraction(1, 1000), pts=range(0, 960, 40)),
    "web.webm": Clip(64, 48, 24, codec="libvpx-vp9", gop=8, audio_codec="libopus", audio_seconds=1),
    "broadcast.ts": Clip(64, 48, 24, options=(("bf", "2"),), gop=8, audio_codec="mp2", audio_seconds=1),
}
MOST_FLIPS = 40


def write_samples(folder: Path) -> dict[str, bytes]:
    """The bytes of each sample, made in `folder`."""
    # An MP4 with its index in front can be used when its end is missing.
    return {name: write_clip(folder / name, clip, movflags="faststart").read_bytes() for name, clip in SAMPLES.items()}


def damaged(data: bytes, seed: int) -> bytes:
    """`data` cut short, with one bit flipped, with up to 40 flipped, or cut and flipped: by turns with the seed."""
    chance = np.random.default_rng(seed)
    kind = seed % 4
    changed = bytearray(data)
    if kind:
        for place in chance.integers(0, len(changed), 1 if kind == 1 else int(chance.integers(2, MOST_FLIPS))):
            changed[place] ^= 1 << int(chance.integers(0, 8))
    end = int(chance.integers(1, len(data))) if kind in (0, 3) else len(data)
    return bytes(changed[:end])
