"""Fills into frames: `accumulate`, `feather_above`, `feather_opacity`, `composite_u8`, `composite_u16`."""
