"""A run that decodes parts of pictures gives the frames of one that decodes whole ones, and knows when not to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime import backends
from runtime.bundle import MANIFEST, Bundle, read_bundle
from runtime.device import Memory
from runtime.errors import BundleError
from runtime.frame import Hole, Masked
from runtime.patch import Crop
from runtime.program import Program, Request, narrowest
from runtime.regions import Region
from runtime.session import Session, Settings
from runtime.sources import find_sources, part_source
from tests.pictures import as_clip, moving_holes, moving_pictures, picture_of, whole
from tests.quantised import Made
from tests.stand_ins import Counting
from tests.tiny import HEIGHT, WIDTH, without_parts
from tests.tolerances import TOLERANCE

LENGTH = 17
WHOLE = whole(WIDTH, HEIGHT)
TWICE = [Region(Crop(0, 0, 2 * WIDTH, 2 * HEIGHT))]  # of a source twice as wide and high
LANES = [
    Region(Crop(0, 0, WIDTH, 2 * HEIGHT)),
    Region(Crop(70, 10, 60, 70, 1), 2, 17),
    Region(Crop(120, 30, 50, 50)),
]


class Noting:
    """A backend, and the sizes of what it opened of the decoder; `exact`: what is not in int8 is in float32."""

    def __init__(self, name: str, *, exact: bool = False) -> None:
        self._exact = exact
        self._inner = backends.get(name)
        self.target, self.rank, self.graphs = self._inner.target, self._inner.rank, self._inner.graphs
        self.memory: Memory = self._inner.memory
        self.why_not, self.machine, self.traits = self._inner.why_not, self._inner.machine, self._inner.traits
        self.precision = self._inner.precision
        self.opened: list[tuple[int, int]] = []

    def open(self, request: Request) -> Program:
        if request.stage.name == "decoder":
            self.opened.append((request.sizes.get("h", 0), request.sizes.get("w", 0)))
        return self._inner.open(replace(request, precision="fp32") if self._exact else request)


def changing_holes(width: int, height: int) -> list[Hole]:
    """From a speck to most of the picture and back, in another place every time; a frame without one among them."""
    rng, holes = np.random.default_rng(5), list[Hole]()
    for time in range(LENGTH):
        rows, columns = (max(1, int(side * share)) for side, share in ((height, (time % 8) / 9), (width, time % 5 / 6)))
        top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
        hole = np.zeros((height, width), np.bool_)
        hole[top : top + rows, left : left + columns] = time != 9
        holes.append(hole)
    return holes


def clip(scale: int = 1) -> Iterator[Masked]:
    width, height = scale * WIDTH, scale * HEIGHT
    return as_clip(moving_pictures(LENGTH, width, height), changing_holes(width, height), cuts=(12,))


def run(bundle: Bundle, backend: Noting, chosen: Settings, regions: Sequence[Region], scale: int) -> np.ndarray:
    restored = Session(bundle, backend, chosen).restore(clip(scale), regions)
    return np.stack([picture_of(done.frame) for done in restored])


@pytest.mark.parametrize(
    ("backend", "chosen", "regions", "scale"),
    [
        ("onnxruntime", Settings(), WHOLE, 1),
        ("openvino", Settings(), WHOLE, 1),
        ("onnxruntime", Settings(windows=3, feather=5), LANES, 2),
        ("openvino", Settings(feather=5), LANES, 2),
        ("onnxruntime", Settings(smooth=1, grain=True), TWICE, 2),
    ],
    ids=["whole frame", "whole frame in OpenVINO", "lanes and streams", "lanes in OpenVINO", "smooth and grain"],
)
def test_frames_are_those_of_whole_pictures(
    backend: str, chosen: Settings, regions: Sequence[Region], scale: int, any_window: Path
) -> None:
    bundle, partly, wholly = read_bundle(any_window), Noting(backend), Noting(backend)
    chosen = replace(chosen, precision="fp32")
    found = run(bundle, partly, chosen, regions, scale)
    wanted = run(without_parts(bundle), wholly, chosen, regions, scale)
    difference = np.abs(found.astype(int) - wanted)
    assert difference.max() <= TOLERANCE["part", "levels"]
    assert np.mean(difference > 0) <= TOLERANCE["part", "share of samples"]
    assert partly.opened[0] == wholly.opened[0] == (0, 0)
    assert len(set(partly.opened)) == len(partly.opened) > 2  # each size once
    assert wholly.opened == [(0, 0)]


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_parts_in_int8_are_of_whole_pictures_in_int8(backend: str, made: Made) -> None:
    """And nearer to them than to parts in float32, which is what a wrong scale or a float layer would change.

    In bf16 the rest of the network rounds more coarsely than that, where the processor has it.
    """
    partly, wholly, other = (Noting(backend, exact=True) for _ in range(3))
    found = run(made.bundle, partly, Settings(), WHOLE, 1)
    wanted = run(without_parts(made.bundle), wholly, Settings(), WHOLE, 1)
    mixed = run(with_parts_in_float32(made.bundle), other, Settings(), WHOLE, 1)
    difference = np.abs(found.astype(int) - wanted)
    assert len(partly.opened) > 2
    assert wholly.opened == [(0, 0)]
    assert difference.max() <= TOLERANCE["part", "int8 levels"]
    assert np.mean(difference > 0) <= TOLERANCE["part", "int8 share of samples"]
    assert np.mean(difference) < np.mean(np.abs(mixed.astype(int) - wanted)) / 2


def with_parts_in_float32(bundle: Bundle) -> Bundle:
    """The bundle with the graph for parts in float32 in the place of the one in int8."""
    *others, decoder = bundle.manifest.stages
    assert decoder.part is not None
    (typed,) = decoder.part.typed
    decoder = replace(decoder, part=replace(decoder.part, typed=(replace(typed, file=decoder.part.file),)))
    return Bundle(bundle.root, replace(bundle.manifest, stages=(*others, decoder)))


def test_a_bundle_of_fixed_windows_has_parts_too(narrow_window: Path) -> None:
    backend = Noting("onnxruntime")
    run(read_bundle(narrow_window), backend, Settings(), WHOLE, 1)
    assert len(backend.opened) > 2


def test_the_published_protocol_decodes_whole_pictures(any_window: Path) -> None:
    bundle, backend, wholly = read_bundle(any_window), Noting("onnxruntime"), Noting("onnxruntime")
    chosen = Settings(schedule="reference")
    found = run(bundle, backend, chosen, WHOLE, 1)
    assert backend.opened == [(0, 0)]
    assert np.array_equal(found, run(without_parts(bundle), wholly, chosen, WHOLE, 1))


def test_parts_are_decoded_on_the_host_in_the_type_of_whole_pictures_or_never(any_window: Path, made: Made) -> None:
    bundle, host, device = read_bundle(any_window), Counting(), Counting()
    sources = find_sources(bundle, host, narrowest("auto"))
    device.memory = "cuda"
    assert part_source(bundle, host, sources) is not None
    assert part_source(bundle, device, sources) is None
    assert part_source(without_parts(bundle), host, sources) is None
    narrow = {**sources, "decoder": replace(sources["decoder"], quantised=True)}
    assert part_source(bundle, host, narrow) is None
    found = part_source(made.bundle, host, find_sources(made.bundle, host, narrowest("auto")))
    exact = part_source(made.bundle, host, find_sources(made.bundle, host, narrowest("fp32")))
    assert found is not None
    assert exact is not None
    assert (found.path.name, found.quantised) == ("decoder.part.int8.onnx", True)
    assert (exact.path.name, exact.quantised) == ("decoder.part.onnx", False)


def test_what_nobody_looks_at_is_black_and_never_what_memory_held(any_window: Path) -> None:
    holes = moving_holes(12, WIDTH, HEIGHT)
    session = Session(read_bundle(any_window), backends.get("onnxruntime"), Settings(dilate=1, seamless=False))
    for done, hole in zip(
        session.restore(as_clip(moving_pictures(12, WIDTH, HEIGHT), holes), WHOLE), holes, strict=True
    ):
        (patch,) = done.patches
        columns = np.flatnonzero(patch.fill.any(axis=(0, 2)))
        assert len(columns) <= 12 * 4 - 9 < WIDTH  # half of the features, at most one side the picture's own
        assert columns[-1] - columns[0] < 12 * 4
        assert set(np.flatnonzero(hole.any(axis=0))) <= set(columns)


Edit = Callable[[dict[str, Any]], object]
HOSTILE: list[tuple[str, Edit, str]] = [
    ("another rows", lambda p: p["inputs"][1].update(shape=["2h", 7]), r"rows_1 \[2h, 7\], wanted \[2h, h\]"),
    ("no columns", lambda p: p["inputs"].pop(), r"columns_2 nothing, wanted \[2w, 4w\]"),
    ("one more", lambda p: p["inputs"].append({**p["inputs"][0], "name": "key"}), r"key \[.*\], wanted nothing"),
    ("channels", lambda p: p["inputs"][0].update(shape=["B", 3, "h", "w"]), r"features \[B, 3, h, w\], wanted \[B, 16"),
    ("a picture's size", lambda p: p["outputs"][0].update(shape=["B", 3, 48, 96]), r"rgb \[B, 3, 48, 96\], wanted"),
    ("one doubling", lambda p: p.update(inputs=p["inputs"][:3]), r"rows_2 nothing, wanted \[4h, 2h\]"),
    ("halo below 0", lambda p: p.update(halo=-1), r"part\.halo: found -1, wanted 0 to 16384"),
    ("halo true", lambda p: p.update(halo=True), r"part.halo: found true/false"),
    ("no file", lambda p: p["file"].update(path="gone.onnx"), r"gone\.onnx: named in the manifest but not there"),
    ("a file outside", lambda p: p["file"].update(path="../decoder.onnx"), "leaves the bundle"),
    ("another file", lambda p: p["file"].update(sha256="0" * 64), "sha256"),
    ("unknown key", lambda p: p.update(more=1), "part.more: unknown"),
]


@pytest.mark.parametrize(("edit", "text"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
def test_a_part_that_cannot_be_is_one_line_before_anything_runs(
    edit: Edit, text: str, any_window: Path, tmp_path: Path
) -> None:
    root = tmp_path / "hostile"
    shutil.copytree(any_window, root)
    document = json.loads((root / MANIFEST).read_text())
    edit(document["stages"][2]["part"])
    (root / MANIFEST).write_text(json.dumps(document))
    with pytest.raises(BundleError, match=text) as caught:
        Session(read_bundle(root), backends.get("onnxruntime"), Settings())
    assert "\n" not in str(caught.value)
    assert str(root) in str(caught.value)
