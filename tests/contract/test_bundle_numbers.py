"""Every number of a manifest has its range, and what must hold between them is checked before anything is opened."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime.bundle import DEFAULT, MANIFEST, read_bundle, write_manifest
from runtime.errors import BundleError, ManifestInvalid
from runtime.job import find_bundle
from tests.engined import Build, add_engines
from tests.quantised import Made
from tests.tiny import MASKED, tiny_bundle

Document = dict[str, Any]
Edit = Callable[[Document], object]
HOSTILE = (-1, 0, 2**31, 10**400, 1e39, 1e-300)


@pytest.fixture
def root(any_window: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(any_window, tmp_path / "bundle"))


def edited(root: Path, edit: Edit) -> None:
    document = json.loads((root / MANIFEST).read_text())
    edit(document)
    (root / MANIFEST).write_text(json.dumps(document))


def refusal(root: Path) -> str:
    """What is said of the bundle, less the name of the manifest that it begins with."""
    with pytest.raises(ManifestInvalid) as caught:
        read_bundle(root)
    said = str(caught.value)
    assert said.startswith(f"{root / MANIFEST}: ")
    assert "\n" not in said
    assert len(said) < len(str(root)) + 300
    return said.removeprefix(f"{root / MANIFEST}: ")


def schedule(**values: object) -> Edit:
    return lambda d: d["schedule"].update(values)


def pixels(**values: object) -> Edit:
    return lambda d: d["pixels"].update(values)


def port(stage: int, kind: str, **values: object) -> Edit:
    return lambda d: d["stages"][stage][kind][0].update(values)


RANGES: list[tuple[Edit, str]] = [
    (schedule(neighbour_stride=0), "schedule.neighbour_stride: found 0, wanted 1 to 4096"),
    (schedule(targets=0), "schedule.targets: found 0, wanted 1 to 4096"),
    (schedule(targets=10**6), "schedule.targets: found 1000000, wanted 1 to 4096"),
    (schedule(references=-1), "schedule.references: found -1, wanted 0 to 4096"),
    (schedule(reference_step=0), "schedule.reference_step: found 0, wanted 1 to 65536"),
    (
        schedule(neighbour_stride=12),
        "schedule.neighbour_stride: found 12, wanted at most schedule.targets, which is 11",
    ),
    (pixels(width=0), "pixels.width: found 0, wanted 1 to 16384"),
    (pixels(height=-4), "pixels.height: found -4, wanted 1 to 16384"),
    (pixels(dilate=-1), "pixels.dilate: found -1, wanted 0 to 64"),
    (pixels(dilate=10**6), "pixels.dilate: found 1000000, wanted 0 to 64"),
    (pixels(hole_value=1e39), "pixels.hole_value: found 1e+39, wanted -65504 to 65504"),
    (pixels(hole_value=10**400), "pixels.hole_value: found 1000000000"),
    (pixels(low=1.0), "pixels.high: found 1, wanted at least 0.001 more than pixels.low, which is 1"),
    (pixels(low=3, high=2), "pixels.high: found 2, wanted at least 0.001 more than pixels.low, which is 3"),
    (pixels(width=97), "stages[0].inputs: found rgb float32 [B, 3, 48, 96], wanted rgb float32 [B, 3, 48, 97]"),
    (port(0, "outputs", shape=["B", 16, -12, 24]), "stages[0].outputs[0].shape[2]: found -12, wanted 1 to 2147483647"),
    (
        port(0, "outputs", shape=["B", 16, 49, 24]),
        "stages[0].outputs[0].shape: found [B, 16, 49, 24], wanted four axes",
    ),
    (port(0, "outputs", shape=[]), "stages[0].outputs[0].shape: found [], wanted four axes"),
    (port(0, "inputs", dtype="int64"), "stages[0].inputs: found rgb int64"),
    (port(1, "inputs", shape=["T", 16, 12, 23]), "stages[1].inputs: found features float32 [T, 16, 12, 23], wanted"),
    (port(1, "inputs", shape=["Q", 16, 12, 24]), "stages[1].inputs: found features float32 [Q, 16, 12, 24], wanted"),
    (port(1, "outputs", name="com\npleted"), r"stages[1].outputs[0].name: found 'com\npleted', wanted text"),
    (port(2, "outputs", shape=["B", 4, 48, 96]), "stages[2].outputs: found rgb float32 [B, 4, 48, 96], wanted"),
    (lambda d: d["stages"][1].update(inputs=[]), "stages[1].inputs: found nothing more, wanted features"),
    (lambda d: d["stages"][0].update(inputs=[]), "stages[0].inputs: found nothing more, wanted rgb"),
    (lambda d: d["stages"][0].update(outputs=[]), "stages[0].outputs[0].shape: found [], wanted four axes"),
    (lambda d: d["stages"][2]["part"].update(halo=-1), "stages[2].part.halo: found -1, wanted 0 to 16384"),
    (lambda d: d["stages"][0]["files"]["onnx"].update(size_bytes=-1), "stages[0].files.onnx.size_bytes: found -1"),
    (lambda d: d["parity"][0].update(nan_count=-1), "parity[0].nan_count: found -1, wanted 0 to"),
    (lambda d: d["parity"][0].update(max_abs=-1e-9), "parity[0].max_abs: found -1e-09, wanted 0 or more"),
    (lambda d: d["parity"][0].update(psnr_db=10**400), "parity[0].psnr_db: found 10000"),
    (lambda d: d["kernels"].update(cuda="13.x"), "kernels.cuda: found '13.x', wanted a release such as 13.0"),
    (lambda d: d["kernels"].update(cuda="1²"), r"kernels.cuda: found '1\xb2', wanted a release such as 13.0"),
    (lambda d: d.update(stages=[]), "stages: found none, wanted at least one"),
    (lambda d: d["pixels"].update({"a\x1b[2Jb": 1}), r"pixels.'a\x1b[2Jb': unknown key"),
    (
        lambda d: d["provenance"]["options"].update({"a\nb": 1}),
        r"provenance.options: found 'a\nb', wanted text of one line",
    ),
    (lambda d: d["pixels"].update(resize="x" * 10**6), "pixels.resize: found 'xxxxx"),
    (lambda d: d.update(network="\ud800"), r"network: found '\ud800', wanted text of one line"),
    (lambda d: d.update(variant="a\nb"), r"variant: found 'a\nb', wanted text of one line that can be printed"),
    (
        lambda d: d["stages"][0]["files"].update({"on\nnx": {}}),
        r"stages[0].files: found 'on\nnx', wanted text of one line",
    ),
    (lambda d: d.update(network="../../evil"), "network: found '../../evil', wanted letters, digits and . _ - behind"),
    (lambda d: d.update(variant='x" backend: "y'), "variant: found 'x\" backend: \"y', wanted letters, digits and"),
    (lambda d: d.update(variant=""), "variant: found '', wanted letters, digits and"),
    (lambda d: d["stages"][0].update(name="a/b"), "stages[0].name: found 'a/b', wanted letters, digits and"),
    (lambda d: d["provenance"].update(licence="a\u202eb"), r"provenance.licence: found 'a\u202eb', wanted text of one"),
    (lambda d: d["provenance"].update(licence="a\0b"), r"provenance.licence: found 'a\x00b', wanted text of one line"),
    (lambda d: d["stages"][0]["files"]["onnx"].update(sha256="zz"), "sha256: found 'zz', wanted 64 hexadecimal digits"),
    (lambda d: d["stages"][0]["files"].pop("onnx"), "stages[0].files: found none for onnx, wanted the graph that all"),
    (lambda d: d["stages"][2]["part"].update(inputs=[]), "stages[2].part: found no inputs or no outputs, wanted some"),
    (lambda d: d["stages"][0]["files"]["onnx"].update(path="\udcff"), r"found '\udcff', wanted text of one line"),
]


@pytest.mark.parametrize(("edit", "text"), RANGES, ids=[text[:60] for _, text in RANGES])
def test_a_number_that_cannot_be_is_refused_by_place_value_and_range(edit: Edit, text: str, root: Path) -> None:
    edited(root, edit)
    assert text in refusal(root)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_json_is_refused_by_name(word: str, root: Path) -> None:
    text = (root / MANIFEST).read_text()
    (root / MANIFEST).write_text(text.replace('"hole_value": 0.0', f'"hole_value": {word}'))
    assert refusal(root).startswith(f"not JSON: {word} is no JSON number")


def test_a_number_that_json_can_write_and_no_float_can_hold_is_refused(root: Path) -> None:
    text = (root / MANIFEST).read_text()
    (root / MANIFEST).write_text(text.replace('"hole_value": 0.0', '"hole_value": -1e999'))
    assert refusal(root).startswith("pixels.hole_value: found -inf, wanted a finite number")


def places(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the numbers are."""
    if isinstance(node, dict):
        for key, item in node.items():
            yield from places(item, (*path, key))
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from places(item, (*path, index))
    elif isinstance(node, (int, float)) and not isinstance(node, bool):
        yield path


