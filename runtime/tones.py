"""High dynamic range as a plain screen can show it: for pictures that people look at, never for what is written."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from runtime.colour import Levels
from runtime.frame import RGB

PQ, HLG = 16, 18  # transfer characteristics of H.273
_WHITE_NITS = 203.0  # of diffuse white (ITU-R BT.2408, table 1)
_HLG_PEAK_NITS = 1000.0  # of the reference display, which makes its system gamma 1.2 (BT.2100, table 5)
_KNEE = 0.75  # of white; brighter light is squeezed into what is left
_BT709_FROM_BT2020 = np.array(  # linear light (BT.2087, annex 2)
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)

Light = npt.NDArray[np.float32]  # [H, W, 3], linear, 1 is diffuse white


def is_hdr(transfer: int) -> bool:
    """Whether samples of that transfer characteristic (H.273) look pale on a plain screen."""
    return transfer in {PQ, HLG}


def to_screen(rgb: Levels, transfer: int) -> RGB:
    """PQ or HLG samples in BT.2020 primaries `[H, W, 3]`, 0 to 65535, as sRGB of 8 bits.

    Diffuse white lands just below white and highlights above it, hue kept; colours beyond sRGB are clipped.
    """
    signal: Light = rgb.astype(np.float32) / np.float32(65535)
    light = (_light_of_pq(signal) if transfer == PQ else _light_of_hlg(signal)) @ _BT709_FROM_BT2020.T
    light = np.maximum(light, 0)
    brightest = light.max(axis=-1, keepdims=True)
    over = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    squeezed = np.minimum(brightest, _KNEE) + (1 - _KNEE) * over / (1 + over)
    light *= squeezed / np.maximum(brightest, np.float32(1e-6))
    dark = light <= 0.0031308
    encoded = 1.055 * np.power(light, np.float32(1 / 2.4)) - 0.055  # IEC 61966-2-1
    encoded[dark] = 12.92 * light[dark]
    return (np.clip(encoded, 0, 1) * 255 + 0.5).astype(np.uint8)


def _light_of_pq(signal: Light) -> Light:
    """SMPTE ST 2084, equation 4.1."""
    root = np.power(signal, np.float32(1 / 78.84375))
    ratio = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return np.power(ratio, np.float32(1 / 0.1593017578125)) * np.float32(10000 / _WHITE_NITS)


def _light_of_hlg(signal: Light) -> Light:
    """ITU-R BT.2100, table 5: the inverse OETF, then the OOTF."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal * signal / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    gain = np.power(luminance, 0.2)[..., None] * (_HLG_PEAK_NITS / _WHITE_NITS)
    return (scene * gain).astype(np.float32)
