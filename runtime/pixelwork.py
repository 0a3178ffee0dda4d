"""The work around the network, from planes to the encoder and from the decoder to planes: who does it.

NumPy does on the host; where a device has kernels they do, and give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from kernels import record
from runtime._composite.device import DeviceComposite
from runtime.afterwards import afterwards
from runtime.blend import CentredAverage, PublishedAverage
from runtime.bundle import Bundle, PixelRule
from runtime.canvas import Canvas, DeviceCanvas, Easel, HostCanvas
from runtime.clip import Staged
from runtime.clock import Clock
from runtime.composite import Finish, composite
from runtime.device import Device, Form, KernelImage, Stream
from runtime.errors import KernelsUnfit
from runtime.frame import Frame
from runtime.parts import Part
from runtime.patch import Patch
from runtime.pool import Pool
from runtime.regions import Region
from runtime.upload import Uploader

_KERNEL_TYPES = ("float32", "float16")  # what the kernels read and write; bfloat16 is the host's
Compose = Callable[[Frame, Sequence[Patch]], Frame]  # as `composite`


@dataclass(frozen=True, slots=True)
class Ends:
    """What comes before and behind the network in one run."""

    views: Callable[[Iterable[Staged], Sequence[Region], Stream], Iterable[Staged]]
    canvas: Callable[[Part | None], Canvas]  # for whatever of the pictures is decoded
    close: Callable[[], None]  # called when nothing runs any more


@dataclass(frozen=True, slots=True)
class Manner:
    """How pixels are to be treated."""

    rule: PixelRule
    pixels: Form  # [1, 3, H, W], into the encoder
    halving: bool  # the published average instead of the centred mean
    finish: Finish


class PixelWork:
    """Which hands do it is decided once, by what the device offers."""

    def __init__(self, device: Device, bundle: Bundle, manner: Manner, clock: Clock) -> None:
        """Load the kernels where the device takes some; raises `BundleError`, `DeviceFailed`."""
        self._device, self._manner, self._clock = device, manner, clock
        known = manner.pixels.dtype in _KERNEL_TYPES
        self._kernels = device.kernels(partial(image_of, bundle)) if known else None

    @property
    def on_device(self) -> bool:
        """Whether the device makes the encoder's input, so that the host needs no views for it."""
        return self._kernels is not None

    def ends(self, beside: Pool) -> Ends:
        """For one run, and for the one thread that enqueues, whose other pool is `beside`."""
        rule, halving = self._manner.rule, self._manner.halving
        if self._kernels is None:
            make_blend = PublishedAverage if halving else CentredAverage
            return Ends(
                lambda staged, regions, upload: staged,
                lambda part: HostCanvas(make_blend(), rule, part),
                lambda: None,
            )
        pool = Pool(self._device, beside)
        easel = Easel(self._kernels, rule, halving, pool)
        uploader = Uploader(self._kernels, rule, self._manner.pixels, pool)
        return Ends(uploader.views, lambda part: DeviceCanvas(easel), pool.close)  # a device decodes whole pictures

    @contextmanager
    def compositing(self) -> Generator[Compose, None, None]:
        """For one run.  Grain looks at whole planes, filled and not, and is the host's always."""
        finish = self._manner.finish
        if self._kernels is None or finish.grain:
            yield self._on_host
            return
        made = DeviceComposite(self._device, self._kernels, self._manner.rule, finish.feather, self._clock)
        with afterwards(made.close):
            yield made.composite

    def _on_host(self, frame: Frame, patches: Sequence[Patch]) -> Frame:
        with self._clock.busy("composite"):
            return composite(frame, patches, self._manner.finish)


def image_of(bundle: Bundle) -> KernelImage:
    """The bundle's kernels; raises `KernelsUnfit`, `FileMissing`, `FileDamaged`."""
    sealed = bundle.manifest.kernels
    here = record.read(record.FOLDER).sources[record.INTERFACE]
    path = bundle.checked(sealed.file)
    if sealed.interface != here:
        raise KernelsUnfit(
            f"{path}: its kernels are called as {sealed.interface[:12]}... says, this program calls them as "
            f"{here[:12]}... does. Export the bundle again with this version, or use the CPU: --backend onnxruntime"
        )
    return KernelImage(path, path.read_bytes(), sealed.cuda)
