"""What a trial found is believed under the same circumstances only; what else lies in its place is in nobody's way."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runtime.backends import choose
from runtime.bundle import Bundle, file_record, read_bundle, write_manifest
from runtime.kept import user_cache
from tests.paced import Field, records, small_bundle, with_int8

FAST, SLOW, SLOWER = 0.1, 0.2, 0.4  # seconds a call


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Float32 graphs alone."""
    return small_bundle(tmp_path_factory.mktemp("plain") / "bundle")


@pytest.fixture
def field(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Field:
    """No backend yet, and an empty cache."""
    made = Field()
    made.enter(monkeypatch, tmp_path / "cache")
    return made


@dataclass(frozen=True)
class World:
    """What a trial's figures may depend on."""

    field: Field
    bundle: Bundle
    monkeypatch: pytest.MonkeyPatch


def newer(world: World) -> None:
    world.field.backends["second"].version = "1.1"


def another_processor(world: World) -> None:
    world.monkeypatch.setattr("runtime.cores.processor", lambda: ("another", "fpu"))


def fewer_cores(world: World) -> None:
    world.monkeypatch.setenv("OMP_NUM_THREADS", "61")


def one_more(world: World) -> None:
    world.field.add("third", 30, fp32=SLOWER, int8=SLOWER)


def another_method(world: World) -> None:
    world.monkeypatch.setattr("runtime._trial_record._METHOD", 99)


def other_weights(world: World) -> None:
    root, manifest = world.bundle.root, world.bundle.manifest
    graph = root / "decoder.int8.onnx"
    graph.write_bytes(graph.read_bytes()[::-1])
    *others, last = manifest.stages
    last = replace(last, typed=(replace(last.typed[0], file=file_record(root, graph)),))
    write_manifest(root, replace(manifest, stages=(*others, last)))


@pytest.mark.parametrize(
    "change", [newer, another_processor, fewer_cores, one_more, another_method, other_weights], ids=lambda f: f.__name__
)
def test_whatever_decides_speed_is_part_of_what_figures_hold_for(
    change: Callable[[World], None], field: Field, plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = with_int8(plain.root, tmp_path / "bundle")
    field.add("first", 10, fp32=FAST, int8=SLOWER)
    field.add("second", 20, fp32=SLOW, int8=SLOWER)
    assert choose("auto", bundle, "auto").label == "first fp32"
    change(World(field, bundle, monkeypatch))
    field.backends["second"].pace = {"fp32": 0.01, "int8": SLOWER}
    found = choose("auto", read_bundle(bundle.root), "auto")
    assert (found.label, len(found.notes)) == ("second fp32", 1)
    assert len(records()) == 2


def of_others(document: Any) -> Any:
    document["holds_for"]["processor"] = ["another"]
    return document


def without_one(document: Any) -> Any:
    del document["seconds"]["second fp32"]
    return document


def figures(text: str) -> Callable[[Any], Any]:
    def change(document: Any) -> Any:
        document["seconds"]["second fp32"] = "HERE"
        return json.dumps(document).replace('"HERE"', text)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda _: "{",
        lambda _: "\0" * 100,
        lambda _: "[" * 100_000,
        lambda _: "null",
        of_others,
        without_one,
        lambda document: document | {"more": 1},
        lambda document: document | {"seconds": {"null zeros": 0.001}},
        figures("NaN"),
        figures("Infinity"),
        figures("-1"),
        figures("0"),
        figures("true"),
        figures('"0.001"'),
        figures("1" + 400 * "0"),
    ],
)
def test_a_record_that_cannot_be_believed_is_measured_anew(
    change: Callable[[Any], Any], field: Field, plain: Bundle
) -> None:
    field.add("first", 10, fp32=FAST)
    field.add("second", 20, fp32=SLOW)
    choose("auto", plain, "auto")
    (path,) = records()
    document = json.loads(path.read_bytes())
    document["seconds"]["second fp32"] = 1e-9  # who believed it would take the second
    changed = change(document)
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    found = choose("auto", plain, "auto")
    assert (found.label, len(found.notes)) == ("first fp32", 1)
    again = choose("auto", plain, "auto")
    assert (again.label, again.notes) == ("first fp32", ())


def test_a_record_that_is_no_file_is_in_nobodys_way(field: Field, plain: Bundle) -> None:
    field.add("first", 10, fp32=FAST)
    field.add("second", 20, fp32=SLOW)
    choose("auto", plain, "auto")
    (path,) = records()
    path.unlink()
    path.mkdir()
    for _ in range(2):
        assert choose("auto", plain, "auto").label == "first fp32"
    assert path.is_dir()


def test_where_nothing_can_be_remembered_it_says_so_and_runs(
    field: Field, plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    field.add("first", 10, fp32=SLOW)
    field.add("second", 20, fp32=FAST)
    for _ in range(2):
        found = choose("auto", plain, "auto")
        assert found.label == "second fp32"
        assert found.notes[0].endswith(f"not remembered, since {user_cache()} cannot be written")
