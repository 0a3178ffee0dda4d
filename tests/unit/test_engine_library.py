"""What the library of engines does when something is wrong with it, its GPU, or the file of timings."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from export import targets
from export.build import toolchain
from export.inspection import machine
from export.targets._trt_child import BuildFailed, build
from export.targets._trt_config import configure
from export.targets.tensorrt import limits_of
from tests.engines import Recorder, library, network

COMPILERS = [name for name in targets.names() if targets.get(name).compiler is not None]
ABSENT = "libnvinfer.so.10: cannot open shared object file: No such file or directory"
NO_ENGINE = "Error Code 2: Internal Error (Assertion engine != nullptr failed. )"
GPU = ("NVIDIA Made-Up", "9.0")


class Logger:
    """As `ILogger`, its severities as members."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class Builder:
    """Says `said`, and makes no builder, or an engine where there is a `plan`."""

    def __init__(self, said: list[tuple[int, str]], config: Any, plan: bytes | None, logger: Any) -> None:
        for severity, text in said:
            logger.log(severity, text)
        self.config, self.plan = config, plan

    def create_network(self, flags: int) -> Any:
        return SimpleNamespace(**vars(network()), num_inputs=0, num_outputs=0)

    def create_builder_config(self) -> Any:
        return self.config

    def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
        return self.plan


def complaining(*said: tuple[int, str], plan: bytes | None = None, config: Any = None) -> Any:
    """A library whose builder says this."""
    parser = Recorder(parse=lambda _: True)
    made = partial(Builder, list(said), config or Recorder(), plan)
    parts = {"ILogger": Logger, "Builder": made, "OnnxParser": lambda *_: parser}
    return SimpleNamespace(**vars(library("8.5.3")), **parts)


def request(folder: Path, cache: Path | None = None) -> dict[str, Any]:
    (folder / "graph").touch()
    plain = dict.fromkeys(("workspace_mib", "opt_level", "hardware_compat", "version_compat", "timing_cache"))
    options = {**plain, "capabilities": [], "timing_cache": None if cache is None else str(cache)}
    paths = {"graph": str(folder / "graph"), "plan": str(folder / "plan")}
    return {**paths, "compute": "float32", "kept_float32": (), "shapes": {}, "options": options}


def test_without_a_gpu_the_builders_warning_is_the_reason(tmp_path: Path) -> None:
    def builder(logger: Any) -> None:
        logger.log(Logger.WARNING, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    stand_in = complaining()
    stand_in.Builder = builder
    with pytest.raises(BuildFailed, match=r"^CUDA initialization failure with error: 35$"):
        build(stand_in, request(tmp_path), GPU)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([(Logger.ERROR, "no kernel\nfits"), (Logger.INTERNAL_ERROR, NO_ENGINE)], "no kernel fits"),
        ([(Logger.WARNING, "little memory"), (Logger.ERROR, NO_ENGINE)], NO_ENGINE),
        ([(Logger.WARNING, "little memory"), (Logger.INFO, "1 s")], "little memory"),
        ([(Logger.INFO, "1 s")], "the library gave no reason"),
    ],
)
def test_of_its_errors_the_last_that_says_something_is_told(
    said: list[tuple[int, str]], told: str, tmp_path: Path
) -> None:
    with pytest.raises(BuildFailed) as caught:
        build(complaining(*said), request(tmp_path), GPU)
    assert str(caught.value) == told


class Caches(Recorder):
    """A configuration with timing caches: `taken` says whether one made of the file's bytes is."""

    def __init__(self, taken: Callable[[bytes], bool]) -> None:
        super().__init__(
            create_timing_cache=lambda content: SimpleNamespace(content=content, serialize=lambda: content + b" more"),
            set_timing_cache=lambda cache, ignore: self.calls.append(("taken", cache.content)) or taken(cache.content),
        )


def test_an_engine_is_kept_though_its_timings_cannot_be(tmp_path: Path) -> None:
    cache = tmp_path / "times"
    cache.write_bytes(b"old")
    library = complaining(plan=b"plan", config=Caches(lambda _: True))
    assert build(library, request(tmp_path, cache), GPU)["notes"] == []
    assert cache.read_bytes() == b"old more"
    cache.unlink()
    cache.mkdir()
    (note,) = build(library, request(tmp_path, cache), GPU)["notes"]
    assert note.startswith(f"--timing-cache {cache}: cannot be written (Is a directory)")
    assert (tmp_path / "plan").read_bytes() == b"plan"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["graph", "plan", "times"]


def test_timings_of_another_gpu_are_replaced_and_not_written_back(tmp_path: Path) -> None:
    cache = tmp_path / "times"
    cache.write_bytes(b"another GPU's")
    config = Caches(lambda content: not content)
    build(complaining(plan=b"plan", config=config), request(tmp_path, cache), GPU)
    assert [call[1] for call in config.calls if call[0] == "taken"] == [b"another GPU's", b""]
    assert cache.read_bytes() == b" more"


@pytest.mark.parametrize(("release", "sources"), [("8.5.3", [0b11000]), ("10.13.3", [0b11000]), ("11.1.0", [])])
def test_kernels_of_cublas_and_cudnn_are_not_used(release: str, sources: list[int], tmp_path: Path) -> None:
    config = Recorder()
    configure(library(release), config, request(tmp_path), portable=False)
    assert [call[1] for call in config.calls if call[0] == "set_tactic_sources"] == sources


@pytest.mark.parametrize("name", COMPILERS)
@pytest.mark.parametrize("error", [ImportError(ABSENT), OSError(ABSENT)])
def test_a_library_that_cannot_be_imported_is_one_line(
    name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setattr(f"export.targets.{name}.library", broken)
    target = targets.get(name)
    monkeypatch.setattr(type(target), "installed", lambda _: True)
    reason = target.why_not() or ""
    assert f"cannot be imported ({ABSENT}): install it again: pip install " in reason
    assert "\n" not in reason
    assert machine(name, None).version is None


def test_what_a_release_says_to_int8_is_true_of_it() -> None:
    assert limits_of((10, 0), "").no_int8 is None
    assert "weights alone" not in (limits_of((8, 6), "").no_int8 or "weights alone")


def test_a_module_knows_its_version_whichever_package_brought_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    assert all(toolchain().values())
