"""What the work around the network costs the host a frame: done by NumPy, and handed to a GPU's kernels.

    python -m bench.host_work

The second half is everything that the host still does where kernels do the rest: packing what is sent, filling in the
calls, copying what comes back.  Its memory is the host's and nothing is launched, so that it needs no GPU; what the
driver takes for each call is not in it.  Noise for pictures, one moving box for a hole.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from runtime._composite.device import DeviceComposite
from runtime._device.host import HostDevice
from runtime.blend import CentredAverage, samples
from runtime.bundle import PixelRule
from runtime.canvas import DeviceCanvas, Easel
from runtime.clip import Staged, View
from runtime.clock import Clock
from runtime.composite import Finish, composite
from runtime.device import Form, Launch, Stream, Tensor, host_array
from runtime.frame import RGB, Colour, Frame, Hole, Layout, Plane
from runtime.holes import cover
from runtime.patch import Crop, Patch
from runtime.pixels import normalise, shrink
from runtime.pool import Pool
from runtime.regions import Region
from runtime.schedule import FrameWindow
from runtime.streams import open_streams
from runtime.upload import Uploader

RULE = PixelRule(432, 240, "rgb", -1.0, 1.0, True, 0.0, "bicubic-antialias", 4)
SOURCES = {
    "240p": (432, 240, 8),
    "1080p": (1920, 1080, 8),
    "2160p": (3840, 2160, 8),
    "2160p, 10 bits": (3840, 2160, 10),
}
WINDOWS = [FrameWindow(tuple(range(first, first + 11)), ()) for first in (0, 5)]  # most frames meet two
ROUNDS = 9
Work = Callable[[], object]


class Unlaunched:
    """Kernels that are called and do nothing."""

    def address_of(self, tensor: Tensor) -> int:
        """Of host memory."""
        return int(host_array(tensor).ctypes.data)

    def enqueue(self, launch: Launch, inputs: Sequence[Tensor], outputs: Sequence[Tensor], stream: Stream) -> None:
        """Forget it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A frame, its mask, and what the network sees and paints."""

    frame: Frame
    mask: Hole
    crop: Crop
    hole: Hole
    view: RGB
    painted: np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def main(arguments: Sequence[str]) -> int:
    """Print a table of milliseconds of one core; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.host_work", description="Host milliseconds a frame.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of which the median is printed")
    rounds = parser.parse_args(arguments).rounds
    rows: dict[str, list[float]] = {}
    for width, height, bits in SOURCES.values():
        scene = _scene(width, height, bits)
        for name, work in (*_by_numpy(scene), *_around_kernels(scene)):
            rows.setdefault(name, []).append(_milliseconds(work, rounds))
    print(f"{'':34}" + "".join(f"{name:>16}" for name in SOURCES))
    for name, values in rows.items():
        print(f"{name:34}" + "".join(f"{value:16.2f}" for value in values))
    return 0


def _by_numpy(scene: Scene) -> Iterator[tuple[str, Work]]:
    frame, crop = scene.frame, scene.crop
    out = np.empty((3, RULE.height, RULE.width), np.float32)
    patch = Patch(crop, scene.view, scene.view, scene.hole)

    def blend() -> RGB:
        average = CentredAverage()
        for window in WINDOWS:
            average.add(samples(scene.painted, RULE), window, 7)
        return average.result()

    yield "mask to hole (both)", lambda: cover(scene.mask, crop, RULE, RULE.dilate)
    yield "NumPy: planes to RGB view", lambda: shrink(frame, crop, RULE)
    yield "NumPy: normalise, blank", lambda: normalise(scene.view, scene.hole, RULE, out)
    yield "NumPy: blend two windows", blend
    yield "NumPy: composite", lambda: composite(frame, [patch], Finish())


def _around_kernels(scene: Scene) -> Iterator[tuple[str, Work]]:
    device, unlaunched = HostDevice(Clock(), threads=False), Unlaunched()
    pool, regions = Pool(device), [Region(scene.crop)]
    uploader = Uploader(unlaunched, RULE, Form((1, 3, RULE.height, RULE.width)), pool)
    staged = Staged(0, cut=False, views=((0, View(None, scene.hole, repainted=True)),), frame=scene.frame)
    with open_streams(device) as streams, closing(_composite(device, unlaunched)) as made:
        endless = uploader.views(iter(lambda: staged, None), regions, streams.upload)

        def upload() -> None:
            for _, view in next(endless).views:
                if view.pixels is not None:
                    view.pixels.release()

        def blend() -> RGB:
            canvas = DeviceCanvas(Easel(unlaunched, RULE, halving=False, pool=pool))
            for window in WINDOWS:
                picture = pool.take(Form((1, 3, RULE.height, RULE.width)), streams.decoder)
                canvas.add(picture, window, 7, streams, last=window is WINDOWS[-1])
            return canvas.result()

        patch = Patch(scene.crop, None, blend(), scene.hole)
        yield "kernels: planes, hole to the GPU", upload
        yield "kernels: sums, fill from the GPU", blend
        yield "kernels: composite, there and back", lambda: made.composite(scene.frame, [patch])


def _composite(device: HostDevice, unlaunched: Unlaunched) -> DeviceComposite:
    return DeviceComposite(device, unlaunched, RULE, 0, Clock())


def _scene(width: int, height: int, bits: int) -> Scene:
    rng = np.random.default_rng(0)

    def plane(rows: int, columns: int) -> Plane:
        samples = rng.integers(0, 1 << bits, (rows, columns))
        return samples.astype(np.uint8) if bits == 8 else samples.astype(np.uint16)

    planes = (plane(height, width), plane(height // 2, width // 2), plane(height // 2, width // 2))
    frame = Frame(0, 0, planes, Layout("yuv", bits, 1, 1), Colour(1, 1, 1, full_range=False))
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    crop = Crop(0, 0, width, height)
    hole = cover(mask, crop, RULE, RULE.dilate)
    if hole is None:
        raise ValueError("the mask has no pixel in the crop")
    painted = rng.uniform(-1, 1, (3, RULE.height, RULE.width)).astype(np.float32)
    return Scene(frame, mask, crop, hole, shrink(frame, crop, RULE), painted)


def _milliseconds(work: Work, rounds: int) -> float:
    """Of one core, so that what else runs on the machine counts little; the median of `rounds`, the first left out."""
    work()
    spent: list[float] = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return statistics.median(spent) * 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
