"""The command line of train.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.arguments import OneLineParser
from runtime.errors import UsageError, VidmendError
from runtime.interruption import INTERRUPTED

if TYPE_CHECKING:
    from training.config import Config
    from training.state import State

DONE = 0

_EXAMPLES = """\
examples:
  python train.py --config training/configs/sttn-small.toml
  python train.py --config training/configs/sttn-small.toml --resume    go on where it stopped
  python train.py --config my.toml --out runs/second --init weights.safetensors --steps 2000
  torchrun --nproc-per-node 8 train.py --config training/configs/sttn-official.toml

Ctrl-C finishes the step and saves; the same command with --resume goes on as if nothing had happened.
Then: python export.py runs/NAME/ema_NNNNN.pth, or best.pth where the run was validated

exit codes: 0 done, 2 refused or failed, 130 interrupted and saved"""


def build_parser() -> argparse.ArgumentParser:
    """The options of train.py."""
    parser = OneLineParser(
        prog="train.py",
        description="Train a network as its configuration says.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--config", type=Path, required=True, metavar="FILE", help="the run, as TOML")
    add("--resume", action="store_true", help="go on from the last checkpoint in the run's folder")
    add("--out", type=Path, metavar="DIR", help="the run's folder (default: runs/NAME of the configuration)")
    add("--steps", type=int, metavar="N", help="stop when N steps are done (default: all phases)")
    add("--init", type=Path, metavar="WEIGHTS", help="begin with these weights instead of model.init")
    add("--workers", type=int, metavar="N", help="processes that read ahead, instead of data.workers")
    add("--device", default="auto", metavar="D", help="cpu, cuda or cuda:N (default: a GPU where there is one)")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run train.py; returns its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        return _train(options)
    except VidmendError as error:
        print(f"train.py: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("train.py: interrupted; what the last checkpoint holds is kept", file=sys.stderr)
        return INTERRUPTED


def _train(options: argparse.Namespace) -> int:
    from training.config import read_config
    from training.console import ConsoleWatcher
    from training.distributed import joined
    from training.feed import ConfiguredFeed
    from training.interruption import Interruption
    from training.log import Log
    from training.loop import Run, Setting
    from training.settings import check, make_folder, settle

    config = _overridden(read_config(options.config), options)
    folder: Path = options.out or Path("runs") / options.config.stem
    until = min(config.steps, options.steps or config.steps)
    check(config)
    with joined(options.device) as world, Interruption() as interruption:
        settle(config, world)
        feed = ConfiguredFeed(config)
        state = _state(config, folder, resume=options.resume)
        if state.step >= until:
            print(f"{folder}: {state.step} steps are done already, wanted {until}")
            return DONE
        make_folder(folder)
        with ConsoleWatcher(state.step, until, leads=world.leads) as watcher:
            log = Log(folder, state.step, tensorboard=config.record.tensorboard) if world.leads else None
            if log is not None and config.record.tensorboard and not log.has_tensorboard:
                watcher.note("note: the package tensorboard is not installed; log.csv holds the same numbers")
            if changes := differences(state.config, config.described(), config.plain().described()):
                watcher.note(f"note: goes on differently than it began: {changes}")
            run = Run(Setting(config, feed, folder, world, watcher), state, log)
            try:
                done = run.go(until, lambda: interruption.asked)
            finally:
                if log is not None:
                    log.close()
    if world.leads:
        print(f"{folder}: {done} of {config.steps} steps done and saved")
    return DONE if done == until else INTERRUPTED


def _overridden(config: Config, options: argparse.Namespace) -> Config:
    """The configuration with what the command line says otherwise."""
    if options.steps is not None and options.steps < 1:
        raise UsageError(f"--steps: found {options.steps}, wanted at least 1")
    if options.init is not None and options.resume:
        raise UsageError("--init: a run that is resumed goes on with its own weights; leave one of the two out")
    if options.workers is not None and options.workers < 0:
        raise UsageError(f"--workers: found {options.workers}, wanted at least 0")
    if options.init is not None:
        config = replace(config, model=replace(config.model, init=options.init))
    if options.workers is not None:
        config = replace(config, data=replace(config.data, workers=options.workers))
    return config


def differences(before: Mapping[str, str] | None, now: Mapping[str, str], plain: Mapping[str, str]) -> str:
    """The keys whose values differ, with both; nothing where it is not known what they were.

    A key that is not among those from `before` was not known then, and is taken for what it is in `plain`.
    """
    if before is None:
        return ""
    listed = {key.rpartition("]")[0] for key in before}  # a phase that is new has been nothing before
    known = {key: text for key, text in plain.items() if key in now and key.rpartition("]")[0] in listed}
    before = {**known, **before}
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return ", ".join(f"{key} was {before.get(key, 'not there')}, is {now.get(key, 'not there')}" for key in keys)


def _state(config: Config, folder: Path, *, resume: bool) -> State:
    """What the run goes on from; refuses to begin where another run lies, or to go on with another network."""
    from training import checkpoints
    from training.networks import described
    from training.state import check_state, first_state, judged_alike

    if resume:
        state = checkpoints.read(folder, described(config.model)[0], adversarial=config.objective.adversarial > 0)
        check_state(config, state, folder)
        return state if judged_alike(state.config, config.described()) else replace(state, best_db=None)
    if (number := checkpoints.latest(folder)) is not None:
        raise UsageError(
            f"{folder}: holds a run, its last checkpoint is {number:05d}; --resume goes on with it, --out takes "
            f"another folder"
        )
    if stray := checkpoints.numbered(folder):  # which saving would delete in time
        name = stray[0][1].name
        raise UsageError(
            f"{folder}: holds {name} but no {checkpoints.LATEST}; --out takes another folder, or move it away"
        )
    return first_state(config)
