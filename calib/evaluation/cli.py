"""The command line of evaluate.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from calib import similarity
from calib.baselines import BASELINES, Fill
from calib.evaluation.features import VideoFeatures
from calib.evaluation.network import open_network
from calib.evaluation.options import build_parser
from calib.evaluation.report import open_report
from calib.evaluation.row import Row, means
from calib.evaluation.run import Plan, evaluate
from calib.evaluation.table import one_line, table_of
from runtime import backends
from runtime.bundle import Bundle, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.interruption import INTERRUPTED, interruptible
from runtime.job import find_bundle
from runtime.memory import share_one_arena
from runtime.progress import shown
from runtime.session import Settings, precision_of

__all__ = ["build_parser", "main"]

NETWORK = "network"  # the bundle among the methods
_PIPED_WIDTH = 160  # columns of the table where standard output is no terminal


def main(arguments: Sequence[str]) -> int:
    """Run evaluate.py with `arguments`; returns the exit code."""
    options = build_parser().parse_args(arguments)
    share_one_arena()
    try:
        with interruptible():
            _run(options)
    except VidmendError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted; nothing was written")
        return INTERRUPTED
    return 0


def _run(options: argparse.Namespace) -> None:
    if reason := similarity.why_not():
        raise UsageError(reason)
    bundle = read_bundle(find_bundle(options.bundle))
    plan = _plan(options, bundle)
    methods, facts = _methods(options, bundle, plan)
    features = None if options.i3d is None else VideoFeatures(options.i3d)
    rows: list[Row] = []
    with open_report(options.out) as report:
        with shown(bundle.root.resolve().name) as progress:
            for measured in evaluate(plan, methods, features, progress):
                rows.extend(measured.rows)
                sys.stderr.write(f"{measured.clip}, {measured.scene}, {measured.masks}: {one_line(measured.rows)}\n")
                if report is not None:
                    report.add(measured)
        found = list(means(rows))
        if report is not None:
            report.finish(f"Evaluation of {bundle.root.resolve().name}", facts, rows, found)
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table_of(found))


def _plan(options: argparse.Namespace, bundle: Bundle) -> Plan:
    rule = bundle.manifest.pixels
    width, height = options.size or (rule.width, rule.height)
    similarity.check_size(width, height)
    return Plan(
        clips=tuple(options.clips),
        scenes=options.scenes,
        masks=options.masks,
        seed=options.seed,
        frames=options.frames,
        width=width,
        height=height,
    )


def _methods(
    options: argparse.Namespace, bundle: Bundle, plan: Plan
) -> tuple[Mapping[str, Fill], tuple[tuple[str, str], ...]]:
    """The ways to fill a clip, and what is to be known of the run."""
    chosen = backends.choose(options.backend, bundle, precision_of(bundle, Settings(options.schedule)))
    for note in chosen.notes:
        _say(f"note: {note}")
    size = (plan.width, plan.height)
    network = open_network(bundle, chosen.backend, options.schedule, size, chosen.arithmetic)
    manifest = bundle.manifest
    facts = (
        ("bundle", f"{bundle.root.resolve().name}: {manifest.network} {manifest.variant}"),
        ("weights", f"{manifest.provenance.checkpoint}, sha256 {manifest.provenance.checkpoint_sha256[:12]}"),
        ("run", f"{chosen.name} {network.session.precision}, schedule {options.schedule}"),
        ("size", f"{plan.width}x{plan.height}, at most {plan.frames} frames a clip"),
        ("clips", ", ".join(clip.stem for clip in plan.clips)),
        ("masks", f"{', '.join(plan.masks)}, seed {plan.seed}"),
    )
    return {NETWORK: network, **{baseline: BASELINES[baseline] for baseline in options.baselines}}, facts


def _say(text: str) -> None:
    sys.stderr.write(f"evaluate.py: {text}\n")
