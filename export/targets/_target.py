"""What the exporter asks of a target."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from onnx import ModelProto


class Target(Protocol):
    """A form in which a stage lies in the bundle; found by the file of its name in export/targets."""

    @property
    def name(self) -> str:
        """What the command line and the manifest call it."""
        ...

    @property
    def suffix(self) -> str:
        """Of its files, with the dot."""
        ...

    @property
    def fixed_window(self) -> bool:
        """Whether it needs the number of frames of a transformer's call as a constant."""
        ...

    @property
    def compiled(self) -> bool:
        """Whether it decides types itself when it is built, so that --fp16 means something to it."""
        ...

    def why_not(self) -> str | None:
        """None when it can be made here, else one sentence that says what is missing and how to get it."""
        ...

    def write(self, model: ModelProto, path: Path) -> None:
        """Make the stage's file from its float32 graph; raises `ExportError`."""
        ...
