"""An engine at work: one context, which belongs to the stream that its stage is enqueued on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from runtime._device.gpu import CudaTensor, Held
from runtime.backends._trt_engine import Log, Port
from runtime.backends._trt_graphs import Graphs
from runtime.bundle import Compute
from runtime.device import HostArray, Shape, Stream, Tensor
from runtime.errors import DeviceFailed, EngineUnfit
from runtime.program import Request, Tensors


@dataclass(frozen=True, slots=True)
class _Call:
    """All that tells one enqueue from another."""

    addresses: tuple[tuple[str, int], ...]
    shapes: tuple[tuple[str, Shape], ...]  # of inputs whose shape may change
    memory: tuple[Held, ...]  # at those addresses

    @property
    def gone(self) -> bool:
        """Whether some of it was freed."""
        return any(held.gone for held in self.memory)


class TrtProgram:
    """A stage ready to run; its context has all the scratch memory that it will ever use."""

    def __init__(
        self, context: Any, ports: Sequence[Port], request: Request, title: str, log: Log, owners: tuple[Any, ...]
    ) -> None:
        """`owners` are what the context was made of, the first one first; it needs them as long as it is used."""
        self.compute: Compute = request.compute
        self._context: Any = context
        self._ports = ports
        self._request = request
        self._title = title  # of the library
        self._log = log
        self._owners = owners
        self._set: dict[str, Shape] = {}  # what the context was told last
        self._lengths: dict[tuple[str, int], HostArray] = {}  # by input and value: the library keeps their addresses
        self._graphs: Graphs[_Call] | None = None
        if request.cuda_graph:
            self._graphs = Graphs(request.stage.name, request.tell, self._capturable)
            request.at_rest(self._graphs.clear)  # the run's buffers are gone then
        request.at_end(self.close)

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        """As `Program.enqueue`; raises `EngineUnfit` for a window that the engine does not take, or `DeviceFailed`."""
        tensors = {**inputs, **outputs}
        addresses = tuple((port.name, self._address(port, tensors[port.name])) for port in self._ports)
        shapes = tuple(
            (port.name, tensors[port.name].shape) for port in self._ports if port.is_input and -1 in port.shape
        )
        memory = (tensor.memory for tensor in tensors.values() if isinstance(tensor, CudaTensor))
        held = tuple(each for each in memory if isinstance(each, Held))
        stream.launch(partial(self._start, _Call(addresses, shapes, held)))

    def close(self) -> None:
        """Free graphs, context and engine, in this order, when nothing of them runs; a second time it does nothing."""
        if self._graphs is not None:
            self._graphs.clear()
        self._context = None
        while self._owners:
            self._owners = self._owners[:-1]

    def _start(self, call: _Call, handle: int) -> None:
        if self._graphs is None:
            self._plainly(call, handle)
        else:
            self._graphs.run(call, partial(self._plainly, call), handle)

    def _plainly(self, call: _Call, handle: int) -> None:
        """Neither allocates nor waits: the context has its memory, and shapes change between windows at most."""
        for name, shape in call.shapes:
            if self._set.get(name) != shape:
                self._insist(self._context.set_input_shape(name, shape), f"take {name} {list(shape)}")
                self._set[name] = shape
        for name, address in call.addresses:
            self._insist(self._context.set_tensor_address(name, address), f"take the address of {name}")
        self._insist(self._context.execute_async_v3(handle), f"run the {self._request.stage.name}")

    def _insist(self, done: bool, doing: str) -> None:
        if not done:
            raise DeviceFailed(
                f"{self._request.path.name}: {self._title} failed to {doing}: {self._log.take()}. Run again, --resume "
                f"goes on where a run with --resume was stopped, or use the CPU: --backend onnxruntime"
            )

    def _address(self, port: Port, tensor: Tensor) -> int:
        if port.on_host:
            return self._length(port, int(np.asarray(tensor)))
        if not isinstance(tensor, CudaTensor) or tensor.dtype.name != port.dtype:
            raise TypeError(f"{port.name} is {type(tensor).__name__} of {tensor.dtype}, wanted {port.dtype} on the GPU")
        if not port.takes(tensor.shape):
            raise EngineUnfit(
                f"{self._request.path}: takes '{port.name}' of {_range(port)}, a window here has {list(tensor.shape)}. "
                f"Export with --frames, which fills short windows up, compile with --frames-range, or use the CPU: "
                f"--backend onnxruntime"
            )
        return tensor.address

    def _length(self, port: Port, value: int) -> int:
        """The address of a number that stays where it is as long as the program."""
        array = self._lengths.setdefault((port.name, value), np.array([value], port.dtype))
        return int(array.ctypes.data)

    def _capturable(self, handle: int) -> bool:
        """RTX alone can say so, whose work may need the host in between."""
        asked = getattr(self._context, "is_stream_capturable", None)
        return asked is None or bool(asked(handle))


def _range(port: Port) -> str:
    return str(list(port.least)) if port.least == port.most else f"{list(port.least)} to {list(port.most)}"
