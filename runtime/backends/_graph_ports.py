"""Whether a graph takes and gives what the manifest says, before a tensor of another shape is laid into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runtime.bundle import TensorSpec
from runtime.errors import ManifestInvalid
from runtime.program import Request

Shape = Sequence[int | None]  # None: any length
Ports = Mapping[str, Shape | None]  # by name; None: any shape


def check_ports(request: Request, inputs: Ports, outputs: Ports) -> None:
    """Raises `ManifestInvalid` unless the graph has the stage's inputs and no others, and its outputs.

    A graph may give more than the stage does, and may take any length where the stage names one.
    """
    named = {spec.name for spec in request.stage.inputs}
    for name in inputs:
        if name not in named:
            raise _mismatch(request, f"takes '{name}'", "the manifest does not")
    for does, specs, ports in (("takes", request.stage.inputs, inputs), ("gives", request.stage.outputs, outputs)):
        for spec in specs:
            if spec.name not in ports:
                raise _mismatch(request, f"has no '{spec.name}'", f"the manifest says that it {does} one")
            found = ports[spec.name]
            if found is not None and not _fits(spec, found, request.sizes):
                told = f"{does} '{spec.name}' {_listed(found)}"
                raise _mismatch(request, told, f"the manifest says {_listed(spec.shape)}")


def _fits(spec: TensorSpec, found: Shape, sizes: Mapping[str, int]) -> bool:
    wanted = [sizes.get(side) if isinstance(side, str) else side for side in spec.shape]
    if len(wanted) != len(found):
        return False
    return all(here is None or side is None or here == side for here, side in zip(found, wanted, strict=True))


def _mismatch(request: Request, found: str, wanted: str) -> ManifestInvalid:
    return ManifestInvalid(f"{request.path}: this graph {found}, {wanted}. Export the bundle again.")


def _listed(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('?' if side is None else str(side) for side in shape)}]"
