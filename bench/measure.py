"""The child process of one row: `python -m bench.measure ROW_AS_JSON` prints its figures as JSON."""

from __future__ import annotations

import json
import re
import resource
import sys
from dataclasses import asdict
from pathlib import Path

from bench.row import Figures, Row
from runtime import backends
from runtime.bundle import read_bundle
from runtime.job import Job
from runtime.masks import Request
from runtime.progress import silent
from runtime.regions import Choice
from runtime.repair import repair


def main(text: str) -> None:
    """Run the row and print one line."""
    fields = json.loads(text)
    paths = {key: Path(fields[key]) for key in ("video", "mask", "out", "bundle", "checkpoint")}
    row = Row(name=fields["name"], network=fields["network"], variant=fields["variant"], **paths)
    figures = _torch(row) if row.name in ("eager", "compiled") else _backend(row)
    print(json.dumps({**asdict(figures), "peak_mib": _peak_mib()}))


def _peak_mib() -> float:
    """The most memory this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage tells on Linux begins with the size of the process that started this one
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"), re.MULTILINE)
        if found is not None:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _backend(row: Row) -> Figures:
    """The product itself, from file to file, in the types that its trial chooses; the trial is not in the time."""
    backends.choose(row.backend, read_bundle(row.bundle), "auto")
    job = Job(
        row.video,
        row.out,
        masks=Request(masks=(row.mask,)),
        cuts="none",
        regions=Choice(mode="full"),  # as the PyTorch rows do it
        bundle=str(row.bundle),
        backend=row.backend,
        overwrite=True,
    )
    summary = repair(job, silent)
    shares = ", ".join(f"{stage} {seconds / summary.seconds:.0%}" for stage, seconds in summary.busy.items())
    return Figures(summary.frames, summary.seconds, f"{summary.precision}; loading included; busy: {shares}")


def _torch(row: Row) -> Figures:
    import models
    from bench import torch_rows
    from export.checkpoint import load, read_checkpoint

    spec = models.get(row.network)
    variant = spec.variant(row.variant)
    network = load(read_checkpoint(row.checkpoint, spec.containers), variant, variant.size)
    bundle = read_bundle(row.bundle)
    if row.name == "eager":
        return torch_rows.measure(row, torch_rows.published(network), "reference", bundle)
    return torch_rows.measure(row, torch_rows.compiled(network), "steady", bundle)


if __name__ == "__main__":
    main(sys.argv[1])
