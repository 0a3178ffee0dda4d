"""An engine's ports, and what the library logs when it will not do something."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.bundle import TensorSpec
from runtime.device import Shape
from runtime.engines import VERSION_COMPATIBLE
from runtime.errors import VidmendError
from runtime.numbers import NUMPY_NAMES
from runtime.program import Request

# Not the library's own `nptype`: that of 8.5 names types that NumPy has dropped.
_NUMPY_NAMES: Mapping[str, str] = {
    "FLOAT": "float32",
    "HALF": "float16",
    "BF16": NUMPY_NAMES["bfloat16"],
    "INT32": "int32",
    "INT64": "int64",
}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of an engine."""

    name: str
    dtype: str  # as NumPy calls what lies in its memory
    shape: Shape  # -1: any length between those of `least` and `most`
    least: Shape
    most: Shape
    is_input: bool
    on_host: bool  # read while work is enqueued, by the host

    def takes(self, shape: Shape) -> bool:
        """Whether a tensor of this shape may be put here."""
        if len(shape) != len(self.shape):
            return False
        return all(low <= side <= high for low, side, high in zip(self.least, shape, self.most, strict=True))


class Log:
    """What the library said went wrong."""

    def __init__(self) -> None:
        self._errors: list[str] = []

    def add(self, message: str) -> None:
        """One more error."""
        self._errors.append(message)

    def take(self) -> str:
        """The first error since this was last asked, in one line: those after it only say that something failed."""
        found, self._errors = self._errors, []
        return (found[0].splitlines() or ["no reason given"])[0].rstrip(".") if found else "no reason given"


def make_logger(library: Any, log: Log) -> Any:
    """A logger of the library that keeps errors and prints nothing."""

    class Logger(library.ILogger):
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (library.ILogger.ERROR, library.ILogger.INTERNAL_ERROR):
                log.add(message)

    return Logger()


def brings_code(request: Request, plan: bytes) -> bool:
    """Whether these very bytes stand in the manifest as an engine for later versions, which runs code of its own.

    Bytes that were changed since they were checked bring none: the library then refuses the plan.
    """
    trusted = {each.file.sha256 for each in request.stage.engines if VERSION_COMPATIBLE in each.options}
    return bool(trusted) and hashlib.sha256(plan).hexdigest() in trusted


def read_ports(engine: Any, request: Request, refusal: Callable[[str], VidmendError]) -> tuple[Port, ...]:
    """The engine's inputs and outputs; raises `refusal` of a reason where they are not those of the stage."""
    ports = tuple(_port(engine, engine.get_tensor_name(index)) for index in range(engine.num_io_tensors))
    specs = {spec.name: spec for spec in (*request.stage.inputs, *request.stage.outputs)}
    for port in ports:
        spec = specs.get(port.name)
        if spec is None:
            raise refusal(f"it has '{port.name}', which stage '{request.stage.name}' has not")
        if port.on_host != (spec.holds is not None):
            raise refusal(f"'{port.name}' is wanted in the {'host' if port.on_host else 'GPU'}'s memory")
        if spec.holds is None and port.dtype != _wanted(spec, request):
            raise refusal(f"'{port.name}' is {port.dtype}, wanted {_wanted(spec, request)}")
    missing = {spec.name for spec in specs.values() if spec.holds is None} - {port.name for port in ports}
    if missing:
        raise refusal(f"it lacks {', '.join(sorted(missing))} of stage '{request.stage.name}'")
    return ports


def _wanted(spec: TensorSpec, request: Request) -> str:
    return NUMPY_NAMES[request.compute] if spec.dtype == "float32" else spec.dtype


def _port(engine: Any, name: str) -> Port:
    shape = tuple(int(side) for side in engine.get_tensor_shape(name))
    least = most = shape
    is_input = engine.get_tensor_mode(name).name == "INPUT"
    if -1 in shape and is_input:
        least, _, most = (tuple(map(int, sides)) for sides in engine.get_tensor_profile_shape(name, 0))
    elif -1 in shape:  # an output's follows from the inputs'
        least, most = tuple(max(side, 0) for side in shape), tuple(side if side >= 0 else 1 << 31 for side in shape)
    dtype = engine.get_tensor_dtype(name).name
    on_host = engine.get_tensor_location(name).name == "HOST"
    return Port(name, _NUMPY_NAMES.get(dtype, dtype.lower()), shape, least, most, is_input, on_host)
