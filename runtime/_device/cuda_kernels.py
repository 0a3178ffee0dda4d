"""The kernels of `kernels/` on an NVIDIA GPU: one module, loaded from memory."""

from __future__ import annotations

from collections.abc import Sequence

from kernels.layout import BLOCK, blocks
from runtime._device.cuda_stream import CudaStream, on_gpu
from runtime._device.gpu import Gpu, Held
from runtime.device import KernelImage, Launch, Stream, Tensor
from runtime.errors import DeviceFailed


class CudaKernels:
    """Functions of a fatbin, each looked up when it is first launched."""

    def __init__(self, gpu: Gpu, image: KernelImage) -> None:
        """Load it; raises `DeviceFailed`, with the driver that is wanted where this one is older."""
        self._gpu = gpu
        self._functions: dict[str, Held] = {}
        with gpu.bound():
            try:
                self._module = Held(gpu.driver.module_from_buffer(image.data))
            except gpu.driver.Error as error:
                raise DeviceFailed(_reason(gpu, image, str(error).splitlines())) from error

    def address_of(self, tensor: Tensor) -> int:
        return on_gpu(tensor).address

    def enqueue(self, launch: Launch, inputs: Sequence[Tensor], outputs: Sequence[Tensor], stream: Stream) -> None:
        if not isinstance(stream, CudaStream):
            raise TypeError(f"a stream of {type(stream).__name__} is not the GPU's")
        stream.call(self._function(launch), blocks(launch.columns, launch.rows), BLOCK, launch.call)

    def close(self) -> None:
        """Unload them, inside `bound`; their functions first, which keep the module."""
        self._gpu.drop(*self._functions.values(), self._module)
        self._functions.clear()

    def _function(self, launch: Launch) -> Held:
        found = self._functions.get(launch.kernel)
        if found is None:
            with self._gpu.one_line(f"find the kernel {launch.kernel}"):
                # One struct by value.  Not `function(...)`: pycuda keeps what it packs there for ever.
                found = Held(self._module.thing.get_function(launch.kernel).prepare([f"{len(launch.call)}s"]))
            self._functions[launch.kernel] = found
        return found


def _reason(gpu: Gpu, image: KernelImage, said: Sequence[str]) -> str:
    here = int(gpu.driver.get_driver_version())  # 1000 times the first number, and 10 times the second
    release = (here // 1000, here % 1000 // 10)
    wanted = tuple(int(part) for part in image.cuda.split("."))
    found = f"the driver here is for CUDA {release[0]}.{release[1]}: {said[0] if said else 'no reason given'}"
    remedy = "Update the driver" if release < wanted else "Copy the bundle again or export it anew"
    return (
        f"{gpu.name}: cannot load {image.path}; {found}; wanted a driver for CUDA {image.cuda} or later. {remedy}, or "
        f"use the CPU: --backend onnxruntime"
    )
