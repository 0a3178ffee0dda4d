"""The builder's settings, release by release; what a release lacks was refused before (see `_trt.refuse`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_BUILDER_FLAGS = {"float16": "FP16", "bfloat16": "BF16"}
_OF_OTHERS = ("CUBLAS", "CUBLAS_LT", "CUDNN")  # sources of kernels that are other libraries


def typed_strongly(library: Any) -> bool:
    """Whether networks have the graph's types by themselves or by a flag; before 10 types are only allowed."""
    return "STRONGLY_TYPED" in library.NetworkDefinitionCreationFlag.__members__ or numbers(library) >= (10,)


def configure(library: Any, config: Any, request: dict[str, Any], *, portable: bool) -> Any:
    """Apply the request's options; returns the timing cache to keep, or None.

    `portable` builds are for the listed compute capabilities and ask no GPU.
    """
    options = request["options"]
    if options["capabilities"]:
        _list_capabilities(library, config, options["capabilities"])
    _hold_types(library, config, request["compute"])
    _hold_sources(library, config)
    if portable:  # RTX may else allocate in the midst of work, which then cannot be recorded
        config.set_flag(library.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if options["workspace_mib"] is not None:
        config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, options["workspace_mib"] << 20)
    if options["opt_level"] is not None:
        config.builder_optimization_level = options["opt_level"]
    if options["hardware_compat"]:
        config.hardware_compatibility_level = library.HardwareCompatibilityLevel.AMPERE_PLUS
    if options["version_compat"]:
        config.set_flag(library.BuilderFlag.VERSION_COMPATIBLE)
    if not portable:
        config.profiling_verbosity = library.ProfilingVerbosity.DETAILED  # the inspector names layers and types
    return None if options["timing_cache"] is None else _timing_cache(config, Path(options["timing_cache"]))


def numbers(library: Any) -> tuple[int, ...]:
    """The library's version as numbers."""
    return tuple(int(part) for part in str(library.__version__).split(".")[:3] if part.isdigit())


def _hold_types(library: Any, config: Any, compute: str) -> None:
    """Let the engine compute in the graph's types: float32 is meant so, also where it is an island among halves.

    In int8 what is left in float32 may be rounded to TF32, which is far less than int8 itself loses.
    """
    if compute != "int8":
        config.clear_flag(library.BuilderFlag.TF32)  # set by itself
    if not typed_strongly(library):
        config.set_flag(library.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
        if compute in _BUILDER_FLAGS:
            config.set_flag(getattr(library.BuilderFlag, _BUILDER_FLAGS[compute]))


def _hold_sources(library: Any, config: Any) -> None:
    """Kernels of the library's own alone: before 10 it takes those of cuBLAS and cuDNN too, which need not be there."""
    sources: dict[str, Any] = dict(library.TacticSource.__members__) if hasattr(library, "TacticSource") else {}
    if any(name in sources for name in _OF_OTHERS):
        config.set_tactic_sources(sum(1 << int(each) for name, each in sources.items() if name not in _OF_OTHERS))


def _list_capabilities(library: Any, config: Any, capabilities: list[str]) -> None:
    config.num_compute_capabilities = len(capabilities)  # first, or the build asks for a GPU without a word
    for index, capability in enumerate(capabilities):
        name = f"SM{capability.replace('.', '')}"
        config.set_compute_capability(library.ComputeCapability.__members__[name], index)


def _timing_cache(config: Any, path: Path) -> Any:
    """What is at `path`, or an empty one where that is of another GPU or version, or is none."""
    cache = config.create_timing_cache(path.read_bytes() if path.is_file() else b"")
    if cache is None or config.set_timing_cache(cache, False) is False:  # which takes no other GPU's
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache
