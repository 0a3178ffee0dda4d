"""infer.py on a machine that has TensorRT, or acts so."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.cli import main
from tests.engined import Build, add_engines
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_tensorrt import FakeTensorRt, machine_with

FRAMES = 14  # of the clip
REBUILD = "python export.py --compile {bundle} --target tensorrt"


@dataclass
class Rig:
    """infer.py on one clip."""

    folder: Path
    bundle: Path
    capsys: pytest.CaptureFixture[str]

    def infer(self, out: str, *more: str) -> tuple[int, str]:
        """The exit code, and what was said on stderr."""
        target = self.folder / out / "%05d.png"
        files = [str(self.folder / "clip.mp4"), "--out", str(target), "--bundle", str(self.bundle)]
        code = main([*files, "--box", "20,12,30,20", "--region", "full", "--json", *more])
        self.printed, said = self.capsys.readouterr()
        return code, said

    def build(self, build: Build) -> None:
        add_engines(self.bundle, build)

    def pictures(self, out: str) -> np.ndarray:
        return np.stack([np.asarray(Image.open(path)) for path in sorted((self.folder / out).glob("*.png"))])

    def command(self) -> str:
        return REBUILD.format(bundle=self.bundle)


@contextmanager
def machine(library: FakeTensorRt | None = None, fails: str = "") -> Generator[FakeGraphs, None, None]:
    """A machine with TensorRT; nothing of the run is left in it afterwards."""
    found = library or FakeTensorRt(FakeCuda())
    driver = FakeGraphs(found.cuda, fails)
    before = set(threading.enumerate())
    with machine_with(found, driver):
        yield driver
    after = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not [name for name in after if not name.startswith("ThreadPoolExecutor")]  # openvino's own
    assert driver.alive == 0
