"""A video read and written again, as the runtime does it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from runtime.video import Encoding, FrameWriter, VideoInfo, VideoReader, open_work, open_writer


def recode(source: Path, out: Path, crf: int = 0) -> list[str]:
    """Write the frames of `source` to `out` as H.264; returns the writer's notes."""
    return recode_as(source, out, Encoding("h264", crf))


def recode_as(source: Path, out: Path, encoding: Encoding) -> list[str]:
    """Write the frames of `source` to `out`; returns the writer's notes."""
    with VideoReader(source) as reader, writing(out, reader.info, encoding) as writer:
        for frame in reader:
            writer.write(frame)
    return list(writer.notes)


@contextmanager
def writing(out: Path, info: VideoInfo, encoding: Encoding | None = None) -> Generator[FrameWriter, None, None]:
    """A writer with work of its own, for H.264 unless `encoding` says otherwise."""
    with (
        open_work(out, "a test", resume=False, overwrite=True) as work,
        open_writer(out, info, encoding or Encoding("h264", 20), work) as writer,
    ):
        yield writer
