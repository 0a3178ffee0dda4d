"""Damage small videos and repair them: no crash, no hang, nothing shorter than what decodes, always one clear line."""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.fuzz.damage import damaged, write_samples
from tests.fuzz.trial import ALWAYS, NEVER, Trial, run_trial

SEEDS = 200
LIMIT_S = 30.0


def trials(samples: Mapping[str, bytes], seeds: range) -> Iterator[Trial]:
    """Each sample damaged by each seed; every third is kept going, every fifth has nothing to repair."""
    for seed in seeds:
        for name, data in samples.items():
            box = NEVER if seed % 5 == 4 else ALWAYS
            yield Trial(name, seed, damaged(data, seed), keep_going=seed % 3 == 0, box=box)


def main() -> int:
    """Run all trials; 1 when one of them went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__, allow_abbrev=False)
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="seeds 0 to N-1 (default: %(default)s)")
    parser.add_argument("--only", type=int, metavar="SEED", help="this seed alone, every line told")
    options = parser.parse_args()
    faulthandler.enable()
    seeds = range(options.seeds) if options.only is None else range(options.only, options.only + 1)
    with tempfile.TemporaryDirectory(prefix="fuzz.") as folder:
        return _run(trials(write_samples(Path(folder)), seeds), Path(folder), loud=options.only is not None)


def _run(planned: Iterator[Trial], folder: Path, *, loud: bool) -> int:
    outcomes: Counter[tuple[str, str]] = Counter()
    wrong = 0
    slowest = 0.0
    for number, trial in enumerate(planned):
        place = folder / str(number)
        place.mkdir()
        # Told before it begins, so that a crash of the whole process has a name.
        _tell(f"\r{trial.name} seed {trial.seed:<6}")
        verdict = run_trial(trial, place, LIMIT_S)
        outcomes[trial.name, verdict.outcome] += 1
        slowest = max(slowest, verdict.seconds)
        wrong += not verdict.good
        if loud or not verdict.good:
            _tell(f"\r{trial.name} seed {trial.seed}: {verdict.outcome}: {verdict.line}\n")
        if verdict.outcome == "hang":
            faulthandler.dump_traceback()
            break
    _tell(f"\r{outcomes.total()} trials, the slowest {slowest:.1f} s, {wrong} wrong\n")
    for (name, outcome), count in sorted(outcomes.items()):
        _tell(f"  {name:14} {outcome:22} {count}\n")
    return 1 if wrong else 0


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
