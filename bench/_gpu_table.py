"""What the checks found, as one short table and as rows that are kept."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from bench._gpu_machine import Machine
from bench._gpu_plan import COMPILED, PUBLISHED
from bench._gpu_steps import Figure, Outcome

SPEED = "frames a second"
BUSY, EXPOSED = "slowest stage busy", "copies not overlapped"
TIMES = {PUBLISHED: 8.0, COMPILED: 2.0}  # how many times as fast as that row is wanted, of the published network
SHARES = {BUSY: (">=", 85.0), EXPOSED: ("<", 5.0)}  # per cent of the wall's time
_WANTED_OF = "official"
_COLUMNS = ("when", "commit", "gpu", "driver", "software", "step", "figure", "value", "unit", "note")
_WIDEST = 96  # characters of a result


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    step: str
    verdict: str
    wanted: str
    result: str


def table(machine: Machine, outcomes: Sequence[Outcome]) -> list[str]:
    """The machine in one line, then every step, then the figures that are wanted beside those that were measured."""
    lines = [*(_line(outcome) for outcome in outcomes), *_wanted(outcomes)]
    rows = [Line("step", "", "wanted", "result"), *lines]
    step, verdict, wanted = (max(len(getattr(row, name)) for row in rows) for name in ("step", "verdict", "wanted"))
    laid = [f"{row.step:<{step}}  {row.verdict:<{verdict}}  {row.wanted:<{wanted}}  {row.result}" for row in rows]
    return [describe(machine), *(line.rstrip() for line in laid)]


def describe(machine: Machine) -> str:
    """GPU, driver, libraries and commit."""
    gpu = "no GPU" if machine.gpu is None else f"{machine.gpu.name} (SM {machine.gpu.capability})"
    driver = f", driver {machine.driver}" if machine.driver else ""
    return f"{gpu}{driver}; {software(machine) or 'no interpreter'}; commit {machine.commit}"


def software(machine: Machine) -> str:
    """The interpreters with the libraries that decide their figures."""
    told: list[str] = []
    for each in machine.interpreters:
        if each.fault is not None:
            continue
        versions = {name: found["version"] for name, found in each.compilers.items() if found["version"]}
        for name in ("torch", "onnxruntime"):
            if name in each.modules:
                versions[name] = each.modules[name]
        told.append(" ".join([f"Python {each.python}", *(f"{name} {version}" for name, version in versions.items())]))
    return "; ".join(told)


def append(path: Path, machine: Machine, outcomes: Sequence[Outcome]) -> int:
    """Add a row for every figure, ratios among them, to a CSV file; returns how many.  Nothing without a GPU."""
    if machine.gpu is None:
        return 0
    when = datetime.now(timezone.utc).isoformat(timespec="minutes")
    here = (when, machine.commit, machine.gpu.name, machine.driver, software(machine))
    told = [(outcome.step, figure) for outcome in outcomes if outcome.state == "passed" for figure in outcome.figures]
    told += list(_ratios(outcomes))
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if new and told:
            writer.writerow(_COLUMNS)
        for step, figure in told:
            writer.writerow((*here, step, figure.name, f"{figure.value:.6g}", figure.unit, figure.note))
    return len(told)


def _line(outcome: Outcome) -> Line:
    measured = ", ".join(f"{figure.name} {figure.value:.4g} {figure.unit}".strip() for figure in outcome.figures)
    result = measured if outcome.state == "passed" and measured else outcome.said
    short = result if len(result) <= _WIDEST or outcome.state != "passed" else result[: _WIDEST - 4] + " ..."
    return Line(outcome.step, {"failed": "FAILED"}.get(outcome.state, outcome.state), "", short)


def _wanted(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    for name, figure in _ratios(outcomes):
        base = figure.name.rpartition(" ")[2]
        if name.split()[1] == _WANTED_OF:
            wanted = TIMES[base]
            verdict = "met" if figure.value >= wanted else "missed"
            yield Line(name, verdict, f">= {wanted:g}", f"{figure.value:.2f} times {base}")
        else:
            yield Line(name, "", "", f"{figure.value:.2f} times {base}")
    for outcome in outcomes:
        for figure in outcome.figures:
            if figure.name in SHARES and outcome.state == "passed":
                sign, bound = SHARES[figure.name]
                met = figure.value >= bound if sign == ">=" else figure.value < bound
                what = f"{figure.name}: {figure.value:.1f} %{f' ({figure.note})' if figure.note else ''}"
                yield Line(outcome.step, "met" if met else "missed", f"{sign} {bound:g} %", what)


def _ratios(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, Figure]]:
    """Every other row's speed over those of the PyTorch rows of the same network."""
    speeds = dict(_speeds(outcomes))
    for (variant, row), speed in speeds.items():
        for base in TIMES:
            if row not in TIMES and (variant, base) in speeds:
                yield f"speed {variant} {row}", Figure(f"times {base}", speed / speeds[variant, base], "")


def _speeds(outcomes: Sequence[Outcome]) -> Iterator[tuple[tuple[str, str], float]]:
    for outcome in outcomes:
        figures: Mapping[str, float] = {figure.name: figure.value for figure in outcome.figures}
        if outcome.state == "passed" and SPEED in figures:
            _, variant, row = outcome.step.split()
            yield (variant, row), figures[SPEED]
