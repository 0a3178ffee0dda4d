"""The process that runs one engine once: python -m export.targets._trt_run REQUEST.json RESULT.json.

Not the runtime's program, though it could be imported here.  That one is handed buffers whose shapes its caller knows
from a stage of a manifest, holds the engine's ports against that stage, and refuses with what to do with the bundle.
An engine on trial has none of it: it is in no bundle yet, and what it takes and gives is asked of itself.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.targets._target import Arrays
from export.targets._trt_network import type_name
from export.targets._trt_trial import load, save
from runtime.clock import Clock
from runtime.device import Device, Form, Stream, Tensor
from runtime.devices import open_device
from runtime.errors import DeviceFailed

_NUMPY_NAMES = {"bfloat16": "uint16"}  # NumPy has no bfloat16


class RunFailed(Exception):
    """The library gave up; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An engine on trial."""

    content: bytes
    host_code: bool  # whether it brings code for the host, since it is for later versions
    given_memory: bool  # whether its contexts must be given theirs


def execute(library: Any, plan: Plan, calls: Sequence[Arrays], device: Device) -> list[Arrays]:
    """The engine's outputs, call by call; raises `RunFailed`, or `DeviceFailed` where there is too little memory."""
    runtime = library.Runtime(library.Logger(library.Logger.ERROR))
    if plan.host_code:
        runtime.engine_host_code_allowed = True
    engine = runtime.deserialize_cuda_engine(plan.content)
    if engine is None:
        raise RunFailed("the library cannot read the plan that it has just built")
    context, memory = _context(library, plan, engine, device)
    if context is None:
        raise RunFailed("the library makes no context for it; is the GPU's memory full?")
    stream = device.stream("trial")
    try:
        return [_call(context, engine, given, device, stream) for given in calls]
    finally:
        stream.close()
        del memory  # alive until here


def main(arguments: Sequence[str]) -> int:
    """Run what the first file asks for, tell the second what came of it; 1 when it did not run."""
    request: dict[str, Any] = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    target = importlib.import_module(f"export.targets.{request['target']}")
    result: dict[str, str] = {}
    try:
        with closing(open_device("cuda", Clock(), 1)) as device, device.bound():
            plan = Plan(Path(request["plan"]).read_bytes(), request["host_code"], target.TARGET.portable)
            outputs = execute(target.library(), plan, load(Path(request["given"])), device)
        save(Path(request["outputs"]), outputs)
    except (RunFailed, DeviceFailed) as failure:
        result = {"error": str(failure)}
    Path(arguments[1]).write_text(json.dumps(result), encoding="utf-8")
    return int("error" in result)


def _context(library: Any, plan: Plan, engine: Any, device: Device) -> tuple[Any, Any]:
    """A context, None where the library fails; and its memory where that is ours, which must outlive it."""
    if not plan.given_memory:
        return engine.create_execution_context(), None
    context = engine.create_execution_context(library.ExecutionContextAllocationStrategy.USER_MANAGED)
    size = int(engine.device_memory_size_v2)
    memory: Any = device.allocate(Form((size,), "uint8"))
    if context is not None:
        context.set_device_memory(memory.address, size)
    return context, memory


def _call(context: Any, engine: Any, given: Arrays, device: Device, stream: Stream) -> Arrays:
    inputs = [_upload(context, name, values, device, stream) for name, values in given.items()]
    outputs = {name: _output(context, name, engine, device) for name in _names(engine) if name not in given}
    accepted: list[bool] = []
    stream.launch(lambda handle: accepted.append(bool(context.execute_async_v3(handle))))
    found: dict[str, npt.NDArray[Any]] = {}
    for name, tensor in outputs.items():
        stream.read(tensor, partial(_keep, found, name))
    stream.mark().wait()
    if not all(accepted):
        raise RunFailed("the library refuses to run it")
    for tensor in (*inputs, *outputs.values()):
        if not isinstance(tensor, np.ndarray):  # a length
            device.free(tensor)
    return found


def _names(engine: Any) -> list[str]:
    return [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]


def _upload(context: Any, name: str, values: npt.NDArray[Any], device: Device, stream: Stream) -> Any:
    """An input, and where it lies told to the engine; a scalar that carries a length stays on the host."""
    if context.set_input_shape(name, tuple(values.shape)) is False:
        raise RunFailed(f"it does not take {name} of shape {list(values.shape)}")
    if not values.shape:
        context.set_tensor_address(name, values.ctypes.data)
        return values
    tensor: Any = device.allocate(Form(values.shape, values.dtype.name))
    stream.write(tensor, partial(np.copyto, src=values))
    context.set_tensor_address(name, tensor.address)
    return tensor


def _output(context: Any, name: str, engine: Any, device: Device) -> Tensor:
    kind = type_name(engine.get_tensor_dtype(name))
    tensor: Any = device.allocate(Form(tuple(context.get_tensor_shape(name)), _NUMPY_NAMES.get(kind, kind)))
    context.set_tensor_address(name, tensor.address)
    return tensor


def _keep(found: dict[str, npt.NDArray[Any]], name: str, array: npt.NDArray[Any]) -> None:
    found[name] = array.copy()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
