"""Checkpoint to bundle: python export.py --help."""

import sys

from runtime.interruption import run_main

if __name__ == "__main__":
    sys.exit(run_main("export.cli", sys.argv[1:]))
