"""Measure a bundle on clips: python evaluate.py BUNDLE CLIP CLIP."""

import sys

from runtime.interruption import run_main

if __name__ == "__main__":
    sys.exit(run_main("calib.evaluation.cli", sys.argv[1:]))
