"""Kernels that RTX compiled for this GPU, kept from one start to the next; never worth a failure."""

from __future__ import annotations

import hashlib
from typing import Any

from runtime.kept import keep, read_kept
from runtime.program import Request


class RuntimeCache:
    """The runtime cache of one engine on one GPU, in a file beside the engine."""

    def __init__(self, engine: Any, request: Request, where: str) -> None:
        """`where` names GPU and library: caches of several lie side by side."""
        self._engine = engine
        self._request = request
        where = f"{where} {sorted(request.sizes.items())}"  # an engine's programs compile for other shapes each
        self._name = f"{request.path.name}.{hashlib.sha256(where.encode()).hexdigest()[:12]}.cache"
        self._config = engine.create_runtime_config()
        self._cache = self._config.create_runtime_cache()
        self._kept = read_kept(request.path.parent, self._name)
        if self._kept and not self._cache.deserialize(self._kept):
            self._kept = b""  # of another driver, or damaged: the library has checked and begins anew
        self._config.set_runtime_cache(self._cache)

    def context(self, library: Any) -> Any:
        """An execution context that uses it and is still to be given its memory; None where the library fails.

        Engines are built for that: one that takes memory itself may do so in the midst of work.

        Kernels for a shape are compiled when it is first met.  By default a thread in the background does so, and
        general kernels stand in until then: a CUDA graph would keep those, and frames would hang on when others came.
        """
        strategy = library.ExecutionContextAllocationStrategy.USER_MANAGED
        self._config.set_execution_context_allocation_strategy(strategy)
        eager = library.DynamicShapesKernelSpecializationStrategy.EAGER
        self._config.dynamic_shapes_kernel_specialization_strategy = eager
        return self._engine.create_execution_context(runtime_config=self._config)

    def keep_at_rest(self) -> None:
        """When the run is at rest, keep what it compiled: by then that is everything it needs."""
        self._request.at_rest(self._keep)

    def _keep(self) -> None:
        serialized = self._cache.serialize()
        content = b"" if serialized is None else bytes(serialized)
        if content in (b"", self._kept):
            return
        self._kept = content
        if not keep(self._request.path.parent, self._name, content):
            self._request.tell(
                f"{self._request.path.parent}: neither this folder nor the user's cache can be written; what was "
                f"compiled for this GPU is compiled again at the next start"
            )
