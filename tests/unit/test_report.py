"""Reports: bounded in memory, honest in what they show, and harmless whatever the texts in them are."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from runtime._report.markup import node, page, source, visible
from runtime._report.samples import DETAIL, LONGEST
from runtime.composite import Finish, composite
from runtime.errors import OutputError
from runtime.patch import Crop, Patch
from runtime.regions import Region
from runtime.report import ReportData, Samples, write_report
from runtime.session import Restored
from runtime.sidecar import check_sidecar
from tests.reported import CROP, HOSTILE, SUMMARY, data, done, frame_of
from tests.tolerances import TOLERANCE


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


class Reader(HTMLParser):
    """Every tag with its attributes, and the texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def report_of(folder: Path, given: ReportData, samples: Samples) -> Reader:
    write_report(folder / "report.html", given, samples)
    assert [path.name for path in folder.iterdir()] == ["report.html"]
    return Reader((folder / "report.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("frames", [1, 2, 5, 12, 13, 100, 777])
def test_samples_are_few_and_spread_over_what_was_repaired(frames: int) -> None:
    samples = Samples(count=4)
    for index in range(frames):
        samples.offer(done(index), index / 25)
        assert len(samples._held) <= 8
    kept = [sample.index for sample in samples.kept()]
    assert len(kept) == min(frames, 4)
    assert kept[0] == 0
    assert kept == sorted(set(kept))
    gaps = np.diff([*kept, frames])
    assert max(gaps) <= max(2, frames * TOLERANCE["report", "share between samples"])


def test_with_frames_lost_the_report_speaks_of_the_numbers_that_frames_have(tmp_path: Path) -> None:
    samples = Samples(count=3)
    for index in (*range(20), *range(70, 150)):  # 50 do not decode
        samples.offer(done(index, CROP if index >= 100 else None), index / 25)
    region = Region(CROP, 100, 149)
    page = report_of(tmp_path, replace(data(summary=replace(SUMMARY, frames=100)), regions=(region,)), samples)
    assert "100 to 149 (0:04.00 to 0:06.00)" in page.texts


def test_only_repaired_frames_are_shown_and_untouched_ones_cost_no_picture() -> None:
    samples = Samples(count=3)
    for index in range(40):
        samples.offer(done(index, CROP if 10 <= index < 20 else None), index / 25)
    kept = samples.kept()
    assert len(kept) == 3
    assert all(10 <= sample.index < 20 for sample in kept)
    assert [sample.seconds for sample in kept] == [sample.index / 25 for sample in kept]
    assert [(span.first, span.last) for span in samples.course.spans] == [(10, 19)]


def test_frames_between_those_that_were_repaired_do_not_thin_them_out() -> None:
    samples = Samples(count=4)
    for index in range(800):
        samples.offer(done(index, CROP if index % 2 else None), index / 25)
    kept = [sample.index for sample in samples.kept()]
    assert len(kept) == 4
    assert max(np.diff([*kept, 800])) <= 800 * TOLERANCE["report", "share between samples"]


def test_a_sample_shows_source_and_result_and_where_they_differ() -> None:
    samples = Samples()
    samples.offer(done(3), 0.12)
    (sample,) = samples.kept()
    before, after = (
        np.asarray(opened(content).convert("L"), int) for content in (sample.whole.before, sample.whole.after)
    )
    hole = np.asarray(opened(sample.whole.hole).getchannel("A")) > 0
    expected = np.zeros((32, 64), np.bool_)
    expected[8:16, 16:32] = True
    assert np.array_equal(hole, expected)
    assert (after[expected] > 200).all()
    assert (before[expected] < 90).all()
    assert np.array_equal(before[:, 40:], after[:, 40:])  # JPEG blocks without a hole agree to the bit
    assert sample.share == expected.mean()
    assert sample.detail is None


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_large_frame_is_shown_whole_and_closely_and_upright(turns: int) -> None:
    samples = Samples()
    crop = Crop(1200, 640, 640, 320, turns)
    samples.offer(done(0, crop, (2560, 1280)), 0)
    (sample,) = samples.kept()
    assert max(opened(sample.whole.after).size) == LONGEST
    assert sample.detail is not None
    assert opened(sample.detail.before).size == opened(sample.detail.after).size == DETAIL
    across, down = (2560, 1280)[:: 1 if turns % 2 == 0 else -1]
    for view in (sample.whole, sample.detail):
        rows, columns = np.nonzero(np.asarray(opened(view.hole).getchannel("A")))
        scale = view.window.width / opened(view.hole).width
        centre = view.window.left + (columns.mean() + 1 / 2) * scale, view.window.top + (rows.mean() + 1 / 2) * scale
        upright = {0: (1520, 800), 1: (800, 2560 - 1520), 2: (2560 - 1520, 1280 - 800), 3: (1280 - 800, 1520)}[turns]
        assert centre == pytest.approx(upright, abs=TOLERANCE["report", "pixels"])
        assert view.window.right <= across
        assert view.window.bottom <= down


def test_the_close_picture_of_a_frame_with_two_logos_shows_one() -> None:
    size = (3840, 2160)
    frame, hole = frame_of(0, *size), np.zeros((216, 384), np.bool_)
    hole[10:20, 10:40] = hole[200:206, 350:380] = True
    patch = Patch(Crop(0, 0, *size), np.zeros((216, 384, 3), np.uint8), np.full((216, 384, 3), 255, np.uint8), hole)
    samples = Samples()
    samples.offer(Restored(composite(frame, (patch,), Finish()), frame, (patch,)), 0)
    (sample,) = samples.kept()
    assert sample.detail is not None
    assert np.asarray(opened(sample.detail.hole).getchannel("A")).any()
    assert sample.detail.before != sample.detail.after


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    samples = Samples()
    samples.offer(done(0), 0.0)
    hostile = replace(SUMMARY, notes=(HOSTILE,), lost=(HOSTILE,), video=HOSTILE, busy={HOSTILE: 1.0})
    tame = report_of(tmp_path, data(summary=replace(SUMMARY, notes=("a",), lost=("b",), busy={"c": 1.0})), samples)
    wild = report_of(tmp_path, data(HOSTILE, summary=hostile), samples)
    assert [tag for tag, _ in wild.tags] == [tag for tag, _ in tame.tags]
    text = "".join(wild.texts)
    assert text.count("<script>alert(1)</script>&amp;\\n\\u202egnp\\udcff.mp4") >= 5
    assert "\u202e" not in text


def test_a_report_loads_nothing_and_allows_nothing_but_its_own_script(tmp_path: Path) -> None:
    samples = Samples()
    samples.offer(done(0), 0.0)
    read = report_of(tmp_path, data(), samples)
    addresses = [value for _, given in read.tags for name, value in given.items() if name in {"src", "href", "action"}]
    assert addresses
    assert all(address is not None and address.startswith("data:image/") for address in addresses)
    assert not [name for _, given in read.tags for name in given if name.startswith("on") or name == "style"]
    (policy,) = [given["content"] for _, given in read.tags if given.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", text)


def test_the_pictures_in_the_page_are_the_samples(tmp_path: Path) -> None:
    samples = Samples(count=2)
    for index in range(9):
        samples.offer(done(index), index / 25)
    read = report_of(tmp_path, data(), samples)
    shown = [given["src"] for _, given in read.tags if given.get("class") == "after"]
    held = [base64.b64encode(sample.whole.after).decode() for sample in samples.kept()]
    assert shown == [f"data:image/jpeg;base64,{content}" for content in held]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"copied": True, "busy": {}, "repaired": 0}, "copied unencoded"),
        ({"frames": 0, "repaired": 0, "busy": {}}, "no frame of this video was masked"),
        ({"resumed": 30, "repaired": 0}, "where an earlier one was stopped"),
        ({"seconds": 3700.0}, "1:01:40"),
        ({"lost": ("frame 7",)}, "frame 7"),
    ],
)
def test_every_outcome_has_a_report(tmp_path: Path, change: dict[str, object], says: str) -> None:
    summary = replace(SUMMARY, **change)
    assert says in "".join(report_of(tmp_path, data(summary=summary), Samples()).texts)


