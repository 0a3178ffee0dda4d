"""A bundle: the folder of graphs, engines and one manifest that export seals and every runtime reads.

Standard library only: this file is the contract between export, calib, runtime and embed; docs/bundle.md is its prose.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from runtime._bundle_records import (
    LONGEST_SIDE,
    Compute,
    EngineRecord,
    FileRecord,
    KernelsRecord,
    Manifest,
    ParityRecord,
    PartSpec,
    PixelRule,
    PrecisionRule,
    Provenance,
    ScheduleRule,
    StageSpec,
    TensorSpec,
    TypedGraph,
)
from runtime._bundle_rules import check
from runtime._strict import Mismatch, decode, encode, shown
from runtime.errors import (
    BundleTooNew,
    BundleTooOld,
    FileDamaged,
    FileMissing,
    ManifestInvalid,
    NotABundle,
    UnsafePath,
)

__all__ = [
    "DEFAULT",
    "LONGEST_SIDE",
    "MANIFEST",
    "PART",
    "SCHEMA",
    "Bundle",
    "Compute",
    "EngineRecord",
    "FileRecord",
    "KernelsRecord",
    "Manifest",
    "ParityRecord",
    "PartSpec",
    "PixelRule",
    "PrecisionRule",
    "Provenance",
    "ScheduleRule",
    "StageSpec",
    "TensorSpec",
    "TypedGraph",
    "file_record",
    "read_bundle",
    "write_manifest",
]

SCHEMA = 5
MANIFEST = "manifest.json"
PART = ".part"  # behind a stage's name: what parity records call its graph for parts
DEFAULT = "sttn-small"  # the bundle that runs when none is named; the one model name outside models/


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
        return self.checked(record)

    def quantised(self, spec: StageSpec | PartSpec) -> Path | None:
        """The graph in int8 of a stage or of its parts, checked as `file` checks; None where the bundle has none."""
        for typed in spec.typed:
            if typed.compute == "int8":
                return self.checked(typed.file)
        return None

    def checked(self, record: FileRecord) -> Path:
        """The path of a file that the manifest names, its size and sha256 checked; raises as `file` does."""
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
    _inside(root, bundle.manifest.kernels.file.path)
    for stage in bundle.manifest.stages:
        parts = [] if stage.part is None else [stage.part]
        typed = [*stage.typed, *(graph for part in parts for graph in part.typed)]
        tables = (graph.ranges for graph in typed if graph.ranges is not None)
        others = (item.file for item in (*typed, *stage.engines, *parts))
        for record in (*stage.files.values(), *others, *tables):
            _inside(root, record.path)
    return bundle


def file_record(root: Path, path: Path) -> FileRecord:
    """The record of a finished file below `root`."""
    return FileRecord(path.relative_to(root).as_posix(), _sha256(path), path.stat().st_size)


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write `manifest` into the folder `root`, at once or not at all, also over an earlier one.

    Keys stand in the order of declaration, so that two manifests diff line by line.  Raises `ManifestInvalid` where it
    is one that `read_bundle` would refuse.
    """
    document = encode(manifest)
    _decoded(root / MANIFEST, document, "It was not written.")
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    unfinished = root / f".{MANIFEST}.part"
    unfinished.write_text(text + "\n", encoding="utf-8")
    os.replace(unfinished, root / MANIFEST)


def _parse(path: Path, text: str) -> Manifest:
    try:
        document: object = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
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
    return _decoded(path, document, "Re-export the bundle, or undo the edit.")


def _decoded(path: Path, document: object, remedy: str) -> Manifest:
    try:
        manifest = decode(Manifest, document)
        check(manifest)
    except Mismatch as error:
        raise ManifestInvalid(f"{path}: {error}. {remedy}") from None
    return manifest


def _schema_of(document: object) -> object:
    return cast("dict[str, object]", document).get("schema") if isinstance(document, dict) else None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON number")


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {shown(next(name for name in names if names.count(name) > 1))} stands twice")
    return found


def _inside(root: Path, relative: str) -> Path:
    """`relative` below `root`; raises `UnsafePath` when it is absolute, climbs out, or a link leads out."""
    pure = PurePosixPath(relative)
    path = root / pure
    climbs = pure.is_absolute() or ".." in pure.parts or "\\" in relative or not pure.parts
    try:
        climbs = climbs or not path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # a link to itself, which Python 3.13 follows no further and earlier ones refuse
        climbs = True
    if climbs:
        raise UnsafePath(f"{root / MANIFEST}: path {shown(relative)} leaves the bundle; refusing to follow it")
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
