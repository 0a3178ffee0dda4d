"""What int8 costs and brings, in lines for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from runtime.bundle import MANIFEST

if TYPE_CHECKING:
    from calib.evidence import Evidence


def int8_lines(out: Path, evidence: Evidence) -> list[str]:
    """The loss on the hold-out, the layers kept, the speed; and which bundle is the faster one where it is not this."""
    trial = evidence.trials[-1]
    layers = sum(len(item.layers) for item in evidence.sensitivities)
    exact, narrow = (float(np.mean([item.psnr_db for item in found])) for found in (evidence.exact, evidence.narrow))
    ratio, own = evidence.speeds.ratio, f"{evidence.backend} {evidence.own_type}"
    loss = (
        f"int8: {trial.drop_db:+.3f} dB lost in the hole on the hold-out of {len(evidence.exact)} ({narrow:.2f} "
        f"against {exact:.2f} in float32, allowed {evidence.budget_db:g}); {len(trial.kept)} of {layers} layers kept "
        f"in float32"
    )
    lines = [loss, f"int8: {ratio:.2f} times the speed of {own} on this machine"]
    if ratio < 1:
        lines.append(f"note: int8 is the slower one here; {faster(out)} runs faster")
    return lines


def faster(out: Path) -> str:
    """The same export without int8: its folder, where it lies beside, else how it is made."""
    plain = out.with_name(out.name.removesuffix("-int8"))
    return str(plain) if plain != out and (plain / MANIFEST).is_file() else "the same export without --int8"
