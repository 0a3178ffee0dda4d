"""Damaged videos, repaired in every way they come: `python -m tests.fuzz`."""
