"""The parsed network: its shapes set, its types held and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT64": "int64", "INT32": "int32"}
_NUMBERS = ("float32", "float16", "bfloat16", "int8")
_WEIGHTS = "CONSTANT"  # a layer that only holds them
_MOVERS = ("CAST", "SHUFFLE", "IDENTITY")  # casts are identities before 10


def type_name(dtype: Any) -> str:
    """A data type as manifests spell it."""
    name = str(dtype).rpartition(".")[2]
    return _TYPES.get(name, name.lower())


def ports(network: Any) -> dict[str, str]:
    """Types of the network's inputs and outputs by name."""
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    tensors += [network.get_output(index) for index in range(network.num_outputs)]
    return {tensor.name: type_name(tensor.dtype) for tensor in tensors}


def set_shapes(builder: Any, config: Any, network: Any, shapes: Mapping[str, Sequence[Sequence[int]]]) -> None:
    """Make every input's shape a constant, or give the builder a profile where a range is asked for.

    A scalar that carries a length has no shape to fix but a value, which only a profile can hold.
    """
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    profile: Any = None
    if any(tensor.is_shape_tensor or len(shapes[tensor.name]) > 1 for tensor in inputs):
        profile = builder.create_optimization_profile()
    for tensor in inputs:
        shape = shapes[tensor.name]
        least, usual, most = shape if len(shape) > 1 else [shape[0]] * 3
        if tensor.is_shape_tensor:
            profile.set_shape_input(tensor.name, list(least), list(usual), list(most))
        elif len(shape) > 1:
            profile.set_shape(tensor.name, tuple(least), tuple(usual), tuple(most))
        else:
            tensor.shape = tuple(usual)
    if profile is not None:
        config.add_optimization_profile(profile)


def census(network: Any, kept: Sequence[str], compute: str) -> tuple[dict[str, int], list[str]]:
    """How many layers give which type, and the names of those that should give `compute` and give another.

    The layers of kept nodes are no surprise, nor what only casts or moves numbers on the way into and out of them.
    """
    counted: Counter[str] = Counter()
    others: list[Any] = []
    for layer in _layers(network):
        given = [kind for kind in (type_name(tensor.dtype) for tensor in _outputs(layer)) if kind in _NUMBERS]
        if not given or _kind(layer) == _WEIGHTS:
            counted["other"] += 1
            continue
        kind = next((kind for kind in given if kind != compute), compute)
        counted[kind] += 1
        if kind != compute:
            others.append(layer)
    islands = _islands(others, set(kept))
    return dict(counted), [layer.name for layer in others if layer.name not in islands]


def _islands(layers: Sequence[Any], kept: set[str]) -> set[str]:
    """Names of the layers among `layers`, in the network's order, that belong to kept nodes or lie at their shores."""
    found = {layer.name for layer in layers if layer.name in kept}
    entered = {name for layer in layers if layer.name in kept for name in _input_names(layer)}
    left = {tensor.name for layer in layers if layer.name in kept for tensor in _outputs(layer)}
    movers = [layer for layer in layers if _kind(layer) in _MOVERS]
    for layer in reversed(movers):
        if any(tensor.name in entered for tensor in _outputs(layer)):
            found.add(layer.name)
            entered.update(_input_names(layer))
    for layer in movers:
        if any(name in left for name in _input_names(layer)):
            found.add(layer.name)
            left.update(tensor.name for tensor in _outputs(layer))
    return found


def hold_types(network: Any) -> None:
    """Before 10: tell every layer the type that the graph gave its outputs, since types are only allowed there."""
    for layer in _layers(network):
        outputs = list(_outputs(layer))
        given = [tensor.dtype for tensor in outputs if type_name(tensor.dtype) in _NUMBERS]
        if not given or _kind(layer) == _WEIGHTS:
            continue
        layer.precision = given[0]
        for index, tensor in enumerate(outputs):
            if not tensor.is_shape_tensor:
                layer.set_output_type(index, tensor.dtype)


def _layers(network: Any) -> Iterator[Any]:
    return (network.get_layer(index) for index in range(network.num_layers))


def _outputs(layer: Any) -> Iterator[Any]:
    return (layer.get_output(index) for index in range(layer.num_outputs))


def _input_names(layer: Any) -> list[str]:
    tensors = (layer.get_input(index) for index in range(layer.num_inputs))
    return [tensor.name for tensor in tensors if tensor is not None]


def _kind(layer: Any) -> str:
    return str(layer.type).rpartition(".")[2]
