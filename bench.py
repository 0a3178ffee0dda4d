"""Measure speed from file to file on this machine: python bench.py."""

import sys

from runtime.interruption import run_main

if __name__ == "__main__":
    sys.exit(run_main("bench.cli", sys.argv[1:]))