def test_no_number_anywhere_in_a_manifest_escapes_the_error_tree(made: Made, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made.bundle.root, tmp_path / "bundle"))
    add_engines(root, Build())
    whole: Document = json.loads((root / MANIFEST).read_text())
    found = list(places(whole))
    assert len(found) > 100
    for path in found:
        for value in HOSTILE:
            document = copy.deepcopy(whole)
            inner: Any = document
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
            (root / MANIFEST).write_text(json.dumps(document))
            try:
                read_bundle(root)
            except BundleError as error:
                assert "\n" not in str(error)


def test_an_engine_without_shapes_of_an_input_is_refused(root: Path) -> None:
    add_engines(root, Build())
    edited(root, lambda d: d["stages"][1]["engines"][0]["shapes"].update(features=[[]]))
    assert "stages[1].engines[0].shapes: found none of 'features', wanted one or more" in refusal(root)


def fixed(stage: Document) -> list[Document]:
    return stage["inputs"][1:]


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["schedule"].update(fixed=False),
        lambda d: d["schedule"].update(references=3),
        lambda d: fixed(d["stages"][1])[0].update(shape=[7]),
        lambda d: fixed(d["stages"][1])[0].update(shape=["T"]),
        lambda d: fixed(d["stages"][1])[0].update(shape=[6, 5, 4]),
        lambda d: fixed(d["stages"][1])[0].update(name="bias"),
        lambda d: fixed(d["stages"][1])[0].update(name="key_bias_x"),
        lambda d: d["stages"][1]["inputs"].append(fixed(d["stages"][1])[0]),
        lambda d: d["stages"][1].update(inputs=d["stages"][1]["inputs"][:1]),
    ],
    ids=[
        "not fixed",
        "another length",
        "no whole frames",
        "any length",
        "no whole patches",
        "another input",
        "a bias of no head",
        "a bias twice",
        "no bias",
    ],
)
def test_a_fixed_window_takes_what_the_schedule_says(edit: Edit, narrow_window: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(narrow_window, tmp_path / "bundle"))
    read_bundle(root)
    edited(root, edit)
    assert refusal(root).startswith("stages[1].inputs: found ")


