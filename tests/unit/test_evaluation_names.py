"""What evaluate.py calls clips, and what it advises."""

from __future__ import annotations

from pathlib import Path

import pytest

from calib.evaluation.advice import kept, options_in
from calib.evaluation.cli import build_parser
from calib.evaluation.names import names_of
from runtime.errors import UsageError

OPTIONS = options_in(build_parser().format_usage())


@pytest.mark.parametrize(
    ("clips", "names"),
    [
        (("a/x.mp4", "a/y.mp4"), ("x", "y")),
        (("a/x.mp4", "b/x.mp4", "b/y.mp4"), ("a/x", "b/x", "y")),
        (("a/x.mp4", "a/x.mkv"), ("x.mp4", "x.mkv")),
        (("a/q/x.mp4", "b/q/x.mp4"), ("a/q/x", "b/q/x")),
        (("a/q/x.mp4", "b/q/x.mp4", "x.mp4"), ("a/q/x", "b/q/x", "some/place/x")),
        (("in/%05d.png", "other/%05d.png"), ("in/%05d", "other/%05d")),
    ],
)
def test_clips_of_one_name_are_told_apart(clips: tuple[str, ...], names: tuple[str, ...]) -> None:
    found = names_of([Path("/some/place") / clip for clip in clips])
    assert found == names


def test_what_breaks_a_line_or_cannot_be_written_is_spelled_out() -> None:
    assert names_of([Path("/a/two\nlines.mp4"), Path("/a/no\udcffletters.mp4")]) == ("two\\nlines", "no\\udcffletters")


def test_names_are_never_the_same(tmp_path: Path) -> None:
    clips = [tmp_path / name for name in ("x.mp4", "x.mkv", "x.mp4.mp4", "a/x.mp4", "a/x.mkv")]
    assert len(set(names_of(clips))) == len(clips)


def test_a_clip_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is named twice"):
        names_of([tmp_path / "x.mp4", tmp_path / "y.mp4", tmp_path / "a" / ".." / "x.mp4"])


@pytest.mark.parametrize(
    ("message", "left"),
    [
        (
            "a.mp4: decoded 3 of 9 frames: cut short; copy the file again, or use --keep-going to restore what decodes",
            "a.mp4: decoded 3 of 9 frames: cut short; copy the file again",
        ),
        (
            "a.mp4: the video is interlaced, and more; use --deinterlace to make one of each, or deinterlace it first",
            "a.mp4: the video is interlaced, and more; deinterlace it first",
        ),
        ("m.png: covers 80%; give --invert-mask if it does, or --yes if it is right", "m.png: covers 80%"),
        (
            "GPU: no memory. Use --streams 1, close what else runs, or use the CPU: --backend onnxruntime",
            "GPU: no memory. Use the CPU: --backend onnxruntime",
        ),
        ("no engine. Build one: python export.py --compile b", "no engine. Build one: python export.py --compile b"),
        ("in/--odd name--x.mp4: no such file", "in/--odd name--x.mp4: no such file"),
        ("--masks own: empty; take other masks", "--masks own: empty; take other masks"),
    ],
)
def test_advice_names_no_option_that_is_not_there(message: str, left: str) -> None:
    assert kept(message, OPTIONS) == left
    assert options_in(left) <= OPTIONS or "export.py" in left
