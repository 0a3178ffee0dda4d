"""A run whose pixels are the kernels' work gives, byte for byte, what NumPy's gives; on a driver that is none.

The kernels are the sources themselves, compiled for this processor (tests/stand_in_kernels.py).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.bundle import MANIFEST, read_bundle
from runtime.clock import Clock
from runtime.device import Device, Memory
from runtime.devices import open_device
from runtime.errors import FileDamaged, KernelsUnfit
from runtime.frame import Colour, Frame, Hole, Layout, Masked
from runtime.patch import Crop
from runtime.pool import Buffer, Pool
from runtime.regions import Region
from runtime.session import Restored, Session, Settings
from tests.noise import BT601, LAYOUTS, random_frame
from tests.ordered import CheckedBackend, CheckedDevice, Hazard, forgetting
from tests.pictures import moving_holes
from tests.stand_in_cuda import FakeCuda, MixingOnCuda, installed
from tests.stand_ins import Mixing
from tests.tiny import without_parts

WIDTH, HEIGHT, LENGTH = 118, 66, 12
HOLES: list[Hole] = moving_holes(LENGTH, WIDTH, HEIGHT)
for hole in HOLES:  # and two in corners, far from it and from each other
    hole[2:8, 4:14] = hole[56:62, 4:20] = True
# One on its own, two that overlap, one upside down for a part of the time, one that stands on its side.
CROPS = [Crop(0, 0, 40, 20, 1), Crop(20, 16, 60, 40), Crop(60, 8, 58, 58, 2), Crop(0, 40, 36, 26, 3)]
REGIONS = [Region(CROPS[0]), Region(CROPS[1]), Region(CROPS[2], 2, 8), Region(CROPS[3])]
LATE = (0.0, 0.0004, 0.0, 0.0, 0.001)


@dataclass(frozen=True)
class Case:
    """A clip and how it is to be repaired."""

    layout: Layout
    chosen: Settings
    regions: Sequence[Region] = tuple(REGIONS)
    cuts: Sequence[int] = ()
    start: int = 0
    colour: Colour = BT601

    def restored(self, session: Session) -> list[Restored]:
        frames = [random_frame(self.layout, WIDTH, HEIGHT, seed=index, colour=self.colour) for index in range(LENGTH)]
        clip = [
            Masked(replace(frame, index=index, pts=index), HOLES[index] if index != 5 else None, index in self.cuts)
            for index, frame in enumerate(frames)
        ]
        return list(session.restore(clip, self.regions, start=self.start))


def by_kernels(bundle: Path, case: Case, cuda: FakeCuda, deaf: str = "") -> list[Restored]:
    """Restored on the stand-in GPU, every access checked; streams named `deaf` wait for nothing."""

    def checked(memory: Memory, clock: Clock, windows: int) -> Device:
        return CheckedDevice(open_device(memory, clock, windows), deaf)

    before = threading.active_count()
    with installed(cuda):
        backend = CheckedBackend(MixingOnCuda(cuda))
        with Session(read_bundle(bundle), backend, case.chosen, checked) as session:
            done = case.restored(session)
    assert threading.active_count() == before
    return done


def by_numpy(bundle: Path, case: Case) -> list[Restored]:
    """On the host, whole pictures decoded as on a device: so that fills can be compared where nobody looks, too."""
    return case.restored(Session(without_parts(read_bundle(bundle)), Mixing(), case.chosen))


def assert_same(found: Sequence[Restored], wanted: Sequence[Restored]) -> None:
    assert [item.frame.index for item in found] == [item.frame.index for item in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert_planes(one.frame, other.frame)
        assert_planes(one.source, other.source)
        assert len(one.patches) == len(other.patches)
        for mine, theirs in zip(one.patches, other.patches, strict=True):
            assert np.array_equal(mine.fill, theirs.fill)
            assert mine.fill.dtype == np.uint8


def assert_planes(one: Frame, other: Frame) -> None:
    for mine, theirs in zip(one.planes, other.planes, strict=True):
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)


CASES = {
    "4:2:0": Case(Layout("yuv", 8, 1, 1), Settings()),
    "4:2:0, 10 bits, feather": Case(Layout("yuv", 10, 1, 1), Settings(feather=3)),
    "RGB, smoothed": Case(Layout("rgb", 8, 0, 0), Settings(smooth=1)),
    "RGB, smoothed alone": Case(Layout("rgb", 8, 0, 0), Settings(smooth=1, seamless=False)),
    "RGB, 12 bits, cuts": Case(Layout("rgb", 12, 0, 0), Settings(), cuts=(4, 9)),
    "grey, to the letter": Case(Layout("gray", 16, 0, 0), Settings(schedule="reference")),
    "4:1:0, grain": Case(Layout("yuv", 8, 2, 2), Settings(grain=True)),
    "4:2:2, resumed": Case(Layout("yuv", 8, 1, 0), Settings(smooth=1), start=7),
    "4:4:4, the whole frame": Case(Layout("yuv", 8, 0, 0), Settings(), [Region(Crop(0, 0, WIDTH, HEIGHT))]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_kernels_and_numpy_give_the_same_frames(case: Case, any_window: Path, narrow_window: Path) -> None:
    bundle = any_window if case.chosen.schedule == "reference" else narrow_window
    cuda, wanted = FakeCuda(delays=LATE), by_numpy(bundle, case)
    assert_same(by_kernels(bundle, case, cuda), wanted)
    assert any(not np.array_equal(item.frame.planes[0], item.source.planes[0]) for item in wanted)
    assert {"accumulate"} < set(cuda.launched)
    assert any(name.startswith("pixels") for name in cuda.launched)
    assert any(name.startswith("composite") for name in cuda.launched) != case.chosen.grain
    assert ("feather_opacity" in cuda.launched) == (case.chosen.feather > 0)


cases = st.builds(
    Case,
    layout=st.sampled_from(LAYOUTS),
    chosen=st.builds(Settings, feather=st.sampled_from([0, 0, 2]), windows=st.sampled_from([1, 2, 3])),
    regions=st.lists(st.sampled_from(REGIONS), min_size=1, max_size=3, unique=True),
    cuts=st.sets(st.integers(1, LENGTH - 1), max_size=2),
    start=st.sampled_from([0, 0, 3]),
    colour=st.builds(Colour, st.sampled_from([1, 2, 6, 9]), st.just(2), st.just(2), st.booleans()),
)


@settings(max_examples=10)
@given(case=cases, delays=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0003, 0.001]), min_size=1, max_size=9))
def test_however_late_streams_are(case: Case, delays: list[float], narrow_window: Path) -> None:
    assert_same(by_kernels(narrow_window, case, FakeCuda(delays=delays)), by_numpy(narrow_window, case))


FAULTY = Case(Layout("yuv", 8, 1, 1), Settings(windows=3), REGIONS[1:2], cuts=(4, 8))


@pytest.mark.parametrize("deaf", ["upload", "encoder", "transformer", "decoder", "download"])
def test_a_stream_that_does_not_wait_is_noticed(deaf: str, narrow_window: Path) -> None:
    with pytest.raises(Hazard, match=f"^{deaf} "):
        by_kernels(narrow_window, FAULTY, FakeCuda(), deaf)


@pytest.mark.parametrize(("forgotten", "writer"), [("encoder", "upload"), ("download", "decoder")])
def test_a_buffer_that_is_reused_while_it_is_read_is_noticed(forgotten: str, writer: str, narrow_window: Path) -> None:
    expected = f"^{writer} writes what {forgotten} reads"
    with patch.object(Buffer, "hold", forgetting(forgotten)), pytest.raises(Hazard, match=expected):
        by_kernels(narrow_window, FAULTY, FakeCuda())


def test_what_is_on_lease_comes_back_when_its_scene_is_over(
    narrow_window: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pools: list[Pool] = []

    def watched(device: Device, beside: Pool | None = None) -> Pool:
        pools.append(Pool(device, beside))
        return pools[-1]

    for module in ("session", "pixelwork"):
        monkeypatch.setattr(f"runtime.{module}.Pool", watched)
    by_kernels(narrow_window, FAULTY, FakeCuda())
    assert [pool.leased for pool in pools] == [0, 0]


def test_kernels_that_are_damaged_or_called_otherwise_stop_a_gpu_and_no_cpu(
    narrow_window: Path, tmp_path: Path
) -> None:
    case = CASES["4:2:0"]
    text = (narrow_window / MANIFEST).read_text()
    for name, kind, said in [("damaged", FileDamaged, "sha256"), ("foreign", KernelsUnfit, "Export the bundle again")]:
        bundle = tmp_path / name
        bundle.mkdir()
        for path in narrow_window.iterdir():
            (bundle / path.name).write_bytes(path.read_bytes())
        if kind is FileDamaged:
            data = bytearray((bundle / "vidmend.fatbin").read_bytes())
            data[-1] ^= 1
            (bundle / "vidmend.fatbin").write_bytes(data)
        else:
            interface = read_bundle(narrow_window).manifest.kernels.interface
            (bundle / MANIFEST).write_text(text.replace(interface, "0" * 64))
        with pytest.raises(kind, match=f"vidmend.fatbin: [^\n]*{said}[^\n]*$"):
            by_kernels(bundle, case, FakeCuda())
        assert len(by_numpy(bundle, case)) == LENGTH
