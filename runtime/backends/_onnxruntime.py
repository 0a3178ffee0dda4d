"""What the backends over onnxruntime share; the module itself is theirs to import."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from traceback import clear_frames
from typing import Any

import numpy as np

from runtime import cores
from runtime._device.gpu import CudaTensor
from runtime.afterwards import afterwards
from runtime.backends._onnxruntime_libraries import GpuProvider, preload, why_not_found
from runtime.bundle import Compute
from runtime.device import Memory, Stream, Tensor
from runtime.errors import BackendUnavailable, DeviceFailed, first_line
from runtime.machine import NO_GPU, gpus
from runtime.program import LABELS, Precision, Request, Tensors

Options = Mapping[str, str]
Provider = str | tuple[str, dict[str, str]]
_CPU = "CPUExecutionProvider"


def installed() -> bool:
    """Whether onnxruntime is there, whatever it can do."""
    return importlib.util.find_spec("onnxruntime") is not None


def load(library: Any, request: Request, providers: Sequence[Provider], *, plan_memory: bool = True) -> Any:
    """A session with these providers, best first; raises `BackendUnavailable`.

    With `plan_memory`, the library's default, every length of window that comes gets a block with a place for each of
    its tensors, beside the memory that was taken to find them.
    """
    options = library.SessionOptions()
    options.log_severity_level = 3  # its warnings speak of its own optimiser, not of anything a user can change
    options.intra_op_num_threads = cores.threads(request.threads) or 0  # 0: it counts the machine's cores itself
    options.enable_mem_pattern = plan_memory
    for axis, size in request.sizes.items():
        options.add_free_dimension_override_by_name(axis, size)
    try:
        return library.InferenceSession(str(request.path), options, providers=list(providers), enable_fallback=0)
    except Exception as error:  # the library's own exception types are private
        clear_frames(error.__traceback__)  # they know a session, which may know a stream
        raise BackendUnavailable(
            f"{request.path}: onnxruntime {library.__version__} cannot load this graph: "
            f"{str(error).splitlines()[0]} Try --backend openvino, or upgrade onnxruntime."
        ) from error


class CudaProgram:
    """A graph on the GPU, bound to the caller's memory.

    The library takes a stream when it loads a graph and at no other time, while a run's streams are made for each clip,
    after the stages were opened.  So the graph is loaded once, on a stream that the program has for itself: that waits
    for the caller's, and the caller's for that.  Loading, and the first run, in which the library chooses kernels and
    allocates, are the only ones that make the enqueuing thread wait.  Where the program is given no stream, the graph
    is loaded for the caller's, as often as another one comes.
    """

    def __init__(self, library: Any, request: Request, providers: Callable[[int], list[Provider]]) -> None:
        self.compute: Compute = request.compute
        self._library = library
        self._request = request
        self._providers = providers
        self._own: Stream | None = None  # made when it is first needed; its device ends it
        self._loaded: tuple[int, Any] | None = None  # a stream's handle, and the session that works on it
        self._run_options = library.RunOptions()
        self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")  # events order the work
        request.at_rest(self._rest)
        request.at_end(self._unload)  # while its stream is there

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        """As `Program.enqueue`."""
        work = partial(self._run, inputs, outputs)
        if self._own is None and self._request.stream is not None:
            self._own = self._request.stream(self._request.stage.name)
        own = self._own
        if own is None:
            stream.launch(work)
            return
        own.wait(stream.mark())
        with afterwards(lambda: stream.wait(own.mark())):  # what was enqueued before an error still uses the memory
            own.launch(work)

    def _run(self, inputs: Tensors, outputs: Tensors, handle: int) -> None:
        session = self._session(handle)
        binding = session.io_binding()
        for name, tensor in inputs.items():
            binding.bind_input(name, *_place(tensor))
        for name, tensor in outputs.items():
            binding.bind_output(name, *_place(tensor))
        try:
            session.run_with_iobinding(binding, self._run_options)
        except Exception as error:  # the library's own exception types are private
            # An error keeps what its frames know: the session would end with it, after its stream.
            clear_frames(error.__traceback__)
            del session, binding
            raise DeviceFailed(
                f"{self._request.path.name}: onnxruntime failed on the GPU: {first_line(error)}. Use --streams 1 where "
                f"memory is short, run again (--resume goes on where a run with --resume was stopped), or use the CPU: "
                f"--backend onnxruntime"
            ) from error

    def _session(self, handle: int) -> Any:
        if self._loaded is None or self._loaded[0] != handle:
            self._unload()
            wanted = self._providers(handle)
            session = load(self._library, self._request, wanted)
            first = str(wanted[0][0])
            if first not in session.get_providers():
                del session  # the error would keep it, and it may know the stream by another provider
                raise BackendUnavailable(
                    f"{self._request.path}: onnxruntime {self._library.__version__} could not start its {first}: CUDA, "
                    f"cuDNN or TensorRT is not the version that it was made for. Use the CPU: --backend onnxruntime"
                )
            self._loaded = handle, session
        return self._loaded[1]

    def _rest(self) -> None:
        if self._own is None:
            self._unload()  # the stream is gone then
        else:
            self._own.rest()  # so that the clock hears of all its work

    def _unload(self) -> None:
        self._loaded = None


@dataclass(frozen=True, slots=True)
class CudaBackend:
    """onnxruntime with a provider that works on NVIDIA GPUs."""

    library: Callable[[], Any]
    provider: GpuProvider
    others: tuple[GpuProvider, ...]  # for what that one does not run, before the CPU's
    rank: int | None
    settings: Callable[[Request], Options]  # of the provider, besides its stream

    target = "onnx"
    memory: Memory = "cuda"
    graphs: tuple[Compute, ...] = ("float16", "float32")

    def why_not(self) -> str | None:
        """As `Backend.why_not`."""
        if not installed():
            return "the package onnxruntime-gpu is not installed: pip install onnxruntime-gpu."
        try:
            library = self.library()
        except (ImportError, OSError) as error:  # what it links to is missing
            again = "pip install --force-reinstall onnxruntime-gpu."
            return f"onnxruntime cannot be imported ({first_line(error)}): {again}"
        if self.provider.name not in library.get_available_providers():
            return (
                f"the installed onnxruntime has no {self.provider.name}: pip uninstall onnxruntime, then pip install "
                f"onnxruntime-gpu."
            )
        if importlib.util.find_spec("pycuda") is None:
            return "the package pycuda is not installed: pip install pycuda."
        if not gpus():
            return NO_GPU
        preload(library)
        lacking = (why_not_found(library, provider) for provider in (*self.others, self.provider))
        return next((reason for reason in lacking if reason is not None), None)

    def machine(self) -> None:
        """None: it runs graphs."""

    def traits(self) -> tuple[str, ...]:
        """As `Backend.traits`."""
        return (str(self.library().__version__),)

    def precision(self, asked: Precision, compute: Compute = "float32") -> str:
        """The graph's own type."""
        return LABELS[compute]

    def open(self, request: Request) -> CudaProgram:
        """As `Backend.open`; a graph that cannot be loaded shows here, on the CPU, before anything is written."""
        library = self.library()
        preload(library)
        load(library, request, [_CPU])
        settings = self.settings(request)

        def providers(handle: int) -> list[Provider]:
            stream = {"user_compute_stream": str(handle)}
            others: list[Provider] = [(other.name, dict(stream)) for other in self.others]
            return [(self.provider.name, {**settings, **stream}), *others, _CPU]

        return CudaProgram(library, request, providers)


def _place(tensor: Tensor) -> tuple[str, int, Any, tuple[int, ...], int]:
    """Where a tensor is, and what, as bindings take it; the number of targets stays on the host."""
    if isinstance(tensor, CudaTensor):
        return "cuda", 0, tensor.dtype.type, tensor.shape, tensor.address
    array = np.asarray(tensor)
    return "cpu", 0, array.dtype.type, array.shape, int(array.ctypes.data)
