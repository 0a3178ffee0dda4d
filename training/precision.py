"""In which number format the convolutions and products of a step are computed."""

from __future__ import annotations

import torch

from training.config import Speed


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 numbers in hardware; one that emulates them is slower than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") or capabilities.get("bf16"))


def autocast(speed: Speed, device: torch.device) -> torch.autocast:
    """The context of a forward pass; weights, losses and what Adam keeps are float32 in any case."""
    wanted = speed.precision == "bfloat16" or (speed.precision == "auto" and computes_in_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)
