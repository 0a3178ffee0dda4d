"""The PyTorch rows: the published way, and the best that plain PyTorch does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.row import Figures, Row
from calib.clips import read_masked, whole_frame
from runtime.blend import CentredAverage, PublishedAverage, samples
from runtime.bundle import Bundle, PixelRule
from runtime.composite import Finish, composite
from runtime.frame import Masked
from runtime.holes import cover
from runtime.patch import Crop, Patch
from runtime.pixels import normalise, shrink
from runtime.schedule import FrameWindow, make_schedule
from runtime.video import Encoding, open_work, open_writer, probe

WINDOWS = 3  # of the middle of the clip, timed after one that warms up


@dataclass(frozen=True, slots=True)
class TorchNetwork:
    """The three calls, as a row wants them made."""

    encode: Callable[[Tensor], Tensor]  # [B,3,H,W] -> [B,C,h,w]
    transform: Callable[[Tensor, int], Tensor]  # [T,C,h,w], targets -> [N,C,h,w]
    decode: Callable[[Tensor], Tensor]  # [B,C,h,w] -> [B,3,H,W] in -1..1


class Parts(Protocol):
    """What the published test program calls of a network."""

    def encoder(self, rgb: Tensor) -> Tensor:
        """`[B, 3, H, W]` -> `[B, C, h, w]`."""
        ...

    def infer(self, features: Tensor) -> Tensor:
        """`[T, C, h, w]` -> the same."""
        ...

    def decoder(self, features: Tensor) -> Tensor:
        """`[B, C, h, w]` -> `[B, 3, H, W]`, before tanh."""
        ...


def published(module: nn.Module) -> TorchNetwork:
    """Eager, fp32, default layout: the calls of the released test program."""
    network = cast("Parts", module)
    return TorchNetwork(
        encode=network.encoder,
        transform=lambda features, targets: network.infer(features)[:targets],
        decode=lambda features: torch.tanh(network.decoder(features)),
    )


def compiled(module: nn.Module, dtype: torch.dtype = torch.bfloat16) -> TorchNetwork:
    """Half precision, channels last, compiled: what a careful PyTorch user would run."""
    network = cast("Parts", module.to(dtype).to(memory_format=torch.channels_last))  # pyright: ignore[reportCallIssue]
    encode: Callable[[Tensor], Tensor] = torch.compile(network.encoder)
    infer: Callable[[Tensor], Tensor] = torch.compile(network.infer)
    decode: Callable[[Tensor], Tensor] = torch.compile(network.decoder)

    def half(tensor: Tensor) -> Tensor:
        return tensor.to(dtype=dtype, memory_format=torch.channels_last)

    return TorchNetwork(
        encode=lambda rgb: encode(half(rgb)),
        transform=lambda features, targets: infer(features)[:targets],
        decode=lambda features: torch.tanh(decode(features).float()),
    )


@torch.inference_mode()
def measure(row: Row, network: TorchNetwork, schedule_name: str, bundle: Bundle) -> Figures:
    """Whole-clip seconds: decoding, encoder and writing measured whole, windows timed in the middle and scaled.

    A window's time is the median of `WINDOWS`; the windows at the clip's ends of the published schedule are smaller,
    so each is charged by its number of frames.
    """
    rule = bundle.manifest.pixels
    started = time.perf_counter()
    frames = list(read_masked(row.video))
    crop = whole_frame(frames[0].frame).crop
    patches = [unpainted(masked, crop, rule) for masked in frames]
    inputs = [as_tensor(patch, rule) for patch in patches]
    read_s = time.perf_counter() - started
    network.encode(inputs[0])  # compilation, where there is one, is not counted
    started = time.perf_counter()
    features = torch.cat([network.encode(tensor) for tensor in inputs])
    encode_s = time.perf_counter() - started
    schedule = make_schedule(schedule_name, bundle.manifest.schedule)
    windows = list(schedule.windows(lambda index: index < len(frames)))
    middle = max(0, len(windows) // 2 - WINDOWS // 2)
    chosen = windows[middle : middle + WINDOWS]
    make_blend = PublishedAverage if schedule.to_the_letter else CentredAverage
    blends = {index: make_blend() for index in range(len(frames))}

    def run(window: FrameWindow) -> float:
        begun = time.perf_counter()
        seen = features[[*window.targets, *window.references]]
        painted = network.decode(network.transform(seen, len(window.targets)))
        for picture, index in zip(painted.numpy(), window.targets, strict=True):
            blends[index].add(samples(picture, rule), window, index)
        return (time.perf_counter() - begun) / (len(window.targets) + len(window.references))

    run(chosen[0])
    per_frame = float(np.median([run(window) for window in chosen]))
    windows_s = per_frame * sum(len(window.targets) + len(window.references) for window in windows)
    picture = blends[chosen[0].targets[0]].result()  # any one serves for all frames
    write_s = _write(row, frames, [replace(patch, fill=picture) for patch in patches])
    note = f"{len(chosen)} of {len(windows)} windows timed ({per_frame:.2f} s a frame in a window), scaled"
    return Figures(len(frames), read_s + encode_s + windows_s + write_s, note)


def _write(row: Row, frames: list[Masked], patches: list[Patch]) -> float:
    """Seconds to composite and write the clip."""
    started = time.perf_counter()
    with (
        open_work(row.out, "", resume=False, overwrite=True) as work,
        open_writer(row.out, probe(row.video), Encoding(), work) as writer,
    ):
        for masked, patch in zip(frames, patches, strict=True):
            writer.write(composite(masked.frame, [patch], Finish()))
    return time.perf_counter() - started


def unpainted(masked: Masked, crop: Crop, rule: PixelRule) -> Patch:
    """What the network sees of a frame, its hole as it was."""
    hole = None if masked.hole is None else cover(masked.hole, crop, rule, rule.dilate)
    view = shrink(masked.frame, crop, rule)
    return Patch(crop, view, view, np.zeros((rule.height, rule.width), np.bool_) if hole is None else hole)


def as_tensor(patch: Patch, rule: PixelRule) -> Tensor:
    """What the encoder takes of a frame, `[1, 3, H, W]`, its hole blanked."""
    out = np.empty((3, rule.height, rule.width), np.float32)
    normalise(patch.view, patch.hole, rule, out)
    return torch.from_numpy(out)[None]
