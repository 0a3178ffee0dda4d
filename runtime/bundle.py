"""A bundle: the folder of graphs, engines and one manifest that export seals and every runtime reads.

Standard library only: this file is the contract between export, calib, runtime and embed; docs/bundle.md is its prose.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from runtime._strict import Mismatch, decode, encode
from runtime.errors import (
    BundleTooNew,
    BundleTooOld,
    FileDamaged,
    FileMissing,
    ManifestInvalid,
    NotABundle,
    OutputError,
    UnsafePath,
)

SCHEMA = 1
MANIFEST = "manifest.json"
DEFAULT = "sttn-small"  # the bundle that runs when none is named; the one model name outside models/


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a stage."""

    name: str
    dtype: Literal["float32", "int64"]
    shape: tuple[int | str, ...]  # a text names a symbolic axis: B batch, T window, N targets
    holds: str | None = None  # for an int64 scalar: the symbolic axis whose length it carries


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of the bundle."""

    path: str  # relative to the bundle, with forward slashes
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class StageSpec:
    """One graph of the network: what goes in, what comes out, and its file for each target."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: Mapping[str, FileRecord]  # by target: onnx, ...


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """Which frames meet in one call of the transformer."""

    kind: Literal["windowed"]
    targets: int  # frames repainted in a full window of `steady`
    references: int  # distant frames in a full window of `steady`
    neighbour_stride: int  # frames from one window's centre to the next
    reference_step: int  # a frame whose index is a multiple of this may be a reference
    fixed: bool  # the transformer takes exactly targets + references frames; fillers are silenced by key_bias


@dataclass(frozen=True, slots=True)
class PixelRule:
    """How a source frame becomes the network's input and its output a frame again (formulas: docs/bundle.md)."""

    width: int
    height: int
    colour_order: Literal["rgb", "bgr"]
    low: float  # value of sample 0
    high: float  # value of sample 255
    mask_applied: bool  # whether the hole is blanked in the network's input
    hole_value: float  # what a blanked sample holds
    resize: Literal["bicubic-antialias"]
    dilate: int  # iterations of a 3x3 cross on the mask at the network's size


@dataclass(frozen=True, slots=True)
class PrecisionRule:
    """In which types the graphs hold and compute."""

    compute: Literal["float32", "float16", "bfloat16", "int8"]
    storage: Literal["float32", "float16"]  # of the initialisers; the graph casts them
    kept_float32: tuple[str, ...]  # layers left in higher precision


@dataclass(frozen=True, slots=True)
class ParityRecord:
    """One stage compared with PyTorch."""

    stage: str
    runner: str  # what ran the graph
    frames: str  # which frames it saw
    max_abs: float
    tolerance: float
    psnr_db: float  # against the reference's own range
    nan_count: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the weights come from and what made the bundle."""

    checkpoint: str  # file name of the weights
    checkpoint_sha256: str
    licence: str
    tool: str  # name and version of the exporter
    toolchain: Mapping[str, str]  # library -> version
    options: Mapping[str, str]  # how the exporter was called


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that a runtime must know of a bundle besides its files."""

    schema: int
    network: str
    variant: str
    stages: tuple[StageSpec, ...]
    schedule: ScheduleRule
    pixels: PixelRule
    precision: PrecisionRule
    parity: tuple[ParityRecord, ...]
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: its folder and its manifest."""

    root: Path
    manifest: Manifest

    def stage(self, name: str) -> StageSpec:
        """The stage called `name`; raises `ManifestInvalid` when the network has none."""
        for stage in self.manifest.stages:
            if stage.name == name:
                return stage
        raise ManifestInvalid(f"{self.root}: no stage '{name}' in this bundle")

    def file(self, stage: StageSpec, target: str) -> Path:
        """The stage's file for `target`, its size and sha256 checked; raises `FileMissing`, `FileDamaged`."""
        record = stage.files.get(target)
        if record is None:
            raise FileMissing(
                f"{self.root}: stage '{stage.name}' has no file for target '{target}', "
                f"only for {', '.join(sorted(stage.files)) or 'none'}. Export it: python export.py --target {target}"
            )
        path = _inside(self.root, record.path)
        _verify(path, record)
        return path