def test_one_int8_graph_a_stage_with_the_ranges_that_it_is_from(made: Made, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made.bundle.root, tmp_path / "bundle"))
    (place, stage) = next((i, each) for i, each in enumerate(made.bundle.manifest.stages) if each.typed)
    (compute,) = {typed.compute for typed in stage.typed}
    edited(root, lambda d: d["stages"][place]["typed"].append(d["stages"][place]["typed"][0]))
    assert refusal(root).startswith(f"stages[{place}].typed: two graphs compute in one type")
    edited(root, lambda d: d["stages"][place]["typed"].pop())
    edited(root, lambda d: d["stages"][place]["typed"][0].update(ranges=None))
    assert refusal(root).startswith(f"stages[{place}].typed[0].ranges: found in {compute}, wanted with int8 and with")


def test_bundles_that_are_made_are_read(
    any_window: Path, fixed_window: Path, made: Made, tmp_path: Path, narrow_window: Path
) -> None:
    masked = [
        tiny_bundle(tmp_path / "any", of=MASKED),
        tiny_bundle(tmp_path / "fixed", frames=(4, 2), pace=(2, 4), of=MASKED),
    ]
    for root in (find_bundle(DEFAULT), any_window, fixed_window, narrow_window, made.bundle.root, *masked):
        assert read_bundle(root).manifest.stages


def test_a_manifest_that_would_be_refused_is_not_written(root: Path) -> None:
    manifest = read_bundle(root).manifest
    before = (root / MANIFEST).read_bytes()
    wide = replace(manifest, pixels=replace(manifest.pixels, width=20_000))
    with pytest.raises(ManifestInvalid, match=re.escape("pixels.width: found 20000, wanted 1 to 16384. It was not")):
        write_manifest(root, wide)
    assert (root / MANIFEST).read_bytes() == before
