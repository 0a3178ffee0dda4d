"""The report as a browser shows it: driven by keys and mouse, judged by its pixels."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from runtime.patch import Crop
from runtime.regions import Region
from runtime.report import Samples, write_report
from tests.browser import Page, browser
from tests.reported import HOSTILE, data, done
from tests.tolerances import TOLERANCE

SIZE = (1440, 720)  # of the frames: large enough for a detail
BAND = Crop(0, 240, 1440, 480)  # painted white from a quarter to three quarters of its height
GREY = 150  # the source's frames are darker, the white band and its JPEG lighter

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report on frames that are grey in the source and have a white band in the result."""
    samples = Samples(count=3)
    for index in range(9):
        samples.offer(done(index, BAND, SIZE, band=True), index / 25)
    path = tmp_path_factory.mktemp("report") / "a report.html"
    write_report(path, replace(data(HOSTILE), regions=(Region(BAND),)), samples)
    return path.as_uri()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Generator[Page, None, None]:
    """One browser for all."""
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def split_of(picture: Pixels) -> float:
    """Where, in per cent of the width, the source ends and the result begins, by the middle of the white band."""
    row = picture[picture.shape[0] * 7 // 12].astype(int).mean(axis=-1)
    white = row > GREY
    return 100 * (1 - np.count_nonzero(white) / len(row))


def shown(page: Page, sample: int = 1, kind: str = "whole") -> Pixels:
    return page.screenshot(f"#sample-{sample} .{kind}")


def focus(page: Page, selector: str) -> None:
    page.value(f"document.querySelector({selector!r}).focus()")


def test_keys_move_the_line(page: Page, address: str) -> None:
    page.open(address)
    near = TOLERANCE["browser", "per cent of the line"]
    assert split_of(shown(page)) == pytest.approx(50, abs=near)
    focus(page, "#sample-1 .whole input")
    for key, code, times, expected in (("Home", 36, 1, 0), ("End", 35, 1, 100), ("ArrowLeft", 37, 30, 70)):
        page.press(key, code, times)
        assert split_of(shown(page)) == pytest.approx(expected, abs=near)


def test_the_mouse_moves_the_line(page: Page, address: str) -> None:
    page.open(address, height=1200)
    left, top, width, height = page.box("#sample-1 .whole")
    page.click(left + width * 0.8, top + height / 2)
    assert split_of(shown(page)) == pytest.approx(80, abs=TOLERANCE["browser", "per cent of the line"])


def test_an_address_names_a_sample_and_a_place(page: Page, address: str) -> None:
    page.open(f"{address}#sample-3@20")
    assert split_of(shown(page, 3)) == pytest.approx(20, abs=TOLERANCE["browser", "per cent of the line"])
    assert page.value("getComputedStyle(document.querySelector('#sample-1')).display") == "none"


def test_keys_choose_the_frame_the_view_and_the_mask(page: Page, address: str) -> None:
    page.open(address)
    focus(page, "#pick-1")
    page.press("ArrowRight", 39)
    assert shown(page, 2).shape[1] > 900
    assert page.value("getComputedStyle(document.querySelector('#sample-1')).display") == "none"
    focus(page, "#show-mask")
    before = shown(page, 2).astype(int)
    page.press(" ", 32)
    after = shown(page, 2).astype(int)
    band = np.s_[after.shape[0] * 7 // 12, after.shape[1] // 4]  # source side, in the hole
    assert before[band][0] == before[band][1]
    assert after[band][0] > after[band][1]
    assert np.array_equal(after[10], before[10])  # outside the hole nothing is tinted
    focus(page, "#view-whole")
    page.press("ArrowRight", 39)
    assert shown(page, 2, "detail").shape[:2] == (540, 960)


def test_regions_are_outlined_where_they_are(page: Page, address: str) -> None:
    page.open(address)
    focus(page, "#show-regions")
    before = shown(page).astype(int)
    page.press(" ", 32)
    changed = np.abs(shown(page).astype(int) - before).sum(axis=-1).any(axis=1).nonzero()[0]
    top = round(before.shape[0] * BAND.top / SIZE[1])
    assert abs(int(changed[0]) - top) <= TOLERANCE["browser", "pixels of an outline"]


def test_without_scripts_the_page_is_whole_and_frames_can_be_chosen(page: Page, address: str) -> None:
    page.open(address, scripts=False)
    assert split_of(shown(page)) == pytest.approx(50, abs=TOLERANCE["browser", "per cent of the line"])
    left, top, width, height = page.box(".pick:nth-of-type(2)")
    page.click(left + width / 2, top + height / 2)
    assert shown(page, 2).size
    assert page.value("getComputedStyle(document.querySelector('#sample-1')).display") == "none"


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out_in_light_and_dark(page: Page, address: str, dark: bool) -> None:
    page.open(address, dark=dark)
    corner = page.screenshot()[5, 5].astype(int).mean()
    assert (corner < GREY) == dark
    texts = page.value(
        """[...document.querySelectorAll("h1, h2, p, li, th, td, label, footer, svg text")].map(e => {
             if (e.matches("text.pin, text.lane, .regions text")) return null;
             const ink = getComputedStyle(e)[e instanceof SVGElement ? "fill" : "color"];
             const papers = [];
             for (let box = e; box; box = box.parentElement) papers.push(getComputedStyle(box).backgroundColor);
             return [e.textContent.slice(0, 30), ink, papers.find(colour => colour !== "rgba(0, 0, 0, 0)")];
           }).filter(Boolean)"""
    )
    assert len(texts) > 30
    weak = [text for text in texts if contrast(text[1], text[2]) < TOLERANCE["browser", "contrast"]]
    assert not weak


def contrast(ink: str, paper: str) -> float:
    """Of two CSS colours `rgb(r, g, b)` (WCAG 2.2, contrast ratio)."""
    bright, dim = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    levels = np.array([float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("width", [360, 1100, 2200])
def test_nothing_sticks_out_of_the_window(page: Page, address: str, width: int) -> None:
    page.open(address, width=width)
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value("document.querySelector('#sample-1 .whole').getBoundingClientRect().right") <= width


def test_a_screen_reader_finds_names_and_values(page: Page, address: str) -> None:
    page.open(f"{address}#sample-2@35")
    nodes = page.accessible()
    (slider,) = [node for node in nodes if node[0] == "slider"]
    assert slider[1].startswith("Source or result, 2, frame 4 at 0:00.16")
    assert slider[2] == "35"
    assert page.value("document.querySelector('#sample-2 .whole input').getAttribute('aria-valuetext')") == "35% source"
    assert next(node[1] for node in nodes if node[0] == "radio").startswith("1")
    assert any(node[0] == "image" and "1 cut" in node[1] for node in nodes)
    assert not [node for node in nodes if node[0] in {"slider", "radio", "checkbox", "image"} and not node[1]]


def test_nothing_is_asked_for_and_nothing_complains(page: Page, address: str) -> None:
    page.open(address)
    page.open(f"{address}#sample-2")
    pictures = page.value("[...document.images].map(i => i.complete && i.naturalWidth > 0)")
    assert len(pictures) == 3 * 7
    assert all(pictures)
    heading = page.value("document.querySelector('h1').textContent")
    assert page.value("document.title") == f"{heading}: report"
    assert {request.split("#")[0] for request in page.requests if not request.startswith("data:")} == {address}
    assert page.complaints == []


def test_the_policy_refuses_what_is_not_the_programs(page: Page, address: str) -> None:
    """What the other tests rely on: a script or an address in the page would not run and would be heard of."""
    page.open(address)
    page.complaints.clear()
    page.value("document.body.append(Object.assign(document.createElement('img'), {src: 'https://example.invalid/x'}))")
    page.value("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
    page.value("new Promise(done => setTimeout(done, 100))")
    assert page.value("window.ran") is None
    assert len([complaint for complaint in page.complaints if "Content Security Policy" in complaint]) >= 2
    page.complaints.clear()
    page.requests.clear()
