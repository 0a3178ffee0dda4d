"""A backend's row: python -m bench._gpu_backend BACKEND CLIP BUNDLE prints its figures.

From file to file with the models loaded and warm, which is what a long video costs; then every stage alone, on tensors
that rotate through more memory than the L2 holds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil
from pathlib import Path
from statistics import median

from bench._gpu_spy import COPIES, Interval, Seen, Spy, copies, exposed, free, length, within
from bench._gpu_steps import Figure, write_output
from bench._gpu_table import BUSY, EXPOSED, SPEED
from calib.clips import read_masked, whole_frame
from runtime import backends
from runtime.bundle import read_bundle
from runtime.device import Device, Stream
from runtime.program import Tensors
from runtime.session import Session, Settings
from runtime.video import Encoding, open_work, open_writer, probe

PASSES = 3  # of the clip, after one that warms up
ROTATED_BYTES = 256 << 20  # several times the L2 of any GPU today
_MOST_SETS = 256
_ROUNDS = 9  # timed, after two that warm up


def main(name: str, clip: Path, bundle: Path) -> None:
    """Measure and print."""
    backend = backends.get(name)
    if reason := backend.why_not():
        raise SystemExit(f"backend '{name}': {reason}")
    spy = Spy(backend)
    with Session(read_bundle(bundle), spy.backend(), Settings(), spy.make_device()) as session:
        run_clip(session, clip)
        passes = [run_clip(session, clip) for _ in range(PASSES)]
        device, clock = spy.device, spy.clock
        if device is None or clock is None:
            raise RuntimeError(f"the session of {name} opened no device")
        frames, span = sorted(passes, key=lambda each: each[1][1] - each[1][0])[PASSES // 2]  # the median pass
        seconds = span[1] - span[0]
        figures = [Figure(SPEED, frames / seconds, "", f"median of {PASSES} passes of {frames} frames, file to file")]
        busy = {stage: list(within(found, span)) for stage, found in clock.intervals.items()}
        figures += occupancy(busy, seconds)
        for stage, seen in spy.programs.items():
            figures.append(Figure(stage, stage_ms(seen, device, ROTATED_BYTES), "ms", _shape(seen)))
        print(write_output(figures, session.precision))


def run_clip(session: Session, clip: Path) -> tuple[int, Interval]:
    """Frames of the clip, and when their repair, decoding and encoding included, began and ended."""
    begun = session.clock.now()
    masked = read_masked(clip)
    first = next(masked)
    count = 0
    with tempfile.TemporaryDirectory(prefix="vidmend-gpu-") as folder:
        out = Path(folder) / clip.name
        with (
            open_work(out, "", resume=False, overwrite=True) as work,
            open_writer(out, probe(clip), Encoding(), work) as writer,
        ):
            for done in session.restore(chain([first], masked), [whole_frame(first.frame)]):
                writer.write(done.frame)
                count += 1
        return count, (begun, session.clock.now())


def occupancy(busy: Mapping[str, list[Interval]], seconds: float) -> list[Figure]:
    """How full the stage was that takes longest, and how long the GPU did nothing but copy, in per cent of the time."""
    stages = {stage: length(found) for stage, found in busy.items() if stage not in COPIES}
    if not stages:
        return []
    slowest = max(stages, key=lambda stage: stages[stage])
    return [
        Figure(BUSY, 100 * stages[slowest] / seconds, "%", slowest),
        Figure(EXPOSED, 100 * exposed(busy) / seconds, "%"),
    ]


def stage_ms(seen: Seen, device: Device, rotated_bytes: int) -> float:
    """Milliseconds of a call: the median of rounds, each through copies of its tensors that fill `rotated_bytes`."""
    inputs, outputs = seen.tensors
    tensors = [*inputs.values(), *outputs.values()]
    sets = max(2, min(_MOST_SETS, ceil(rotated_bytes / sum(tensor.nbytes for tensor in tensors))))
    with device.bound():
        stream = device.stream("alone")
        calls: list[tuple[Tensors, Tensors]] = []
        try:
            calls += [(copies(inputs, device, stream), copies(outputs, device, stream)) for _ in range(sets)]
            rounds = [_round(seen, calls, stream) for _ in range(_ROUNDS + 2)]
        finally:
            stream.close()
            free([each for call in calls for each in call], device)
    return 1000 * median(rounds[2:]) / sets


def _round(seen: Seen, calls: Sequence[tuple[Tensors, Tensors]], stream: Stream) -> float:
    """Seconds for all calls, enqueued at once and waited for."""
    stream.mark().wait()
    begun = time.perf_counter()
    for inputs, outputs in calls:
        seen.program.enqueue(inputs, outputs, stream)
    stream.mark().wait()
    return time.perf_counter() - begun


def _shape(seen: Seen) -> str:
    first = next(iter(seen.inputs.values()))
    return f"{'x'.join(map(str, first.shape))} {first.dtype.name}"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
