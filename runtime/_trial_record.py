"""What a trial found, kept in the user's cache folder for as long as nothing that it depends on changes."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from runtime import cores
from runtime._strict import Mismatch, decode, encode
from runtime.bundle import Bundle
from runtime.kept import keep, read_kept, user_cache
from runtime.program import Backend

_METHOD = 1  # of timing; figures of another one say nothing


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What figures hold for."""

    method: int
    graphs: tuple[str, ...]  # sha256 of every stage's, those in other types among them
    candidates: Mapping[str, tuple[str, ...]]  # by label, what their library says of itself
    processor: tuple[str, ...]
    threads: int


@dataclass(frozen=True, slots=True)
class _Record:
    holds_for: Circumstances
    seconds: Mapping[str, float]  # a frame of the clip, by candidate's label


def circumstances(bundle: Bundle, candidates: Mapping[str, Backend], threads: int | None) -> Circumstances:
    """All that decides how quickly each of `candidates`, by label, computes `bundle` here."""
    graphs: list[str] = []
    for stage in bundle.manifest.stages:
        graphs += [record.sha256 for _, record in sorted(stage.files.items())]
        graphs += [typed.file.sha256 for typed in stage.typed]
    traits = {label: backend.traits() for label, backend in candidates.items()}
    used = cores.threads(threads) or os.cpu_count() or 1
    return Circumstances(_METHOD, tuple(graphs), traits, cores.processor(), used)


def read(holds_for: Circumstances) -> Mapping[str, float] | None:
    """What was found under the same circumstances; None where nothing was, or nothing that can be believed."""
    try:
        record = decode(_Record, json.loads(read_kept(user_cache() / "trials", _name(holds_for))))
    except (ValueError, OverflowError, RecursionError, Mismatch):
        return None
    figures = record.seconds.values()
    if record.holds_for != holds_for or set(record.seconds) != set(holds_for.candidates):
        return None
    return record.seconds if all(math.isfinite(figure) and figure > 0 for figure in figures) else None


def write(holds_for: Circumstances, seconds: Mapping[str, float]) -> str:
    """Keep what was found; says where, or why it is not kept."""
    content = json.dumps(encode(_Record(holds_for, seconds)), indent=1).encode()
    if keep(user_cache() / "trials", _name(holds_for), content):
        return f"remembered in {user_cache()}"
    return f"not remembered, since {user_cache()} cannot be written"


def _name(holds_for: Circumstances) -> str:
    return f"{hashlib.sha256(json.dumps(encode(holds_for)).encode()).hexdigest()[:16]}.json"
