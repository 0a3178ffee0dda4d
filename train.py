"""Clips to trained weights: python train.py --help."""

import sys

from runtime.interruption import run_main

if __name__ == "__main__":
    sys.exit(run_main("training.cli", sys.argv[1:]))
