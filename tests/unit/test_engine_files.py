"""Engines get into a bundle all at once or not at all: the first time, the next time, beside others, after a kill."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from export import _engine_files
from export._engine_files import STAGING
from export.compile import compile_into
from export.engines import Job, compile_bundle, lengths
from export.targets._target import Options
from export.trial import Trial
from runtime.bundle import MANIFEST, Bundle, read_bundle
from runtime.errors import ExportError, FileDamaged, OutputError
from tests.guard.sources import ROOT
from tests.stand_in_compiler import Fake
from tests.tiny import tiny_bundle

STAGES = ("encoder", "transformer", "decoder")
HOLDS = """
import sys, time
from pathlib import Path
from export._engine_files import staging
with staging(Path(sys.argv[1])) as folder:
    (folder / "encoder.fake.0123456789ab.plan").write_bytes(b"half a plan")
    (Path(sys.argv[1]) / ".manifest.json.part").write_bytes(b"{")
    print("at work", flush=True)
    time.sleep(60)
"""


def fails(_: Path) -> None:
    raise ExportError("no")


def refuse(*_: object, missing_ok: bool = False, parents: bool = False) -> None:  # noqa: ARG001  (as `Path` has them)
    raise PermissionError(13, "Permission denied")


def compiled(opened: Bundle, fake: Fake, capability: str = "8.9") -> Bundle:
    job = Job((fake,), Options(capabilities=(capability,)), lengths((11, 5), None))
    return compile_bundle(opened, job, no_trial, lambda _: None)


def no_trial(stage: str) -> Trial:
    raise AssertionError(f"{stage}: nothing can run here, so nothing is to be compared")


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


def check_whole(root: Path) -> None:
    """Every engine that the manifest names is there, byte by byte, and nothing that it does not name."""
    bundle = read_bundle(root)
    engines = [engine for stage in bundle.manifest.stages for engine in stage.engines]
    for engine in engines:
        bundle.checked(engine.file)
        assert engine.file.sha256[:12] in engine.file.path
    assert {path.name for path in root.glob("*.plan")} == {engine.file.path for engine in engines}
    assert not list(root.glob(".*"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network's bundle."""
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def opened(exported: Path, tmp_path: Path) -> Bundle:
    """A bundle of one's own."""
    return read_bundle(Path(shutil.copytree(exported, tmp_path / "bundle")))


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_build_that_fails_at_any_stage_leaves_the_first_ones_engines(stage: str, opened: Bundle) -> None:
    first = compiled(opened, Fake(round=1))
    before = contents(opened.root)
    with pytest.raises(ExportError, match=r"^no$"):
        compiled(first, Fake(round=2, does={stage: fails}))
    assert contents(opened.root) == before
    check_whole(opened.root)


def test_a_second_build_replaces_the_first_ones_engines_and_what_running_them_left(opened: Bundle) -> None:
    first = compiled(opened, Fake(round=1))
    kept = next(opened.root.glob("encoder.*.plan"))
    cache = opened.root / f"{kept.name}.0123456789ab.cache"
    cache.write_bytes(b"kernels")
    compiled(first, Fake(round=2))
    check_whole(opened.root)
    assert not kept.exists()
    assert not cache.exists()


def test_the_same_engines_again_change_nothing_and_heal_a_damaged_one(opened: Bundle) -> None:
    first = compiled(opened, Fake())
    before = contents(opened.root)
    (opened.root / first.manifest.stages[0].engines[0].file.path).write_bytes(b"damaged")
    compiled(first, Fake())
    assert contents(opened.root) == before


