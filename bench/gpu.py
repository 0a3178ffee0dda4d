"""Everything that only a GPU can show, checked and measured: python -m bench.gpu (docs/gpu.md).

Standard library only, and it makes no environment: each step runs in the interpreter that has what it needs.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench._gpu_machine import ROOT, Machine, look
from bench._gpu_plan import VARIANTS, Request, plan
from bench._gpu_steps import Outcome, Step, run_all
from bench._gpu_table import append, describe, table
from runtime.arguments import OneLineParser
from runtime.errors import UsageError, VidmendError
from runtime.interruption import INTERRUPTED, interruptible

RESULTS = ROOT / "bench" / "gpu.csv"
REQUIRED = "VIDMEND_REQUIRE_GPU"
_NOTES = """\
ENGINE_PYTHON runs what needs TensorRT, TORCH_PYTHON what needs PyTorch; by default both are this Python.

exit codes: 0 all that could run passed, 1 a step failed, the figures could not be kept, or --require-gpu (or
VIDMEND_REQUIRE_GPU) and there is no GPU, 2 refused, 130 interrupted"""


def build_parser() -> argparse.ArgumentParser:
    """The options of bench.gpu."""
    parser = OneLineParser(
        prog="-m bench.gpu",
        description="Check and measure on an NVIDIA GPU; what cannot run here is named with its reason.",
        epilog=_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--work", type=Path, default=ROOT / "build" / "gpu", metavar="DIR", help="bundles, clips, results; kept")
    add("--prepare", type=Path, metavar="DIR", help="only make there what needs no GPU, to be carried to one")
    add("--variants", default=",".join(VARIANTS), metavar="V,...", help="of the network (default: %(default)s)")
    add("--checkpoint", action="append", default=[], metavar="V=FILE", help="weights (default: shipped, or random)")
    add("--frames", type=int, default=80, metavar="N", help="length of the clip that is timed (default: %(default)s)")
    add("--only", default="", metavar="WORD,...", help="steps that begin so; the others count as done")
    add("--csv", type=Path, default=RESULTS, metavar="FILE", help="where figures are appended (default: bench/gpu.csv)")
    add("--require-gpu", action="store_true", help="without a GPU that is a failure")
    add("--dry-run", action="store_true", help="print the steps and do nothing")
    return parser


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run bench.gpu; returns its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        with interruptible():
            return _done(options, environment)
    except VidmendError as error:
        print(f"bench.gpu: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("bench.gpu: interrupted", file=sys.stderr)
        return INTERRUPTED


def _done(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    request = _request(options)
    machine = look(environment)
    steps = plan(machine, request)
    if options.dry_run:
        print("\n".join([describe(machine), *(_planned(step) for step in steps)]))
        return 0
    logs = _made(request.work / "logs")
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        for outcome in run_all(steps, ROOT, logs, _say):
            outcomes.append(outcome)  # noqa: PERF402 - extend promises nothing of what came before an interruption
    except KeyboardInterrupt:
        interrupted = True
    print("\n".join(table(machine, outcomes)))
    kept = _kept(options.csv, machine, outcomes)
    if interrupted:
        print("bench.gpu: interrupted; what is finished is kept", file=sys.stderr)
        return INTERRUPTED
    verdict = _verdict(machine, outcomes, required=options.require_gpu or bool(environment.get(REQUIRED)))
    return verdict if kept else verdict or 1


def _request(options: argparse.Namespace) -> Request:
    pairs = [text.partition("=") for text in options.checkpoint]
    variants = tuple(options.variants.split(","))
    for variant, _, path in pairs:
        if variant not in variants or not Path(path).is_file():
            raise UsageError(f"--checkpoint {variant}={path}: wanted a variant of --variants and a file that is there")
    return Request(
        work=(options.prepare or options.work).resolve(),
        variants=variants,
        frames=options.frames,
        checkpoints={variant: Path(path).resolve() for variant, _, path in pairs},
        prepare=options.prepare is not None,
        only=tuple(filter(None, options.only.split(","))),
    )


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: cannot be made ({error.strerror}); name another --work") from None
    return folder


def _kept(path: Path, machine: Machine, outcomes: Sequence[Outcome]) -> bool:
    """Whether the figures were appended to `path`; where not, it is said: the table has them."""
    try:
        append(path, machine, outcomes)
    except OSError as error:
        reason = error.strerror or error
        print(f"bench.gpu: {path}: cannot be written ({reason}); the figures are in the table alone", file=sys.stderr)
        return False
    return True


def _planned(step: Step) -> str:
    if step.made is not None and step.made.exists():
        return f"{step.name}: there already: {step.made}"
    return f"{step.name}: {' '.join(step.command) if step.missing is None else f'not run: {step.missing}'}"


def _verdict(machine: Machine, outcomes: Sequence[Outcome], *, required: bool) -> int:
    if required and machine.gpu is None:
        print("bench.gpu: a GPU is required, and none answers here", file=sys.stderr)
        return 1
    return int(any(outcome.state == "failed" for outcome in outcomes))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
