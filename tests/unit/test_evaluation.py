"""What an evaluation measures, averages and shows to the network."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calib.baselines import BASELINES, telea
from calib.evaluation.network import Network, open_network
from calib.evaluation.report import open_report
from calib.evaluation.row import TRUTH, Figures, Group, Row, means, measure, truth_figures
from calib.evaluation.run import Plan, evaluate
from calib.evaluation.scene import Scene
from calib.evaluation.sheet import FRAMES, chosen_frames
from calib.metrics import psnr, psnr_in_hole, warping_error
from calib.motion import Motion
from calib.similarity import similarity
from runtime.bundle import DEFAULT, Bundle, Compute, read_bundle
from runtime.device import Stream, host_array
from runtime.errors import OutputError
from runtime.frame import RGB, Hole
from runtime.job import find_bundle
from runtime.program import Program, Request, Tensors
from runtime.progress import silent
from runtime.session import Settings
from tests.clips import Clip, write_clip
from tests.pictures import moving_holes, moving_pictures
from tests.stand_ins import Counting, Mixing
from tests.tolerances import TOLERANCE

LENGTH, WIDTH, HEIGHT = 4, 96, 80
EXACT = TOLERANCE["metrics", "db"]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(find_bundle(DEFAULT))


def scene_of(pictures: Sequence[RGB], hidden: Hole | None = None) -> Scene:
    """Pictures that are said to stand still; `hidden` is nowhere visible before."""
    shape = pictures[0].shape[:2]
    visible = np.ones(shape, np.bool_) if hidden is None else ~hidden
    return Scene(pictures, [Motion(np.zeros((*shape, 2), np.float32), visible)] * (len(pictures) - 1), "known")


def test_the_figures_are_the_metrics_by_their_conventions() -> None:
    truth, holes = moving_pictures(LENGTH, WIDTH, HEIGHT), moving_holes(LENGTH, WIDTH, HEIGHT)
    found = [telea(picture, hole) for picture, hole in zip(truth, holes, strict=True)]
    figures = measure(found, scene_of(truth), holes)
    alike = similarity(found, truth, holes)
    still = [np.zeros((HEIGHT, WIDTH, 2), np.float32)] * (LENGTH - 1)
    whole = float(np.mean([psnr(picture, wanted) for picture, wanted in zip(found, truth, strict=True)]))
    hole, flicker = psnr_in_hole(found, truth, holes), warping_error(found, still, holes)
    assert figures == Figures(whole, alike.whole, hole, alike.hole, flicker)


def test_what_could_not_be_seen_before_does_not_flicker() -> None:
    truth, holes = moving_pictures(2, WIDTH, HEIGHT), moving_holes(2, WIDTH, HEIGHT)
    left = holes[1].copy()
    left[:, 12:] = False
    part = truth_figures(scene_of(truth, left), holes).warping_levels
    still = [np.zeros((HEIGHT, WIDTH, 2), np.float32)]
    assert part == warping_error(truth, still, [holes[0], holes[1] & ~left])
    assert part != warping_error(truth, still, holes)
    assert truth_figures(scene_of(truth, holes[1]), holes).warping_levels is None


def test_where_the_camera_shows_nothing_of_a_hole_twice_there_is_no_warping_error() -> None:
    """A strip along the edge that comes into the picture: flow reaches it, and it comes from outside."""
    truth = moving_pictures(3, WIDTH, HEIGHT)
    hole = np.zeros((HEIGHT, WIDTH), np.bool_)
    hole[:, -2:] = True
    flow = np.full((HEIGHT, WIDTH, 2), 12, np.float32)
    scene = Scene(truth, [Motion(flow, np.ones((HEIGHT, WIDTH), np.bool_))] * 2, "estimated")
    assert measure(truth, scene, [hole] * 3).warping_levels is None


def test_a_clip_of_one_frame_has_no_warping_error() -> None:
    truth, holes = moving_pictures(1, WIDTH, HEIGHT), moving_holes(1, WIDTH, HEIGHT)
    assert truth_figures(scene_of(truth), holes).warping_levels is None


def row(clip: str, method: str, frames: int, figures: Figures, features: list[float] | None = None) -> Row:
    vector = None if features is None else np.array(features, np.float32)
    return Row(clip, Group("clip", "known", "own", method), frames, 0.1, figures, vector)


def test_whole_frames_count_alike_and_so_do_clips_in_the_hole() -> None:
    rows = [
        row("a", "x", 10, Figures(30.0, 0.9, 20.0, 0.5, 4.0)),
        row("a", "y", 10, Figures(1.0, 0.1, 1.0, 0.1, 1.0)),
        row("b", "x", 30, Figures(34.0, 0.7, 26.0, 0.9, None)),
    ]
    found = list(means(rows))
    assert [mean.group.method for mean in found] == ["x", "y"]
    assert (found[0].clips, found[0].frames) == (2, 40)
    mean = found[0].figures
    assert (mean.psnr_db, mean.ssim) == (pytest.approx(33, abs=EXACT), pytest.approx(3 / 4, abs=EXACT))
    assert (mean.hole_psnr_db, mean.hole_ssim) == (pytest.approx(23, abs=EXACT), pytest.approx(7 / 10, abs=EXACT))
    assert mean.warping_levels == pytest.approx(4, abs=EXACT)  # of the clip that has one


def test_vfid_is_between_a_methods_clips_and_the_truths() -> None:
    nothing = Figures(None, None, None, None, None)
    rows = [
        row("a", TRUTH, 1, nothing, [0.0, 0.0]),
        row("b", TRUTH, 1, nothing, [2.0, 0.0]),
        row("a", "x", 1, nothing, [0.0, 3.0]),
        row("b", "x", 1, nothing, [2.0, 3.0]),
    ]
    found = [mean.figures.vfid for mean in means(rows)]
    assert found == [pytest.approx(0, abs=EXACT), pytest.approx(9, abs=EXACT)]  # the means are 3 apart
    assert [mean.figures.vfid for mean in means(rows[::2])] == [None, None]  # one clip has no covariance


@pytest.mark.parametrize("size", [(432, 240), (200, 100)], ids=["the network's size", "another"])
@pytest.mark.parametrize("blanks", [True, False], ids=["blanks holes itself", "looks at all it is given"])
def test_the_network_sees_nothing_of_what_lies_under_a_hole(
    size: tuple[int, int], blanks: bool, bundle: Bundle
) -> None:
    rule = replace(bundle.manifest.pixels, mask_applied=blanks)
    bundle = replace(bundle, manifest=replace(bundle.manifest, pixels=rule))
    truth, holes = moving_pictures(3, *size), moving_holes(3, *size)
    garbled = [np.where(hole[..., None], np.uint8(9), picture) for picture, hole in zip(truth, holes, strict=True)]
    network = open_network(bundle, Mixing(), Settings(), size)
    filled, again = list(network(truth, holes)), list(network(garbled, holes))
    for picture, hole, one, other in zip(truth, holes, filled, again, strict=True):
        assert (one == other).all()
        assert (one[~hole] == picture[~hole]).all()
        assert not (one[hole] == picture[hole]).all()


class Watching(Counting):
    """Keeps what the encoder is shown as blank."""

    def __init__(self) -> None:
        super().__init__()
        self.blank: list[Hole] = []

    def open(self, request: Request) -> Program:
        return _WatchingProgram(self, request.stage.name)


class _WatchingProgram:
    compute: Compute = "float32"

    def __init__(self, backend: Watching, stage: str) -> None:
        self.backend, self.stage = backend, stage

    def enqueue(self, inputs: Tensors, outputs: Tensors, stream: Stream) -> None:
        if self.stage == "encoder":  # no 8-bit level becomes exactly 0, which is what a blank sample is
            self.backend.blank.append((host_array(inputs["rgb"])[0] == 0).all(axis=0))
        for output in outputs.values():
            stream.zero(output)


def test_holes_are_not_dilated_a_second_time(bundle: Bundle) -> None:
    rule = bundle.manifest.pixels
    size = (rule.width, rule.height)
    truth, holes = moving_pictures(2, *size), moving_holes(2, *size)
    backend = Watching()
    list(open_network(bundle, backend, Settings(), size)(truth, holes))
    assert [(seen == hole).all() for seen, hole in zip(backend.blank, holes, strict=True)] == [True, True]


def test_fills_are_moved_as_asked(bundle: Bundle) -> None:
    size = (120, 90)
    truth, holes = moving_pictures(3, *size), moving_holes(3, *size)
    moved, painted = (
        np.stack(list(open_network(bundle, Mixing(), Settings(seamless=asked), size)(truth, holes)))
        for asked in (True, False)
    )
    assert (moved != painted).any()


def test_a_frame_without_a_hole_stays_as_it_is(bundle: Bundle) -> None:
    truth, holes = moving_pictures(3, 120, 90), moving_holes(3, 120, 90)
    holes[1] = np.zeros_like(holes[1])
    filled = list(open_network(bundle, Mixing(), Settings(), (120, 90))(truth, holes))
    assert (filled[1] == truth[1]).all()


def test_a_fill_is_what_a_network_is(bundle: Bundle) -> None:
    network = open_network(bundle, Counting(), Settings("reference"), (96, 80))
    assert isinstance(network, Network)
    assert network.session.picture == (432, 240)


@pytest.mark.parametrize(("masked", "wanted"), [(range(9), [1, 4, 7]), ([3, 4], [3, 4]), ([5], [5])])
def test_pictures_are_spread_over_the_frames_with_a_hole(masked: Sequence[int], wanted: list[int]) -> None:
    holes = [np.full((2, 2), index in masked) for index in range(9)]
    assert chosen_frames(holes) == wanted
    assert len(wanted) <= FRAMES


def plan_of(folder: Path, clips: int) -> Plan:
    paths = [write_clip(folder / f"{number}.mp4", Clip(WIDTH, HEIGHT, frames=LENGTH)) for number in range(clips)]
    return Plan(tuple(paths), ("clip", "camera"), ("stationary", "random"), 1, LENGTH - 1, WIDTH, HEIGHT)


def test_every_clip_scene_and_mask_set_is_measured_in_every_way_and_counted(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    found = list(evaluate(plan_of(tmp_path, 2), BASELINES, None, lambda *progress: told.append(progress)))
    names = [(each.clip, each.scene, each.masks) for each in found]
    assert names == [(c, s, m) for c in "01" for s in ("clip", "camera") for m in ("stationary", "random")]
    for measured in found:
        assert [each.group.method for each in measured.rows] == [TRUTH, *BASELINES]
        assert {each.group.motion for each in measured.rows} == {"known" if measured.scene == "camera" else "estimated"}
        assert {each.frames for each in measured.rows} == {LENGTH - 1}
        assert 0 < measured.rows[0].hole_share < 1
    total = 2 * 2 * 2 * (LENGTH - 1) * len(BASELINES)
    assert told == [("evaluating", done, total) for done in range(1, total + 1)]


def test_what_was_filled_is_let_go_of(tmp_path: Path) -> None:
    filled: list[weakref.ref[RGB]] = []
    alive: list[int] = []

    def fill(pictures: Sequence[RGB], holes: Sequence[Hole]) -> Iterator[RGB]:
        for picture, _ in zip(pictures, holes, strict=True):
            copy = picture.copy()
            filled.append(weakref.ref(copy))
            alive.append(sum(each() is not None for each in filled))
            yield copy

    plan = plan_of(tmp_path, 3)
    for _ in evaluate(plan, {"one": fill, "other": fill}, None, silent):
        pass
    assert len(filled) == 3 * 2 * 2 * 2 * plan.frames
    assert max(alive) <= 2 * plan.frames  # the method before is compared while this one begins


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied", "/elsewhere/clip.mp4"),
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_of_the_report_is_not_taken_for_it(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, open_report(tmp_path / "report"):
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_told_by_its_name(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"report: cannot be written: Is a directory"),
        open_report(tmp_path / "report") as report,
    ):
        (next(tmp_path.iterdir()) / "rows.csv").mkdir()
        assert report is not None
        report.finish("A title", (), (), ())
    assert list(tmp_path.iterdir()) == []
