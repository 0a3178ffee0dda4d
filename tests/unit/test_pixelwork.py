"""Both ends of the network on a device, in the network's own type: halves are as good as floats."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from kernels.record import FOLDER, fatbin
from runtime._device.cuda import CudaDevice
from runtime.blend import CentredAverage, PublishedAverage
from runtime.bundle import PixelRule
from runtime.canvas import Canvas, DeviceCanvas, Easel, HostCanvas
from runtime.clip import Staged, View
from runtime.clock import Clock
from runtime.device import Form, HostArray, KernelImage, Kernels
from runtime.filters import Filters
from runtime.frame import Hole
from runtime.patch import Crop
from runtime.pixels import normalise, shrink
from runtime.pool import Buffer, Pool
from runtime.regions import Region
from runtime.schedule import FrameWindow
from runtime.streams import Streams, open_streams
from runtime.upload import Uploader
from tests.noise import LAYOUTS, RULE, random_frame
from tests.stand_in_cuda import FakeCuda

REGIONS = [Region(Crop(0, 0, 32, 40)), Region(Crop(60, 4, 40, 36, 1)), Region(Crop(64, 8, 20, 20))]
HALVES = pytest.mark.parametrize("dtype", ["float16", "float32"])


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[CudaDevice]:
    cuda = FakeCuda(delays=(0.0, 0.001))
    monkeypatch.setitem(sys.modules, "pycuda", ModuleType("pycuda"))
    monkeypatch.setitem(sys.modules, "pycuda.driver", cuda.module())
    with closing(CudaDevice(Clock())) as made:
        yield made
    cuda.owned.check()
    for stream in cuda.streams.values():
        stream.end()


@pytest.fixture
def loaded(device: CudaDevice) -> Kernels:
    found = device.kernels(lambda: KernelImage(FOLDER, fatbin(FOLDER), "13.0"))
    assert found is not None
    return found


@HALVES
@pytest.mark.parametrize("rule", [RULE, replace(RULE, mask_applied=False, colour_order="bgr")], ids=["rgb", "bgr"])
def test_views_are_what_the_host_makes_of_them(
    dtype: str, rule: PixelRule, device: CudaDevice, loaded: Kernels
) -> None:
    frame = random_frame(LAYOUTS[0], 101, 45)
    hole = np.zeros((rule.height, rule.width), np.bool_)
    hole[3:9, 5:30] = True
    holes: list[Hole | None] = [hole, None, ~hole]
    views = tuple((number, View(None, each, repainted=True)) for number, each in enumerate(holes))
    form, seen = Form((1, 3, rule.height, rule.width), dtype), list[HostArray]()
    with open_streams(device) as streams:
        uploader = Uploader(loaded, rule, form, Pool(device))
        staged = [Staged(0, False, views, frame), Staged(1, True, (), frame)]
        first, second = list(uploader.views(staged, REGIONS, streams.upload))
        for _, view in first.views:
            assert view.pixels is not None
            streams.download.wait(view.pixels.ready)
            streams.download.read(view.pixels.tensor, lambda array: seen.append(array.copy()))
        streams.download.mark().wait()
    assert (first.frame, second) == (None, Staged(1, True, ()))
    for region, each, got in zip(REGIONS, holes, seen, strict=True):
        wanted = np.empty(form.shape, dtype)
        normalise(shrink(frame, region.crop, rule), np.zeros_like(hole) if each is None else each, rule, wanted[0])
        assert got.dtype == dtype
        assert np.array_equal(got, wanted)


@HALVES
@pytest.mark.parametrize("halving", [False, True])
def test_a_canvas_is_what_the_host_blends(dtype: str, halving: bool, device: CudaDevice, loaded: Kernels) -> None:
    easel = Easel(loaded, RULE, halving, Pool(device))
    host = HostCanvas(PublishedAverage() if halving else CentredAverage(), RULE)
    canvases: list[Canvas] = [DeviceCanvas(easel), host]
    form, rng = Form((1, 3, RULE.height, RULE.width), dtype), np.random.default_rng(3)
    pool = Pool(device)
    with open_streams(device) as streams:
        for targets in ((3, 4, 5), (4, 5, 6, 7), (4,)):
            picture = rng.uniform(-1, 1, form.shape).astype(dtype)
            for canvas in canvases:
                window, last = FrameWindow(targets, ()), targets == (4,)
                canvas.add(painted(picture, pool, form, streams), window, 4, streams, last=last)
        streams.download.mark().wait()
    assert np.array_equal(canvases[0].result(), canvases[1].result())
    assert (pool.leased, easel.pool.leased) == (0, 0)


def painted(picture: HostArray, pool: Pool, form: Form, streams: Streams) -> Buffer:
    buffer = pool.take(form, streams.decoder)
    streams.decoder.write(buffer.tensor, lambda array: np.copyto(array, picture))
    buffer.ready = streams.decoder.mark()
    return buffer


def test_filters_are_uploaded_once_and_the_oldest_are_given_up(device: CudaDevice, loaded: Kernels) -> None:
    pool = Pool(device)
    with device.bound(), closing(device.stream("upload")) as stream, closing(Filters(loaded, pool, stream)) as filters:
        first = filters.axis(100, 50, deep=False)
        assert filters.axis(100, 50, deep=False) is first
        assert filters.axis(100, 50, deep=True) is not first
        for count in range(1, 140):
            filters.axis(200, count, deep=False)
        filters.trim()
        assert pool.leased == 128
        filters.close()
        assert pool.leased == 0
