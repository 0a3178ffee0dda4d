"""The process that builds one engine: python -m export.targets._trt_child REQUEST.json RESULT.json."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.targets._trt_config import configure, typed_strongly
from export.targets._trt_network import census, hold_types, ports, set_shapes

_OF_AN_EARLIER = "engine != nullptr"  # in an error that says no more than that there was one before it


class BuildFailed(Exception):
    """The library gave up; the text says why, in one line."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the library complained of, the newest last."""

    warnings: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])

    def reason(self, otherwise: str) -> str:
        """The last error that says something, else the last warning, in one line."""
        telling = [text for text in self.errors if _OF_AN_EARLIER not in text]
        return _line([otherwise, *self.warnings[-1:], *self.errors[-1:], *telling[-1:]][-1])


def build(library: Any, request: dict[str, Any], gpu: tuple[str, str] | None) -> dict[str, Any]:
    """Parse, configure, count and compile as `request` says (see `_trt.build_in_child`), and write the plan.

    `gpu`, its name and capability, is the one that is built on.  Raises `BuildFailed`.
    """
    said = Said()
    logger = _logger(library, said)
    builder = _builder(library, logger, said)
    network = builder.create_network(_flags(library))
    parser = library.OnnxParser(network, logger)
    if not parser.parse(Path(request["graph"]).read_bytes()):
        found = [str(parser.get_error(index)) for index in range(parser.num_errors)]
        raise BuildFailed(f"the graph is not understood: {_line(found[0] if found else 'no reason given')}")
    strong = typed_strongly(library)
    if not strong:
        hold_types(network)
    config = builder.create_builder_config()
    set_shapes(builder, config, network, request["shapes"])
    cache = configure(library, config, request, portable=gpu is None)
    layers, unexpected = census(network, request["kept_float32"], request["compute"])
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildFailed(said.reason("the library gave no reason"))
    Path(request["plan"]).write_bytes(bytes(plan))
    return {
        "capabilities": request["options"]["capabilities"] or ([] if gpu is None else [gpu[1]]),
        "gpu": None if request["options"]["capabilities"] or gpu is None else gpu[0],
        "layers": layers,
        "unexpected": unexpected,
        "ports": ports(network),
        "notes": [] if cache is None else _keep(cache, Path(request["options"]["timing_cache"])),
    }


def main(arguments: Sequence[str]) -> int:
    """Build what the first file asks for, tell the second what came of it; 1 when nothing was built."""
    request: dict[str, Any] = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    target = importlib.import_module(f"export.targets.{request['target']}")
    try:
        result = build(target.library(), request, target.gpu())
    except BuildFailed as failure:
        result = {"error": str(failure)}
    Path(arguments[1]).write_text(json.dumps(result), encoding="utf-8")
    return int("error" in result)


def _builder(library: Any, logger: Any, said: Said) -> Any:
    """The library's builder; without a usable GPU its bindings only know that there is none, its log says why."""
    try:
        return library.Builder(logger)
    except (TypeError, RuntimeError) as error:
        raise BuildFailed(said.reason(str(error))) from error


def _keep(cache: Any, path: Path) -> list[str]:
    """Write the timing cache, whole or not at all; returns what is to be told, since the engine is made without it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(bytes(cache.serialize()))
        os.replace(unfinished, path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        return [
            f"--timing-cache {path}: cannot be written ({error.strerror}); the next build takes as long as this one"
        ]
    return []


def _flags(library: Any) -> int:
    """What the network is created with: strong types where they can be chosen, explicit batches where wanted."""
    known = library.NetworkDefinitionCreationFlag.__members__
    if "STRONGLY_TYPED" in known:
        return 1 << int(known["STRONGLY_TYPED"])
    return 1 << int(known["EXPLICIT_BATCH"]) if "EXPLICIT_BATCH" in known and not typed_strongly(library) else 0


def _logger(library: Any, said: Said) -> Any:
    """The library's logger, printing what matters and keeping it."""

    class Logger(library.ILogger):
        def __init__(self) -> None:
            library.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            if severity in (library.ILogger.INFO, library.ILogger.VERBOSE):
                return
            (said.warnings if severity == library.ILogger.WARNING else said.errors).append(message)
            sys.stderr.write(f"{message}\n")

    return Logger()


def _line(text: str) -> str:
    return " ".join(text.split())[:400]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
