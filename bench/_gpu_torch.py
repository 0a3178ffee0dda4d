"""A PyTorch row: python -m bench._gpu_torch ROW VARIANT WEIGHTS CLIP BUNDLE prints its figures.

The released test program's calls in float32, or half precision compiled with the even schedule: a careful user's best.
From file to file and stage by stage, as `bench._gpu_backend` measures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

import models
from bench._gpu_backend import PASSES, ROTATED_BYTES
from bench._gpu_plan import PUBLISHED
from bench._gpu_steps import Figure, write_output
from bench._gpu_table import SPEED
from bench.torch_rows import TorchNetwork, as_tensor, compiled, published, unpainted
from calib.clips import read_masked, whole_frame
from runtime.blend import CentredAverage, PublishedAverage, samples
from runtime.bundle import Manifest, read_bundle
from runtime.composite import Finish, composite
from runtime.frame import Masked
from runtime.patch import Patch
from runtime.schedule import make_schedule
from runtime.video import Encoding, open_work, open_writer, probe

_ROUNDS = 9  # timed, after two that warm up
_MOST_SETS = 256


def main(row: str, variant: str, weights: Path, clip: Path, bundle: Path, device: str = "cuda") -> None:
    """Measure and print."""
    manifest = read_bundle(bundle).manifest
    network, schedule = open_network(row, variant, weights, device)
    with torch.inference_mode():
        run_clip(network, schedule, clip, manifest, device)  # compiles, and chooses algorithms
        passes = [run_clip(network, schedule, clip, manifest, device) for _ in range(PASSES)]
        seconds = median(taken for _, taken in passes)
        frames = passes[0][0]
        note = f"median of {PASSES} passes of {frames} frames, file to file"
        figures = [Figure(SPEED, frames / seconds, "", note), *stages(network, manifest, device, ROTATED_BYTES)]
    print(write_output(figures, f"torch {torch.__version__}, schedule {schedule}"))


def open_network(row: str, variant: str, weights: Path, device: str) -> tuple[TorchNetwork, str]:
    """The network of a row on the device, and the name of its schedule."""
    spec = models.get(models.DEFAULT)
    chosen = spec.variant(variant)
    module = chosen.build(chosen.size)
    module.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    module = module.to(device).eval().requires_grad_(False)
    return (published(module), "reference") if row == PUBLISHED else (compiled(module, torch.float16), "steady")


def run_clip(
    network: TorchNetwork, schedule_name: str, clip: Path, manifest: Manifest, device: str
) -> tuple[int, float]:
    """Frames of the clip, and the seconds of their repair, decoding and encoding included."""
    started = time.perf_counter()
    frames = list(read_masked(clip))
    rule = manifest.pixels
    crop = whole_frame(frames[0].frame).crop
    patches = [unpainted(masked, crop, rule) for masked in frames]
    features = network.encode(torch.cat([as_tensor(patch, rule) for patch in patches]).to(device))
    schedule = make_schedule(schedule_name, manifest.schedule)
    make_blend = PublishedAverage if schedule.to_the_letter else CentredAverage
    blends = [make_blend() for _ in frames]
    for window in schedule.windows(lambda index: index < len(frames)):
        seen = features[[*window.targets, *window.references]]
        painted = network.decode(network.transform(seen, len(window.targets))).float().cpu().numpy()
        for picture, index in zip(painted, window.targets, strict=True):
            blends[index].add(samples(picture, rule), window, index)
    _write(clip, frames, [replace(patch, fill=blend.result()) for patch, blend in zip(patches, blends, strict=True)])
    return len(frames), time.perf_counter() - started


def stages(network: TorchNetwork, manifest: Manifest, device: str, rotated_bytes: int) -> list[Figure]:
    """Milliseconds of each stage alone: a frame in the encoder and decoder, a full window in the transformer."""
    rule, window = manifest.pixels, manifest.schedule
    seen = window.targets + window.references
    picture = torch.rand(1, 3, rule.height, rule.width, device=device) * 2 - 1
    feature = network.encode(picture).contiguous()
    several = feature.expand(seen, -1, -1, -1).contiguous()
    calls: Sequence[tuple[str, Callable[[Tensor], Tensor], Tensor]] = (
        ("encoder", network.encode, picture),
        ("transformer", lambda features: network.transform(features, window.targets), several),
        ("decoder", network.decode, feature),
    )
    return [
        Figure(name, _stage_ms(call, tensor, rotated_bytes), "ms", "x".join(map(str, tensor.shape)))
        for name, call, tensor in calls
    ]


def _stage_ms(call: Callable[[Tensor], Tensor], tensor: Tensor, rotated_bytes: int) -> float:
    """Milliseconds of a call: the median of rounds, each through copies of its input that fill `rotated_bytes`."""
    sets = max(2, min(_MOST_SETS, ceil(rotated_bytes / (tensor.nbytes + call(tensor).nbytes))))
    copies = [tensor.clone() for _ in range(sets)]
    rounds: list[float] = []
    for _ in range(_ROUNDS + 2):
        _wait(tensor)
        begun = time.perf_counter()
        for each in copies:
            call(each)
        _wait(tensor)
        rounds.append(time.perf_counter() - begun)
    return 1000 * median(rounds[2:]) / sets


def _wait(tensor: Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize()


def _write(clip: Path, frames: Sequence[Masked], patches: Sequence[Patch]) -> None:
    with tempfile.TemporaryDirectory(prefix="vidmend-gpu-") as folder:
        out = Path(folder) / clip.name
        with (
            open_work(out, "", resume=False, overwrite=True) as work,
            open_writer(out, probe(clip), Encoding(), work) as writer,
        ):
            for masked, patch in zip(frames, patches, strict=True):
                writer.write(composite(masked.frame, [patch], Finish()))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), Path(sys.argv[5]))
