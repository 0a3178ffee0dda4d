"""What tensorrt_rtx alone has: how a context is to be made, and the kernels that it compiled, for `FakeTensorRt`."""

from __future__ import annotations

from typing import Any

from tests.engines import enumeration

STRATEGIES = enumeration("ExecutionContextAllocationStrategy", "STATIC", "ON_PROFILE_CHANGE", "USER_MANAGED")
SPECIALIZATIONS = enumeration("DynamicShapesKernelSpecializationStrategy", "LAZY", "EAGER", "NONE")


class RuntimeCache:
    """Kernels of one engine."""

    def __init__(self, keeps_nothing: bool) -> None:
        self.kernels = b""
        self._keeps_nothing = keeps_nothing

    def deserialize(self, blob: bytes) -> bool:
        """Refuses what it did not write."""
        if blob.startswith(b"kernels of "):
            self.kernels = blob
        return bool(self.kernels)

    def serialize(self) -> bytes | None:
        return None if self._keeps_nothing else self.kernels


class RuntimeConfig:
    """How a context is to be made; strategies as they are where nobody sets them."""

    def __init__(self, keeps_nothing: bool) -> None:
        self.cache: RuntimeCache | None = None
        self.given_memory = False
        self.dynamic_shapes_kernel_specialization_strategy = SPECIALIZATIONS["LAZY"]
        self._keeps_nothing = keeps_nothing

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self.given_memory = strategy == STRATEGIES["USER_MANAGED"]

    def create_runtime_cache(self) -> RuntimeCache:
        return RuntimeCache(self._keeps_nothing)

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self.cache = cache
        return True
