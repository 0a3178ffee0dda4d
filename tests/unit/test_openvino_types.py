"""bf16 is asked of OpenVINO where the processor, and what limits its instructions, have kernels for it."""

from __future__ import annotations

import pytest

from runtime import backends
from runtime.backends import openvino

LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "OV_CPU_MAX_ISA")


class Core:
    """OpenVINO on a processor of these abilities; it names bf16 whatever the limit."""

    def __init__(self, *able: str) -> None:
        self._able = able

    def get_property(self, device: str, name: str) -> list[str]:
        assert (device, name) == ("CPU", "OPTIMIZATION_CAPABILITIES")
        return list(self._able)


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        ("", "bf16"),
        ("ALL", "bf16"),
        ("DEFAULT", "bf16"),
        ("AVX512_CORE_AMX", "bf16"),
        ("avx512_core_bf16", "bf16"),
        ("AVX10_1_512", "bf16"),
        ("SSE41", "fp32"),
        ("AVX", "fp32"),
        ("avx2", "fp32"),
        ("AVX2_VNNI_2", "fp32"),
    ],
)
def test_limits_below_avx512_leave_float32(name: str, limit: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "core", lambda: Core("FP32", "BF16"))
    for other in LIMITS:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, limit)
    assert backends.get("openvino").precision("auto") == wanted
    assert backends.get("openvino").precision("fp32") == "fp32"


def test_a_processor_without_bf16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino, "core", lambda: Core("FP32", "INT8"))
    assert backends.get("openvino").precision("auto") == "fp32"
