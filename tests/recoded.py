"""A video read and written again, as the runtime does it."""

from __future__ import annotations

from pathlib import Path

from runtime.video import VideoReader, open_writer


def recode(source: Path, out: Path, crf: int = 0) -> list[str]:
    """Write the frames of `source` to `out`; returns the writer's notes."""
    with VideoReader(source) as reader, open_writer(out, reader.info, crf=crf) as writer:
        for frame in reader:
            writer.write(frame)
    return list(writer.notes)
