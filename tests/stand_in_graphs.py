"""What libcuda is to CUDA graphs, over the streams of `FakeCuda`: what is put while a stream records is put again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.stand_in_cuda import FakeCuda

REFUSED = 900  # CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED


class FakeGraphs:
    """Answers as libcuda does; the function `fails` gives an error."""

    def __init__(self, cuda: FakeCuda, fails: str = "") -> None:
        self._cuda, self._fails = cuda, fails
        self._recorded: dict[int, list[Callable[[], object]]] = {}
        self._owned: dict[tuple[str, int], int] = {}
        self.calls: Counter[str] = Counter()

    @property
    def alive(self) -> int:
        """Graphs that were made and not destroyed, each with its executable form."""
        return len(self._recorded)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            if name == "cuGetErrorName":
                arguments[1]._obj.value = b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"
                return 0
            self.calls[name] += 1
            if name == self._fails:
                if name == "cuStreamEndCapture":  # what was recorded is lost, but the stream works again
                    self._cuda.streams[arguments[0].value].recording = None
                return REFUSED
            getattr(self, f"_{name}")(*arguments)
            return 0

        return call

    def _cuStreamBeginCapture_v2(self, stream: Any, mode: Any) -> None:  # noqa: N802
        assert mode.value == 1, "other threads must go on as they like"
        found = self._cuda.streams[stream.value]
        assert found.recording is None
        found.recording = []

    def _cuStreamEndCapture(self, stream: Any, graph: Any) -> None:  # noqa: N802
        found = self._cuda.streams[stream.value]
        assert found.recording is not None
        graph._obj.value = 1000 + self.calls["cuStreamBeginCapture_v2"]
        self._recorded[graph._obj.value] = found.recording
        self._make("graph", graph._obj.value)
        found.recording = None

    def _cuGraphInstantiateWithFlags(self, executable: Any, graph: Any, flags: Any) -> None:  # noqa: N802
        executable._obj.value = graph.value
        self._make("executable graph", graph.value)

    def _cuGraphLaunch(self, executable: Any, stream: Any) -> None:  # noqa: N802
        for operation in self._recorded[executable.value]:
            self._cuda.streams[stream.value].put(operation)

    def _cuGraphExecDestroy(self, executable: Any) -> None:  # noqa: N802
        self._end("executable graph", executable.value)

    def _cuGraphDestroy(self, graph: Any) -> None:  # noqa: N802
        del self._recorded[graph.value]
        self._end("graph", graph.value)

    def _make(self, kind: str, handle: int) -> None:
        self._owned[kind, handle] = self._cuda.owned.make(kind)

    def _end(self, kind: str, handle: int) -> None:
        self._cuda.owned.end(self._owned.pop((kind, handle)), silently=True)
