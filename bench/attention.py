"""Ways to lay out patch attention's tokens, timed side by side in onnxruntime and OpenVINO (docs/adr/0002).

python -m bench.attention --frames 16 --repeats 9
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from rich.console import Console
from torch import Tensor, nn

from export.build import make_graph
from models._spec import Port, Size, Stage
from models._sttn_stages import StaticAttention, StaticBlock
from models.sttn import SPEC, Sttn
from runtime.backends.openvino import core

Run = Callable[[npt.NDArray[np.float32]], object]


class TransposedOnce(StaticAttention):
    """All of Q, K and V made channels-innermost by one transpose, then split."""

    def forward(self, x: Tensor, targets: Tensor | int, biases: Sequence[Tensor]) -> Tensor:
        """`[T, C, h, w]` -> the same."""
        parts = self.qkv(x).permute(0, 2, 3, 1).split(self.width, dim=3)
        heads = len(self.patches)
        attended = [
            self.paste(attend(*(self.cut(part, patch) for part in parts[head::heads])), patch)
            for head, patch in enumerate(self.patches)
        ]
        return self.output(torch.cat(attended, dim=3).permute(0, 3, 1, 2))


class ChannelsFirst(StaticAttention):
    """Token values in (channel, row, column) order: two swaps of two axes each way, at rank 4."""

    def forward(self, x: Tensor, targets: Tensor | int, biases: Sequence[Tensor]) -> Tensor:
        """`[T, C, h, w]` -> the same."""
        parts = self.qkv(x).split(self.width, dim=1)
        attended: list[Tensor] = []
        for head, patch in enumerate(self.patches):
            area, columns = patch.width * patch.height, self.features.width // patch.width
            tokens = columns * (self.features.height // patch.height)
            query, key, value = (
                part.reshape(-1, patch.height, columns, patch.width)
                .transpose(1, 2)
                .reshape(-1, self.width, tokens, area)
                .transpose(1, 2)
                .reshape(-1, self.width * area)
                for part in parts[head :: len(self.patches)]
            )
            back = attend(query, key, value).reshape(-1, tokens, self.width, area).transpose(1, 2)
            back = back.reshape(-1, columns, patch.height, patch.width).transpose(1, 2)
            attended.append(back.reshape(-1, self.width, self.features.height, self.features.width))
        return self.output(torch.cat(attended, dim=1))


class Published(StaticAttention):
    """The published code's order, by one permute of six axes each way."""

    def forward(self, x: Tensor, targets: Tensor | int, biases: Sequence[Tensor]) -> Tensor:
        """`[T, C, h, w]` -> the same."""
        parts = self.qkv(x).split(self.width, dim=1)
        attended: list[Tensor] = []
        for head, patch in enumerate(self.patches):
            rows, columns = self.features.height // patch.height, self.features.width // patch.width
            query, key, value = (
                part.reshape(-1, self.width, rows, patch.height, columns, patch.width)
                .permute(0, 2, 4, 1, 3, 5)
                .reshape(-1, self.width * patch.height * patch.width)
                for part in parts[head :: len(self.patches)]
            )
            back = attend(query, key, value).reshape(-1, rows, columns, self.width, patch.height, patch.width)
            back = back.permute(0, 3, 1, 4, 2, 5)
            attended.append(back.reshape(-1, self.width, self.features.height, self.features.width))
        return self.output(torch.cat(attended, dim=1))


LAYOUTS: dict[str, type[StaticAttention]] = {
    "shipped: split, then channels innermost": StaticAttention,
    "channels innermost, then split": TransposedOnce,
    "channels first, rank 4": ChannelsFirst,
    "published order, rank 6": Published,
}


class Block(nn.Module):
    """One whole transformer block around a layout, since convolutions and layouts share the cost of reordering."""

    def __init__(self, network: Sttn, layout: type[StaticAttention]) -> None:
        super().__init__()
        published = network.get_submodule("transformer.0")
        self.block = StaticBlock(published, network.feature_size, last=False)  # pyright: ignore[reportArgumentType]
        self.block.attention = layout(self.block_attention(network), network.feature_size, False)

    @staticmethod
    def block_attention(network: Sttn) -> Any:
        """The first block's attention."""
        return network.get_submodule("transformer.0.attention")

    def forward(self, x: Tensor) -> Tensor:
        """`[T, C, h, w]` -> the same."""
        return self.block(x, 0, ())


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of one head over tokens `[n, d]`."""
    return torch.softmax(query @ key.transpose(0, 1), dim=1) @ value


def load(layout: type[StaticAttention], network: Sttn, frames: int) -> dict[str, Run]:
    """The block in both libraries, one thread each."""
    size: Size = network.feature_size
    shape = (frames, network.geometry.channels, size.height, size.width)
    stage = Stage("block", Block(network, layout).eval(), (Port("x", shape),), (Port("y", shape),))
    model = make_graph(stage, halves=False).SerializeToString()
    library: Any = onnxruntime  # comes without types
    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    session = library.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    request = core().compile_model(core().read_model(model), "CPU", settings).create_infer_request()
    return {"onnxruntime": lambda x: session.run(None, {"x": x}), "openvino": lambda x: request.infer({"x": x})}


def main(arguments: Sequence[str]) -> int:
    """Time every layout in turn, again and again; print the fastest CPU time of each and its ratio to the first."""
    parser = argparse.ArgumentParser(prog="python -m bench.attention", allow_abbrev=False)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args(arguments)
    variant = SPEC.variant(SPEC.default_variant)
    network: Any = variant.build(variant.size)
    network.requires_grad_(False)
    loaded = {name: load(layout, network, options.frames) for name, layout in LAYOUTS.items()}
    shape = (options.frames, network.geometry.channels, network.feature_size.height, network.feature_size.width)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.repeats):
        for name, runs in loaded.items():
            for library, run in runs.items():
                start = time.process_time()
                run(x)
                taken.setdefault((library, name), []).append(time.process_time() - start)
    first = next(iter(LAYOUTS))
    for (library, name), seconds in sorted(taken.items(), key=lambda item: item[0][0]):
        ratio = min(seconds) / min(taken[library, first])
        Console(soft_wrap=True).print(
            f"{library:<12} {name:<40} best {min(seconds) * 1e3:6.0f} ms, median "
            f"{statistics.median(seconds) * 1e3:6.0f} ms of CPU time, {ratio:.2f} x the first"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
