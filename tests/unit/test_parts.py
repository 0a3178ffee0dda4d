"""Parts of pictures: what is said to be exact is, to the pixel, and holds all that anybody looks at."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models._spec import Port
from models._sttn_stages import PartDecoder, RgbDecoder, halo_of, part_of
from runtime.parts import Geometry, Part, interpolations, part_for, sizes_of
from runtime.parts import part_of as part_of_window
from runtime.resize import Area
from tests.tiny import tiny_network
from tests.tolerances import TOLERANCE

HALO, DOUBLINGS = 9, 2
LONGEST = 14  # features a side: windows then have every distance from both borders, up to where nothing is near
Picture = npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def decoders() -> tuple[RgbDecoder, PartDecoder]:
    """The tiny network's, in doubles, so that only what is missing can make a difference."""
    network = tiny_network().double()
    return RgbDecoder(network), PartDecoder(network)


def whole_picture(features: torch.Tensor) -> Picture:
    with torch.no_grad():
        return decoders()[0](features).numpy()


def picture_of(features: torch.Tensor, part: Part, geometry: Geometry) -> Picture:
    """Of the part's window alone."""
    area = part.window
    given_to_it = [torch.from_numpy(matrix).double() for matrix in interpolations(part, geometry).values()]
    with torch.no_grad():
        inside = features[..., area.top : area.bottom, area.left : area.right]
        return decoders()[1](inside, *given_to_it).numpy()


def cut(picture: Picture, area: Area) -> Picture:
    return picture[..., area.top : area.bottom, area.left : area.right]


def noise(geometry: Geometry, seed: int) -> torch.Tensor:
    shape = (1, 16, geometry.height, geometry.width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


spans = st.integers(1, LONGEST).flatmap(
    lambda count: st.tuples(st.just(count), st.integers(0, count - 1), st.integers(1, count)).map(
        lambda drawn: (drawn[0], min(drawn[1], drawn[2] - 1), max(drawn[1] + 1, drawn[2]))
    )
)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Geometry, Part]:
    """A rectangle anywhere in a picture of any size, its borders and the whole of it among them."""
    (height, top, bottom), (width, left, right) = draw(spans), draw(spans)
    geometry = Geometry(height, width, DOUBLINGS, HALO)
    return geometry, part_of_window(Area(left, top, right, bottom), geometry)


def test_the_halo_of_the_network_is_the_one_that_is_tested_here() -> None:
    found = part_of(tiny_network(), Port("features", ("B", 16, 12, 24)))
    assert (found.halo, len(found.inputs)) == (HALO, 1 + 2 * DOUBLINGS)
    assert halo_of((2, 2)) == HALO


@settings(max_examples=40)
@given(drawn=windows(), seed=st.integers(0, 99))
def test_a_part_shows_what_the_whole_picture_shows_there(drawn: tuple[Geometry, Part], seed: int) -> None:
    geometry, part = drawn
    features = noise(geometry, seed)
    found, wanted = picture_of(features, part, geometry), whole_picture(features)
    difference = np.abs(cut(found, part.shown) - cut(wanted, part.exact))
    assert difference.max(initial=0) <= TOLERANCE["part", "float32 weights"]


@settings(max_examples=40)
@given(drawn=windows())
def test_no_pixel_more_could_be_exact(drawn: tuple[Geometry, Part]) -> None:
    """Whatever a NaN outside of the window reaches cannot be known inside of it, and nothing else is given up."""
    geometry, part = drawn
    area, features = part.window, torch.full((1, 16, geometry.height, geometry.width), torch.nan, dtype=torch.float64)
    features[..., area.top : area.bottom, area.left : area.right] = 0.5
    known = ~np.isnan(whole_picture(features)[0, 0])
    wanted = np.zeros_like(known)
    wanted[part.exact.top : part.exact.bottom, part.exact.left : part.exact.right] = True
    assert np.array_equal(known, wanted)


def test_a_halo_of_a_pixel_less_is_wrong_on_every_side() -> None:
    geometry = Geometry(12, 13, DOUBLINGS, HALO)
    window = Area(4, 3, 11, 10)
    right, short = part_of_window(window, geometry), part_of_window(window, Geometry(12, 13, DOUBLINGS, HALO - 1))
    features = noise(geometry, 0)
    found, wanted = picture_of(features, short, geometry), whole_picture(features)
    wrong = np.abs(cut(found, short.shown) - cut(wanted, short.exact)).max(axis=(0, 1))
    assert wrong[1:-1, 1:-1].max() <= TOLERANCE["part", "float32 weights"]
    assert wrong.shape == (right.exact.bottom - right.exact.top + 2, right.exact.right - right.exact.left + 2)
    for side in (wrong[0], wrong[-1], wrong[:, 0], wrong[:, -1]):
        assert side.max() > 100 * TOLERANCE["part", "float32 weights"]


@settings(max_examples=200)
@given(data=st.data(), height=st.integers(1, 80), width=st.integers(1, 160), halo=st.integers(0, 40))
def test_a_part_holds_what_is_wanted_in_one_of_few_sizes(
    data: st.DataObject, height: int, width: int, halo: int
) -> None:
    geometry = Geometry(height, width, DOUBLINGS, halo)
    left, top = data.draw(st.integers(0, 4 * width - 1)), data.draw(st.integers(0, 4 * height - 1))
    wanted = Area(left, top, data.draw(st.integers(left + 1, 4 * width)), data.draw(st.integers(top + 1, 4 * height)))
    part = part_for(wanted, geometry)
    if part is None:
        return
    window, exact, shown = part.window, part.exact, part.shown
    assert 0 <= window.left < window.right <= width
    assert 0 <= window.top < window.bottom <= height
    assert part.size[0] in sizes_of(height)
    assert part.size[1] in sizes_of(width)
    assert exact.left <= wanted.left < wanted.right <= exact.right
    assert exact.top <= wanted.top < wanted.bottom <= exact.bottom
    assert (exact.left - shown.left, exact.top - shown.top) == (4 * window.left, 4 * window.top)


@example(count=1)
@given(count=st.integers(1, 200))
def test_an_axis_has_at_most_five_sizes(count: int) -> None:
    sizes = list(sizes_of(count))
    assert sizes == sorted(set(sizes))
    assert len(sizes) <= 5
    assert sizes[-1] == count


def test_a_hole_of_a_fifth_of_each_side_takes_a_seventh_of_the_picture() -> None:
    part = part_for(Area(173, 96, 173 + 86 + 12, 96 + 48 + 12), Geometry(60, 108, DOUBLINGS, HALO))
    assert part is not None
    assert part.size == (23, 41)
