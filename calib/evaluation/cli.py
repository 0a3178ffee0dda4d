"""The command line of evaluate.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from rich.console import Console

from calib import similarity
from calib.baselines import BASELINES, Fill
from calib.evaluation.advice import kept, options_in
from calib.evaluation.features import VideoFeatures
from calib.evaluation.names import names_of
from calib.evaluation.network import Network, open_network
from calib.evaluation.options import build_parser
from calib.evaluation.report import Report, open_report
from calib.evaluation.row import Row, means
from calib.evaluation.run import Measured, Plan, check, evaluate
from calib.evaluation.table import one_line, table_of
from runtime import backends
from runtime.bundle import Bundle, read_bundle
from runtime.errors import UsageError, VidmendError
from runtime.interruption import INTERRUPTED, interruptible
from runtime.job import find_bundle
from runtime.memory import share_one_arena
from runtime.progress import shown
from runtime.session import Settings, longest_of, moves, precision_of

__all__ = ["build_parser", "main"]

Facts = tuple[tuple[str, str], ...]  # titles and what they stand for

NETWORK = "network"  # the bundle among the methods
_PIPED_WIDTH = 160  # columns of the table where standard output is no terminal


def main(arguments: Sequence[str]) -> int:
    """Run evaluate.py with `arguments`; returns the exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    share_one_arena()
    try:
        with interruptible():
            _run(options)
    except VidmendError as error:
        _say(kept(str(error), options_in(parser.format_usage())))
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
    features = None if options.i3d is None else VideoFeatures(options.i3d)
    with open_report(options.out) as report, shown(bundle.root.resolve().name) as progress:
        check(plan, progress)
        with _methods(options, bundle, plan) as (methods, facts):
            rows = _measured(evaluate(plan, methods, features, progress), report)
        found = list(means(rows))
        if report is not None:
            report.finish(f"Evaluation of {bundle.root.resolve().name}", facts, rows, found)
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table_of(found))


def _measured(evaluation: Iterable[Measured], report: Report | None) -> list[Row]:
    """All rows; each clip's are said and reported as they come."""
    rows: list[Row] = []
    for measured in evaluation:
        rows.extend(measured.rows)
        sys.stderr.write(f"{measured.clip}, {measured.scene}, {measured.masks}: {one_line(measured.rows)}\n")
        if report is not None:
            report.add(measured)
    return rows


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


@contextmanager
def _methods(
    options: argparse.Namespace, bundle: Bundle, plan: Plan
) -> Generator[tuple[Mapping[str, Fill], Facts], None, None]:
    """The ways to fill a clip, while the block runs, and what is to be known of the run."""
    size = (plan.width, plan.height)
    manifest = bundle.manifest

    def open_it(chosen: backends.Chosen) -> Network:
        return open_network(bundle, chosen.backend, replace(settings, arithmetic=chosen.arithmetic), size)

    settings = Settings(options.schedule, precision=options.precision, seamless=options.seamless)
    search = backends.Search(longest=longest_of(bundle, settings))
    chosen, opened = backends.opened(options.backend, bundle, precision_of(bundle, settings), search, open_it)
    for note in chosen.notes:
        _say(f"note: {note}")
    with closing(opened) as network:
        run = f"{chosen.name} {network.session.precision}, schedule {options.schedule}"
        facts = (
            ("bundle", f"{bundle.root.resolve().name}: {manifest.network} {manifest.variant}"),
            ("weights", f"{manifest.provenance.checkpoint}, sha256 {manifest.provenance.checkpoint_sha256[:12]}"),
            ("run", run),
            ("fills", "moved to continue the picture" if moves(bundle, settings) else "as the network painted them"),
            ("size", f"{plan.width}x{plan.height}, at most {plan.frames} frames a clip"),
            ("clips", ", ".join(names_of(plan.clips))),
            ("masks", f"{', '.join(plan.masks)}, seed {plan.seed}"),
        )
        _say(f"{manifest.network} {manifest.variant} by {run}")
        yield {NETWORK: network, **{baseline: BASELINES[baseline] for baseline in options.baselines}}, facts
        for note in network.session.notes:
            _say(f"note: {note}")


def _say(text: str) -> None:
    sys.stderr.write(f"evaluate.py: {text}\n")
