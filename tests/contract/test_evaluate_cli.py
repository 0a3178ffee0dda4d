"""evaluate.py as a user meets it: what it prints and leaves, and that a mistake costs one line and nothing else."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from calib.baselines import BASELINES
from calib.evaluation.cli import main
from calib.evaluation.features import LENGTH, VideoFeatures
from calib.metrics import frechet_distance
from runtime.bundle import DEFAULT
from runtime.errors import InputError
from runtime.frame import RGB, Hole
from tests.clips import Clip, write_clip
from tests.pictures import moving_pictures
from tests.tables import rows_of
from tests.tolerances import TOLERANCE

WIDTH, HEIGHT, FRAMES = 96, 72, 3
METHODS = ("truth", "network", *BASELINES)
PRINTED = TOLERANCE["evaluation", "printed"]


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """Two clips with a mask beside each."""
    made: list[str] = []
    for number in range(2):
        path = write_clip(tmp_path / f"clip {number}.mp4", Clip(WIDTH, HEIGHT, frames=FRAMES + number))
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[20:40, 10 + 30 * number : 40 + 40 * number] = 255
        Image.fromarray(mask).save(tmp_path / f"clip {number}_mask.png")
        made.append(str(path))
    return made


def evaluate(*arguments: str) -> int:
    """evaluate.py with the shipped bundle on the null backend, at the clips' own size."""
    return main([DEFAULT, *arguments, "--backend", "null", "--size", f"{WIDTH}x{HEIGHT}"])


