"""Every tolerance of the tests, with its reason."""

from __future__ import annotations

TOLERANCE: dict[tuple[str, str], float] = {
    # fp32 sums in another order may flip the published program's truncation, by one level, rarely
    ("published", "levels"): 1,
    ("published", "share of pixels"): 0.005,
    # levels away from the formula in doubles: half a level of rounding, the rest from 13-bit coefficients
    ("colour", "rgb"): 0.56,
    ("colour", "rgb16"): 16.0,  # of 65535
    ("colour", "coefficients"): 0.5,  # levels of 16 bits beside the rounding; fewer bits leave more to coefficients
    ("colour", "libswscale"): 2.0,  # its own tables round twice
    ("resize", "deep samples"): 0.51,  # rounding, and the float32 that Pillow stores between its two passes
    ("metrics", "db"): 1e-9,  # double precision both
    ("telea", "levels on flat colour"): 2,  # its weights are rounded sums
    # float32 sums of the same products in another order, for outputs of order 1
    ("stage", "float32"): 1e-4,
    ("filler", "float32"): 1e-5,  # the same sums with exact zeros among them
    ("memory", "ratio"): 1.1,  # 3,000 frames against 300
    ("summary", "fps"): 0.001,  # printed to three places
    # two encodings of the same samples at CRF 23, worst frame; measured 34.2, and 12.9 where they are not the same
    ("demo", "db between encodings"): 33.0,
    ("demo", "db under the drawings"): 15.0,
    ("demo", "db above Telea"): 0.5,  # measured below 1.3 on every backend, over all frames
    # against PyTorch in fp32, of outputs of order 1
    ("backend", "fp32"): 1e-4,
    ("backend", "bf16"): 0.04,  # PyTorch in bf16 stays below 0.015 here; libraries round elsewhere
    ("mask video", "pixels"): 12,  # a lossy codec may round off the corners of a square
    ("tones", "levels between PQ and HLG"): 4,  # the standard names whole per cent of the signal
    ("tones", "levels of tint on grey"): 1,  # rows of the matrix, of four places, add up to 1 +- 0.0001
    ("report", "share between samples"): 0.5,  # of 4 spread over a run; a third, and up to half as much from thinning
    ("report", "pixels"): 2.0,  # a hole of 320 seen at a quarter to full size, its edge on whole pixels
    ("report", "seconds"): 1e-6,  # interpolated in doubles
    ("browser", "per cent of the line"): 0.5,  # the white line and its shadow hide some pixels, the handle none here
    ("browser", "pixels of an outline"): 3,  # half a pixel of rounding, half the stroke, its edge
    ("browser", "contrast"): 4.5,  # WCAG 2.2, level AA
    # of the noise around the hole: a median over dozens of blocks, and structure that is left in them
    ("grain", "strength"): 0.15,
    ("grain", "correlation"): 0.1,
    ("grain", "mean"): 0.1,  # of its strength: the mean of some ten thousand samples, coarse ones fewer
    ("alpha video", "pixels"): 12,  # lossy codecs move the edge of a disc by a pixel here and there
    ("preview", "pixels of the rim"): 1,  # drawn around the hole
    # shares that stay: a perfect mean of 3, 5, 7 independent frames leaves 0.58, 0.45, 0.38 of the error, and less of
    # the warping error, since neighbours share most of their frames; measured 0.33, 0.21, 0.17 and 0.61, 0.48, 0.41
    ("smooth", "warping error left, radius 1"): 0.39,
    ("smooth", "warping error left, radius 2"): 0.27,
    ("smooth", "warping error left, radius 3"): 0.22,
    ("smooth", "error left, radius 1"): 0.65,
    ("smooth", "error left, radius 2"): 0.52,
    ("smooth", "error left, radius 3"): 0.46,
    ("smooth", "levels lost by moving"): 1.0,  # cubic interpolation; measured 0.66
    ("smooth", "levels of a mismatch"): 1.0,  # measured 0.61, for neighbours 161 levels away
    ("glimpse", "levels"): 1.0,  # rounded when it shrinks, and again in the colour conversion
    # what its quantiser costs a smooth picture at profile HQ, worst sample of 1023 levels; measured 8
    ("prores", "levels of 10 bits"): 10,
    ("overlay", "share covered"): 0.97,  # of the drawn pixels; what is left is the thin end of a stroke
    ("overlay", "share of the picture beside"): 0.002,  # background that stays beside it by chance
}