def test_regions_tell_how_far_the_network_shrinks_them(tmp_path: Path) -> None:
    given = replace(data(), regions=(Region(Crop(0, 0, 48, 24)), *(Region(CROP, n) for n in range(60))))
    text = "|".join(report_of(tmp_path, given, Samples()).texts)
    assert "48 x 24|1.50|0 to 29" in text
    assert "and 21 more" in text
    assert "first 8 of 61 regions" in text


@given(some.text("ab <>&\"'/=;!-\n\0\x1b\xa0\u202e\u4e00\udcff\U0001f3ac", max_size=30))
def test_no_text_becomes_markup(text: str) -> None:
    content = page(node("p", {"title": text}, text, node("b", {}, text), text)).decode("utf-8")
    read = Reader(content)
    assert [tag for tag, _ in read.tags] == ["p", "b"]
    assert read.tags[0][1]["title"] == visible(text)
    assert "".join(read.texts).strip("\n") == visible(text) * 3
    assert visible(text).isprintable()


def test_a_script_that_would_end_its_element_is_refused() -> None:
    with pytest.raises(ValueError, match="markup"):
        source("script", "'</script>'")


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    for path in (tmp_path / "away" / "report.html", tmp_path / "folder.html"):
        with pytest.raises(OutputError, match=path.name):
            write_report(path, data(), Samples())
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.html"]


def test_a_report_has_a_name_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "old.html").write_text("precious")
    (tmp_path / "clip.html").mkdir()
    video = tmp_path / "video.html"
    for path, says in (
        (tmp_path / "report.txt", "ends in .html"),
        (tmp_path / "clip.html", "is a folder"),
        (tmp_path / "old.html", "--overwrite"),
        (tmp_path / "away" / "report.html", "create it first"),
        (tmp_path / "." / "video.html", "another name"),
        (tmp_path / f"{'n' * 249}.html", "cannot be written (File name too long)"),
    ):
        with pytest.raises(OutputError) as caught:
            check_sidecar(path, ".html", [video], overwrite=False)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    check_sidecar(tmp_path / "old.html", ".html", [video], overwrite=True)
    check_sidecar(tmp_path / "new.HTML", ".html", [video], overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.html", "old.html"]


def test_nothing_is_written_among_pictures_that_are_read(tmp_path: Path) -> None:
    """It would take the place of one, or be one more the next time."""
    (tmp_path / "frames").mkdir()
    (tmp_path / "one.png").write_bytes(b"a mask")
    for read in (tmp_path / "frames", tmp_path / "frames" / "%04d.png"):
        for name in ("0001.png", "look.png"):
            with pytest.raises(OutputError, match=r"lies among the pictures of [^\n]*frames, which this run reads"):
                check_sidecar(tmp_path / "frames" / name, ".png", [], overwrite=True, sources=[read])
    check_sidecar(tmp_path / "look.png", ".png", [], overwrite=True, sources=[tmp_path / "one.png"])