@pytest.mark.parametrize("moved", [0, 1, 2, 3])  # of three engines, then the manifest
def test_a_disk_that_fails_between_the_files_takes_those_back_that_are_there(
    moved: int, opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compiled(opened, Fake(round=1))
    before = contents(opened.root)
    left = [moved]

    def replace(of: Path, to: Path) -> None:
        if to.parent == opened.root and not left[0]:
            refuse()
        left[0] -= to.parent == opened.root
        os.rename(of, to)

    monkeypatch.setattr("export._engine_files.os.replace", replace)
    with pytest.raises(OutputError, match=r"the engines cannot be written \(Permission denied\); the bundle is as it"):
        compiled(first, Fake(round=2))
    assert contents(opened.root) == before


def test_an_interruption_behind_the_new_manifest_leaves_the_new_engines(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = _engine_files.write_manifest

    def interrupted(root: Path, manifest: object) -> None:
        write(root, manifest)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(_engine_files, "write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compiled(opened, Fake())
    check_whole(opened.root)
    assert all(stage.engines for stage in read_bundle(opened.root).manifest.stages)


def test_a_cleanup_that_fails_hides_neither_the_error_nor_the_success(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compiled(opened, Fake(round=1))

    def spoil(_: Path) -> None:
        monkeypatch.setattr(Path, "unlink", refuse)

    def spoil_and_fail(root: Path) -> None:
        spoil(root)
        fails(root)

    with pytest.raises(ExportError, match=r"^no$"):
        compiled(first, Fake(round=2, does={"decoder": spoil_and_fail}))
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied\); compile a copy of it$"):
        compiled(first, Fake(round=2))  # what is left there cannot be cleared, and must not become engines
    monkeypatch.undo()
    second = compiled(first, Fake(round=2, does={"decoder": spoil}))
    assert read_bundle(opened.root).manifest == second.manifest
    monkeypatch.undo()
    third = compiled(second, Fake(round=3))
    remaining = {path.name for path in opened.root.glob("*.plan")} - _engine_files.named(third.manifest)
    assert remaining == _engine_files.named(first.manifest)
    assert not list(opened.root.glob(".*"))


def test_a_damaged_graph_is_refused_before_anything_is_built(opened: Bundle) -> None:
    path = opened.file(opened.manifest.stages[2], "onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(FileDamaged, match=r"decoder\.onnx"):
        compiled(opened, Fake(does={"encoder": lambda _: pytest.fail("something was built")}))


def test_of_two_at_once_the_second_is_refused_and_the_first_goes_on(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def second(root: Path) -> None:
        with pytest.raises(OutputError) as caught:
            compile_into(root, [], Options(), lambda _: None)
        said.append(str(caught.value))

    fake = Fake(does=dict.fromkeys(STAGES, second))
    monkeypatch.setattr("export.compile.choose_targets", lambda *_: (fake,))
    compile_into(opened.root, [], Options(capabilities=("8.9",)), lambda _: None)
    line = f"{opened.root}: another --compile is at work on this bundle; run this one when it has ended"
    assert said == [line] * 3
    check_whole(opened.root)


def test_engines_that_another_run_added_since_the_bundle_was_read_stay(opened: Bundle) -> None:
    compiled(opened, Fake(), "8.6")
    both = compiled(opened, Fake(), "8.9")  # knows the bundle from before
    for stage in both.manifest.stages:
        assert [engine.capabilities for engine in stage.engines] == [("8.6",), ("8.9",)]
    check_whole(opened.root)


def test_what_a_killed_run_left_holds_nobody_up_and_is_cleared(opened: Bundle) -> None:
    before = contents(opened.root)
    command = [sys.executable, "-c", HOLDS, str(opened.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "at work\n"
        with pytest.raises(OutputError, match="another --compile is at work"):
            compiled(opened, Fake())
        os.kill(other.pid, signal.SIGKILL)
    assert (opened.root / STAGING).is_dir()
    with pytest.raises(ExportError, match=r"^no$"):
        compiled(opened, Fake(does={"encoder": fails}))
    assert contents(opened.root) == before
    compiled(opened, Fake())
    check_whole(opened.root)


def test_many_at_once_end_with_a_whole_bundle(opened: Bundle) -> None:
    """Processes that begin and end at any moment: each one is refused, or has the folder for itself."""
    text = HOLDS.replace("time.sleep(60)", "time.sleep(0.001)").replace("import sys, time", "import sys, time, os")
    again = "\n".join(f"    {line}" for line in text[text.index("with ") :].splitlines())
    loop = (
        f"{text[: text.index('with ')]}\nfrom runtime.errors import OutputError\n"
        f"for _ in range(200):\n  try:\n{again}\n  except OutputError as error:\n"
        f"    assert 'at work' in str(error), error\n"
    )
    command = [sys.executable, "-c", loop, str(opened.root)]
    others = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [other.wait(timeout=60) for other in others] == [0, 0, 0]
    compiled(opened, Fake())
    check_whole(opened.root)


def test_where_the_system_has_no_locks_engines_are_compiled_all_the_same(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    compiled(opened, Fake())
    check_whole(opened.root)


def test_a_bundle_that_cannot_be_written_is_one_line_before_anything_is_built(
    opened: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied\); compile a copy of it$"):
        compiled(opened, Fake(does={"encoder": lambda _: pytest.fail("something was built")}))


def export_anew(root: Path) -> None:
    shutil.copytree(root, root.parent / "new", ignore=shutil.ignore_patterns(".*"))
    text = (root / MANIFEST).read_text()
    (root.parent / "new" / MANIFEST).write_text(text.replace('"reference_step": ', '"reference_step": 1'))
    shutil.rmtree(root)
    (root.parent / "new").rename(root)


@pytest.mark.parametrize("at", [None, "decoder"])
def test_a_bundle_that_is_exported_anew_meanwhile_stays_as_it_is(at: str | None, opened: Bundle) -> None:
    if at is None:
        export_anew(opened.root)
    with pytest.raises(ExportError, match="was replaced by another bundle meanwhile, which stays as it is"):
        compiled(opened, Fake(does={} if at is None else {at: export_anew}))
    assert "engines.part" not in "".join(contents(opened.root))
    assert not any(stage.engines for stage in read_bundle(opened.root).manifest.stages)
