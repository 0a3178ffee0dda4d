"""The streams of one run: what is uploaded, computed and downloaded at the same time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

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
def open_streams(device: Device) -> Generator[Streams, None, None]:
    """Streams for the calling thread, which may use the device meanwhile; afterwards nothing of theirs runs any more.

    Whatever is still enqueued then is dropped.  All are cancelled before the first is waited for, since one may wait
    for another.
    """
    with device.bound(), ExitStack() as closed, ExitStack() as cancelled:

        def opened(name: str) -> Stream:
            stream = device.stream(name)
            closed.callback(stream.close)
            cancelled.callback(stream.cancel)
            return stream

        yield Streams(
            upload=opened("upload"),
            encoder=opened("encoder"),
            transformer=opened("transformer"),
            decoder=opened("decoder"),
            download=opened("download"),
        )
