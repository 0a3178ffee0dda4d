"""What a run with TensorRT's engines had of the GPU is given back, graphs with every clip; on a stand-in."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from runtime import backends
from runtime.bundle import read_bundle
from runtime.errors import DeviceFailed, EngineUnfit
from runtime.session import Session, Settings
from tests.engined import Build, add_engines
from tests.pictures import as_clip, moving_holes, moving_pictures, whole
from tests.stand_in_cuda import FakeCuda
from tests.stand_in_graphs import FakeGraphs
from tests.stand_in_tensorrt import FakeTensorRt, Faults, machine_with
from tests.tiny import HEIGHT, WIDTH

LENGTH = 14


def restored(session: Session) -> int:
    clip = as_clip(moving_pictures(LENGTH, WIDTH, HEIGHT), moving_holes(LENGTH, WIDTH, HEIGHT))
    return sum(1 for _ in session.restore(clip, whole(WIDTH, HEIGHT)))


class Rig:
    """A bundle with engines, on a machine that has TensorRT."""

    def __init__(self, root: Path, **faults: Any) -> None:
        self.root = root
        self.library = FakeTensorRt(FakeCuda(), faults=Faults(**faults))
        self.driver = FakeGraphs(self.library.cuda)

    @contextmanager
    def session(self) -> Generator[Session, None, None]:
        caught: BaseException | None = None
        with machine_with(self.library, self.driver):
            try:
                with Session(read_bundle(self.root), backends.get("tensorrt"), Settings()) as session:
                    yield session
            except (DeviceFailed, EngineUnfit) as error:
                caught = error
            self.library.cuda.owned.check()
        if caught is not None:
            raise caught


@pytest.fixture
def engines(narrow_window: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(narrow_window, tmp_path / "bundle"))
    add_engines(root, Build())
    return root


def test_graphs_go_with_the_clip_and_what_engines_were_given_with_the_session(engines: Path) -> None:
    rig = Rig(engines)
    with rig.session() as session:
        for _ in range(2):
            assert restored(session) == LENGTH
            assert rig.library.cuda.owned.alive == {"module": 1}
        assert rig.library.cuda.owned.made["graph"] > 10


def test_an_engine_that_fails_at_work(engines: Path) -> None:
    with (
        pytest.raises(DeviceFailed, match="failed to run the") as caught,
        Rig(engines, fails_at=5).session() as session,
    ):
        restored(session)
    assert caught.tb is not None


def test_an_engine_that_cannot_be_opened(engines: Path) -> None:
    with pytest.raises(EngineUnfit), Rig(engines, context="it is odd").session():
        pass
