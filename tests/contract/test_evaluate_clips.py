"""evaluate.py and its clips: what is wrong with one is said at once, and none is taken for another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calib.baselines import BASELINES
from calib.evaluation.cli import main
from calib.evaluation.scene import SCENES, read_clip
from calib.mask_sets import Wanted, holes_of
from calib.motion import camera_move
from runtime.bundle import DEFAULT
from runtime.errors import InputError
from runtime.frame import RGB, Hole
from runtime.session import Session
from tests.clips import Clip, write_clip
from tests.tables import rows_of

WIDTH, HEIGHT, FRAMES = 96, 72, 3


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """Two clips with a mask beside each."""
    made: list[str] = []
    for number in range(2):
        made.append(str(write_clip(tmp_path / f"{number}.mp4", Clip(WIDTH, HEIGHT, frames=FRAMES))))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[20:40, 10:40] = 255
        Image.fromarray(mask).save(tmp_path / f"{number}_mask.png")
    return made


def evaluate(*arguments: str) -> int:
    """evaluate.py with the shipped bundle on the null backend, at the clips' own size."""
    return main([DEFAULT, *arguments, "--backend", "null", "--size", f"{WIDTH}x{HEIGHT}"])


def weave(path: Path) -> None:
    woven = write_clip(path.with_name("woven.mkv"), Clip(WIDTH, HEIGHT, frames=8, codec="ffv1", fields="tff"))
    woven.replace(path)


def cut(path: Path) -> None:
    whole = write_clip(path.with_name("whole.mp4"), Clip(WIDTH, HEIGHT, frames=8), movflags="faststart")
    whole.write_bytes(whole.read_bytes()[:-400])
    whole.replace(path)


def leave_one_mask(path: Path) -> None:
    folder = path.with_name(f"{path.stem}_mask")
    folder.mkdir()
    path.with_name(f"{path.stem}_mask.png").rename(folder / "0.png")
    (folder / "1.png").write_bytes((folder / "0.png").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (weave, "the video is interlaced, and the network knows whole frames only; deinterlace it first"),
        (cut, "decoded 6 of 8 frames: the file ends 400 bytes early; copy the file again"),
    ],
)
def test_what_is_wrong_with_the_last_clip_is_said_before_the_first_is_evaluated(
    spoil: Callable[[Path], object], said: str, clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = Path(clips[1])
    spoil(last)
    before = sorted(tmp_path.rglob("*"))
    assert evaluate(*clips, "--baselines", "none", "--out", str(tmp_path / "report")) == 2
    assert capsys.readouterr().err == f"evaluate.py: {last}: {said}\n"
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_wrong_with_the_last_clips_masks_is_said_before_the_first_is_evaluated(
    clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_one_mask(Path(clips[1]))
    before = sorted(tmp_path.rglob("*"))
    assert evaluate(*clips, "--masks", "own", "--baselines", "none", "--out", str(tmp_path / "report")) == 2
    streams = capsys.readouterr()
    assert "1_mask: 2 masks, but the video has 3 frames" in streams.err
    assert "dB" not in streams.out + streams.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_turned_clip_is_evaluated_upright(tmp_path: Path) -> None:
    """As a viewer sees it, and as a run shows it to the network; its masks with it."""
    turned = write_clip(tmp_path / "turned.mp4", Clip(96, 64, frames=2, rotation=90))
    lying = write_clip(tmp_path / "lying.mp4", Clip(96, 64, frames=2))
    mask = np.zeros((96, 64), np.uint8)  # as a viewer sees the picture
    mask[:40, :20] = 255
    Image.fromarray(mask).save(tmp_path / "turned_mask.png")
    wanted = [np.rot90(picture) for picture in read_clip(lying, (96, 64), 2)]
    found = read_clip(turned, (64, 96), 2)
    assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
    (hole, _) = holes_of("own", Wanted(turned, turned, 2, 64, 96, seed=0))
    assert hole[:40, :20].all()
    assert not hole[60:].any()
    moved, _ = camera_move(np.ascontiguousarray(wanted[0]), (64, 96), 2)
    assert np.array_equal(SCENES["camera"].make(turned, (64, 96), 2).pictures, moved)


def test_clips_of_one_name_keep_rows_and_pictures_of_their_own(clips: list[str], tmp_path: Path) -> None:
    for number, clip in enumerate(clips):
        (tmp_path / f"folder {number}").mkdir()
        Path(clip).rename(tmp_path / f"folder {number}" / "clip.mp4")
    named = [str(tmp_path / f"folder {number}" / "clip.mp4") for number in range(2)]
    out = tmp_path / "report"
    assert evaluate(*named, "--masks", "stationary", "--baselines", "none", "--out", str(out)) == 0
    rows = rows_of(out / "rows.csv")
    assert [row["clip"] for row in rows if row["method"] == "network"] == ["folder 0/clip", "folder 1/clip"]
    assert sorted(path.name for path in (out / "pictures").iterdir()) == [
        "01-folder 0_clip-clip-stationary.png",
        "02-folder 1_clip-clip-stationary.png",
    ]


@pytest.mark.parametrize("stopped", [False, True])
def test_the_session_is_closed_in_the_end(stopped: bool, clips: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Session] = []
    close = Session.close
    monkeypatch.setattr(Session, "close", lambda session: (closed.append(session), close(session)))
    if stopped:

        def fails(_pictures: Sequence[RGB], _holes: Sequence[Hole]) -> Iterator[RGB]:
            raise InputError("enough")

        monkeypatch.setattr("calib.evaluation.cli.BASELINES", {**BASELINES, "telea": fails})
    assert evaluate(*clips, "--baselines", "telea") == (2 if stopped else 0)
    assert len(closed) == 1
