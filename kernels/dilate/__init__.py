"""Masks to holes: `dilate_cover`, `dilate_grow`."""
