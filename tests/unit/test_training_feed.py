"""The samples of a run follow from its configuration alone."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models._spec import Size
from runtime.errors import InputError, UsageError
from tests.trained import CONFIG, HERE
from training.config import Config, Data, Photographs, Source
from training.distributed import World
from training.feed import ConfiguredFeed
from training.schedule import stretches

SIZE = Size(48, 48)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sets of clips, red and blue, as published; and two photographs, green."""
    folder = tmp_path_factory.mktemp("sets")
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (folder / name / "JPEGImages").mkdir(parents=True)
        content = io.BytesIO()
        Image.new("RGB", (64, 64), colour).save(content, "PNG")
        with zipfile.ZipFile(folder / name / "JPEGImages" / "a.zip", "w") as archive:
            for index in range(6):
                archive.writestr(f"{index:05d}.png", content.getvalue())
        for split in ("train", "test"):
            (folder / name / f"{split}.json").write_text(json.dumps({"a": 6}))
    (folder / "photographs").mkdir()
    for number in range(2):
        Image.new("RGB", (96, 96), (0, 255, 0)).save(folder / "photographs" / f"{number}.png")
    return folder


def configured(root: Path, *clips: Source, photographs: bool = False, seed: int = 3) -> Config:
    pictures = (Photographs(root / "photographs"),) if photographs else ()
    validation = replace(CONFIG.validation, clips=(Source("blue", "test"),), samples=3, frames=4)
    data = Data(root, clips, pictures, smallest_crop=0.5, workers=0)
    return replace(CONFIG, seed=seed, data=data, validation=validation)


def brightest(levels: torch.Tensor) -> set[int]:
    """The colours, 0 red to 2 blue, that the clips of a batch are of."""
    return set(levels.double().mean(dim=(1, 3, 4)).argmax(dim=1).tolist())


def test_all_sources_are_drawn_from_by_their_weights(root: Path) -> None:
    feed = ConfiguredFeed(configured(root, Source("red"), Source("blue", weight=0.0), photographs=True))
    (stretch, *_) = stretches(CONFIG.phases, 0, 1)
    seen = [brightest(batch.levels) for batch in islice(feed.training(stretch, HERE), 12)]
    assert set[int]().union(*seen) == {0, 1}
    assert feed.clips == 4


def test_processes_share_what_one_would_see(root: Path) -> None:
    feed = ConfiguredFeed(configured(root, Source("red")))
    (stretch, *_) = stretches(CONFIG.phases, 1, 2)
    alone = next(feed.training(stretch, HERE))
    shared = [next(feed.training(stretch, World(rank, 2, HERE.device))) for rank in range(2)]
    assert [tuple(part.levels.shape) for part in (alone, *shared)] == [(2, 2, 3, 48, 96), *[(1, 2, 3, 48, 96)] * 2]
    assert torch.equal(torch.cat([part.holes for part in shared]), alone.holes)
    earlier = next(feed.training(next(iter(stretches(CONFIG.phases, 0, 1))), HERE))
    assert not torch.equal(earlier.holes, alone.holes)


def test_what_is_measured_by_is_fixed_and_held_out(root: Path) -> None:
    runs = [ConfiguredFeed(configured(root, Source("red"), seed=seed)) for seed in (3, 4)]
    found = [list(run.validation(SIZE)) for run in runs]
    assert [len(batches) for batches in found] == [3, 3]
    for one, other in zip(*found, strict=True):
        assert tuple(one.levels.shape) == (1, 4, 3, 48, 48)
        assert brightest(one.levels) == {2}
        assert torch.equal(one.levels, other.levels)
        assert torch.equal(one.holes, other.holes)
    assert not torch.equal(found[0][0].holes, found[0][1].holes)


def test_what_is_measured_by_is_shown_whole(tmp_path: Path) -> None:
    """A crop would lose the left or the right edge, which are of other colours."""
    (tmp_path / "edges" / "JPEGImages").mkdir(parents=True)
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:, :16], picture[:, -16:] = 255, 128
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    with zipfile.ZipFile(tmp_path / "edges" / "JPEGImages" / "a.zip", "w") as archive:
        for index in range(4):
            archive.writestr(f"{index:05d}.png", content.getvalue())
    (tmp_path / "edges" / "test.json").write_text('{"a": 4}')
    config = configured(tmp_path, Source("edges", "test"))
    config = replace(config, validation=replace(config.validation, clips=config.data.clips))
    for batch in ConfiguredFeed(config).validation(SIZE):
        row = batch.levels[0, 0, 0, 24]
        assert {int(row[0]), int(row[-1])} == {255, 128}


def test_no_sources_and_sources_that_are_not_there_are_one_line(root: Path) -> None:
    with pytest.raises(UsageError, match=r"data: found no sources, wanted \[\[data\.clips\]\]"):
        ConfiguredFeed(configured(root))
    with pytest.raises(InputError, match=r"green.train\.json: is not there") as caught:
        ConfiguredFeed(configured(root, Source("green")))
    assert "\n" not in str(caught.value)