def write_network(path: Path, *, features: int = LENGTH, name: str = "clip", value: float = 1.0) -> Path:
    """The means of the three channels, times a seeded matrix: what features of a clip look like, without I3D."""
    weights = np.random.default_rng(0).normal(size=(3, features)).astype(np.float32) * np.float32(value)
    nodes = [
        helper.make_node("ReduceMean", [name, "axes"], ["means"], keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["features"]),
    ]
    axes = numpy_helper.from_array(np.array([2, 3, 4], np.int64), "axes")
    graph = helper.make_graph(
        nodes,
        "i3d",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, "T", "H", "W"])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, features])],
        [axes, numpy_helper.from_array(weights, "weights")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def test_the_report_holds_a_row_for_every_clip_mask_set_and_method(
    clips: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    assert evaluate(*clips, "--masks", "own,other", "--out", str(out)) == 0
    rows = rows_of(out / "rows.csv")
    names = [(row["clip"], row["masks"], row["method"]) for row in rows]
    assert names == list(product(("clip 0", "clip 1"), ("own", "other"), METHODS))
    assert [row["frames"] for row in rows[:: len(METHODS)]] == ["3", "3", "4", "4"]
    assert {row["motion"] for row in rows} == {"estimated"}
    share = {(row["clip"], row["masks"]): row["hole_share"] for row in rows}
    assert share["clip 0", "own"] == share["clip 1", "other"] < share["clip 1", "own"] == share["clip 0", "other"]
    printed = capsys.readouterr()
    assert all(method in printed.out for method in METHODS)
    assert len(printed.err.splitlines()) == 1 + 4  # what is run, and one as each is done
    assert sorted(path.name for path in out.iterdir()) == ["means.csv", "pictures", "rows.csv", "table.md"]


def test_the_means_are_those_of_the_rows(clips: list[str], tmp_path: Path) -> None:
    assert evaluate(*clips, "--out", str(tmp_path / "report")) == 0
    rows = rows_of(tmp_path / "report" / "rows.csv")
    for mean in rows_of(tmp_path / "report" / "means.csv")[1:]:
        mine = [row for row in rows if row["method"] == mean["method"]]
        frames = [int(row["frames"]) for row in mine]
        assert (mean["clips"], mean["frames"], mean["vfid"]) == ("2", str(sum(frames)), "")
        whole = np.average([float(row["psnr_db"]) for row in mine], weights=frames)
        assert float(mean["psnr_db"]) == pytest.approx(whole, abs=PRINTED)
        inside = np.mean([float(row["hole_psnr_db"]) for row in mine])
        assert float(mean["hole_psnr_db"]) == pytest.approx(inside, abs=PRINTED)


def test_the_page_shows_its_pictures_and_says_what_was_run(clips: list[str], tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert evaluate(*clips, "--baselines", "median", "--seed", "3", "--masks", "stationary", "--out", str(out)) == 0
    page = (out / "table.md").read_text(encoding="utf-8")
    linked = [unquote(path) for path in re.findall(r"!\[.*?\]\((.*?)\)", page)]
    assert linked == ["pictures/01-clip 0-clip-stationary.png", "pictures/02-clip 1-clip-stationary.png"]
    with Image.open(out / linked[0]) as sheet:
        assert sheet.width == 4 * WIDTH + 3 * 4  # input, network, median, truth
        assert sheet.height > 3 * HEIGHT
    assert "null zeros, schedule steady" in page
    assert "moved to continue the picture" in page
    assert "stationary, seed 3" in page
    assert "telea" not in page


def test_types_and_fills_are_as_asked_and_said(clips: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--baselines", "none", "--precision", "fp32", "--no-seamless")
    assert main([DEFAULT, *clips, *options, "--backend", "onnxruntime", "--frames", "1"]) == 0
    assert "sttn small by onnxruntime fp32, schedule steady" in capsys.readouterr().err


def test_without_a_folder_nothing_is_written(clips: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert evaluate(*clips, "--baselines", "none") == 0
    assert not list((tmp_path / "empty").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_seed_decides_the_shapes(clips: list[str], tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("again", "1"), ("two", "2")):
        options = ("--masks", "random", "--baselines", "telea", "--seed", seed, "--out", str(tmp_path / name))
        assert evaluate(clips[0], *options) == 0
    one, again, two = ((tmp_path / name / "rows.csv").read_text() for name in ("one", "again", "two"))
    assert one == again
    assert one != two


def test_a_made_camera_move_says_that_its_motion_is_known(clips: list[str], tmp_path: Path) -> None:
    options = ("--scenes", "clip,camera", "--baselines", "telea", "--frames", "2", "--out", str(tmp_path / "report"))
    assert evaluate(*clips, *options) == 0
    rows = rows_of(tmp_path / "report" / "rows.csv")
    assert {(row["scene"], row["motion"], row["frames"]) for row in rows} == {
        ("clip", "estimated", "2"),
        ("camera", "known", "2"),
    }
    assert all(float(row["warping_levels"]) > 0 for row in rows if row["scene"] == "camera")


def test_a_video_network_adds_its_distance(clips: list[str], tmp_path: Path) -> None:
    network = write_network(tmp_path / "i3d.onnx")
    options = ("--no-seamless", "--baselines", "telea", "--i3d", str(network), "--out", str(tmp_path / "report"))
    assert evaluate(*clips, *options) == 0
    found = {mean["method"]: float(mean["vfid"]) for mean in rows_of(tmp_path / "report" / "means.csv")}
    assert found["truth"] == pytest.approx(0, abs=PRINTED)
    assert found["network"] > found["telea"] > 0


def test_features_are_of_the_whole_clip_as_rgb_of_0_to_1(tmp_path: Path) -> None:
    pictures = moving_pictures(4, WIDTH, HEIGHT)
    features = VideoFeatures(write_network(tmp_path / "i3d.onnx")).of(pictures)
    weights = np.random.default_rng(0).normal(size=(3, LENGTH)).astype(np.float32)
    wanted = (np.stack(pictures).astype(np.float64) / 255).mean(axis=(0, 1, 2)) @ weights
    assert np.abs(features - wanted).max() < TOLERANCE["evaluation", "features"]
    assert frechet_distance(np.stack([features, features]), np.stack([wanted, wanted])) < 1


def test_a_network_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    network = VideoFeatures(write_network(tmp_path / "i3d.onnx", value=np.inf))
    with pytest.raises(InputError, match=r"i3d.onnx: gave features that are no numbers"):
        network.of(moving_pictures(1, WIDTH, HEIGHT))


def remove_last_mask(folder: Path) -> None:
    (folder / "clip 1_mask.png").unlink()


def nothing(folder: Path) -> None:
    """No preparation."""


MISTAKES: list[tuple[str, Callable[[Path], object], tuple[str, ...], str]] = [
    ("a mask set", nothing, ("A", "B", "--masks", "own,others"), "no mask set 'others'; wanted some of own, other"),
    ("a baseline", nothing, ("A", "B", "--baselines", "telae"), "no baseline 'telae'"),
    ("a scene", nothing, ("A", "B", "--scenes", "pan"), "no scene 'pan'; wanted some of clip, camera"),
    ("no clip", nothing, (), "CLIP"),
    ("a clip twice", nothing, ("A", "B", "A"), "is named twice; name every clip once"),
    ("no frames", nothing, ("A", "B", "--frames", "0"), "wanted at least 1"),
    ("no size", nothing, ("A", "B", "--size", "432"), "no size; wanted width and height as in 432x240"),
    ("a small size", nothing, ("A", "B", "--size", "64x240"), "wanted at least 65 each way"),
    ("no seed", nothing, ("A", "B", "--seed", "-1"), "seed"),
    ("no such clip", nothing, ("A", "C"), "no such file"),
    ("one clip", nothing, ("A",), "is the only clip; name a second one"),
    ("no mask for the last", remove_last_mask, ("A", "B", "--masks", "own"), "no mask beside it; wanted clip 1_mask/"),
    ("a report there", lambda f: (f / "out").mkdir(), ("A", "B", "--out", "out"), "exists already"),
    ("no folder for it", nothing, ("A", "B", "--out", "no/out"), "create it first"),
    ("no video network", nothing, ("A", "B", "--i3d", "i3d.onnx"), "i3d.onnx: no such file; wanted I3D as an ONNX"),
    (
        "a file that is none",
        lambda f: (f / "i3d.onnx").write_bytes(b"once upon a time"),
        ("A", "B", "--i3d", "i3d.onnx"),
        "i3d.onnx: cannot be loaded by onnxruntime; wanted I3D as an ONNX",
    ),
    (
        "another input",
        lambda f: write_network(f / "i3d.onnx", name="video"),
        ("A", "B", "--i3d", "i3d.onnx"),
        "docs/evaluation.md says how it is made",
    ),
    (
        "other features",
        lambda f: write_network(f / "i3d.onnx", features=5),
        ("A", "B", "--i3d", "i3d.onnx"),
        "docs/evaluation.md says how it is made",
    ),
]


@pytest.mark.parametrize(
    ("prepare", "arguments", "said"), [case[1:] for case in MISTAKES], ids=[c[0] for c in MISTAKES]
)
def test_a_mistake_costs_one_line_and_nothing_else(
    prepare: Callable[[Path], object],
    arguments: tuple[str, ...],
    said: str,
    clips: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepare(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    named = {"A": clips[0], "B": clips[1], "C": str(tmp_path / "none.mp4")}
    placed = {name: str(tmp_path / name) for name in ("out", "no/out", "i3d.onnx")}
    words = [{**named, **placed}.get(word, word) for word in arguments]
    out = [] if "--out" in words else ["--out", str(tmp_path / "report")]
    size = [] if "--size" in words else ["--size", f"{WIDTH}x{HEIGHT}"]
    try:
        code = main([DEFAULT, *words, *out, *size, "--backend", "null"])
    except SystemExit as ended:
        code = ended.code
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("evaluate.py: ")
    assert said in lines[0]
    assert sorted(tmp_path.rglob("*")) == before


def test_without_scikit_image_it_says_how_to_get_it(
    clips: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert evaluate(*clips) == 2
    assert (
        capsys.readouterr().err == "evaluate.py: the package scikit-image is not installed: pip install scikit-image.\n"
    )


def test_a_full_disk_leaves_nothing(
    clips: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))

    def save(_image: Image.Image, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", save)
    assert evaluate(*clips, "--out", str(tmp_path / "report")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"evaluate.py: {tmp_path / 'report'}: cannot be written: No space left on device"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_nothing(
    number: signal.Signals,
    clips: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(tmp_path.rglob("*"))

    def stop(pictures: Sequence[RGB], _holes: Sequence[Hole]) -> Iterator[RGB]:
        yield pictures[0]
        assert any(path.name.startswith(".report.") for path in tmp_path.iterdir())
        os.kill(os.getpid(), number)
        yield from pictures[1:]

    monkeypatch.setattr("calib.evaluation.cli.BASELINES", {**BASELINES, "telea": stop})
    assert evaluate(*clips, "--out", str(tmp_path / "report")) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "evaluate.py: interrupted; nothing was written"
    assert sorted(tmp_path.rglob("*")) == before
