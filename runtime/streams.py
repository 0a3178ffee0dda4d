"""The streams of one run: what is uploaded, computed and downloaded at the same time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass

from runtime.afterwards import afterwards
from runtime.device import Device, Stream


@dataclass(frozen=True, slots=True)
class Streams:
    """One for each part of the way through the network."""

    upload: Stream  # views of the source, normalised, to the encoder's input
    encoder: Stream
    transformer: Stream  # gathers a window's features first
    decoder: Stream
    download: Stream  # what was painted to the host, where it is blended


@contextmanager
def open_streams(device: Device, rested: AbstractContextManager[None] | None = None) -> Generator[Streams, None, None]:
    """Streams for the calling thread, which may use the device meanwhile; afterwards nothing of theirs runs any more.

    Whatever is still enqueued then is dropped.  All are cancelled before the first is waited for, since one may wait
    for another.  `rested` is left when all are at rest and none is closed yet: programs may know a stream.
    """
    with device.bound(), ExitStack() as closed, rested or nullcontext(), ExitStack() as at_rest, ExitStack() as stopped:

        def opened(name: str) -> Stream:
            stream = device.stream(name)
            closed.enter_context(afterwards(stream.close))
            at_rest.enter_context(afterwards(stream.rest))
            stopped.callback(stream.cancel)
            return stream

        yield Streams(
            upload=opened("upload"),
            encoder=opened("encoder"),
            transformer=opened("transformer"),
            decoder=opened("decoder"),
            download=opened("download"),
        )