def read_bundle(root: Path) -> Bundle:
    """Open the bundle in folder `root`; raises a `BundleError` whose kind and text name what is wrong."""
    path = root / MANIFEST
    if not root.is_dir():
        raise NotABundle(f"{root}: no such bundle; export one with python export.py --out {root}")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotABundle(f"{root}: no {MANIFEST} in it, so it is no bundle") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestInvalid(f"{path}: cannot be read: {error}") from None
    bundle = Bundle(root, _parse(path, text))
    for stage in bundle.manifest.stages:
        for record in stage.files.values():
            _inside(root, record.path)
    return bundle


def file_record(root: Path, path: Path) -> FileRecord:
    """The record of a finished file below `root`."""
    return FileRecord(path.relative_to(root).as_posix(), _sha256(path), path.stat().st_size)


@contextmanager
def sealed(destination: Path, *, replace: bool = False) -> Generator[Path, None, None]:
    """A temporary folder beside `destination` that takes its name when the block ends well, and else vanishes."""
    if destination.exists() and not replace:
        raise OutputError(f"{destination}: exists already; --force replaces it")
    if destination.exists() and not (destination / MANIFEST).is_file() and any(_listing(destination)):
        raise OutputError(f"{destination}: exists and is no bundle; refusing to replace it")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", suffix=".part", dir=destination.parent))
    except OSError as error:
        raise OutputError(f"{destination}: cannot be written: {error.strerror}") from None
    try:
        yield staging
        staging.chmod(0o755)
        _swap(staging, destination)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write `manifest` into the folder `root`; keys in declaration order, so that two manifests diff line by line."""
    text = json.dumps(encode(manifest), indent=1, ensure_ascii=False, allow_nan=False)
    (root / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _listing(path: Path) -> Iterator[Path]:
    return path.iterdir() if path.is_dir() else iter([path])


def _swap(staging: Path, destination: Path) -> None:
    if not destination.exists():
        os.rename(staging, destination)
        return
    retired = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", suffix=".old", dir=destination.parent))
    os.rename(destination, retired / "bundle")
    os.rename(staging, destination)
    shutil.rmtree(retired, ignore_errors=True)


def _parse(path: Path, text: str) -> Manifest:
    try:
        document: object = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid(f"{path}: not JSON: {error}") from None
    schema = _schema_of(document)
    if type(schema) is int and schema > SCHEMA:
        raise BundleTooNew(
            f"{path}: manifest schema {schema}, this runtime reads up to {SCHEMA}. "
            f"Re-export with this version, or upgrade the runtime."
        )
    if type(schema) is int and schema < SCHEMA:
        raise BundleTooOld(f"{path}: manifest schema {schema}, this runtime reads {SCHEMA}. Re-export the checkpoint.")
    try:
        manifest = decode(Manifest, document)
    except Mismatch as error:
        raise ManifestInvalid(f"{path}: {error}. Re-export the bundle, or undo the edit.") from None
    names = [stage.name for stage in manifest.stages]
    if len(set(names)) != len(names):
        raise ManifestInvalid(f"{path}: stages: a stage is named twice")
    return manifest


def _schema_of(document: object) -> object:
    return cast("dict[str, object]", document).get("schema") if isinstance(document, dict) else None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _inside(root: Path, relative: str) -> Path:
    """`relative` below `root`; raises `UnsafePath` when it is absolute, climbs out, or a link leads out."""
    pure = PurePosixPath(relative)
    path = root / pure
    climbs = pure.is_absolute() or ".." in pure.parts or "\\" in relative or not pure.parts or "\0" in relative
    if climbs or not path.resolve().is_relative_to(root.resolve()):
        raise UnsafePath(f"{root / MANIFEST}: path '{relative}' leaves the bundle; refusing to follow it")
    return path


def _verify(path: Path, record: FileRecord) -> None:
    if not path.is_file():
        raise FileMissing(f"{path}: named in the manifest but not there. Copy the bundle again, or re-export it.")
    size = path.stat().st_size
    if size != record.size_bytes:
        raise FileDamaged(f"{path}: {size} bytes, the manifest says {record.size_bytes}. Copy the bundle again.")
    found = _sha256(path)
    if found != record.sha256:
        raise FileDamaged(
            f"{path}: sha256 {found[:12]}..., the manifest says {record.sha256[:12]}.... Copy the bundle again."
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
