"""A run on disk: the published program's files, beside them the averaged weights, written whole or not at all.

`gen_NNNNN.pth` {netG}, `dis_NNNNN.pth` {netD}, `opt_NNNNN.pth` {epoch, iteration, optimG, optimD} and `latest.ckpt`,
which names the last NNNNN, are as published and go both ways; NNNNN is the iteration here, there the iteration over
`save_freq`, so that the table alone says how many steps are done.  Ours are `ema_NNNNN.pth` {netG}, the average of the
weights and what is exported, `best.pth` {netG}, the average at the best validation, the key `variant` beside netG, and
`best_db` and `config` in `opt_`.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models._spec import ModelSpec
from runtime.errors import CheckpointError, OutputError
from training.state import State
from training.weights import read_table, read_weights

LATEST = "latest.ckpt"
BEST = "best.pth"
_KINDS = ("gen", "dis", "opt", "ema")
_NUMBERED = re.compile(rf"({'|'.join(_KINDS)})_(\d{{5,}})\.pth")


def latest(folder: Path) -> int | None:
    """The number of the last complete checkpoint; none where there is none.  Raises `CheckpointError`."""
    try:
        text = (folder / LATEST).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / LATEST}: cannot be read: {error}") from None
    if not re.fullmatch(r"\d{1,12}", text):
        raise CheckpointError(f"{folder / LATEST}: found {text[:20]!r}, wanted the number of a checkpoint, like 00042")
    return int(text)


def save(folder: Path, state: State, variant: str, epoch: int, keep: int) -> None:
    """Write a checkpoint, then forget all but the last `keep`; raises `OutputError`, the one before is still there.

    All files are written under other names first, and `latest.ckpt`, which makes them count, comes last.
    """
    optimisers = {
        "epoch": epoch,
        "iteration": state.step,
        "optimG": state.generator_optimiser,
        "optimD": state.discriminator_optimiser,
        "best_db": state.best_db,
        "config": None if state.config is None else dict(state.config),
    }
    tables: dict[str, Mapping[str, object]] = {
        "gen": _weights(state.generator, variant),
        "opt": optimisers,
        "ema": _weights(state.average, variant),
    }
    if state.discriminator is not None:
        tables["dis"] = {"netD": state.discriminator}
    contents = {_path(folder, kind, state.step): _serialised(table) for kind, table in tables.items()}
    _write_all(contents)
    _write_all({folder / LATEST: f"{state.step:05d}\n".encode()})
    _forget(folder, state.step, keep)


def save_best(folder: Path, average: Mapping[str, Tensor], variant: str) -> None:
    """Replace `best.pth`; raises `OutputError`, the one before is still there."""
    _write_all({folder / BEST: _serialised(_weights(average, variant))})


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The files of checkpoints in `folder` by number, complete or not; empty where there is no such folder."""
    return sorted((int(match[2]), path) for path in folder.glob("*.pth") if (match := _NUMBERED.fullmatch(path.name)))


def read(folder: Path, spec: ModelSpec, *, adversarial: bool) -> State:
    """The last complete checkpoint, ours or the published program's; raises `CheckpointError`.

    A run that becomes `adversarial` here begins with the discriminator that the caller makes.
    """
    number = latest(folder)
    if number is None:
        raise CheckpointError(f"{folder}: holds no {LATEST}, so there is nothing to resume; leave --resume out")
    generator = dict(read_weights(_path(folder, "gen", number), spec.containers))
    average, optimisers = _path(folder, "ema", number), _path(folder, "opt", number)
    table = read_table(optimisers)
    step = table.get("iteration")
    if not isinstance(step, int) or step < number or not isinstance(table.get("optimG"), dict):
        raise CheckpointError(
            f"{optimisers}: found iteration {str(step)[:20]}, wanted {number} or more, and the table optimG"
        )
    critic = _path(folder, "dis", number)
    known = adversarial and critic.exists()
    best = table.get("best_db")
    return State(
        step=step,
        generator=generator,
        average=dict(read_weights(average, spec.containers)) if average.exists() else dict(generator),
        discriminator=dict(read_weights(critic, ("netD",))) if known else None,
        generator_optimiser=table["optimG"],
        discriminator_optimiser=table.get("optimD") if known else None,
        best_db=float(best) if best is not None else None,
        config=table.get("config"),
    )


def _weights(state: Mapping[str, Tensor], variant: str) -> Mapping[str, object]:
    """As published, with the name of the variant: files of two variants may be alike."""
    return {"netG": dict(state), "variant": variant}


def _path(folder: Path, kind: str, step: int) -> Path:
    return folder / f"{kind}_{step:05d}.pth"


def _serialised(table: Mapping[str, Any]) -> bytes:
    """As torch saves it; in memory first, since its own writer turns a full disk into an error without a reason."""
    content = io.BytesIO()
    torch.save(table, content)
    return content.getvalue()


def _write_all(contents: Mapping[Path, bytes]) -> None:
    unfinished = {path: path.with_name(path.name + ".unfinished") for path in contents}
    try:
        for path, content in contents.items():
            with unfinished[path].open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for path, written in unfinished.items():
            os.replace(written, path)
    except OSError as error:
        for written in unfinished.values():
            with suppress(OSError):
                written.unlink(missing_ok=True)
        folder = next(iter(contents)).parent
        raise OutputError(
            f"{folder}: the checkpoint could not be written ({error.strerror}), the one before it is intact; "
            f"make room and go on with --resume"
        ) from None


def _forget(folder: Path, newest: int, keep: int) -> None:
    """Delete the files of all checkpoints but the `keep` up to `newest`; later ones are left of a crashed run.

    One without an average is the published program's, and not ours to delete.
    """
    found = numbered(folder)
    ours = {step for step, path in found if path == _path(folder, "ema", step)}
    kept = sorted({step for step, _ in found if step <= newest})[-keep:]
    for step, path in found:
        if step > newest or (step in ours and step not in kept):
            path.unlink(missing_ok=True)
